"""The backfill job: whatever happens to its workers, every item is copied, or its key is in quarantine or reported."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import pytest

from ddbreplica.backfill import listing
from ddbreplica.jobs import plan
from ddbreplica.jobs.backfill import segment
from ddbreplica.jobs.job import Writer
from ddbreplica.jobs.state.journal import StateJournal
from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.records.decode import key_of
from tests.support.scanned import key
from tests.support.state_machine import FailedError, StateMachine, Trouble
from tests.support.stopped import FILTER
from tests.support.taken_out import fails_without
from tests.support.written_pair import Weather, WrittenPair, tables_of

ITEMS = 60
STORMY = Weather(changes=0.3, throttles=0.05, unanswered=0.05)

Patch = pytest.MonkeyPatch


@dataclass
class World:
    """A pair of tables of one seed, and the job that copies them."""

    seed: int
    weather: Weather
    poison: float = 0.0
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = random = Random(self.seed)  # noqa: S311
        self.pair = WrittenPair(
            tables_of(random, items=ITEMS),
            key_filter=FILTER if random.random() < 0.3 else KeyFilter.of([]),
            is_archive=random.random() < 0.3,
            random=random,
            weather=self.weather,
            poison=frozenset(n for n in range(ITEMS) if random.random() < self.poison),
            unreserved=random.choice([1, 4, 1000]),
        )

    def run(self, trouble: Trouble, *, timeout: float) -> StateMachine:
        """Start the job until it has ended."""
        machine = StateMachine(
            self.pair,
            self.random,
            trouble,
            timeout=timeout,
            options={},
            concurrency=self.random.choice([1, 10]),
            what="backfill",
        )
        while True:
            try:
                machine.execute()
            except FailedError:
                assert machine.attempts < 100, "it never ends"
            else:
                return machine


def report_of(machine: StateMachine) -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads(machine.pair.store.objects["jobs/stack/job-1/report.json"])
    return document


def open_in_states(objects: Mapping[str, bytes]) -> tuple[int, int]:
    """Return how many keys the states have open, and how many as those of earlier workers."""
    saved = (json.loads(body)["content"] for name, body in objects.items() if "/states/" in name)
    contents = [content for content in saved if content is not None]
    return (
        sum(len(each["open"]) for each in contents),
        sum(len(line["keys"]) for each in contents for line in each["predecessors"]),
    )


def backfill(
    seed: int, trouble: Trouble, monkeypatch: Patch, *, weather: Weather = STORMY, **how: Any
) -> StateMachine:
    """Run a job, and check that nothing is lost."""
    timeout = how.pop("timeout", 200.0)
    world = World(seed, weather, **how)
    small_cuts(monkeypatch, world.random)
    machine = world.run(trouble, timeout=timeout)
    report = report_of(machine)

    opened, left = open_in_states(machine.pair.store.objects)
    assert opened == 0, "a key is open, and nobody knows"
    assert report["keys_left_open"] == left
    assert (report["left_open_until"] is None) is (left == 0)
    pair = world.pair
    kept = {key_of(each["record"]["dynamodb"]["Keys"]) for each in pair.bucket.kept}
    named = {key_of(each["key"]) for each in report["left_items"]}
    if not left:
        assert named <= kept
    refused = (
        {key(number) for number in pair.poison if number in pair.tables[0].items}
        if not weather.changes
        else set()
    )
    assert {each for each in refused if pair.key_filter.passes(each)} <= kept
    if not left:
        pair.settle()
        assert not pair.unequal
    return machine


def small_cuts(monkeypatch: Patch, random: Random) -> None:
    monkeypatch.setattr(plan, "ITEMS_OF_A_SEGMENT", random.choice([5, 20, 100]))
    page = random.choice([2, 5, 200])
    monkeypatch.setattr(listing, "PAGE", page)
    monkeypatch.setattr(segment, "PAGE_KEYS", random.choice([page, 3 * page]))


def cut(seed: int, monkeypatch: Patch) -> None:
    """Cut the work into short invocations: nothing else goes wrong."""
    timeout = Random(seed).choice([93, 110, 900])  # noqa: S311
    machine = backfill(
        seed, Trouble(seconds=(0.0, 0.3)), monkeypatch, weather=Weather(throttles=0.05), timeout=timeout
    )
    report = report_of(machine)
    pair = machine.pair
    within = [number for number in pair.tables[0].items if pair.key_filter.passes(key(number))]
    assert (report["items"], report["outside"]) == (len(within), len(pair.tables[0].items) - len(within))
    assert (report["left"], report["left_items"], report["undecided"], report["attention"]) == (0, [], 0, [])


def write(seed: int, monkeypatch: Patch) -> None:
    """Let others write, and leave writes without a response."""
    backfill(seed, Trouble(), monkeypatch)


def refuse(seed: int, monkeypatch: Patch) -> None:
    """Let the replica refuse some items."""
    machine = backfill(seed, Trouble(), monkeypatch, weather=Weather(throttles=0.05), poison=0.1)
    pair: Any = machine.pair
    refused = [n for n in pair.poison if n in pair.tables[0].items and pair.key_filter.passes(key(n))]
    report = report_of(machine)
    assert report["left"] == len(refused)
    assert len(report["left_items"]) == min(10, len(refused))
    assert all("ValidationException" in each["reason"] for each in report["left_items"])


def kill(seed: int, monkeypatch: Patch) -> None:
    """Kill workers anywhere, and lose the responses to their writes."""
    backfill(seed, Trouble(kills=0.02, lost=0.1), monkeypatch, weather=replace(STORMY, kills=0.05))


def repeat(seed: int, monkeypatch: Patch) -> None:
    """Invoke workers twice, the second time in the middle of the first."""
    backfill(seed, Trouble(doubles=0.03, lost=0.05, kills=0.01), monkeypatch)


LAWS = [cut, write, refuse, kill, repeat]


@pytest.mark.parametrize("seed", range(80))
@pytest.mark.parametrize("law", LAWS)
def test_a_job_that_goes_wrong_anywhere_loses_no_item(
    law: Callable[[int, Patch], None], seed: int, monkeypatch: Patch
) -> None:
    law(seed, monkeypatch)


def test_much_goes_wrong(monkeypatch: Patch) -> None:
    """The laws say nothing about workers to whom nothing happens."""
    trouble = Trouble(kills=0.1, lost=0.1, doubles=0.03)
    weather = replace(STORMY, kills=0.1)
    machines = [backfill(seed, trouble, monkeypatch, weather=weather) for seed in range(20)]
    pairs: Any = [machine.pair for machine in machines]

    assert sum(machine.attempts for machine in machines) > 1.5 * len(machines)
    assert sum(machine.superseded for machine in machines) > len(machines)
    assert sum(len(pair.redriven) for pair in pairs) > len(machines)
    assert sum(pair.landed for pair in pairs) > len(machines) / 2


@pytest.mark.parametrize(
    ("law", "where", "rule", "instead"),
    [
        (kill, StateJournal.advance, "self.intend(keys)", "pass"),
        (kill, StateJournal.intend, "self._save(opened, at_rest=False)", "pass"),
        (kill, StateJournal._replaced, "_until(...)", "dict.fromkeys(saved.opened, self._now)"),
        (refuse, segment._SegmentWork._finish, "self._writer.hand_over(...)", "True"),
        (refuse, Writer.hand_over, "self.journal.leave()", "pass"),
        (refuse, Writer.hand_over, "self.journal.hand_over(...)", "True"),
        (cut, segment._batches, "page.cursor is None", "False"),
        (
            kill,
            segment._SegmentWork.run,
            "if self._progress.is_done: ...",
            "if self._progress.is_scanned: ...",
        ),
    ],
    ids=lambda each: getattr(each, "__qualname__", each),
)
def test_without_each_rule_an_item_is_lost_or_not_reported(
    law: Callable[[int, Patch], None], where: Any, rule: str, instead: str, monkeypatch: Patch
) -> None:
    fails_without(monkeypatch, where, rule, instead, lambda: in_all_seeds(law, monkeypatch))


def in_all_seeds(law: Callable[[int, Patch], None], monkeypatch: Patch) -> None:
    for seed in range(80):
        law(seed, monkeypatch)
