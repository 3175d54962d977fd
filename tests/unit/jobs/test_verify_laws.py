"""The verification job: however it is cut, interrupted and repeated, it finds and counts what the command does."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast

import pytest

from ddbreplica.driver import SILENT
from ddbreplica.jobs import plan, progress
from ddbreplica.jobs.verify import gather, piece, report, segment
from ddbreplica.jobs.verify.options import complete, verify_options
from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.model import Image, State
from ddbreplica.records.compare import same
from ddbreplica.records.decode import key_of
from ddbreplica.verify import verification
from ddbreplica.verify.confirm import plan as watching
from ddbreplica.verify.confirm.confirm import Confirmation, Rules
from ddbreplica.verify.confirm.timer import Timer
from ddbreplica.verify.keyset import KeySet
from ddbreplica.verify.result.findings import Findings
from ddbreplica.verify.result.verdict import Verified
from ddbreplica.verify.saved_progress import SavedProgress
from ddbreplica.verify.verification import Parts, Verification
from tests.support.job_pair import MemoryPair, Reader, SilentStream
from tests.support.scanned import ScannedTable, key
from tests.support.state_machine import FailedError, StateMachine, Trouble
from tests.support.stopped import FILTER
from tests.support.taken_out import fails_without
from tests.support.transformed_pair import a_transform, various, view_of
from tests.support.transforms import expected

ITEMS = 60
OPTIONS = {"limit": 100, "rounds": 1}

Patch = pytest.MonkeyPatch


@dataclass
class World:
    """A pair of tables of one seed."""

    seed: int
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = random = Random(self.seed)  # noqa: S311
        self.in_order = random.random() < 0.7
        self.document = a_transform(random) if random.random() < 0.5 else {}
        view = view_of(self.document)
        self.pair = MemoryPair(
            (self.table(lambda image: image), self.table(self.held)),
            function_view=lambda: view,
            key_filter=FILTER if random.random() < 0.3 else KeyFilter.of([]),
            is_archive=random.random() < 0.3,
        )
        if random.random() < 0.2:  # the tables divide the keys differently
            self.pair.tables[1].segment_of = lambda number, of: (number // 7) % of
            self.in_order = False
        source, _ = self.pair.tables
        late = [number for number in source.items if random.random() < 0.1]
        arrived = {number: self.held(source.items[number]) for number in late}
        self.pair.late = {number: state for number, state in arrived.items() if state}

    def held(self, image: Image) -> State:
        """Return what the replica is to hold of an item; None if it cannot be transformed."""
        return expected(self.document, image, ("PK",))

    @property
    def is_equal(self) -> bool:
        """Whether the replica holds what the transform makes of the source, when its items are read by key."""
        source = self.pair.tables[0].items
        replica = {**self.pair.tables[1].items, **self.pair.late}
        keys = (n for n in range(ITEMS) if self.pair.key_filter.passes(key(n)))
        return all(
            same(self.held(source[n]) or {}, replica.get(n))
            if n in source
            else self.pair.is_archive or n not in replica
            for n in keys
        )

    def table(self, held: Callable[[Image], State]) -> ScannedTable:
        random, order = self.random, list(range(ITEMS))
        if not self.in_order:
            random.shuffle(order)
        longest = random.choice([1, 4, 20])
        unequal = random.choice([0, 0.1, 0.5])
        items = {n: held(self.item(n, random.random() < unequal)) for n in order if random.random() < 0.95}
        shown = {number: state for number, state in items.items() if state}
        return ScannedTable(shown, order, page=lambda: random.randint(1, longest))

    def item(self, number: int, is_unequal: bool) -> Image:
        """Return an item. Those with the same number differ only if one of them is `is_unequal`."""
        if is_unequal:
            return {**various(self.random, number), "value": {"N": "99"}}
        return various(Random(number), number)  # noqa: S311

    def local(self, monkeypatch: Patch) -> Verified:
        """Verify as the command does."""
        monkeypatch.setattr(verification, "describe_pair", lambda _: self.pair.describe())
        pair = self.pair
        readers: Any = (
            Reader(pair.tables[0], lambda: None, {}, pair.function_view()),
            Reader(pair.tables[1], lambda: None, pair.late),
        )
        options = verify_options(complete(OPTIONS), segments=self.random.choice([1, 3]))

        def confirm(suspects: KeySet) -> Confirmation:
            return Confirmation(
                suspects=suspects,
                source=readers[0],
                replica=readers[1],
                rules=Rules(None, 1, without_mapping=False, is_archive=pair.is_archive, threads=1),
                witness=SilentStream(),
                ask_lag=pair.ask_lag(cast("Any", None)),
                timer=Timer(lambda: pair.clock.moment, pair.clock.ticks, pair.clock.pass_by, Random(1)),  # noqa: S311
                note=SILENT.note,
                progress=SILENT.progress,
            )

        parts = Parts(
            connection=cast("Any", pair),
            options=options,
            driver=SILENT,
            sleep=pair.clock.pass_by,
            tables=pair.describe(),
            readers=readers,
            key_filter=pair.key_filter,
            is_archive=pair.is_archive,
            unseen=None,
            confirm=confirm,
            unequal=lambda _: (),
            transform=pair.transform(pair.describe()[0]),
            repair=None,
            saved=SavedProgress(None),
            findings=Findings(100),
        )
        found = Verification(parts, started=0)
        found.run()
        return found.result

    def job(self, trouble: Trouble, *, timeout: float = 900.0) -> StateMachine:
        machine = StateMachine(
            self.pair,
            self.random,
            trouble,
            timeout=timeout,
            options=OPTIONS,
            concurrency=self.random.choice([1, 10]),
        )
        self.pair.unreserved = self.random.choice([1, 4, 1000])
        return machine


def finish(machine: StateMachine) -> Mapping[str, Any]:
    """Start the job until it has ended, and return its report."""
    while True:
        try:
            machine.execute()
            break
        except FailedError:
            assert machine.attempts < 100, "it never ends"
    document: Mapping[str, Any] = json.loads(
        machine.pair.store.objects[f"jobs/stack/{machine.job}/report.json"]
    )
    return document


def comparable(document: Mapping[str, Any], *, in_order: bool) -> Mapping[str, Any]:
    """Return what has to be equal in two documents. Which items of an archive are shown depends on the scans' order.

    A job that was interrupted confirms items that only waited for their partner.
    """
    changing = {"began", "seconds", "archived_items", "differences", "confirmed_by"}
    rest = {name: value for name, value in document.items() if name not in changing}
    differences = [each for each in document["differences"] if each["finding"] != "archived"]
    archived = {} if in_order else {"archived": None}
    return {
        **rest,
        **archived,
        "differences": sorted(json.dumps(each, sort_keys=True) for each in differences),
    }


def compare(seed: int, trouble: Trouble, monkeypatch: Patch, *, timeout: float = 900.0) -> StateMachine:
    """Run a job, and compare it with the command."""
    small_cuts(monkeypatch, World(seed).random)
    world, other = World(seed), World(seed)

    machine = world.job(trouble, timeout=timeout)
    found = comparable(finish(machine), in_order=world.in_order)

    command = json.loads(json.dumps(other.local(monkeypatch).document()))
    assert found == comparable(command, in_order=world.in_order)
    assert (found["verdict"] == "equal") is world.is_equal
    assert_transformed(world, found["differences"])
    return machine


def assert_transformed(world: World, differences: Sequence[str]) -> None:
    """Check that nothing of the source's items is shown but what the replica is to hold of them."""
    for difference in map(json.loads, differences):
        ((_, _, number),) = key_of(difference["key"])
        state = world.pair.tables[0].items.get(int(number))
        held = world.held(state) if state else None
        shown: Image = {
            each["name"]: each["source"] for each in difference["attributes"] if each.get("source")
        }
        if held is not None:
            assert same(shown, {name: value for name, value in held.items() if name in shown})
        else:
            assert "canary" not in str(shown)


def small_cuts(monkeypatch: Patch, random: Random) -> None:
    monkeypatch.setattr(plan, "ITEMS_OF_A_SEGMENT", random.choice([5, 20, 100]))
    monkeypatch.setattr(gather, "PIECE", random.choice([3, 10_000]))
    monkeypatch.setattr(watching, "LEAST_WATCHED", 3)
    seconds = random.choice([0.0, 2.0, 10.0])
    monkeypatch.setattr(segment, "SAVE_SECONDS", seconds)
    monkeypatch.setattr(piece, "SAVE_SECONDS", seconds)


def cut(seed: int, monkeypatch: Patch) -> None:
    """Cut the work into short invocations: nothing else goes wrong."""
    timeout = Random(seed).choice([93, 110, 900])  # noqa: S311
    compare(seed, Trouble(seconds=(0.0, 0.3)), monkeypatch, timeout=timeout)


def kill(seed: int, monkeypatch: Patch) -> None:
    """Kill workers anywhere, and lose the responses to their writes."""
    compare(seed, Trouble(kills=0.03, lost=0.1), monkeypatch, timeout=150)


def repeat(seed: int, monkeypatch: Patch) -> None:
    """Invoke workers twice, the second time in the middle of the first."""
    compare(seed, Trouble(doubles=0.03, lost=0.05, kills=0.01), monkeypatch, timeout=150)


@pytest.mark.parametrize("seed", range(100))
@pytest.mark.parametrize("law", [cut, kill, repeat])
def test_a_job_that_goes_wrong_anywhere_ends_as_the_command(
    law: Callable[[int, Patch], None], seed: int, monkeypatch: Patch
) -> None:
    law(seed, monkeypatch)


def test_much_goes_wrong(monkeypatch: Patch) -> None:
    trouble = Trouble(kills=0.08, lost=0.1, doubles=0.03)
    machines = [compare(seed, trouble, monkeypatch, timeout=150) for seed in range(20)]

    assert sum(machine.attempts for machine in machines) > 1.5 * len(machines)
    assert sum(machine.superseded for machine in machines) > len(machines)


@pytest.mark.parametrize(
    ("law", "where", "rule", "instead"),
    [
        (
            cut,
            segment._SegmentWork._save,
            "progress.parts += self._job.objects.add(lines_of(map(attributes_of, self._new)))",
            "pass",
        ),
        (
            kill,
            segment._SegmentWork._save,
            "self._new.clear()",
            "self._new.clear(); progress.parts = progress.parts[-1:]",
        ),
        (kill, progress.all_done, "if left: ...", "if False: ..."),
        (cut, gather._gathered, "every[first::count]", "every[first::count][1:]"),
        (
            kill,
            piece._PieceWork.run,
            "keys.remove((key_of(a['key']) for a in self._job.objects.lines(progress.parts)))",
            "pass",
        ),
        (kill, piece._PieceWork._store, "self._progress.parts += self._job.objects.add(self._lines)", "pass"),
        (kill, piece._PieceWork._store, "self._lines.clear()", "pass"),
        (kill, piece._PieceWork._save, "self._store()", "pass"),
        (cut, report._result, "total(a.state.counts for a in b)", "b[0].state.counts"),
    ],
    ids=lambda each: getattr(each, "__qualname__", each),
)
def test_without_each_rule_something_is_lost_or_counts_twice(
    law: Callable[[int, Patch], None], where: Any, rule: str, instead: str, monkeypatch: Patch
) -> None:
    fails_without(monkeypatch, where, rule, instead, lambda: in_all_seeds(law, monkeypatch))


def in_all_seeds(law: Callable[[int, Patch], None], monkeypatch: Patch) -> None:
    for seed in range(100):
        law(seed, monkeypatch)
