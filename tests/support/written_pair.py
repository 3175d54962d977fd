"""A pair of tables in memory that workers write, while others write the source and the function follows the stream.

A write may get no response, and land later: until AWS no longer accepts its time stamp. A redrive reconciles each key
that is quarantined, as early as it may.
"""

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeAlias, cast

from ddbreplica.aws.clock import EXPIRY_SECONDS, MARGIN_SECONDS
from ddbreplica.bucket.quarantine import Quarantine
from ddbreplica.driver import Patience
from ddbreplica.dynamodb.describe import Described
from ddbreplica.dynamodb.scan import TableReader
from ddbreplica.jobs.job import Writing
from ddbreplica.model import SUSPECT, Image, Items, Journal, Key, Pending, Refusal, State, Table, Write
from ddbreplica.reconcile.algorithm import ReconcileContext
from ddbreplica.reconcile.in_doubt_quarantine import QuarantiningJournal
from ddbreplica.reconcile.reconciler import Reconciler
from ddbreplica.records.compare import same
from ddbreplica.records.decode import key_of
from ddbreplica.transform.view import AS_IT_IS, View, untransformable
from tests.support.fake_bucket import FakeBucket
from tests.support.fake_replica import INVALID, THROTTLED, TIMED_OUT
from tests.support.job_pair import MemoryPair, Reader
from tests.support.scanned import ScannedTable, item, key
from tests.support.state_machine import Killed

_ANY: Image = {}

STREAM = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000"


@dataclass
class Weather:
    """How often things happen: with each request, or with each request that writes."""

    changes: float = 0.0
    throttles: float = 0.0
    unanswered: float = 0.0
    kills: float = 0.0
    lands: float = 0.05


class WrittenReader(Reader):
    """A reader of the source, page by page."""

    def scan_on(
        self, segment: int, *, of: int, after: Image | None, limit: int
    ) -> Iterator[tuple[Items, Any, float]]:
        while True:
            page = self.scan_page(segment, of=of, after=after, consistent=True)
            yield self.by_key(page.items), page.cursor, page.units
            after = page.cursor
            if after is None:
                return

    def rescan(
        self, segment: int, *, of: int, after: Image | None, limit: int
    ) -> Sequence[tuple[Key, Image]]:
        page = self.scan_page(segment, of=of, after=after, consistent=True)
        return list(self.by_key(page.items).items())


Content: TypeAlias = Callable[[Random, int], Image]
"""Returns a random item with a number."""


def counted(random: Random, number: int) -> Image:
    """Return an item with a number in it."""
    return item(number, random.randrange(100, 1_000_000))


@dataclass
class WrittenPair(MemoryPair):
    """Both tables, what happens to them, and the quarantine bucket. `poison` are numbers that the replica refuses.

    `content` are the items that are written, and `held` returns what the replica is to hold of one; None if it has no
    such item.
    """

    random: Random = field(default_factory=lambda: Random(0))  # noqa: S311
    weather: Weather = field(default_factory=Weather)
    poison: frozenset[int] = frozenset()
    content: Content = counted
    held: Callable[[Image], State] = lambda image: image
    bucket: FakeBucket = field(default_factory=FakeBucket)
    stream: deque[tuple[int, State]] = field(default_factory=deque)
    in_flight: list[tuple[float, Write]] = field(default_factory=list)
    redrives: list[tuple[float, Key]] = field(default_factory=list)
    redriven: list[Key] = field(default_factory=list)
    writes: int = 0
    landed: int = 0
    touched: set[int] = field(default_factory=set)
    interrupted: int = 0
    throttled_at: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.sizes = {"StreamSpecification": {"StreamEnabled": True}, "LatestStreamArn": STREAM, **self.sizes}
        self._seen = 0

    def refuse_unsafe(self, stream: str | None) -> None:
        self.asked_for_stream = stream

    def refuse_unrepairable(self, stream: str | None) -> None:
        self.asked_for_stream = stream

    def reader(
        self, table: Described, patience: Patience, *, read_rate: float, view: View = AS_IT_IS
    ) -> TableReader:
        reader = super().reader(table, patience, read_rate=read_rate)
        side = ("orders", "orders_copy").index(table.name)
        before = cast("Reader", reader).before

        def happen() -> None:
            before()
            self.happen()

        return cast("TableReader", WrittenReader(self.tables[side], happen, self.late if side else {}, view))

    def quarantining(self, journal: Journal, source: Table, *, command: str) -> QuarantiningJournal:
        quarantine = Quarantine(
            "quarantine", table="orders_copy", connect=self.bucket.connect, skew=self.clock
        )
        self.bucket.before_put = self.before_put
        return QuarantiningJournal(journal, quarantine, source=source, command=command)

    def reconciler(
        self, tables: tuple[Described, Described], journal: Journal, writing: Writing
    ) -> Reconciler:
        context = ReconcileContext(
            _Source(self, writing.patience),
            _Replica(self, tables[1].table, writing.patience),
            journal,
            is_archive=writing.is_archive,
        )
        return Reconciler(
            context,
            clock=self.clock,
            patience=writing.patience,
            rates=writing.rates,
            under_way=writing.under_way,
            transform=writing.transform,
        )

    def before_put(self) -> None:
        self.before()
        self.happen()

    def happen(self) -> None:
        """Let others write, the function follow the stream, late writes land, and redrives run."""
        while self.random.random() < self.weather.changes:
            self.change()
        while self.stream and self.random.random() < 0.5:
            self.deliver()
        if self.in_flight and self.random.random() < self.weather.lands:
            self.land(self.random.randrange(len(self.in_flight)))
        self.redrive()

    def change(self) -> None:
        """Change an item of the source, or delete it. The source has the same keys as at the beginning, or fewer."""
        items = self.tables[0].items
        number = self.random.choice(self.tables[0].order)
        if self.random.random() < 0.3:
            items.pop(number, None)
        else:
            items[number] = self.content(self.random, number)
        if self.key_filter.passes(key(number)) and not (self.is_archive and number not in items):
            self.stream.append((number, items.get(number)))

    def deliver(self) -> None:
        """Apply the oldest record of the stream, as the function does."""
        self.replicate(*self.stream.popleft(), view=self.view_of_invocation())

    def view_of_invocation(self) -> View:
        """The transform of the invocation that follows the stream now."""
        return self.function_view()

    def replicate(self, number: int, state: State, *, view: View) -> None:
        """Write what the replica is to hold. An item that cannot be transformed is quarantined."""
        seen = None if state is None else view.of(state)
        if untransformable(seen) is None:
            self.put(number, seen)

    def put(self, number: int, state: State) -> None:
        if number in self.poison:
            return
        self.tables[1].items.pop(number, None)
        if state is not None:
            self.tables[1].items[number] = state

    def land(self, place: int) -> None:
        """Let a late write land, unless AWS no longer accepts it."""
        until, write = self.in_flight.pop(place)
        if self.clock.aws < until:
            self.landed += 1
            self.apply(write)

    def apply(self, write: Write) -> None:
        attributes = json.loads(write.text)
        number = int(attributes["PK"]["S"])
        self.touched.add(number)
        self.put(number, None if write.is_delete else attributes)

    def send(self, writes: Sequence[Write]) -> None:
        """Let some writes land now, and others later."""
        for write in writes:
            if self.random.random() < 0.5:
                self.apply(write)
            else:
                self.in_flight.append((self.clock.aws + EXPIRY_SECONDS, write))

    def redrive(self) -> None:
        """Reconcile the keys that are in quarantine, as early as a redrive may."""
        for name in list(self.bucket.objects)[self._seen :]:
            kept = json.loads(self.bucket.objects[name])
            is_in_doubt = kept["error_code"] == SUSPECT
            self.interrupted += not is_in_doubt
            hold = EXPIRY_SECONDS + MARGIN_SECONDS if is_in_doubt else 0.0
            self.redrives.append((self.clock.aws + hold, key_of(kept["record"]["dynamodb"]["Keys"])))
        self._seen = len(self.bucket.objects)
        due = [each for each in self.redrives if each[0] <= self.clock.aws]
        self.redrives = [each for each in self.redrives if each[0] > self.clock.aws]
        for _, each in due:
            number = int(each[0][2])
            state = self.tables[0].items.get(number)
            if state is not None or not self.is_archive:
                self.replicate(number, state, view=self.function_view())
            self.redriven.append(each)

    def settle(self) -> None:
        """Let everything happen that still can: late writes in any order with redrives, then the rest of the stream."""
        self.weather = Weather()
        while self.in_flight or self.redrives:
            for place in reversed(range(len(self.in_flight))):
                if self.random.random() < 0.1:
                    self.land(place)
            self.clock.pass_by(30)
            self.redrive()
        while self.stream:
            self.deliver()

    @property
    def unequal(self) -> Mapping[int, tuple[State, State]]:
        """The numbers that differ, and that a backfill has to make equal."""
        source, replica = (table.items for table in self.tables)
        wanted = [
            number
            for number in self.tables[0].order
            if self.key_filter.passes(key(number))
            and number not in self.poison
            and (number in source or not self.is_archive)
        ]
        pairs = {number: (self._wanted(number), replica.get(number)) for number in wanted}
        return {number: pair for number, pair in pairs.items() if _ANY not in pair and not same(*pair)}

    def _wanted(self, number: int) -> State:
        """Return what the replica is to hold under a number; _ANY if the source's item cannot be transformed."""
        state = self.tables[0].items.get(number)
        return None if state is None else self.held(state) or _ANY


@dataclass
class _Source:
    pair: WrittenPair
    patience: Patience

    def read_batch(self, keys: Sequence[Key]) -> Mapping[Key, State] | Refusal:
        self.pair.before()
        self.pair.happen()
        if self.pair.random.random() < self.pair.weather.throttles:
            return THROTTLED
        items = self.pair.tables[0].items
        return {each: items.get(int(each[0][2])) for each in keys}


@dataclass
class _Replica:
    pair: WrittenPair
    table: Table
    patience: Patience

    def describe(self, *, refresh: bool = False) -> Table | Refusal:
        return self.table

    def start_one(self, write: Write) -> Pending:
        pending = self.start_batch((write,))
        return lambda: answer if isinstance(answer := pending(), Refusal) or not answer else THROTTLED

    def start_batch(self, writes: Sequence[Write]) -> Pending:
        pair, random = self.pair, self.pair.random
        try:
            pair.before()
            if random.random() < pair.weather.kills:
                pair.die()
        except Killed:
            pair.send(writes[: random.randrange(len(writes) + 1)])
            raise
        pair.happen()
        answer = self._answer(writes)
        return lambda: answer

    def _answer(self, writes: Sequence[Write]) -> Sequence[Write] | Refusal:
        pair, random, weather = self.pair, self.pair.random, self.pair.weather
        if random.random() < weather.throttles:
            pair.throttled_at.append(pair.clock.monotonic)
            return THROTTLED
        if random.random() < weather.unanswered:
            pair.send(writes)
            return TIMED_OUT
        if any(not write.is_delete and int(write.change.key[0][2]) in pair.poison for write in writes):
            return INVALID
        left = writes[random.randrange(len(writes)) :] if random.random() < weather.throttles else ()
        for write in writes[: len(writes) - len(left)]:
            pair.apply(write)
        pair.writes += len(writes) - len(left)
        return left


def _few(random: Random, number: int) -> Image:
    return item(number, random.randrange(3))


def tables_of(
    random: Random,
    *,
    items: int,
    content: Content = _few,
    held: Callable[[Image], State] = lambda image: image,
) -> tuple[ScannedTable, ScannedTable]:
    """Return a source, and a replica that has some of its items, some of them old."""
    order = list(range(items))
    random.shuffle(order)
    longest = random.choice([1, 4, 20])
    source = ScannedTable(
        {n: content(random, n) for n in order if random.random() < 0.95},
        order,
        page=lambda: random.randint(1, longest),
    )
    old = {n: held(content(random, n)) for n in source.items if random.random() < 0.5}
    return source, ScannedTable({n: state for n, state in old.items() if state}, order)
