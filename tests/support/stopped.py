"""A verification of two tables in memory, whose runs are stopped or killed, and begin again from its state."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ddbreplica.driver import SILENT, Advance, Detail, Driver, no_detail
from ddbreplica.errors import StoppedError, TaskError
from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.model import Key
from ddbreplica.reconcile.algorithm import Reconciled
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.journal_format import VERIFY
from ddbreplica.transform.same_transform import NO_TRANSFORM
from ddbreplica.verify import repair, verification
from ddbreplica.verify.difference import Difference, DifferenceKind
from ddbreplica.verify.keyset import KeySet
from ddbreplica.verify.options import VerifyOptions
from ddbreplica.verify.repair import Repair
from ddbreplica.verify.result.findings import Findings
from ddbreplica.verify.result.verdict import Verified
from ddbreplica.verify.saved_progress import SavedProgress
from ddbreplica.verify.verification import Parts, Verification
from tests.support.memory_state import ManualClock, MemoryLines
from tests.support.scanned import ScannedTable, item, key

ITEMS = 60
FILTER = KeyFilter.of(
    ['{"dynamodb": {"Keys": {"PK": {"S": [{"prefix": "000"}, {"prefix": "01"}, "0042"]}}}}']
)

OPTIONS = VerifyOptions(
    segments=2,
    eventually_consistent=False,
    sample=1,
    keys_from=None,
    grace=0,
    rounds=1,
    read_rate=None,
    limit=5,
    report=None,
    no_values=False,
    repair=False,
    dry_run=False,
    rate=None,
    without_mapping=True,
    archive=False,
)


class Killed(BaseException):
    """The process was killed: none of its later steps happens."""


class CutLines(MemoryLines):
    """Lines that are cut after any line, if the process is killed while it appends them."""

    def __init__(self, end: Callable[[], int | None]) -> None:
        super().__init__()
        self._end = end

    def append(self, line: bytes, *, durably: bool) -> None:
        kept = self._end()
        if kept is None:
            super().append(line, durably=durably)
        else:
            self.content += b"".join(line.splitlines(keepends=True)[:kept])
            raise Killed


class PacedTable(ScannedTable):
    """A table whose reads have no rate."""

    rate = SimpleNamespace(per_second=None)


@dataclass
class Stopped:
    """A verification that is stopped at random moments, by `stops`. All random choices follow from the seed."""

    seed: int
    stops: Sequence[type[BaseException]] = ()
    repair: bool = False
    chance: float = 0.05
    options: VerifyOptions = OPTIONS
    report: list[str] = field(default_factory=list)
    confirmed: list[Key] = field(default_factory=list)
    runs: int = 0

    def __post_init__(self) -> None:
        random = Random(self.seed)  # noqa: S311
        self.in_order = random.random() < 0.7
        self.is_archive = random.random() < 0.3
        self.filter = FILTER if random.random() < 0.3 else KeyFilter.of([])
        self.tables = self._table(random), self._table(random)
        self.many = random.choice([1, 2, 5, 1000])
        self.clock = ManualClock()
        self.clock.respond()
        self.lines = CutLines(self._cut)
        self.steps = Random(self.seed + 1)  # noqa: S311
        self._ended: type[BaseException] | None = None

    def _table(self, random: Random) -> PacedTable:
        order = list(range(ITEMS))
        if not self.in_order:
            random.shuffle(order)
        longest = random.choice([1, 4, 20])
        values = {number: random.choice([0, 0, 0, 1]) for number in order if random.random() < 0.9}
        table = PacedTable(
            {number: item(number, value) for number, value in values.items()},
            order,
            page=lambda: random.randint(1, longest),
        )
        table.before = self.step
        return table

    def step(self) -> None:
        """Stop here or not. A process that was stopped does nothing more."""
        if self._ended is None and self.stops and self.steps.random() < self.chance:
            self._ended = self.steps.choice(self.stops)
        if self._ended is TaskError:
            raise TaskError("throttled.", hint="wait.")
        if self._ended is not None:
            raise self._ended

    def _cut(self) -> int | None:
        if self._ended is Killed:
            return 0
        if Killed in self.stops and self.steps.random() < 3 * self.chance:
            self._ended = Killed
            return self.steps.randrange(5)
        return None

    def finish(self, monkeypatch: pytest.MonkeyPatch) -> Verified:
        """Run until a run is not stopped, and return its result."""
        monkeypatch.setattr(verification, "describe_pair", lambda _: self._described)
        monkeypatch.setattr(repair, "PIECE", 3)
        while True:
            self.runs += 1
            assert self.runs < 500, "it never ends"
            try:
                return self.run()
            except Killed:
                pass
            except (StoppedError, TaskError) as error:
                assert self._ended is not None, error  # noqa: PT017
            self._ended = None

    def run(self) -> Verified:
        """Run once."""
        self.lines.is_open = True
        journal = FileJournal(self.lines, command=VERIFY, clock=self.clock)
        with closing(journal), journal.kept():
            found = Verification(self._parts(journal), started=self.clock.ticks())
            found.run()
            result = found.result
            self.parts.saved.forget()
            return result

    def _parts(self, journal: FileJournal) -> Parts:
        options = cast("Any", SimpleNamespace)(
            **{name: getattr(self.options, name) for name in self.options.__slots__},
            **{name: getattr(self.options, name) for name in ("scans_consistently", "is_whole")},
            looked_at=self.options.looked_at,
            identity=self.options.identity,
            wants_all=True,
            writes=self.repair,
            max_suspects=self.many,
        )
        options.repair = self.repair
        report: Any = SimpleNamespace(write=self.report.append, failure=None)
        ticking = self.steps
        self.parts = Parts(
            connection=cast("Any", SimpleNamespace(clock=self.clock)),
            options=options,
            driver=self._driver,
            sleep=lambda _: self.step(),
            tables=self._described,
            readers=(self.tables[0].reader, self.tables[1].reader),
            key_filter=self.filter,
            is_archive=self.is_archive,
            unseen=None,
            confirm=lambda suspects: _Confirmation(self, suspects),
            unequal=lambda keys: [each for each in keys if self._look(each)],
            transform=NO_TRANSFORM,
            repair=Repair(journal, self._reconcile(journal), lambda: None) if self.repair else None,
            saved=SavedProgress(journal, clock=lambda: ticking.random() * 1e6),
            findings=Findings(5, report),
        )
        return self.parts

    @property
    def _driver(self) -> Driver:
        def progress(
            what: str, *, about: int | None, earlier: int = 0, detail: Detail = no_detail
        ) -> AbstractContextManager[Advance]:
            del what, about, earlier, detail
            return nullcontext(lambda _: None)

        return Driver(SILENT.note, progress, SILENT.interruptible, SILENT.states_of)

    @property
    def _described(self) -> Any:
        created = {"CreationDateTime": datetime(2026, 1, 1, tzinfo=UTC)}
        return tuple(
            SimpleNamespace(
                side=SimpleNamespace(name=name), table=SimpleNamespace(arn=name), description=created, items=0
            )
            for name in ("source", "replica")
        )

    def _look(self, each: Key) -> DifferenceKind | None:
        source, replica = (table.items.get(int(each[0][2])) for table in self.tables)
        if source == replica:
            return None
        if source is None:
            return DifferenceKind.ARCHIVED if self.is_archive else DifferenceKind.EXTRA
        return DifferenceKind.MISSING if replica is None else DifferenceKind.DIFFERENT

    def differences(self, keys: Sequence[Key]) -> Iterator[Difference]:
        self.step()
        for each in keys:
            if finding := self._look(each):
                self.confirmed.append(each)
                yield Difference(finding, each)

    def _reconcile(self, journal: FileJournal) -> Callable[[Sequence[Key]], Reconciled]:
        def reconcile(keys: Sequence[Key]) -> Reconciled:
            self.step()
            source, replica = self.tables
            journal.intend(keys)
            for each in keys:
                number = int(each[0][2])
                replica.items.pop(number, None)
                if number in source.items:
                    replica.items[number] = source.items[number]
            journal.confirm(keys)
            return Reconciled(confirmed=list(keys))

        return reconcile

    @property
    def is_one_group(self) -> bool:
        """Whether all suspected differences are decided together."""
        return self.many > ITEMS

    @property
    def reported(self) -> set[str]:
        """The lines of the report, without those of an archive, which depend on the order of the scans."""
        return {line for line in self.report if _ARCHIVED not in line}

    @property
    def reported_again(self) -> bool:
        """Whether the report has a line twice."""
        return len(self.reported) < sum(_ARCHIVED not in line for line in self.report)

    @property
    def different(self) -> set[Key]:
        """The keys that differ, as far as the verification tells them."""
        keys = map(key, range(ITEMS))
        return {
            each
            for each in keys
            if self.filter.passes(each) and self._look(each) not in (None, DifferenceKind.ARCHIVED)
        }


class _Confirmation:
    by_looks = False
    lag = None

    def __init__(self, stopped: Stopped, suspects: KeySet) -> None:
        self._stopped = stopped
        self._suspects = suspects

    def differences(self) -> Iterator[Difference]:
        for chunk in self._suspects.chunks(3):
            yield from self._stopped.differences(chunk)


_ARCHIVED = '"archived"'
_OF_THE_RUN = ("began", "seconds", "differences", "archived_items")


def counts(result: Verified) -> dict[str, Any]:
    """Return the verdict and the counts of a result."""
    return {name: value for name, value in result.document().items() if name not in _OF_THE_RUN}
