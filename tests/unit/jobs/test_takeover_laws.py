"""A job that is killed anywhere and that nobody resumes: a takeover loses none of the keys that it wrote."""

from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import pytest

from ddbreplica.errors import TaskError
from ddbreplica.jobs import takeover
from ddbreplica.jobs.objects import PLAN, JobObjects
from ddbreplica.jobs.plan import Plan
from ddbreplica.jobs.state.journal import StateJournal
from ddbreplica.jobs.takeover import take_over
from tests.support.state_machine import FailedError, Killed, StateMachine, Trouble
from tests.support.taken_out import fails_without
from tests.support.written_pair import Weather, WrittenPair, tables_of
from tests.unit.jobs import test_backfill_laws, test_repair_laws
from tests.unit.jobs.test_backfill_laws import open_in_states
from tests.unit.jobs.test_repair_job import REPAIR

Patch = pytest.MonkeyPatch


def abandoned(seed: int, what: str, options: Any) -> WrittenPair:
    """Run a job until some of its workers was killed for good, and take it over until nothing is left."""
    random = Random(seed)  # noqa: S311
    weather = Weather(changes=0.4, unanswered=0.05, kills=0.2, lands=0.02)
    pair = WrittenPair(tables_of(random, items=40), random=random, weather=weather)
    before = dict(pair.tables[1].items)
    machine = StateMachine(
        pair, random, Trouble(kills=0.01, doubles=0.02, lost=0.05), options=options, timeout=300.0, what=what
    )
    machine.leave_after = random.randrange(3, 30)
    with suppress(FailedError, Killed):
        machine.execute()
    pair.before = pair.store.before_write = lambda: None
    objects = JobObjects(pair.store, "stack", machine.job)
    body = objects.read(PLAN)
    if body is not None:
        hand_over_all(pair, objects, Plan.read(body))
    assert open_in_states(states_of(pair, what)) == (0, 0)
    pair.settle()
    stale = {
        number
        for number, (_, replica) in pair.unequal.items()
        if number in pair.touched or replica != before.get(number)
    }
    assert not stale
    return pair


def hand_over_all(pair: WrittenPair, objects: JobObjects, plan: Plan) -> None:
    """Take a job over, as often as a schedule does, until no key is left."""
    quarantine = pair.quarantining(
        StateJournal.__new__(StateJournal), pair.describe()[0].table, command=plan.what
    ).hand_over
    for _ in range(20):
        with suppress(TaskError):
            if not take_over(objects, plan, clock=pair.clock, quarantine=quarantine).keys:
                return
        pair.clock.pass_by(pair.random.choice([30, 300]))
        pair.happen()
    raise AssertionError("it never ends")


def states_of(pair: WrittenPair, what: str) -> dict[str, bytes]:
    kind = "/states/segment-" if what == "backfill" else "/states/piece-"
    return {name: body for name, body in pair.store.objects.items() if kind in name}


def backfill(seed: int, monkeypatch: Patch) -> WrittenPair:
    test_backfill_laws.small_cuts(monkeypatch, Random(seed))  # noqa: S311
    return abandoned(seed, "backfill", {})


def repair(seed: int, monkeypatch: Patch) -> WrittenPair:
    test_repair_laws.small_cuts(monkeypatch, Random(seed))  # noqa: S311
    return abandoned(seed, "verify", REPAIR)


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("law", [backfill, repair])
def test_a_takeover_loses_no_key(law: Callable[[int, Patch], Any], seed: int, monkeypatch: Patch) -> None:
    law(seed, monkeypatch)


def test_jobs_leave_keys_open(monkeypatch: Patch) -> None:
    """The law says nothing about jobs that had ended."""
    pairs = [backfill(seed, monkeypatch) for seed in range(30)]

    assert sum(pair.interrupted for pair in pairs) > 100


@pytest.mark.parametrize(
    ("where", "rule", "instead"),
    [
        (takeover._taken_over, "journal.leave()", "pass"),
        (takeover._taken_over, "journal.hand_over(quarantine)", "pass"),
        (takeover.take_over, "has_open_keys(saved.content)", "False"),
        (StateJournal._replaced, "_until(...)", "dict.fromkeys(saved.opened, self._now)"),
    ],
    ids=lambda each: getattr(each, "__qualname__", each),
)
def test_without_each_rule_a_key_is_lost(where: Any, rule: str, instead: str, monkeypatch: Patch) -> None:
    fails_without(monkeypatch, where, rule, instead, lambda: in_all_seeds(monkeypatch))


def in_all_seeds(monkeypatch: Patch) -> None:
    for seed in range(60):
        backfill(seed, monkeypatch)
