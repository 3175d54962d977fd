"""Simulate the responses of STS to AssumeRole, without network."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from botocore.awsrequest import AWSResponse

from ddbreplica.aws.role import Role
from tests.support.wire import response

ARN = "arn:aws:iam::222222222222:role/replica-writer"
HOUR = timedelta(hours=1)

Said: TypeAlias = tuple[int, bytes] | Exception


@dataclass
class Sts:
    """Hooks into a role's client. It gets the given responses or exceptions in turn, and then credentials."""

    role: Role
    answers: list[Said] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)
    host: str | None = None

    def __post_init__(self) -> None:
        events: Any = self.role._sts.meta.events
        events.register("before-send.sts.AssumeRole", self._answer)

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        self.host = urlsplit(request.url).hostname
        self.requests.append(dict(parse_qsl(request.body)))
        answer = self.answers.pop(0) if self.answers else granted(f"ASIA{len(self.requests)}")
        if isinstance(answer, Exception):
            raise answer
        return response(request.url, *answer)


def sts(*answers: Said, external_id: str | None = None) -> Sts:
    """Return a role that has not been assumed yet, with the responses of STS."""
    return Sts(Role(ARN, external_id=external_id, session_name="replicator"), list(answers))


def granted(access_key: str, *, lasts: timedelta = HOUR) -> tuple[int, bytes]:
    """Return a response with credentials that are valid for `lasts` seconds."""
    until = (datetime.now(UTC) + lasts).strftime("%Y-%m-%dT%H:%M:%SZ")
    return 200, answer(f"<Expiration>{until}</Expiration>", access_key)


def answer(expiration: str, access_key: str = "ASIA1") -> bytes:
    return f"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
        <AssumedRoleUser>
            <Arn>arn:aws:sts::222222222222:assumed-role/replica-writer/replicator</Arn>
            <AssumedRoleId>AROA:replicator</AssumedRoleId>
        </AssumedRoleUser>
        <Credentials>
            <AccessKeyId>{access_key}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>
            <SessionToken>token of {access_key}</SessionToken>{expiration}
        </Credentials>
    </AssumeRoleResult></AssumeRoleResponse>""".encode()


def refused(code: str, status: int = 403) -> tuple[int, bytes]:
    return (
        status,
        f"""<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>
        <Type>Sender</Type><Code>{code}</Code><Message>why</Message></Error></ErrorResponse>""".encode(),
    )
