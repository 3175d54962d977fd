"""Global tables: as the source of an archive, of which the user is warned, and as the replica."""

from typing import Any

import boto3
import pytest

from ddbreplica.aws.clients.session import Clients
from ddbreplica.dynamodb.connection import Side
from ddbreplica.dynamodb.describe import Described, replicas_of
from ddbreplica.dynamodb.table import CLIENT_CONFIG, DynamoDBReplica
from ddbreplica.mapping.key_filter import EVERY_KEY
from ddbreplica.mapping.preflight import Preflight
from ddbreplica.model import Table
from tests.support.fake_replica import FakeReplica
from tests.support.function import Function
from tests.support.records import batch, delete, put, ttl_delete
from tests.support.wire import Wire, described, error

ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/orders"
CONFLICT = error("ReplicatedWriteConflictException")


def region(name: str) -> dict[str, str]:
    return {"RegionName": name, "ReplicaStatus": "ACTIVE"}


@pytest.mark.parametrize(
    ("description", "replicas"),
    [
        ({}, None),
        ({"Replicas": []}, None),
        ({"Replicas": [region("us-east-1")], "GlobalTableVersion": "2019.11.21"}, None),
        ({"Replicas": [region("us-east-1"), region("eu-west-1")]}, "eu-west-1"),
        (
            {"Replicas": [region("us-west-2"), region("eu-west-1")], "MultiRegionConsistency": "STRONG"},
            "eu-west-1, us-west-2",
        ),
        ({"GlobalTableVersion": "2017.11.29"}, "other Regions"),
    ],
)
def test_the_regions_of_a_global_tables_replicas(description: dict[str, Any], replicas: str | None) -> None:
    assert replicas_of({"TableArn": ARN, **description}) == replicas


@pytest.mark.hazard(number=24)
def test_an_archive_of_a_global_table_is_warned_of() -> None:
    notes: list[str] = []
    side = Side("orders", "--source", None, Clients(None, None, None))
    table = Table(ARN, status="ACTIVE", key_schema=frozenset())
    source = Described(side, table, {"TableArn": ARN, "Replicas": [region("eu-west-1")]})

    Preflight(None, EVERY_KEY, is_archive=True).warn_of_replicas(source, note=notes.append)

    assert len(notes) == 1
    assert notes[0].startswith("Warning: the source orders is a global table with replicas in eu")


def test_an_item_that_expires_in_another_region_is_deleted_from_an_archive() -> None:
    """The replicated delete has no `userIdentity`, so that it looks like a delete by a user."""
    function = Function(FakeReplica(), replicate_ttl_deletes=False)

    function.invoke(batch(put(1, "expired here"), put(2, "expired elsewhere")))
    function.invoke(batch(ttl_delete(3, "expired here"), delete(4, "expired elsewhere")))

    assert [item["PK"]["S"] for item in function.replica.items.values()] == ["expired here"]


@pytest.mark.parametrize("refused", [1, 3])
def test_a_write_is_repeated_after_a_conflict_with_another_region(refused: int) -> None:
    client = boto3.client("dynamodb", region_name="us-east-1", config=CLIENT_CONFIG)
    done: tuple[int, Any] = (200, {"UnprocessedItems": {}})
    wire = Wire(client, answers=[described({"PK": "S"}), *[CONFLICT] * refused], always=done)

    assert Function(DynamoDBReplica(client, "copy")).invoke(batch(put(1, "a"))) == []

    assert len(wire.bodies("BatchWriteItem")) == refused + 1


def test_a_conflict_that_stays_is_reported_and_never_quarantined() -> None:
    client = boto3.client("dynamodb", region_name="us-east-1", config=CLIENT_CONFIG)
    Wire(client, answers=[described({"PK": "S"})], always=CONFLICT)
    function = Function(DynamoDBReplica(client, "copy"))

    assert function.invoke(batch(put(1, "a"))) == ["1"]

    assert function.bucket.objects == {}
