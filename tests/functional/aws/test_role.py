"""role: credentials for a role in moto's second account, and with any response of STS."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    NoCredentialsError,
    ReadTimeoutError,
)
from moto import mock_aws

from ddbreplica import handler
from ddbreplica.aws.role import Role
from ddbreplica.dynamodb import table as dynamodb
from ddbreplica.dynamodb.send import MAX_WRITES, send
from ddbreplica.dynamodb.table import DynamoDBReplica
from ddbreplica.errors import ReplicaError
from ddbreplica.model import Image, Refusal, RefusalKind, Replica, Table, Write
from ddbreplica.replicate.write import write
from tests.support.clock import Clock
from tests.support.contract import SCHEMA, ReplicaContract, put
from tests.support.replica_table import create_table
from tests.support.sts import ARN, Said, Sts, answer, granted, refused, sts
from tests.support.wire import Wire, described, dynamodb_json, error

NOTHING_LEFT: tuple[int, Any] = (200, {"UnprocessedItems": {}})


class TestInAnotherAccountAndRegion(ReplicaContract):
    @pytest.fixture
    def replica(self) -> Iterator[Replica]:
        with mock_aws():
            there = Role(ARN, external_id="a secret shared", session_name="setup").session()
            self.client = there.client("dynamodb", region_name="eu-west-1")
            create_table(self.client)
            yield self.at("copy")
            here = boto3.client("dynamodb", region_name="eu-west-1")
            assert here.list_tables()["TableNames"] == []

    def items(self) -> list[Image]:
        return [dynamodb_json(item) for item in self.client.scan(TableName="copy")["Items"]]

    def missing(self) -> Replica:
        return self.at("another")

    def at(self, table: str) -> Replica:
        role = Role(ARN, external_id=None, session_name="replicator")
        return dynamodb.connect(table, region="eu-west-1", role=role)


class Signed:
    """A replica that is written to as a role, and the access key that signed each request."""

    def __init__(self, sts: Sts, *answers: Any) -> None:
        self.replica = dynamodb.connect("copy", region="us-east-1", role=sts.role)
        self.by: list[str] = []
        self.urls: list[str] = []
        events: Any = self.replica._client.meta.events
        events.register_first("before-send.dynamodb", self._note)
        self.wire = Wire(self.replica._client, answers=list(answers), always=NOTHING_LEFT)

    def _note(self, request: Any, **_: Any) -> None:
        authorization = request.headers["Authorization"]
        text = authorization.decode() if isinstance(authorization, bytes) else authorization
        token = request.headers["X-Amz-Security-Token"]
        access_key = text.partition("Credential=")[2].partition("/")[0]
        assert token in (f"token of {access_key}", f"token of {access_key}".encode())
        self.by.append(access_key)
        self.urls.append(request.url)

    def write(self) -> Any:
        return self.replica.start_batch([put()])()


def signed(sts: Sts, *answers: Any) -> Signed:
    return Signed(sts, described(SCHEMA), *answers)


def batches(count: int) -> list[Write]:
    return [put(str(number)) for number in range(count * MAX_WRITES)]


def test_the_role_is_assumed_once_and_signs_every_request() -> None:
    service = sts(external_id="shared with the other account")
    one = signed(service)
    assert service.requests == []

    assert [one.write(), one.write()] == [(), ()]

    assert one.by == ["ASIA1", "ASIA1", "ASIA1"]
    assert service.requests == [
        {
            "Action": "AssumeRole",
            "Version": "2011-06-15",
            "RoleArn": ARN,
            "RoleSessionName": "replicator",
            "ExternalId": "shared with the other account",
        }
    ]


def test_no_external_id_is_sent_where_none_is_set() -> None:
    service = sts()

    signed(service).write()

    assert service.requests[0].keys() == {"Action", "Version", "RoleArn", "RoleSessionName"}


def test_sts_is_called_in_the_function_s_region_once_with_short_timeouts() -> None:
    service = sts()
    signed(service).write()
    config: Any = service.role._sts.meta.config

    assert service.host == "sts.us-east-1.amazonaws.com"
    assert (config.connect_timeout, config.read_timeout) == (1, 2)
    assert config.retries == {"mode": "standard", "total_max_attempts": 1}


def test_a_table_by_name_is_the_one_of_the_role_s_account() -> None:
    one = signed(sts())

    one.write()

    assert one.urls == ["https://222222222222.ddb.us-east-1.amazonaws.com/"] * 2


@pytest.mark.parametrize(("minutes_left", "times"), [(16, 1), (14, 3), (9, 3)])
def test_the_role_is_assumed_again_before_its_credentials_expire(minutes_left: int, times: int) -> None:
    short = granted("ASIA1", lasts=timedelta(minutes=minutes_left))
    service = sts(short, short, short)
    one = signed(service)
    one.replica.describe()
    asked_for_the_description = len(service.requests)

    one.write()
    one.write()

    assert len(service.requests) - asked_for_the_description == times - 1


def test_valid_credentials_are_used_while_sts_is_unavailable() -> None:
    service = sts(granted("ASIA1", lasts=timedelta(minutes=14)), refused("Throttling", 400))
    one = signed(service)
    one.replica.describe()
    service.answers = [refused("Throttling", 400)] * 2

    assert one.write() == ()
    assert one.by == ["ASIA1", "ASIA1"]


FAULTS: dict[str, Said] = {
    "denied": refused("AccessDenied"),
    "invalid": refused("ValidationError", 400),
    "no such Region": refused("RegionDisabledException"),
    "expired": refused("ExpiredTokenException"),
    "unknown": refused("InvalidClientTokenId"),
    "no credentials": NoCredentialsError(),
}
PASSING: dict[str, Said] = {
    "throttled": refused("Throttling", 400),
    "unavailable": refused("ServiceUnavailable", 503),
    "never seen": refused("SomethingNobodyHasSeenYet", 400),
    "empty error": (500, b""),
    "a proxy's refusal": (403, b"<html>no</html"),
    "a proxy's page": (200, b"<html>yes</html"),
    "another response": (200, b"<html></html>"),
    "nonsense": (200, b"nonsense"),
    "no expiration": (200, answer("")),
    "no date": (200, answer("<Expiration>next year</Expiration>")),
    "an ARN without an account": (200, granted("ASIA1")[1].replace(b"arn:aws:sts::222222222222:", b"")),
    "nested too deep": (200, b"<a>" * 20_000 + b"</a>" * 20_000),
    "expired already": (200, answer("<Expiration>2020-01-01T00:00:00Z</Expiration>")),
    "no response": ReadTimeoutError(endpoint_url="https://sts"),
    "unreachable": ConnectTimeoutError(endpoint_url="https://sts"),
    "closed": ConnectionClosedError(endpoint_url="https://sts"),
}


@pytest.mark.parametrize(
    ("said", "kind"),
    [(said, RefusalKind.FAULT) for said in FAULTS.values()]
    + [(said, RefusalKind.TRANSIENT) for said in PASSING.values()],
    ids=[*FAULTS, *PASSING],
)
def test_a_role_that_cannot_be_assumed_refuses_the_request_that_needed_it(
    said: Said, kind: RefusalKind
) -> None:
    service = sts(said)
    one = signed(service)

    undescribed = one.replica.describe()
    assert isinstance(one.replica.describe(), Table)
    service.role.end()
    service.answers = [said]
    unwritten = one.write()

    for refusal in (undescribed, unwritten):
        assert isinstance(refusal, Refusal)
        assert refusal.kind is kind
        assert refusal.message.startswith(f"REPLICA_ROLE_ARN {ARN} cannot be assumed: ")
        assert ("the role must exist and trust" in refusal.message) is (kind is RefusalKind.FAULT)
    assert one.write() == ()


def test_a_write_that_could_not_be_signed_was_never_sent_and_is_not_in_doubt() -> None:
    service = sts()
    one = signed(service)
    one.replica.describe()
    service.role.end()
    service.answers = [ReadTimeoutError(endpoint_url="https://sts")]

    tally = send([put()], replica=one.replica, deadline=Clock().deadline())

    assert (len(tally.applied), tally.in_doubt) == (1, {})


def test_a_role_that_cannot_be_assumed_fails_the_invocation_with_its_arn() -> None:
    with pytest.raises(ReplicaError) as caught:
        write([put()], replica=signed(sts(refused("AccessDenied"))).replica, deadline=Clock().deadline())

    assert str(caught.value) == (
        "The replica table refuses every request: AccessDenied:"
        f" REPLICA_ROLE_ARN {ARN} cannot be assumed: why; the role must exist and trust the function's role, with"
        " REPLICA_EXTERNAL_ID if it requires an external ID, and the function's role must be allowed sts:AssumeRole."
        " Check the table, the function's role and REPLICA_TABLE_NAME; no record of the batch was checkpointed."
    )


class Ending(DynamoDBReplica):
    """A replica whose credentials end before the third request of a batch. Then STS sends this response."""

    said: Said
    service: Sts
    under_way = 0
    started = 0

    def start_batch(self, writes: Any) -> Any:
        self.started += 1
        if self.started == 3:
            self.service.role.end()
            self.service.answers = [self.said]
        pending = super().start_batch(writes)
        self.under_way += 1

        def wait() -> Any:
            self.under_way -= 1
            return pending()

        return wait


def ending(said: Said) -> Ending:
    service = sts()
    one = signed(service)
    replica = Ending(one.replica._client, "copy", role=service.role)
    replica.said, replica.service = said, service
    return replica


def test_sts_unavailable_in_the_middle_of_a_batch_delays_one_request() -> None:
    replica = ending(refused("Throttling", 400))

    outcome = write(batches(4), replica=replica, deadline=Clock().deadline())

    assert (len(outcome.applied), outcome.retried, outcome.in_doubt) == (4 * MAX_WRITES, MAX_WRITES, ())
    assert replica.under_way == 0


def test_a_role_revoked_in_the_middle_of_a_batch_leaves_no_request_under_way() -> None:
    replica = ending(refused("AccessDenied"))

    with pytest.raises(ReplicaError, match="AccessDenied: REPLICA_ROLE_ARN"):
        write(batches(4), replica=replica, deadline=Clock().deadline())

    assert replica.started == 4
    assert replica.under_way == 0


@pytest.mark.parametrize(
    "code", ["ExpiredTokenException", "AccessDeniedException", "UnrecognizedClientException"]
)
def test_after_a_fault_of_the_table_the_next_attempt_gets_new_credentials(code: str) -> None:
    one = signed(sts(), error(code))

    refusal = one.write()

    assert (refusal.kind, refusal.code) == (RefusalKind.FAULT, code)
    assert one.write() == ()
    assert one.by == ["ASIA1", "ASIA1", "ASIA2"]


def test_a_denied_description_ends_the_credentials_too() -> None:
    one = Signed(sts(), error("AccessDeniedException"), described(SCHEMA))

    assert isinstance(one.replica.describe(), Refusal)
    assert isinstance(one.replica.describe(), Table)
    assert one.by == ["ASIA1", "ASIA2"]


def test_a_transient_refusal_of_the_table_keeps_the_credentials() -> None:
    one = signed(sts(), error("ThrottlingException"), error("ValidationException"))

    assert [one.write().kind, one.write().kind] == [RefusalKind.TRANSIENT, RefusalKind.REJECTED]
    assert one.write() == ()
    assert one.by == ["ASIA1"] * 4


def test_the_function_acts_as_the_role_of_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    env = {
        "REPLICA_TABLE_NAME": "copy",
        "QUARANTINE_BUCKET": "bucket",
        "REPLICA_ROLE_ARN": ARN,
        "REPLICA_EXTERNAL_ID": "shared",
        "AWS_LAMBDA_FUNCTION_NAME": "replicator",
    }
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    handler.replicator.cache_clear()
    replica = handler.replicator().replica
    handler.replicator.cache_clear()

    assert isinstance(replica, DynamoDBReplica)
    assert replica._role is not None
    assert replica._role._request == {
        "RoleArn": ARN,
        "ExternalId": "shared",
        "RoleSessionName": "replicator",
    }


def test_a_cold_start_without_a_role_does_not_import_the_role_module() -> None:
    probe = "import ddbreplica.handler, sys; print('ddbreplica.aws.role' in sys.modules)"

    assert subprocess.check_output([sys.executable, "-c", probe], text=True) == "False\n"  # noqa: S603
