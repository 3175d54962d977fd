"""Two tables and a bucket of quarantined records in memory, for tests of the engine of `redrive` without AWS."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from ddbreplica.driver import Interrupt, Patience
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described
from ddbreplica.mapping.event_source_mapping import MappingState
from ddbreplica.mapping.key_filter import EVERY_KEY
from ddbreplica.mapping.preflight import Preflight
from ddbreplica.model import SUSPECT, Image, Key, Table
from ddbreplica.reconcile.algorithm import ReconcileContext, Reconciled, reconcile
from ddbreplica.reconcile.reconciler import _CheckedJournal, _Pace, _PacedSource
from ddbreplica.reconcile.requests_under_way import UnderWay
from ddbreplica.transform.deployed import Given
from ddbreplica.transform.same_transform import NO_TRANSFORM, SameTransform
from tests.support.clock import Clock
from tests.support.fake_replica import FakeReplica
from tests.support.fake_s3 import NAME, FakeS3
from tests.support.fake_source import FakeSource
from tests.support.memory_state import ManualClock
from tests.support.on_failure import FUNCTION_ARN, DiscardedBatch, on_failure_object
from tests.support.records import put

ARN = "arn:aws:dynamodb:us-east-1:123456789012:table"
CREATED = datetime(2026, 11, 1, 11, 59, 59, tzinfo=UTC)
"""When both tables were created: a second before the stream of `records`."""

QUARANTINE = "quarantine/copy/"
STREAM_LABEL = "2026-11-01T12:00:00.000"


def key(name: str) -> Key:
    return (("PK", "S", name),)


def item(name: str) -> Image:
    return {"PK": {"S": name}, "v": {"N": "1"}}


def described(name: str, *, read_units: int | None = None, created: datetime = CREATED) -> Described:
    """Return a table as DescribeTable does, on demand unless reads are provisioned."""
    units = {"ProvisionedThroughput": {"ReadCapacityUnits": read_units}}
    description = {
        "TableName": name,
        "CreationDateTime": created,
        "LatestStreamArn": f"{ARN}/{name}/stream/{STREAM_LABEL}",
        **({"BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"}} if read_units is None else units),
    }
    table = Table(arn=f"{ARN}/{name}", status="ACTIVE", key_schema=frozenset({("PK", "S")}))
    return Described(cast("Any", SimpleNamespace(short_name=name)), table, description)


def mapping(**changed: Any) -> MappingState:
    """Return an event source mapping whose function quarantines records in the bucket."""
    state: dict[str, Any] = {
        "uuid": "uuid",
        "stream_arn": f"{ARN}/logfile/stream/{STREAM_LABEL}",
        "state": "Enabled",
        "state_reason": "",
        "last_result": "OK",
        "starting_position": "TRIM_HORIZON",
        "modified_at": CREATED,
        "on_failure": f"arn:aws:s3:::{NAME}",
        "counts_events": True,
        "patterns": (),
        "function_arn": FUNCTION_ARN,
        "function_name": "ddbreplica",
        "log_group": "log",
        "settings": {},
        "environment": {"QUARANTINE_BUCKET": NAME},
    }
    return MappingState(**(state | changed))


class World:
    """The tables `logfile` and `copy`, a bucket, and the fakes that replace AWS in the engine's module.

    `reconciled` is called with the keys before each reconcile, and may raise an error in its place.
    """

    def __init__(
        self,
        *names: str,
        reconciled: Callable[[Sequence[Key]], None] = lambda _: None,
        clock: ManualClock | None = None,
    ) -> None:
        self.s3 = FakeS3(page=1000)
        self.clock = clock or ManualClock()
        self.source = FakeSource(*map(item, names))
        self.replica = FakeReplica()
        self.tables = described("logfile"), described("copy")
        self.ground = Preflight(mapping(), EVERY_KEY, is_archive=False)
        self.transform: SameTransform = NO_TRANSFORM
        self.reconciled = reconciled
        self.asked: dict[str, Any] = {}
        self.connection = cast(
            "Connection",
            SimpleNamespace(
                clock=self.clock,
                buckets=self.s3.connect(),
                source=SimpleNamespace(short_name="logfile"),
                replica=SimpleNamespace(short_name="copy"),
                tables="logfile-copy",
            ),
        )

    def describe_pair(self, connection: Connection) -> tuple[Described, Described]:
        assert connection is self.connection
        return self.tables

    def to_repair(self, connection: Connection, **wanted: Any) -> Preflight:
        assert connection is self.connection
        self.asked |= wanted
        return self.ground

    def to_write(
        self, connection: Connection, mapping: MappingState | None, source: Described, *, given: Given | None
    ) -> SameTransform:
        assert (connection, source) == (self.connection, self.tables[0])
        self.asked["transform"] = given
        return self.transform

    def reconciler(
        self, connection: Connection, tables: tuple[Described, Described], **how: Any
    ) -> "_Reconciler":
        assert (connection, tables) == (self.connection, self.tables)
        self.asked |= how
        return _Reconciler(self, **how)

    def quarantine(
        self, name: str, *, age: float = 3600.0, prefix: str = QUARANTINE, is_suspect: bool = False
    ) -> str:
        """Quarantine a record of the item as the function does, and return the object's name."""
        code = SUSPECT if is_suspect else "ValidationException"
        content = {"schema": 1, "record": put(1, name), "reason": "why", "error_code": code}
        self.s3.store(f"{prefix}{name}.json", json.dumps(content).encode(), age=age)
        return f"{prefix}{name}.json"

    def discard(self, *names: str, age: float = 3600.0) -> str:
        """Store a discarded batch as Lambda does, and return the object's name."""
        records = [put(number, name) for number, name in enumerate(names)]
        batch = DiscardedBatch(records, "shardId-1", "RetryAttemptsExhausted", "request", 3, None)
        name, body = on_failure_object(batch, now=0, name="object")
        self.s3.store(name, body.encode(), age=age)
        return name


class _Reconciler:
    """Reconciles the two tables in memory with the given journal, as Reconciler does, but without its pauses."""

    def __init__(
        self,
        world: World,
        *,
        journal: Any,
        is_archive: bool,
        under_way: UnderWay | None = None,
        transform: SameTransform = NO_TRANSFORM,
        **_: Any,
    ) -> None:
        self._world = world
        self._check = transform.check
        self._pair = ReconcileContext(
            _PacedSource(world.source, _Pace(None, Patience(Interrupt())), view=transform.view),
            world.replica,
            _CheckedJournal(journal, transform.check),
            is_archive=is_archive,
        )
        self._under_way = under_way or UnderWay()

    def reconcile(self, keys: Sequence[Key]) -> Reconciled:
        self._check()
        with self._under_way.call():
            self._world.reconciled(keys)
            return reconcile(keys, self._pair, deadline=Clock(1e6).deadline())
