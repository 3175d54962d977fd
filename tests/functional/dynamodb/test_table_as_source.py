"""table: the Source protocol on boto3, with moto and with responses that moto never sends."""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from zlib import crc32

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError
from moto import mock_aws

from ddbreplica.dynamodb import table
from ddbreplica.dynamodb.table import CLIENT_CONFIG, DynamoDBReplica
from ddbreplica.model import Image, Refusal, RefusalKind, Source
from tests.support.contract import KEYS
from tests.support.replica_table import create_table, description
from tests.support.source_contract import SourceContract, item, key
from tests.support.wire import Wire, as_read, error, response

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ASKED = (key("1"), key("2"))


class TestOnMoto(SourceContract):
    @pytest.fixture
    def source(self) -> Iterator[Source]:
        with mock_aws():
            self.client = boto3.client("dynamodb", region_name="us-east-1")
            create_table(self.client)
            yield table.connect("copy", region="us-east-1")

    def put(self, item: Image) -> None:
        self.client.put_item(TableName="copy", Item=as_read(item))

    def missing(self) -> Source:
        return table.connect("another", region="us-east-1")


@pytest.fixture
def client() -> "DynamoDBClient":
    return boto3.client("dynamodb", region_name="us-east-1", config=CLIENT_CONFIG)


def answering(client: "DynamoDBClient", *answers: Any) -> tuple[Source, Wire]:
    wire = Wire(client, answers=[description(), *answers])
    return DynamoDBReplica(client, "copy"), wire


def answer(items: Sequence[Image] = (), left: Sequence[Image] = ()) -> tuple[int, Any]:
    unprocessed = {"copy": {"Keys": left, "ConsistentRead": True}} if left else {}
    return 200, {"Responses": {"copy": items}, "UnprocessedKeys": unprocessed}


def test_every_read_is_consistent_and_whole(client: "DynamoDBClient") -> None:
    source, wire = answering(client, answer())

    source.read_batch(ASKED)

    assert wire.bodies("BatchGetItem") == [
        {"RequestItems": {"copy": {"ConsistentRead": True, "Keys": [item("1"), item("2")]}}}
    ]


def test_items_are_returned_as_they_were_received(client: "DynamoDBClient") -> None:
    image = item("2.0", b={"B": "AP8="}, n={"N": "1.10"}, bs={"BS": ["/w==", "AA=="]})
    source, _ = answering(client, answer([image]))

    assert source.read_batch(ASKED) == {key("1"): None, key("2"): image}


def test_unprocessed_keys_were_not_read(client: "DynamoDBClient") -> None:
    source, _ = answering(client, answer([item("2")], left=[item("1.0")]))

    assert source.read_batch(ASKED) == {key("2"): item("2")}


def test_a_response_with_the_table_s_name_matches_a_request_by_arn(client: "DynamoDBClient") -> None:
    wire = Wire(client, answers=[description(), answer([item("1")])])

    source = DynamoDBReplica(client, "arn:aws:dynamodb:us-east-1:123456789012:table/copy")

    assert source.read_batch([key("1")]) == {key("1"): item("1")}
    assert list(wire.bodies("BatchGetItem")[0]["RequestItems"]) == [
        "arn:aws:dynamodb:us-east-1:123456789012:table/copy"
    ]


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        {"Responses": {"copy": []}},
        {"UnprocessedKeys": {}},
        {"Responses": [], "UnprocessedKeys": {}},
        {"Responses": {"copy": {}}, "UnprocessedKeys": {}},
        {"Responses": {"copy": []}, "UnprocessedKeys": {"copy": {"Keys": {}}}},
        {"Responses": {"copy": [item("9")]}, "UnprocessedKeys": {}},
        {"Responses": {"copy": [{"part": KEYS["part"]}]}, "UnprocessedKeys": {}},
        {"Responses": {"copy": [{**KEYS, "sort": {"X": "1"}}]}, "UnprocessedKeys": {}},
        {"Responses": {"copy": []}, "UnprocessedKeys": {"copy": {"Keys": [item("9")]}}},
        {"Responses": {"copy": []}, "UnprocessedKeys": {"copy": {}}},
    ],
)
def test_a_response_that_does_not_match_makes_no_key_absent(client: "DynamoDBClient", body: Any) -> None:
    source, _ = answering(client, (200, body))

    refusal = source.read_batch(ASKED)

    assert isinstance(refusal, Refusal)
    assert refusal.kind is RefusalKind.TRANSIENT
    assert refusal.code in ("UnmatchedResponse", "UnreadableResponse")


@pytest.mark.parametrize(("checksum_of", "code"), [(b"another", "GarbledResponse"), (None, None)])
def test_a_response_is_compared_with_its_checksum(
    client: "DynamoDBClient", checksum_of: bytes | None, code: str | None
) -> None:
    source, _ = answering(client, answer([]))
    source.read_batch(ASKED)
    content = json.dumps(answer([item("1")])[1]).encode()

    def send(request: Any, **_: Any) -> Any:
        checked = response(request.url, 200, content)
        checked.headers["x-amz-crc32"] = str(crc32(content if checksum_of is None else checksum_of))
        return checked

    client.meta.events.register_first("before-send.dynamodb.BatchGetItem", send)
    states = source.read_batch(ASKED)

    assert (states.code if isinstance(states, Refusal) else None) == code


@pytest.mark.parametrize(
    ("refused", "kind"),
    [
        (error("ProvisionedThroughputExceededException"), RefusalKind.TRANSIENT),
        (error("InternalServerError", 500), RefusalKind.TRANSIENT),
        (ReadTimeoutError(endpoint_url="https://x"), RefusalKind.TRANSIENT),
        ((200, b"<html>a proxy's page</html>"), RefusalKind.TRANSIENT),
        (error("ValidationException"), RefusalKind.REJECTED),
        (error("AccessDeniedException"), RefusalKind.FAULT),
    ],
)
def test_a_refusal_is_returned_after_one_attempt(
    client: "DynamoDBClient", refused: Any, kind: RefusalKind
) -> None:
    source, wire = answering(client, refused)

    refusal = source.read_batch(ASKED)

    assert isinstance(refusal, Refusal)
    assert refusal.kind is kind
    assert len(wire.bodies("BatchGetItem")) == 1
