"""table: the Replica protocol on boto3, with moto and with responses that moto never sends."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import trustme
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)
from moto import mock_aws

from ddbreplica.aws.clock import Skew
from ddbreplica.dynamodb import send
from ddbreplica.dynamodb import table as dynamodb
from ddbreplica.dynamodb.table import CLIENT_CONFIG, DynamoDBReplica
from ddbreplica.model import Image, Pending, Refusal, RefusalKind, Replica, Table, Write
from tests.support.contract import KEYS, ReplicaContract, delete, put
from tests.support.replica_table import NOTHING_LEFT, create_table, description
from tests.support.server import certified, hang_up, http, say, serving
from tests.support.wire import AWS, FOREIGN, Wire, dynamodb_json, error

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class TestOnMoto(ReplicaContract):
    @pytest.fixture
    def replica(self) -> Iterator[Replica]:
        with mock_aws():
            self.client = boto3.client("dynamodb", region_name="us-east-1")
            create_table(self.client)
            yield dynamodb.connect("copy", region="us-east-1")

    def items(self) -> list[Image]:
        return [dynamodb_json(item) for item in self.client.scan(TableName="copy")["Items"]]

    def missing(self) -> Replica:
        return dynamodb.connect("another", region="us-east-1")


@pytest.fixture
def client() -> "DynamoDBClient":
    return boto3.client("dynamodb", region_name="us-east-1", config=CLIENT_CONFIG)


def ready(
    client: "DynamoDBClient", *, answers: Sequence[Any] = (), always: Any = None
) -> tuple[DynamoDBReplica, Wire]:
    """Return a replica that has described its table, and the requests and responses from now on."""
    wire = Wire(client, answers=[description(), *answers], always=always)
    replica = DynamoDBReplica(client, "copy")
    assert isinstance(replica.describe(), Table)
    wire.requests.clear()
    return replica, wire


def refused(replica: DynamoDBReplica) -> list[Refusal]:
    answers = [replica.start_batch([put()])(), replica.start_one(put())(), replica.start_one(delete())()]
    assert all(isinstance(answer, Refusal) for answer in answers)
    return [answer for answer in answers if isinstance(answer, Refusal)]


def undone(pending: Pending) -> Sequence[Write]:
    answer = pending()
    assert not isinstance(answer, Refusal)
    return answer


def test_a_batch_is_sent_as_the_stream_has_it(client: "DynamoDBClient") -> None:
    replica, wire = ready(client, always=NOTHING_LEFT)

    assert list(undone(replica.start_batch([put(b={"B": "AP8="}), delete("8")]))) == []

    assert wire.requests == [
        (
            "BatchWriteItem",
            {
                "RequestItems": {
                    "copy": [
                        {"PutRequest": {"Item": {**KEYS, "b": {"B": "AP8="}}}},
                        {"DeleteRequest": {"Key": {**KEYS, "sort": {"N": "8"}}}},
                    ]
                }
            },
        )
    ]


def test_single_writes_are_sent_as_the_stream_has_them(client: "DynamoDBClient") -> None:
    replica, wire = ready(client, always=(200, {}))

    assert [replica.start_one(put(b={"B": "AP8="}))(), replica.start_one(delete())()] == [(), ()]

    assert wire.requests == [
        ("PutItem", {"TableName": "copy", "Item": {**KEYS, "b": {"B": "AP8="}}}),
        ("DeleteItem", {"TableName": "copy", "Key": KEYS}),
    ]


def test_unprocessed_writes_are_matched_by_key(client: "DynamoDBClient") -> None:
    left = {
        "copy": [{"PutRequest": {"Item": {"sort": {"N": "2.0"}, "part": {"B": "AAH/"}, "x": {"B": "AA=="}}}}]
    }
    replica, _ = ready(client, always=(200, {"UnprocessedItems": left}))
    one, other = put("1"), put("2")

    assert replica.start_batch([one, other])() == [other]


def test_a_delete_left_unprocessed_is_matched_by_key(client: "DynamoDBClient") -> None:
    left = {"arn:of:copy": [{"DeleteRequest": {"Key": {**KEYS, "sort": {"N": "2"}}}}]}
    replica, _ = ready(client, always=(200, {"UnprocessedItems": left}))
    one, other = put("1"), delete("2")

    assert replica.start_batch([one, other])() == [other]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (
            {"UnprocessedItems": {"copy": [{"PutRequest": {"Item": {**KEYS, "sort": {"N": "9"}}}}]}},
            "Unmatched",
        ),
        ({"UnprocessedItems": {"copy": [{"DeleteRequest": {"Key": KEYS}}]}}, "Unmatched"),
        ({"UnprocessedItems": {"copy": [{"PutRequest": {"Item": {"part": KEYS["part"]}}}]}}, "Unmatched"),
        ({"UnprocessedItems": {"copy": [{}]}}, "Unmatched"),
        ({"UnprocessedItems": {"copy": {}}}, "Unmatched"),
        ({"UnprocessedItems": {"copy": ""}}, "Unmatched"),
        ({}, "MissingUnprocessedItems"),
        ({"UnprocessedItems": None}, "MissingUnprocessedItems"),
        (b"null", "UnreadableResponse"),
        (b"", "UnreadableResponse"),
        (b"<html>a proxy's page</html>", "UnreadableResponse"),
    ],
)
def test_a_response_that_does_not_match_the_request_is_no_success(
    client: "DynamoDBClient", answer: Any, code: str
) -> None:
    replica, _ = ready(client, always=(200, answer))

    refusal = replica.start_batch([put("7")])()

    assert isinstance(refusal, Refusal)
    assert (refusal.kind, refusal.code.startswith(code)) == (RefusalKind.TRANSIENT, True)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error("ProvisionedThroughputExceededException"), RefusalKind.TRANSIENT),
        (error("ThrottlingException"), RefusalKind.TRANSIENT),
        (error("InternalServerError", 500), RefusalKind.TRANSIENT),
        ((503, b"<html>not json</html>"), RefusalKind.TRANSIENT),
        (error("TransactionConflictException"), RefusalKind.TRANSIENT),
        (error("ValidationException"), RefusalKind.REJECTED),
        (error("AccessDeniedException"), RefusalKind.FAULT),
        (error("ExpiredTokenException"), RefusalKind.FAULT),
    ],
)
def test_a_refusal_is_returned_after_one_attempt(
    client: "DynamoDBClient", answer: Any, kind: RefusalKind
) -> None:
    replica, wire = ready(client, always=answer)

    assert [refusal.kind for refusal in refused(replica)] == [kind] * 3
    assert len(wire.requests) == 3


@pytest.mark.parametrize(
    ("fault", "in_doubt"),
    [
        (ReadTimeoutError(endpoint_url="https://x"), True),
        (ConnectionClosedError(endpoint_url="https://x"), True),
        (EndpointConnectionError(endpoint_url="https://x"), False),
    ],
)
def test_a_missing_response_is_returned_as_a_refusal(
    client: "DynamoDBClient", fault: Exception, in_doubt: bool
) -> None:
    replica, _ = ready(client, answers=[fault, fault, fault])

    answers = refused(replica)

    assert [(refusal.kind, refusal.in_doubt) for refusal in answers] == [
        (RefusalKind.TRANSIENT, in_doubt)
    ] * 3


def test_a_description_is_kept_until_it_is_refreshed(client: "DynamoDBClient") -> None:
    wire = Wire(client, answers=[description(), description("UPDATING")])
    replica = DynamoDBReplica(client, "copy")
    expected = Table(arn="arn:copy", status="ACTIVE", key_schema=frozenset({("id", "N")}))

    assert [replica.describe(), replica.describe()] == [expected, expected]
    assert len(wire.requests) == 1
    fresh = replica.describe(refresh=True)
    assert isinstance(fresh, Table)
    assert fresh.status == "UPDATING"
    assert replica.describe() == fresh


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error("ThrottlingException"), RefusalKind.TRANSIENT),
        (error("AccessDeniedException"), RefusalKind.FAULT),
        (error("ValidationException"), RefusalKind.FAULT),
    ],
)
def test_a_refused_description_is_requested_again(
    client: "DynamoDBClient", answer: Any, kind: RefusalKind
) -> None:
    Wire(client, answers=[answer, description()])
    replica = DynamoDBReplica(client, "copy")

    refusal = replica.describe()

    assert isinstance(refusal, Refusal)
    assert refusal.kind is kind
    assert isinstance(replica.describe(), Table)


def described(**changed: Any) -> bytes:
    table = {**description()[1]["Table"], **changed}
    return json.dumps({"Table": table}).encode()


@pytest.mark.parametrize(
    "answer",
    [
        b"null",
        b"",
        b"{}",
        b'{"Table": {}}',
        b"<html>a proxy's page</html>",
        described(TableStatus={}),
        described(TableArn=5),
        described(KeySchema=[]),
        described(AttributeDefinitions=[{"AttributeName": "id", "AttributeType": 5}]),
    ],
)
def test_a_description_that_cannot_be_read_is_transient(client: "DynamoDBClient", answer: bytes) -> None:
    Wire(client, answers=[(200, answer), description()])
    replica = DynamoDBReplica(client, "copy")

    refusal = replica.describe()

    assert isinstance(refusal, Refusal)
    assert (refusal.kind, refusal.code) == (RefusalKind.TRANSIENT, "UnreadableResponse")
    assert isinstance(replica.describe(), Table)


@pytest.mark.parametrize("answer", [b"null", b"", b"[]"])
def test_a_single_write_is_not_applied_unless_the_response_is_an_object(
    client: "DynamoDBClient", answer: bytes
) -> None:
    replica, _ = ready(client, always=(200, answer))

    refusals = [replica.start_one(put())(), replica.start_one(delete())()]

    assert [refusal.code for refusal in refusals if isinstance(refusal, Refusal)] == [
        "UnreadableResponse"
    ] * 2


@pytest.mark.hazard(number=8)
@pytest.mark.hazard(number=8)
def test_a_request_has_short_timeouts_and_one_attempt() -> None:
    config: Any = dynamodb.connect("copy", region="us-east-1")._client.meta.config

    assert (config.connect_timeout, config.read_timeout) == (1, 5)
    assert config.connect_timeout + config.read_timeout < send.REQUEST_SECONDS
    assert config.retries == {"mode": "standard", "total_max_attempts": 1}
    assert config.max_pool_connections == send.IN_FLIGHT


@pytest.mark.parametrize(
    ("table", "region", "used"),
    [
        ("copy", None, "us-east-1"),
        ("copy", "eu-west-1", "eu-west-1"),
        ("arn:aws:dynamodb:eu-central-1:123456789012:table/copy", None, "eu-central-1"),
        ("arn:aws:dynamodb:eu-central-1:123456789012:table/copy", "eu-west-1", "eu-west-1"),
    ],
)
def test_the_region_is_the_given_one_or_the_arns_or_the_functions(
    table: str, region: str | None, used: str
) -> None:
    assert dynamodb.connect(table, region=region)._client.meta.region_name == used


def test_a_write_goes_to_the_endpoint_of_the_description_and_is_signed(client: "DynamoDBClient") -> None:
    seen: list[Any] = []
    for operation in ("DescribeTable", "BatchWriteItem"):
        client.meta.events.register(
            f"before-send.dynamodb.{operation}", lambda request, **_: seen.append(request)
        )
    replica, _ = ready(client, always=NOTHING_LEFT)

    replica.start_batch([put()])()

    described, written = seen
    assert written.url == described.url
    assert (written.method, written.headers["X-Amz-Target"]) == ("POST", "DynamoDB_20120810.BatchWriteItem")
    assert "Credential=dummy/" in written.headers["Authorization"]
    assert "/us-east-1/dynamodb/aws4_request" in written.headers["Authorization"]


def test_a_write_has_the_trace_and_the_app_id_of_the_description(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "replicator")
    monkeypatch.setenv("AWS_SDK_UA_APP_ID", "orders-team")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-first;Sampled=1")
    headers: list[Any] = []
    client = dynamodb.connect("copy", region="us-east-1")._client
    for operation in ("DescribeTable", "BatchWriteItem"):
        client.meta.events.register(
            f"before-send.dynamodb.{operation}", lambda request, **_: headers.append({**request.headers})
        )
    replica, _ = ready(client, always=NOTHING_LEFT)

    replica.start_batch([put()])()
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-second;Sampled=1")
    replica.start_batch([put()])()

    described, first, second = ({name: _text(value) for name, value in each.items()} for each in headers)
    assert [each["X-Amzn-Trace-Id"] for each in (described, first, second)] == [
        "Root=1-first;Sampled=1",
        "Root=1-first;Sampled=1",
        "Root=1-second;Sampled=1",
    ]
    assert first["User-Agent"] == second["User-Agent"]
    assert described["User-Agent"].startswith(
        first["User-Agent"]
    )  # Powertools adds its name to the user agent of boto3
    assert "app/orders-team" in first["User-Agent"]
    assert "ddbreplica" in first["User-Agent"]


def _text(header: Any) -> str:
    return header.decode() if isinstance(header, bytes) else str(header)


def test_the_skew_is_the_largest_of_any_response(
    client: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    def observed(answer: tuple[int, Any], *, ahead: float) -> float | None:
        wire.answers.append((*answer, {**AWS, "date": "Sat, 28 Nov 2026 18:00:00 GMT"}))
        monkeypatch.setattr(dynamodb, "time", lambda: 1795888800.0 + ahead)
        answered = replica.describe() if answer == description() else replica.start_batch([put()])()
        assert not isinstance(answered, Refusal)
        return skew.ahead

    skew, wire = Skew(), Wire(client)
    replica = DynamoDBReplica(client, "copy", skew=skew)

    assert observed(description(), ahead=70) == 70
    assert observed(NOTHING_LEFT, ahead=90) == 90
    assert observed(NOTHING_LEFT, ahead=80) == 90


def test_a_response_that_aws_did_not_send_does_not_measure_the_clock(client: "DynamoDBClient") -> None:
    skew = Skew()
    foreign = {**FOREIGN, "date": "Sat, 28 Nov 2020 18:00:00 GMT"}
    Wire(client, answers=[description()], always=(200, {"UnprocessedItems": {}}, foreign))
    replica = DynamoDBReplica(client, "copy", skew=skew)

    refusal = replica.start_batch([put()])()

    assert isinstance(refusal, Refusal)
    assert (refusal.code, skew.ahead) == ("ForeignResponse", None)


def test_a_description_without_response_leaves_no_write_in_doubt(client: "DynamoDBClient") -> None:
    Wire(client, answers=[ReadTimeoutError(endpoint_url="https://x")])

    refusal = DynamoDBReplica(client, "copy").start_batch([put()])()

    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.in_doubt) == ("ReadTimeoutError", False)


def test_requests_do_not_share_what_the_signer_changes(client: "DynamoDBClient") -> None:
    contexts: list[Any] = []
    client.meta.events.register("before-sign.dynamodb", lambda request, **_: contexts.append(request.context))
    replica, _ = ready(client, always=NOTHING_LEFT)

    replica.start_batch([put("1")])()
    replica.start_batch([put("2")])()

    assert len({id(context) for context in contexts}) == 3
    assert all(context["timestamp"] for context in contexts)


def test_a_table_by_arn_is_written_where_botocore_routes_its_account() -> None:
    arn = "arn:aws:dynamodb:eu-west-1:111122223333:table/copy"
    client = boto3.client("dynamodb", region_name="eu-west-1", config=CLIENT_CONFIG)
    urls: list[str] = []
    for operation in ("DescribeTable", "BatchWriteItem"):
        client.meta.events.register(
            f"before-send.dynamodb.{operation}", lambda request, **_: urls.append(request.url)
        )
    wire = Wire(client, answers=[description()], always=NOTHING_LEFT)

    DynamoDBReplica(client, arn).start_batch([put()])()

    assert len(urls) == 2
    assert len(set(urls)) == 1
    assert "eu-west-1" in urls[0]
    assert wire.bodies("BatchWriteItem")[0]["RequestItems"].keys() == {arn}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ClientError({"Error": {"Code": "AccessDenied", "Message": "why"}}, "AssumeRole"), RefusalKind.FAULT),
        (
            ClientError({"Error": {"Code": "Throttling", "Message": "why"}}, "AssumeRole"),
            RefusalKind.TRANSIENT,
        ),
        (NoCredentialsError(), RefusalKind.FAULT),
    ],
)
def test_missing_credentials_while_signing_are_a_refusal(
    client: "DynamoDBClient", error: Exception, kind: RefusalKind
) -> None:
    def refuse(**_: Any) -> None:
        raise error

    replica, wire = ready(client)
    client.meta.events.register("before-sign.dynamodb", refuse)

    assert [refusal.kind for refusal in refused(replica)] == [kind] * 3
    assert wire.requests == []


def test_a_first_write_describes_the_table(client: "DynamoDBClient") -> None:
    wire = Wire(client, answers=[error("AccessDeniedException"), description()], always=NOTHING_LEFT)
    replica = DynamoDBReplica(client, "copy")

    refusal = replica.start_batch([put()])()

    assert isinstance(refusal, Refusal)
    assert refusal.kind is RefusalKind.FAULT
    assert list(undone(replica.start_batch([put()]))) == []
    assert [name for name, _ in wire.requests] == ["DescribeTable", "DescribeTable", "BatchWriteItem"]


@pytest.mark.loopback
def test_writes_use_real_connections_and_missing_responses_are_refusals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, described = description()
    with serving(
        say(http(json.dumps(described).encode())),
        say(http(b'{"UnprocessedItems": {}}')),
        hang_up,
        say(http(b'{"__type": "x#ThrottlingException"}', status="400 Bad Request")),
    ) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", server.url)
        replica = dynamodb.connect("copy", region="us-east-1")
        answers = [replica.start_batch([put()])(), replica.start_one(put())(), replica.start_one(delete())()]

    assert [answer.code for answer in answers if isinstance(answer, Refusal)] == [
        "ConnectionClosedError",
        "ThrottlingException",
    ]
    assert list(answers[0]) == []  # type: ignore[arg-type]
    assert [json.loads(body).keys() for _, body in server.requests] == [
        {"TableName"},
        {"RequestItems"},
        {"TableName", "Item"},
        {"TableName", "Key"},
    ]


def over_tls(
    authority: trustme.CA, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Table | Refusal, Sequence[Write] | Refusal, int]:
    """Return the results of a description and a write if only `bundle` is trusted, and the number of connections."""
    answers = (json.dumps(description()[1]).encode(), b'{"UnprocessedItems": {}}')
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    with serving(*(say(http(answer)) for answer in answers), tls=certified(authority)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", server.url)
        replica = dynamodb.connect("copy", region="us-east-1")
        return replica.describe(), replica.start_batch([put()])(), server.connections


@pytest.mark.loopback
def test_writes_trust_the_certificate_that_the_description_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    described, unprocessed, connections = over_tls(authority, tmp_path / "ca.pem", monkeypatch)

    assert isinstance(described, Table)
    assert (unprocessed, connections) == ((), 1)


@pytest.mark.loopback
def test_neither_description_nor_write_trusts_an_unknown_issuer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    described, unwritten, _ = over_tls(trustme.CA(), tmp_path / "ca.pem", monkeypatch)

    assert isinstance(described, Refusal)
    assert isinstance(unwritten, Refusal)
    assert (described.code, unwritten.code) == ("SSLError", "SSLError")
