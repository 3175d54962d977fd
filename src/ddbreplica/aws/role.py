"""A role of the replica's account → credentials that are assumed when first needed, and anew before they expire."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ddbreplica.aws.botocore_private import RenewedCredentials, session_of
from ddbreplica.aws.refusal import RefusedError, refusal_of
from ddbreplica.model import Refusal, RefusalKind

if TYPE_CHECKING:
    from mypy_boto3_sts.type_defs import AssumeRoleRequestTypeDef, AssumeRoleResponseTypeDef

CLIENT_CONFIG = Config(
    # One attempt of 4 s at most (to connect, for TLS: 1 s each; for the answer: 2 s), which a request's time leaves
    # room for. Repeating is the business of whoever repeats the request that was to be signed.
    retries={"mode": "standard", "total_max_attempts": 1},
    connect_timeout=1,
    read_timeout=2,
)

_UNREADABLE = Refusal(
    RefusalKind.TRANSIENT, "UnreadableResponse", "the answer to AssumeRole grants nothing that lasts"
)
_WHAT_IT_TAKES = (
    "; it has to exist and to trust the function's role, with REPLICA_EXTERNAL_ID if it asks for one, and the"
    " function's role has to be allowed sts:AssumeRole"
)


class Role(RenewedCredentials):
    """Credentials that last an hour; botocore's own rules renew them 15 minutes before that.

    Signing a request with them raises RefusedError where the role cannot be assumed. To be used by one thread.
    """

    def __init__(self, arn: str, *, external_id: str | None, session_name: str) -> None:
        """Ask nothing of STS yet. `session_name` is what the replica's account sees in its trail."""
        super().__init__(self._assume, "assume-role")
        self._request: AssumeRoleRequestTypeDef = {"RoleArn": arn, "RoleSessionName": session_name}
        if external_id is not None:
            self._request["ExternalId"] = external_id
        self._sts = boto3.client("sts", config=CLIENT_CONFIG)
        self._has_ended = False

    def session(self) -> boto3.Session:
        """What makes clients that act as this role."""
        return boto3.Session(botocore_session=session_of(self))

    def load_credentials(self) -> "Role":
        """Itself: what a session asks its provider of credentials for."""
        return self

    def end(self) -> None:
        """Assume the role anew before the next request: what was granted may have been revoked since."""
        self._has_ended = True

    def refresh_needed(self, refresh_in: int | None = None) -> bool:
        """Whether the credentials have ended, or do so within so many seconds."""
        return self._has_ended or super().refresh_needed(refresh_in)

    def _assume(self) -> Mapping[str, str]:
        try:
            granted = _granted(self._sts.assume_role(**self._request))
        except (BotoCoreError, ClientError) as error:
            raise RefusedError(self._refusal(refusal_of(error))) from error
        except Exception as error:
            # botocore passes on, or stumbles over, whatever it could not read of a response.
            raise RefusedError(self._refusal(_UNREADABLE)) from error
        self._has_ended = False
        return granted

    def _refusal(self, refusal: Refusal) -> Refusal:
        """The same about the request that was to be signed: it was never sent, so that it cannot land later."""
        message = f"REPLICA_ROLE_ARN {self._request['RoleArn']} cannot be assumed: {refusal.message}"
        if refusal.kind is RefusalKind.TRANSIENT:
            return replace(refusal, message=message, in_doubt=False)
        # AssumeRole has no item to reject: what is wrong with the request is wrong with the settings.
        return replace(refusal, message=message + _WHAT_IT_TAKES, kind=RefusalKind.FAULT)


def _granted(answer: "AssumeRoleResponseTypeDef") -> Mapping[str, str]:
    """The credentials as botocore keeps them. Raises ValueError where they have expired."""
    credentials: Any = answer["Credentials"]
    if credentials["Expiration"] <= datetime.now(UTC):
        raise ValueError(credentials["Expiration"])
    return {
        "access_key": credentials["AccessKeyId"],
        "secret_key": credentials["SecretAccessKey"],
        "token": credentials["SessionToken"],
        "expiry_time": credentials["Expiration"].isoformat(),
        "account_id": answer["AssumedRoleUser"]["Arn"].split(":")[4],
    }
