"""takeover: no key that a worker left open is lost when nobody goes on with the job."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from ddbreplica.aws.clock import MARGIN_SECONDS
from ddbreplica.errors import TaskError
from ddbreplica.jobs.objects import PIECE, SEGMENT, SUSPECTS, JobObjects, document_bytes
from ddbreplica.jobs.plan import Plan
from ddbreplica.jobs.state.fenced_state import FencedState, Owner, SupersededError
from ddbreplica.jobs.state.journal import LeftOpen, StateJournal
from ddbreplica.jobs.takeover import take_over
from ddbreplica.jobs.verify.progress import Suspects
from ddbreplica.model import Key
from tests.support.journal_contract import A, B, C
from tests.support.memory_state import ManualClock
from tests.support.memory_store import MemoryStore
from tests.unit.jobs.test_plan import PLAN

BACKFILL = replace(PLAN, what="backfill", segments=3)
HOLD = 900 + MARGIN_SECONDS
INVOCATION = 600.0


class World:
    """The states of a job with three segments, and the keys that were handed over to quarantine."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.objects = JobObjects(self.store, "stack", "job-1")
        self.clock = ManualClock()
        self.clock.respond()
        self.kept: list[Key] = []

    def worker(self, segment: int) -> StateJournal:
        owner = Owner.until(self.clock.aws + INVOCATION)
        name = self.objects.state(SEGMENT, segment)
        state = FencedState.take(self.store, name, plan=BACKFILL.digest, owner=owner)
        return StateJournal(state, clock=self.clock)

    def take_over(self, plan: Plan = BACKFILL, **how: Any) -> LeftOpen:
        how = {"quarantine": self.kept.extend, **how}
        return take_over(self.objects, plan, clock=self.clock, **how)


@pytest.fixture
def world() -> World:
    return World()


def test_keys_of_a_worker_that_was_killed_wait_until_its_writes_cannot_land(world: World) -> None:
    world.worker(1).intend([A, B])

    left = world.take_over()

    assert (left, world.kept) == (LeftOpen(2, world.clock.aws + INVOCATION + HOLD), [])
    world.clock.pass_by(INVOCATION + HOLD)
    assert world.take_over() == LeftOpen(0, 0.0)
    assert world.kept == [A, B]
    writes = world.store.writes
    assert world.take_over() == LeftOpen(0, 0.0)
    assert (world.kept, world.store.writes) == ([A, B], writes)


def test_a_takeover_that_is_repeated_does_not_begin_the_hold_again(world: World) -> None:
    world.worker(0).intend([A])
    until = world.clock.aws + INVOCATION + HOLD
    world.clock.pass_by(INVOCATION - 1)
    assert world.take_over() == LeftOpen(1, until)
    world.clock.pass_by(HOLD)

    assert world.take_over() == LeftOpen(1, until)


def test_keys_that_were_left_open_in_order_are_quarantined_at_once(world: World) -> None:
    worker = world.worker(0)
    worker.intend([A, B, C])
    worker.mark_in_doubt([B])
    worker.confirm([C])
    worker.rest()

    assert world.take_over() == LeftOpen(1, world.clock.aws + HOLD)
    assert world.kept == [A]


def test_keys_of_all_segments_are_added_up(world: World) -> None:
    world.worker(0).intend([A])
    world.clock.pass_by(10)
    world.worker(2).intend([B, C])

    assert world.take_over() == LeftOpen(3, world.clock.aws + INVOCATION + HOLD)


def test_a_worker_that_still_runs_loses_its_state(world: World) -> None:
    worker = world.worker(0)
    worker.intend([A])
    world.take_over()

    with pytest.raises(SupersededError):
        worker.intend([B])


def test_a_worker_that_takes_the_state_meanwhile_is_an_error(world: World) -> None:
    worker = world.worker(0)
    worker.intend([A])
    worker.rest()

    def quarantine(keys: Sequence[Key]) -> None:
        world.worker(0)

    with pytest.raises(
        TaskError, match=r"the job job-1 still runs: a worker has taken the state .*segment-00000"
    ):
        world.take_over(quarantine=quarantine)
    assert world.worker(0).free_keys() == [A]


def test_keys_that_cannot_be_quarantined_stay_in_the_state(world: World) -> None:
    worker = world.worker(0)
    worker.intend([A])
    worker.rest()

    def refuse(_keys: Sequence[Key]) -> None:
        raise TaskError("denied.", hint="allow it.")

    with pytest.raises(TaskError, match="denied"):
        world.take_over(quarantine=refuse)

    assert world.take_over() == LeftOpen(0, 0.0)
    assert world.kept == [A]


def test_it_may_be_interrupted_before_each_state(world: World) -> None:
    for segment in range(3):
        worker = world.worker(segment)
        worker.intend([A])
        worker.rest()

    def check() -> None:
        if world.kept:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.take_over(check=check)
    assert world.kept == [A]


def test_the_pieces_of_a_repair_are_taken_over_too(world: World) -> None:
    repair = replace(PLAN, options={"repair": True})
    assert world.take_over(repair) == LeftOpen(0, 0.0)
    suspects = Suspects([["a"], ["b"]], [1, 1], are_all=True)
    world.objects.create(SUSPECTS, document_bytes(suspects.document()))
    state = FencedState.take(
        world.store, world.objects.state(PIECE, 1), plan=repair.digest, owner=Owner.until(world.clock.aws)
    )
    journal = StateJournal(state, clock=world.clock)
    journal.intend([A, B])
    journal.rest()

    assert world.take_over(repair) == LeftOpen(0, 0.0)
    assert world.kept == [A, B]


def test_a_verification_that_repairs_nothing_has_no_open_keys(world: World) -> None:
    assert world.take_over(replace(PLAN, what="verify")) == LeftOpen(0, 0.0)
    assert world.store.reads == 0
