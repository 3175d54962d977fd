"""Confirm suspected differences on DynamoDB Local while items flip, and the replica is half a period behind."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from ddbreplica.aws.clock import Clock
from ddbreplica.driver import SILENT, Interrupt, Patience
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described, describe_pair
from ddbreplica.dynamodb.location import Location
from ddbreplica.dynamodb.scan import TableReader
from ddbreplica.mapping.lag_figures import LagFigures
from ddbreplica.model import Key
from ddbreplica.verify.confirm.confirm import Confirmation, Rules
from ddbreplica.verify.confirm.stream_witness import StreamWitness
from ddbreplica.verify.confirm.timer import Timer
from ddbreplica.verify.difference import CERTAIN, DifferenceKind
from ddbreplica.verify.keyset import KeySet
from tests.engine.conftest import connect
from tests.support.simulated_pair import Clock as SimulatedClock
from tests.support.simulated_pair import key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

FLIPPING = [f"flips {number}" for number in range(25)]
HALF_PERIOD = 3.0
"""Less than a watch, and so long that the witness finds the present end of the stream between two changes. DynamoDB
Local gives the times of records in minutes, so that they do not show it."""

SIDES = {"source": 0, "replica": 1}


@pytest.fixture
def pair(client: "DynamoDBClient", monkeypatch: pytest.MonkeyPatch) -> Connection:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "dummy")
    for table in ("source", "replica"):
        client.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
        )
    url = client.meta.endpoint_url
    return Connection(Location("source", "replica", None, "us-east-1", None, None, None, url), clock=Clock())


def put(client: "DynamoDBClient", table: str, pk: str, value: int) -> None:
    client.put_item(TableName=table, Item={"PK": {"S": pk}, "v": {"N": str(value)}})


def flip(client: "DynamoDBClient", table: str, value: int) -> None:
    puts = [{"PutRequest": {"Item": {"PK": {"S": pk}, "v": {"N": str(value)}}}} for pk in FLIPPING]
    client.batch_write_item(RequestItems={table: puts})  # type: ignore[dict-item]


@contextmanager
def flipping(url: str) -> Iterator[None]:
    """Flip the items of the source, and give the replica the other state at the same moment."""
    ended = threading.Event()

    begun = int(time.time() / HALF_PERIOD)

    def side(table: str, first: int) -> None:
        client, number = connect(url), begun + 1
        while not ended.wait(max(0.0, number * HALF_PERIOD - time.time())):
            flip(client, table, (first + number) % 2)
            number += 1

    for table, first in SIDES.items():
        flip(connect(url), table, (first + begun) % 2)
    threads = [threading.Thread(target=side, args=each) for each in SIDES.items()]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def reader(described: Described, interrupt: Interrupt) -> TableReader:
    return TableReader.of(described.side, described.table, Patience(interrupt), threads=4, read_rate=None)


@pytest.mark.parametrize("readable", [True, False])
def test_only_real_differences_are_confirmed(
    client: "DynamoDBClient", pair: Connection, readable: bool
) -> None:
    real: dict[Key, DifferenceKind] = {
        key("missing"): DifferenceKind.MISSING,
        key("different"): DifferenceKind.DIFFERENT,
        key("extra"): DifferenceKind.EXTRA,
    }
    put(client, "source", "missing", 1)
    put(client, "source", "different", 1)
    put(client, "replica", "different", 2)
    put(client, "replica", "extra", 1)
    if not readable:
        client.update_table(TableName="source", StreamSpecification={"StreamEnabled": False})
    source, replica = describe_pair(pair)
    interrupt = Interrupt()

    with flipping(client.meta.endpoint_url), closing(KeySet()) as suspects:
        suspects.add([*real, *map(key, FLIPPING)])
        confirmation = Confirmation(
            suspects=suspects,
            source=reader(source, interrupt),
            replica=reader(replica, interrupt),
            rules=Rules(None, rounds=1, without_mapping=False, is_archive=False, threads=4),
            witness=StreamWitness.of(pair, interrupt),
            ask_lag=lambda _begin, _end: LagFigures(seconds=2.0),
            timer=Timer(
                lambda: pair.clock.moment, pair.clock.ticks, interrupt.sleep, SimulatedClock().timer.random
            ),
            note=lambda *_: None,
            progress=SILENT.progress,
        )
        found = list(confirmation.differences())

    assert {each.key: each.finding for each in found if each.finding in CERTAIN} == real
    assert {each.finding for each in found} - CERTAIN <= {DifferenceKind.MOVING}
    assert confirmation.by_looks is not readable
    assert confirmation.moving + confirmation.excused == len(FLIPPING)
    assert confirmation.moving
