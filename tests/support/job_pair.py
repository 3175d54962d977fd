"""A pair of tables in memory, as the workers of a job see it. Each request takes time, and may be a worker's last."""

from collections.abc import Callable, Collection, Container, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from ddbreplica.aws.request import Unknown
from ddbreplica.driver import Interrupt, Patience
from ddbreplica.dynamodb.connection import Connection, Side
from ddbreplica.dynamodb.describe import Described
from ddbreplica.dynamodb.rate import Rate
from ddbreplica.dynamodb.scan import TableReader
from ddbreplica.jobs.job import Writing
from ddbreplica.jobs.metrics import Metrics
from ddbreplica.mapping.event_source_mapping import MappingState
from ddbreplica.mapping.key_filter import EVERY_KEY, KeyFilter
from ddbreplica.mapping.lag_figures import LagFigures
from ddbreplica.mapping.preflight import Preflight
from ddbreplica.model import Image, Items, Journal, Key, ScanPage, Table
from ddbreplica.reconcile.in_doubt_quarantine import QuarantiningJournal
from ddbreplica.reconcile.reconciler import Reconciler
from ddbreplica.transform.same_transform import SameTransform
from ddbreplica.transform.view import AS_IT_IS, View
from ddbreplica.verify.confirm.witness import Witness
from tests.support.memory_state import ManualClock
from tests.support.memory_store import MemoryStore
from tests.support.scanned import ScannedTable, key

ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/"
CREATED = datetime(2026, 1, 1, tzinfo=UTC)


class SilentStream:
    """A stream that can be read, and has no record."""

    def begin(self) -> None: ...

    def keep_up(self, watched: Container[Key]) -> Unknown | None: ...

    def changed(self, watched: Container[Key]) -> frozenset[Key] | Unknown:
        return frozenset()

    def silent(self, keys: Collection[Key]) -> frozenset[Key] | Unknown:
        return frozenset(keys)


@dataclass
class Reader:
    """A reader of a table, whose requests a worker makes. `late` are the items that have arrived when read by key."""

    table: ScannedTable
    before: Callable[[], None]
    late: dict[int, Image]
    view: View = AS_IT_IS
    rate: Rate = field(default_factory=lambda: Rate(None))

    def scan_page(self, segment: int, *, of: int, after: Image | None, consistent: bool) -> ScanPage:
        self.before()
        page = self.table.scan_page(segment, of=of, after=after, consistent=consistent)
        return replace(page, items=self.view.of_all(page.items))

    def by_key(self, items: Any) -> Any:
        return self.table.by_key(items)

    def get(self, keys: Sequence[Key], *, keys_only: bool = False) -> Items:
        self.before()
        arrived = {key(number): image for number, image in self.late.items() if key(number) in keys}
        found = {**self.table.get(keys, keys_only=keys_only), **arrived}
        return found if keys_only else {each: self.view.of(image) for each, image in found.items()}


@dataclass
class MemoryPair:
    """Both tables of a job, its store and its clock. `before` is called before each request to a table.

    `die` kills the worker.
    """

    tables: tuple[ScannedTable, ScannedTable]
    key_filter: KeyFilter = EVERY_KEY
    is_archive: bool = False
    late: dict[int, Image] = field(default_factory=dict)
    clock: ManualClock = field(default_factory=ManualClock)
    store: MemoryStore = field(default_factory=MemoryStore)
    created: datetime = CREATED
    sizes: dict[str, Any] = field(default_factory=dict)
    unreserved: int = 1000
    throttled_function: bool = False
    function_view: Callable[[], View] = lambda: AS_IT_IS
    function_updated: datetime | None = None
    update_seconds: float = 0.0
    before: Callable[[], None] = lambda: None
    die: Callable[[], None] = lambda: None
    witness_of: Callable[[], Witness] = SilentStream
    connection: Connection = field(default_factory=lambda: cast("Connection", SimpleNamespace()))

    def __post_init__(self) -> None:
        self.clock.respond()

    def described(self, name: str, table: ScannedTable) -> Described:
        items = len(table.items)
        return Described(
            Side(name, f"--{name}", None, cast("Any", None), self.clock),
            Table(f"{ARN}{name}", "ACTIVE", frozenset({("PK", "S")})),
            {
                "TableName": name,
                "CreationDateTime": self.created,
                "ItemCount": items,
                "TableSizeBytes": 100 * items,
                "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
                **self.sizes,
            },
        )

    def describe(self) -> tuple[Described, Described]:
        source, replica = self.tables
        return self.described("orders", source), self.described("orders_copy", replica)

    def preflight(self, *, without_mapping: bool, archive: bool) -> Preflight:
        mapping = cast("MappingState", SimpleNamespace())
        return Preflight(
            mapping, EVERY_KEY if without_mapping else self.key_filter, archive or self.is_archive
        )

    def refuse_unsafe(self, stream: str | None) -> None:
        raise AssertionError("a verification needs no mapping")

    def refuse_unrepairable(self, stream: str | None) -> None:
        raise AssertionError("a verification needs no mapping")

    def quarantining(self, journal: Journal, source: Table, *, command: str) -> QuarantiningJournal:
        raise AssertionError("a verification writes nothing")

    def reconciler(
        self, tables: tuple[Described, Described], journal: Journal, writing: Writing
    ) -> Reconciler:
        raise AssertionError("a verification writes nothing")

    def is_function_throttled(self) -> bool:
        return self.throttled_function

    def transform(self, source: Described) -> SameTransform:
        return SameTransform(self.function_view(), lambda: self.function_view().digest, self.clock.ticks)

    @property
    def updated_at(self) -> datetime | None:
        return self.function_updated

    def update_seconds_left(self) -> float:
        return self.update_seconds

    def reader(
        self, table: Described, patience: Patience, *, read_rate: float, view: View = AS_IT_IS
    ) -> TableReader:
        side = ("orders", "orders_copy").index(table.name)

        def before() -> None:
            self.before()
            patience.interrupt.check()

        return cast("TableReader", Reader(self.tables[side], before, self.late if side else {}, view))

    def witness(self, interrupt: Interrupt) -> Witness:
        return self.witness_of()

    def ask_lag(self, interrupt: Interrupt) -> Callable[[datetime, datetime], LagFigures]:
        return lambda _begin, _end: LagFigures(seconds=0.0)

    def unreserved_concurrency(self) -> int:
        return self.unreserved

    @property
    def metrics(self) -> Metrics:
        own = {"service": "ddbreplica", "ReplicaTable": "orders_copy", "FunctionName": "replicator"}
        return Metrics("ddbreplica", own)
