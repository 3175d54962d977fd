"""The verification job that repairs: whatever happens to its workers, what it calls equal is and stays equal."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from ddbreplica.jobs import plan
from ddbreplica.jobs.job import Writer
from ddbreplica.jobs.state.journal import StateJournal
from ddbreplica.jobs.verify import gather, piece
from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.model import Key
from ddbreplica.records.decode import key_of
from ddbreplica.verify import repair
from ddbreplica.verify.confirm import plan as watching
from tests.support.scanned import key
from tests.support.state_machine import FailedError, StateMachine, Trouble
from tests.support.stopped import FILTER
from tests.support.taken_out import fails_without
from tests.support.written_pair import Weather, WrittenPair, tables_of
from tests.unit.jobs.test_backfill_laws import STORMY, open_in_states, report_of
from tests.unit.jobs.test_repair_job import REPAIR

ITEMS = 40

Patch = pytest.MonkeyPatch


def repaired(
    seed: int,
    trouble: Trouble,
    monkeypatch: Patch,
    *,
    weather: Weather = STORMY,
    poison: float = 0.0,
    **how: Any,
) -> StateMachine:
    """Run a job until it has ended, and check that nothing is lost."""
    random = Random(seed)  # noqa: S311
    small_cuts(monkeypatch, random)
    pair = WrittenPair(
        tables_of(random, items=ITEMS),
        key_filter=FILTER if random.random() < 0.3 else KeyFilter.of([]),
        is_archive=random.random() < 0.3,
        random=random,
        weather=weather,
        poison=frozenset(n for n in range(ITEMS) if random.random() < poison),
    )
    machine = StateMachine(
        pair, random, trouble, options=REPAIR, concurrency=10, timeout=how.get("timeout", 300.0)
    )
    while True:
        try:
            machine.execute()
        except FailedError:
            assert machine.attempts < 100, "it never ends"
        else:
            break
    report = report_of(machine)
    opened, left = open_in_pieces(machine)
    assert opened == 0, "a key is open, and nobody knows"
    assert report["in_doubt"] == left
    named = {
        key_of(each["key"]) for each in report["differences"] if each.get("repair") not in {None, "repaired"}
    }
    named |= {key_of(each["key"]) for each in report["differences"] if each["finding"] == "inconclusive"}
    if report["verdict"] in {"equal", "repaired"}:
        assert not left
    pair.settle()
    unequal = {key(number) for number in pair.unequal}
    assert unequal <= named | counted_in_doubt(machine)
    return machine


def open_in_pieces(machine: StateMachine) -> tuple[int, int]:
    objects = machine.pair.store.objects
    pieces = {name: body for name, body in objects.items() if "/states/piece-" in name}
    return open_in_states(pieces)


def counted_in_doubt(machine: StateMachine) -> set[Key]:
    """Return the keys that the report counts as in doubt."""
    contents = [
        json.loads(body)["content"]
        for name, body in machine.pair.store.objects.items()
        if "/states/piece-" in name
    ]
    lines = (line for each in contents for line in each["predecessors"])
    return {key_of(each) for line in lines for each in line["keys"]}


def small_cuts(monkeypatch: Patch, random: Random) -> None:
    monkeypatch.setattr(plan, "ITEMS_OF_A_SEGMENT", random.choice([10, 100]))
    monkeypatch.setattr(gather, "PIECE", random.choice([3, 10_000]))
    monkeypatch.setattr(watching, "LEAST_WATCHED", 3)
    monkeypatch.setattr(repair, "PIECE", random.choice([2, 100]))
    monkeypatch.setattr(piece, "SAVE_SECONDS", random.choice([0.0, 2.0, 10.0]))
    monkeypatch.setattr(piece, "MOST_WAITS", random.choice([0, 1, 12]))


def cut(seed: int, monkeypatch: Patch) -> None:
    """Cut the work into short invocations: nothing else goes wrong."""
    machine = repaired(
        seed, Trouble(seconds=(0.0, 0.3)), monkeypatch, weather=Weather(throttles=0.05), timeout=130.0
    )
    pair: Any = machine.pair
    assert report_of(machine)["verdict"] in {"equal", "repaired"}
    assert not pair.bucket.objects


def write(seed: int, monkeypatch: Patch) -> None:
    """Let others write, and leave writes without a response."""
    repaired(seed, Trouble(), monkeypatch)


def refuse(seed: int, monkeypatch: Patch) -> None:
    """Let the replica refuse some items."""
    repaired(seed, Trouble(), monkeypatch, weather=Weather(throttles=0.05), poison=0.1)


def kill(seed: int, monkeypatch: Patch) -> None:
    """Kill workers anywhere, and lose the responses to their writes."""
    weather = Weather(changes=0.5, unanswered=0.05, kills=0.3, lands=0.02)
    repaired(seed, Trouble(kills=0.003, lost=0.05), monkeypatch, weather=weather)


def repeat(seed: int, monkeypatch: Patch) -> None:
    """Invoke workers twice, the second time in the middle of the first."""
    repaired(seed, Trouble(doubles=0.02, lost=0.05, kills=0.005), monkeypatch)


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("law", [cut, write, refuse, kill, repeat])
def test_a_repair_that_goes_wrong_anywhere_calls_nothing_equal_that_is_not(
    law: Callable[[int, Patch], None], seed: int, monkeypatch: Patch
) -> None:
    law(seed, monkeypatch)


@pytest.mark.parametrize(
    ("law", "where", "rule", "instead"),
    [
        (kill, piece._PieceWork._finish, "self._writer.hand_over(...)", "True"),
        (kill, piece._PieceWork._save_state, "self._writer.rest()", "pass"),
        (kill, StateJournal._replaced, "_until(...)", "dict.fromkeys(saved.opened, self._now)"),
        (kill, StateJournal.intend, "self._save(opened, at_rest=False)", "pass"),
        (kill, Writer.hand_over, "self.journal.leave()", "pass"),
    ],
    ids=lambda each: getattr(each, "__qualname__", each),
)
def test_without_each_rule_something_is_lost_or_not_reported(
    law: Callable[[int, Patch], None], where: Any, rule: str, instead: str, monkeypatch: Patch
) -> None:
    fails_without(monkeypatch, where, rule, instead, lambda: in_all_seeds(law, monkeypatch))


def in_all_seeds(law: Callable[[int, Patch], None], monkeypatch: Patch) -> None:
    for seed in range(60):
        law(seed, monkeypatch)
