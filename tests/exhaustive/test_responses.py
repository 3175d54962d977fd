"""A response that is not AWS's raises no unexpected error, and never counts as a performed request."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from ddbreplica.bucket import quarantine
from ddbreplica.bucket.quarantine import Quarantine
from ddbreplica.deadline import MOST_ATTEMPTS
from ddbreplica.dynamodb.send import REQUEST_SECONDS
from ddbreplica.dynamodb.table import CLIENT_CONFIG, DynamoDBReplica
from ddbreplica.errors import QuarantineError, ReplicatorError
from ddbreplica.model import Refusal, RefusalKind
from tests.support.contract import SCHEMA, delete, put
from tests.support.fake_replica import FakeReplica
from tests.support.function import Context, Function
from tests.support.garbage import PAGES, responses
from tests.support.records import batch
from tests.support.records import put as record
from tests.support.server import foreign, http, say, serving
from tests.support.wire import AWS, FOREIGN, described, response

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BAD = {"N": "5"}

marks = pytest.mark.parametrize("headers", [FOREIGN, AWS], ids=["foreign", "with AWS's request id"])


@pytest.fixture
def client() -> "DynamoDBClient":
    return boto3.client("dynamodb", region_name="us-east-1", config=CLIENT_CONFIG)


class Gateway:
    """Responds to one operation with `status`, `body` and `headers`, and to others with the table's description."""

    def __init__(self, client: Any, operation: str, headers: Mapping[str, str], key: dict[str, str]) -> None:
        self.status, self.body = 200, b"{}"
        self._operation = operation
        self._headers = headers
        self._described = described(key)
        client.meta.events.register_first("before-send", self._answer)

    def _answer(self, request: Any, event_name: str, **_: Any) -> AWSResponse:
        if event_name.endswith(f".{self._operation}"):
            return response(request.url, self.status, self.body, headers=self._headers)
        status, body = self._described
        return response(request.url, status, body, headers=AWS)

    @property
    def is_error(self) -> bool:
        """Return whether it looks like an error of AWS: JSON with a code and a message, or a page without JSON."""
        return self.status >= 400 and self.body in PAGES


def attempt(replica: DynamoDBReplica, operation: str) -> Any:
    """Make one attempt of an operation, and return its result."""
    match operation:
        case "BatchWriteItem":
            return replica.start_batch([put(), delete("8")])()
        case "PutItem":
            return replica.start_one(put())()
        case "DeleteItem":
            return replica.start_one(delete())()
        case "BatchGetItem":
            return replica.read_batch([put().change.key])
        case _:
            return replica.ask("Scan", '{"TableName":"copy"}', lambda body: body["Items"][0]["part"])


@marks
@pytest.mark.parametrize("operation", ["BatchWriteItem", "PutItem", "DeleteItem", "BatchGetItem", "Scan"])
def test_no_response_raises_and_only_one_of_aws_ends_a_request(
    client: "DynamoDBClient", operation: str, headers: Mapping[str, str]
) -> None:
    gateway = Gateway(client, operation, headers, SCHEMA)
    replica = DynamoDBReplica(client, "copy")
    wrong = []
    for name, gateway.status, gateway.body in responses():
        answer = attempt(replica, operation)
        if isinstance(answer, Refusal):
            is_right = answer.in_doubt or (headers is AWS and gateway.is_error)
        else:  # PutItem and DeleteItem are performed if AWS responds with an object
            is_object = gateway.status == 200 and gateway.body.startswith(b"{")
            is_right = headers is AWS and is_object and operation in ("PutItem", "DeleteItem")
        wrong += [] if is_right else [(name, answer)]

    assert wrong == []


@marks
def test_no_response_to_describe_table_raises_or_describes_a_table(
    client: "DynamoDBClient", headers: Mapping[str, str]
) -> None:
    gateway = Gateway(client, "DescribeTable", headers, SCHEMA)
    replica = DynamoDBReplica(client, "copy")
    answers = {name: replica.describe(refresh=True) for name, gateway.status, gateway.body in responses()}

    assert {name for name, answer in answers.items() if not isinstance(answer, Refusal)} == set()
    if headers is FOREIGN:
        assert {answer.kind for answer in answers.values() if isinstance(answer, Refusal)} == {
            RefusalKind.TRANSIENT
        }


@marks
@pytest.mark.parametrize("operation", ["DescribeTable", "BatchWriteItem"])
def test_each_response_leads_to_a_report_or_an_error_and_loses_no_in_doubt_write(
    client: "DynamoDBClient", operation: str, headers: Mapping[str, str]
) -> None:
    gateway = Gateway(client, operation, headers, {"PK": "S"})
    wrong = []
    for name, gateway.status, gateway.body in responses():
        function = Function(DynamoDBReplica(client, "copy"))
        answer = outcome(function, batch(record(1, "a"), record(2, "b")))
        kept = sorted(str(number) for number in function.bucket.sequence_numbers)
        is_over = operation != "BatchWriteItem" or (headers is AWS and gateway.is_error)
        is_right = is_over or (answer, kept) == (["1"], ["1", "2"])
        wrong += [] if is_right and bool(kept) is not is_over else [(name, answer, kept)]

    assert wrong == []


def outcome(function: Function[Any], event: Any) -> Any:
    """Return the response of an invocation with time for one attempt, or the name of its error."""
    try:
        return function.invoke(event, Context(seconds_left=REQUEST_SECONDS))
    except ReplicatorError as error:
        return type(error).__name__


@marks
def test_only_a_response_of_s3_confirms_a_quarantined_record_and_none_raises(
    headers: Mapping[str, str],
) -> None:
    client: Any = boto3.client("s3", region_name="us-east-1", config=quarantine.CLIENT_CONFIG)
    gateway = Gateway(client, "PutObject", headers, {"PK": "S"})
    function = Function(FakeReplica(poison=lambda item: item.get("v") == BAD))
    bucket = Quarantine("bucket", table="t", connect=lambda: client)
    function.replicator = replace(function.replicator, quarantine=bucket)
    wrong = []
    for name, gateway.status, gateway.body in responses():
        answer = outcome(function, batch(record(1, "a", v=BAD)))
        is_fault = headers is AWS and gateway.status in (301, 403) and answer == QuarantineError.__name__
        wrong += [] if answer == ["1"] or is_fault else [(name, answer)]

    assert wrong == []


@pytest.mark.loopback
@pytest.mark.parametrize(
    "page", [foreign(b"", status="302 Found"), http(b"", status="307 Temporary Redirect")]
)
def test_a_redirect_without_a_region_is_not_followed(page: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(*[say(page)] * 1000) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        bucket = Quarantine("bucket", table="t", connect=quarantine.connect)
        function = Function(FakeReplica(poison=lambda item: item.get("v") == BAD))
        function.replicator = replace(function.replicator, quarantine=bucket)

        assert outcome(function, batch(record(1, "a", v=BAD))) == ["1"]

    assert 1 <= len(server.requests) <= MOST_ATTEMPTS
