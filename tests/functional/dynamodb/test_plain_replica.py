"""plain_replica: the Replica protocol by documented calls alone, on moto and with responses that moto never sends."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError
from moto import mock_aws

from ddbreplica import handler
from ddbreplica.aws import botocore_private
from ddbreplica.aws.botocore_private import MissingPartError
from ddbreplica.aws.clock import Skew
from ddbreplica.dynamodb import plain_replica, table
from ddbreplica.dynamodb.plain_replica import PlainReplica
from ddbreplica.dynamodb.table import CLIENT_CONFIG
from ddbreplica.errors import SettingsError
from ddbreplica.model import Image, Refusal, RefusalKind, Replica, Table
from ddbreplica.records import compare
from tests.support.contract import EVERY_TYPE, KEYS, ReplicaContract, delete, put
from tests.support.modules import ROOT
from tests.support.public_client import public
from tests.support.replica_table import NOTHING_LEFT, create_table, description
from tests.support.sts import sts
from tests.support.wire import AWS, FOREIGN, Wire, dynamodb_json, error

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

EVENT = ROOT / "events" / "every-type.json"


class TestOnMoto(ReplicaContract):
    @pytest.fixture
    def replica(self) -> Iterator[Replica]:
        with mock_aws():
            self.client = boto3.client("dynamodb", region_name="us-east-1")
            create_table(self.client)
            yield self.at("copy")

    def items(self) -> list[Image]:
        return [dynamodb_json(item) for item in self.client.scan(TableName="copy")["Items"]]

    def missing(self) -> Replica:
        return self.at("another")

    def at(self, table: str) -> PlainReplica:
        client = boto3.client("dynamodb", region_name="us-east-1", config=CLIENT_CONFIG)
        return PlainReplica(public(client), table)


@pytest.fixture
def client() -> "DynamoDBClient":
    return boto3.client("dynamodb", region_name="us-east-1", config=CLIENT_CONFIG)


def test_items_are_sent_as_the_stream_has_them(client: "DynamoDBClient") -> None:
    wire = Wire(client, answers=[NOTHING_LEFT, (200, {}), (200, {})])
    replica = PlainReplica(client, "copy")

    assert replica.start_batch([put(**EVERY_TYPE), delete("8")])() == ()
    assert [replica.start_one(put(**EVERY_TYPE))(), replica.start_one(delete())()] == [(), ()]

    item = {**KEYS, **EVERY_TYPE}
    assert wire.requests == [
        (
            "BatchWriteItem",
            {
                "RequestItems": {
                    "copy": [
                        {"PutRequest": {"Item": item}},
                        {"DeleteRequest": {"Key": {**KEYS, "sort": {"N": "8"}}}},
                    ]
                }
            },
        ),
        ("PutItem", {"TableName": "copy", "Item": item}),
        ("DeleteItem", {"TableName": "copy", "Key": KEYS}),
    ]


def test_unprocessed_writes_are_matched_by_key(client: "DynamoDBClient") -> None:
    left = {"copy": [{"PutRequest": {"Item": {"sort": {"N": "2.0"}, "part": {"B": "AAH/"}}}}]}
    Wire(client, always=(200, {"UnprocessedItems": left}))
    one, other = put("1"), put("2", binary={"B": "/w=="})

    assert PlainReplica(client, "copy").start_batch([one, other])() == [other]


@pytest.mark.parametrize(
    ("answer", "kind", "code", "in_doubt"),
    [
        ((200, {}), RefusalKind.TRANSIENT, "MissingUnprocessedItems", True),
        ((200, b"<html>"), RefusalKind.TRANSIENT, "MissingUnprocessedItems", True),
        ((200, {"UnprocessedItems": {"copy": [5]}}), RefusalKind.TRANSIENT, "UnreadableResponse", True),
        ((200, {"UnprocessedItems": {}}, FOREIGN), RefusalKind.TRANSIENT, "ForeignResponse", True),
        ((503, b"<html>", FOREIGN), RefusalKind.TRANSIENT, "ForeignResponse", True),
        (ReadTimeoutError(endpoint_url="https://x"), RefusalKind.TRANSIENT, "ReadTimeoutError", True),
        (ConnectTimeoutError(endpoint_url="https://x"), RefusalKind.TRANSIENT, "ConnectTimeoutError", False),
        (error("ThrottlingException"), RefusalKind.TRANSIENT, "ThrottlingException", False),
        (error("ValidationException"), RefusalKind.REJECTED, "ValidationException", False),
        (error("AccessDeniedException"), RefusalKind.FAULT, "AccessDeniedException", False),
    ],
)
def test_a_refusal_is_returned_after_one_attempt(
    client: "DynamoDBClient", answer: Any, kind: RefusalKind, code: str, in_doubt: bool
) -> None:
    wire = Wire(client, answers=[answer])

    refusal = PlainReplica(client, "copy").start_batch([put()])()

    assert isinstance(refusal, Refusal)
    assert (refusal.kind, refusal.code, refusal.in_doubt) == (kind, code, in_doubt)
    assert len(wire.requests) == 1


def test_a_description_is_kept_until_it_is_refreshed(client: "DynamoDBClient") -> None:
    wire = Wire(client, answers=[error("ValidationException"), description(), description("UPDATING")])
    replica = PlainReplica(client, "copy")

    refusal = replica.describe()
    assert isinstance(refusal, Refusal)
    assert refusal.kind is RefusalKind.FAULT
    assert replica.describe() == replica.describe()
    assert len(wire.requests) == 2
    fresh = replica.describe(refresh=True)
    assert isinstance(fresh, Table)
    assert fresh.status == "UPDATING"


def test_the_lead_of_the_clock_is_measured(client: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch) -> None:
    Wire(client, always=(*NOTHING_LEFT, {**AWS, "date": "Sat, 28 Nov 2026 18:00:00 GMT"}))
    monkeypatch.setattr(plain_replica, "time", lambda: 1795888800.0 + 70)
    skew = Skew()

    PlainReplica(client, "copy", skew=skew).start_batch([put()])()

    assert skew.ahead == 70


def test_a_fault_ends_the_credentials_of_the_role() -> None:
    service = sts()
    replica = plain_replica.connect("copy", region="us-east-1", role=service.role)
    Wire(replica._client, answers=[error("AccessDeniedException"), NOTHING_LEFT, NOTHING_LEFT])

    refusal, *written = (replica.start_batch([put()])() for _ in range(3))

    assert isinstance(refusal, Refusal)
    assert written == [(), ()]
    assert len(service.requests) == 2


def in_a_process(*, remove: str) -> Mapping[str, Any]:
    """Invoke a function whose botocore or urllib3 lacks a part; return the items, the response and the log."""
    code = f"""
import json, logging, os, sys
import boto3, botocore.client, botocore.endpoint, botocore.httpsession, botocore.session
import urllib3.connectionpool
from moto import mock_aws
with mock_aws():
    client = boto3.client("dynamodb")
    client.create_table(
        TableName="logfile_replica",
        KeySchema=[{{"AttributeName": "PK", "KeyType": "HASH"}}],
        AttributeDefinitions=[{{"AttributeName": "PK", "AttributeType": "S"}}],
        BillingMode="PAY_PER_REQUEST",
    )
    {remove}
    from ddbreplica.handler import lambda_handler, replicator
    from tests.support.function import Context
    response = lambda_handler(json.load(open({str(EVENT)!r})), Context())
    items = client.scan(TableName="logfile_replica")["Items"]
from tests.support.modules import ROOT
from tests.support.wire import dynamodb_json
print(json.dumps([type(replicator().replica).__name__, response, dynamodb_json(items)]))
"""
    environment = {
        "PYTHONPATH": ":".join(str(ROOT / folder) for folder in ("src", "cli", ".")),
        "AWS_ACCESS_KEY_ID": "dummy",
        "AWS_SECRET_ACCESS_KEY": "dummy",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_NAME": "replicator",
        "REPLICA_TABLE_NAME": "logfile_replica",
        "QUARANTINE_BUCKET": "quarantine",
    }
    done = subprocess.run(  # noqa: S603  our own
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    replica, response, items = json.loads(done.stdout.splitlines()[-1])
    return {"replica": replica, "response": response, "items": items, "log": done.stderr}


WARNING = "A private part of botocore or urllib3 is missing: "


@pytest.mark.parametrize(
    ("remove", "part"),
    [
        ("del botocore.handlers.add_recursion_detection_header", "add_recursion_detection_header"),
        ("sys.modules['botocore.parsers'] = None", "botocore.parsers"),
        ("del urllib3.connectionpool.HTTPConnectionPool._get_conn", "_get_conn"),
    ],
)
def test_a_function_without_a_private_part_replicates_exactly_and_warns(remove: str, part: str) -> None:
    done = in_a_process(remove=remove)

    (record,) = json.loads(EVENT.read_text())["Records"]
    assert (done["replica"], done["response"]) == ("PlainReplica", {"batchItemFailures": []})
    assert [compare.canonical(item) for item in done["items"]] == [
        compare.canonical(record["dynamodb"]["NewImage"])
    ]
    (warning,) = [line for line in done["log"].splitlines() if line.startswith(WARNING)]
    assert part in warning


def test_a_function_with_all_parts_uses_them_and_warns_of_nothing() -> None:
    done = in_a_process(remove="pass")

    assert (done["replica"], done["log"]) == ("DynamoDBReplica", "")


@pytest.mark.parametrize("name", ["_request_signer", "_endpoint", "_manager", "http_session", "sign"])
def test_a_client_without_a_private_part_is_refused_with_the_part(
    client: "DynamoDBClient", name: str
) -> None:
    parts: Any = client
    holder = {
        "_manager": parts._endpoint.http_session,
        "http_session": parts._endpoint,
        "sign": parts._request_signer,
    }.get(name, parts)
    if name == "sign":
        parts._request_signer = object()
    else:
        delattr(holder, name)

    with pytest.raises(MissingPartError, match=f"is missing: .*{name}.*Install boto3 1"):
        table.DynamoDBReplica(client, "copy")


def test_the_function_falls_back_and_warns(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("REPLICA_TABLE_NAME", "copy")
    monkeypatch.setenv("QUARANTINE_BUCKET", "bucket")
    monkeypatch.setattr(botocore_private, "_missing", AttributeError("a part"))
    handler.replicator.cache_clear()

    replica = handler.replicator().replica

    handler.replicator.cache_clear()
    assert isinstance(replica, PlainReplica)
    (message,) = caplog.messages
    assert message.startswith(f"{WARNING}a part. Install boto3 ")
    assert (replica._client.meta.config.connect_timeout, replica._client.meta.config.read_timeout) == (1, 5)


def test_a_role_needs_its_private_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLICA_TABLE_NAME", "arn:aws:dynamodb:eu-west-1:222222222222:table/copy")
    monkeypatch.setenv("REPLICA_ROLE_ARN", "arn:aws:iam::222222222222:role/writer")
    monkeypatch.setenv("QUARANTINE_BUCKET", "bucket")
    monkeypatch.setitem(sys.modules, "ddbreplica.aws.role", None)
    handler.replicator.cache_clear()

    with pytest.raises(SettingsError, match="REPLICA_ROLE_ARN is set, and the installed botocore"):
        handler.replicator()
