"""abandoned: the keys of a job that nobody resumed for an hour are handed over to quarantine, once."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ddbreplica.errors import TaskError
from ddbreplica.jobs.objects import PLAN as PLAN_NAME
from ddbreplica.jobs.objects import SEGMENT, JobObjects
from ddbreplica.jobs.plan import Plan
from ddbreplica.jobs.redrive.abandoned import HOUR, AbandonedJobs, BucketJobs
from ddbreplica.jobs.state.fenced_state import FencedState, Owner
from ddbreplica.jobs.state.journal import StateJournal
from ddbreplica.model import Key
from tests.support.fake_s3 import NOW, FakeS3
from tests.support.journal_contract import A, B
from tests.support.memory_state import ManualClock
from tests.support.memory_store import MemoryStore
from tests.unit.jobs.test_plan import PLAN

BACKFILL = replace(PLAN, what="backfill", segments=2, lines=2)
HOLD = 930.0


class World:
    """One job of two segments, the redrives that look for it, and the keys that they quarantine."""

    def __init__(self, plan: Plan = BACKFILL) -> None:
        self.store = MemoryStore()
        self.store.before_write = self.save
        self.clock = ManualClock()
        self.clock.respond()
        self.plan = plan
        self.saved: float | None = None
        self.content: Any = None
        self.kept: list[Key] = []
        self.notes: list[str] = []
        self.looks = 0
        self.folders = ["job-1"]
        self.objects("job-1").create(PLAN_NAME, plan.body)
        self.saved = None

    def save(self) -> None:
        self.saved = self.clock.aws

    def names(self) -> Iterator[str]:
        return iter(self.folders)

    def saved_at(self, job: str) -> float | None:
        self.looks += 1
        return self.saved

    def objects(self, job: str) -> JobObjects:
        return JobObjects(self.store, "stack", job)

    def work(self, *keys: Key, segment: int = 0) -> StateJournal:
        """Open keys as a worker whose invocation ends in ten minutes."""
        name = self.objects("job-1").state(SEGMENT, segment)
        owner = Owner.until(self.clock.aws + 600)
        state = FencedState.take(self.store, name, plan=self.plan.digest, owner=owner)
        journal = StateJournal(state, clock=self.clock)
        journal.intend(keys)
        return journal

    def redrive(self, *, accepts: bool = True, check: Any = lambda: None) -> int:
        """Look for abandoned jobs, as the next redrive does."""
        jobs = AbandonedJobs(self.content, self, clock=self.clock, note=self.notes.append)
        try:
            return jobs.take_over(self.objects, lambda _: accepts, lambda _: self.kept.extend, check)
        finally:
            self.content = jobs.document()


def test_keys_of_an_abandoned_job_are_quarantined_when_its_writes_cannot_land() -> None:
    world = World()
    world.work(A, B)

    world.clock.pass_by(HOUR)
    assert world.redrive() == 0

    world.clock.pass_by(HOLD - 1)
    assert world.redrive() == 0
    world.clock.pass_by(1)
    assert (world.redrive(), world.kept) == (2, [A, B])


def test_a_job_that_somebody_resumed_within_an_hour_is_left_alone() -> None:
    world = World()
    world.work(A)
    for _ in range(3):
        world.clock.pass_by(HOUR - 1)
        assert world.redrive() == 0
        world.work(A, segment=1)

    state = world.objects("job-1").state(SEGMENT, 0)
    assert b'"serial":2' in world.store.objects[state]
    assert world.kept == []


def test_a_job_is_not_read_again_when_it_is_settled() -> None:
    world = World()
    world.work(A).confirm([A])
    world.clock.pass_by(HOUR)
    world.redrive()
    world.clock.pass_by(HOUR + HOLD)
    world.redrive()
    reads = world.store.reads

    for _ in range(5):
        world.clock.pass_by(HOUR)
        world.redrive()

    assert world.store.reads == reads


def test_a_job_that_is_resumed_later_is_looked_at_again() -> None:
    world = World()
    world.work().rest()
    world.clock.pass_by(2 * HOUR)
    world.redrive()
    world.work(A)

    world.clock.pass_by(HOUR)
    world.redrive()
    world.clock.pass_by(HOUR)
    world.redrive()
    world.clock.pass_by(HOUR)

    assert (world.redrive(), world.kept) == (0, [A])


def test_a_job_is_listed_at_most_once_an_hour() -> None:
    world = World()
    world.work().rest()

    for _ in range(48):
        world.clock.pass_by(300)
        world.redrive()

    # In four hours; a job is listed twice when it is taken over.
    assert world.looks <= 6


@pytest.mark.parametrize("plan", [PLAN, BACKFILL])
def test_keys_of_other_tables_are_not_quarantined(plan: Plan) -> None:
    world = World(plan)
    world.work(A)
    for _ in range(4):
        world.clock.pass_by(HOUR)
        world.redrive(accepts=False)

    assert world.kept == []
    (note,) = world.notes
    assert note.startswith("the job job-1 is of other tables")


def test_a_job_without_a_plan_or_states_is_left_alone() -> None:
    world = World()
    world.folders = ["job-1", "job-2"]
    world.clock.pass_by(HOUR)
    assert world.redrive() == 0
    world.saved = world.clock.aws
    world.clock.pass_by(HOUR)

    assert world.redrive() == 0
    assert world.notes == []


def test_a_job_that_cannot_be_taken_over_is_noted_and_tried_again() -> None:
    world = World()
    world.work(A)
    state = world.objects("job-1").state(SEGMENT, 0)
    body = world.store.objects[state]
    world.store.objects[state] = b"{"
    world.clock.pass_by(HOUR)
    world.redrive()
    assert "the job job-1 cannot be taken over" in world.notes[0]

    world.store.objects[state] = body
    world.clock.pass_by(HOUR)
    world.redrive()
    world.clock.pass_by(HOUR)

    assert world.redrive() == 1


def test_a_takeover_whose_time_is_over_goes_on_in_the_next_run() -> None:
    world = World()
    world.work(A)
    world.work(B, segment=1)
    world.clock.pass_by(HOUR)
    left = [None] * 3

    def check() -> None:
        if not left:
            raise KeyboardInterrupt
        left.pop()

    with pytest.raises(KeyboardInterrupt):
        world.redrive(check=check)
    world.redrive()
    world.clock.pass_by(HOLD)

    assert (world.redrive(), world.kept) == (2, [A, B])


def test_a_job_whose_objects_have_expired_is_forgotten() -> None:
    world = World()
    world.work().rest()
    world.redrive()
    world.folders = []

    world.redrive()

    assert world.content == {}


def test_the_jobs_of_a_bucket_are_its_folders() -> None:
    s3 = FakeS3()
    for name, age in (
        ("jobs/stack/job-1/plan.json", 1.0),
        ("jobs/stack/job-1/states/segment-00000.json", 30.0),
        ("jobs/stack/job-1/states/segment-00001.json", 20.0),
        ("jobs/stack/job-2/plan.json", 1.0),
        ("jobs/stack/lease.json", 1.0),
        ("jobs/other/job-3/plan.json", 1.0),
    ):
        s3.store(name, b"{}", age=age)
    jobs = BucketJobs(s3.bucket(), "stack")

    assert sorted(jobs.names()) == ["job-1", "job-2"]
    assert jobs.saved_at("job-1") == datetime.timestamp(NOW) - 20
    assert jobs.saved_at("job-2") is None
    assert NOW.tzinfo == UTC


def test_a_refusal_of_the_bucket_is_an_error() -> None:
    s3 = FakeS3()
    s3.refuse("list", "AccessDenied")

    with pytest.raises(TaskError, match="cannot be listed"):
        list(BucketJobs(s3.bucket(), "stack").names())
