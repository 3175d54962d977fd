"""progress: what the states of a job show, and what it costs to look again and again."""

import pytest

from ddbreplica.bucket.bucket_store import BucketStore
from ddbreplica.jobs import plan
from ddbreplica.jobs.backfill.progress import SegmentProgress as BackfillProgress
from ddbreplica.jobs.backfill.progress import copied
from ddbreplica.jobs.control.progress import Progress, ProgressReader
from ddbreplica.jobs.objects import PLAN, SEGMENT, JobObjects
from ddbreplica.jobs.plan import Plan
from ddbreplica.jobs.state.fenced_state import FencedState, Owner
from ddbreplica.jobs.state.journal import LeftOpen, StateJournal
from ddbreplica.jobs.verify.progress import SegmentProgress
from ddbreplica.verify.compare.checkpoint import SegmentState
from ddbreplica.verify.difference import Swept
from tests.support.fake_s3 import FakeS3
from tests.support.job_pair import MemoryPair
from tests.support.memory_state import ManualClock
from tests.support.memory_store import MemoryStore
from tests.support.scanned import ScannedTable, item, key
from tests.support.state_machine import StateMachine, Trouble
from tests.support.written_pair import WrittenPair

ITEMS = 60
FOLDER = "jobs/stack/job-1/"
STATES = f"{FOLDER}states/"


class Watched:
    """A job of three segments whose objects are in a bucket. `age` is that of an object when it is listed."""

    def __init__(self) -> None:
        tables = [ScannedTable({n: item(n) for n in range(ITEMS)}, range(100)) for _ in range(2)]
        del tables[1].items[3]
        self.pair = MemoryPair((tables[0], tables[1]))
        StateMachine(self.pair, trouble=Trouble(seconds=(0.0, 0.01))).execute()
        self.s3 = FakeS3(page=1000)
        self.objects = JobObjects(BucketStore(self.s3.bucket()), "stack", "job-1")
        self.plan = Plan.read(self.pair.store.objects[f"{FOLDER}{PLAN}"])
        self.reader = ProgressReader(self.s3.bucket(), self.objects, self.plan)

    def put(self, *names: str, age: float = 60.0) -> None:
        """Copy objects of the job, as its workers have stored them, into the bucket."""
        for name, body in self.pair.store.objects.items():
            if any(name.startswith(f"{FOLDER}{each}") for each in names):
                self.s3.store(name, body, age=age)

    def save(self, number: int, items: int, *, age: float = 60.0, failure: str = "") -> None:
        """Store the state of a segment that is under way."""
        counts = Swept(source_items=items, replica_items=items)
        progress = SegmentProgress(SegmentState(number, counts=counts), failure=failure)
        store, name = MemoryStore(), self.objects.state(SEGMENT, number)
        FencedState.take(store, name, plan=self.plan.digest, owner=Owner.until(0.0)).save(progress.document())
        self.s3.store(name, store.objects[name], age=age)

    def reads(self) -> list[str]:
        """Return the objects that were read since the last call."""
        names = [name.removeprefix(STATES) for operation, name in self.s3.requests if operation == "get"]
        self.s3.requests.clear()
        return sorted(names)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setattr(plan, "ITEMS_OF_A_SEGMENT", 20)
    return Watched()


def test_a_job_that_has_only_a_plan_has_no_progress(watched: Watched) -> None:
    progress = watched.reader.segments()

    assert (progress.items, progress.about, progress.done, progress.all_parts) == (0, 119, 0, 3)
    assert not progress.is_done
    assert watched.reader.pieces() is None


def test_the_segments_under_way_count_with_those_that_are_done(watched: Watched) -> None:
    watched.put("states/segment-00000")
    done = watched.reader.segments().items
    watched.save(1, 5)

    progress = watched.reader.segments()

    assert progress.items == done + 10
    assert progress.text() == "1 of 3 segments done"


def test_a_segment_that_a_worker_gave_up_is_shown_until_it_is_done(watched: Watched) -> None:
    watched.save(2, 5, failure="the source burns.")
    failed = watched.reader.segments()
    watched.put("states/segment-00002", age=30)

    assert failed.failures == {2: "the source burns."}
    assert failed.text() == "0 of 3 segments done, 1 failed"
    assert watched.reader.segments().failures == {}


def test_all_segments_and_pieces_are_done(watched: Watched) -> None:
    watched.put("states/", "suspects.json")

    segments, pieces = watched.reader.segments(), watched.reader.pieces()

    assert segments.is_done
    assert segments.items == 119
    assert pieces is not None
    assert pieces.is_done
    assert (pieces.items, pieces.about, pieces.text()) == (1, 1, "1 of 1 pieces done")


def test_only_states_that_changed_are_read_again(watched: Watched) -> None:
    watched.put("states/segment-00000")
    watched.save(1, 5)
    watched.save(2, 5)
    watched.reader.segments()
    assert watched.reads() == ["segment-00000.json", "segment-00001.json", "segment-00002.json"]

    watched.reader.segments()
    assert watched.reads() == []
    watched.save(1, 7, age=30)

    assert watched.reader.segments().parts[1].items == 14
    assert watched.reads() == ["segment-00001.json"]


def test_a_state_that_may_change_within_the_second_of_its_listing_is_read_again(watched: Watched) -> None:
    watched.save(1, 5, age=0.5)
    watched.reader.segments()
    watched.save(1, 7, age=0.5)  # S3 lists the same time for it

    assert watched.reader.segments().parts[1].items == 14


def test_an_object_that_is_no_state_is_ignored(watched: Watched) -> None:
    watched.s3.store(f"{STATES}segment-x.json", b"{}", age=60)

    assert watched.reader.segments().parts == {}


class Backfilled:
    """A job of one segment that copies, whose state is in a bucket, and the journal of a worker."""

    def __init__(self) -> None:
        source, replica = (
            ScannedTable({n: item(n) for n in range(ITEMS)}, range(100)),
            ScannedTable({}, range(100)),
        )
        pair = WrittenPair((source, replica))
        machine = StateMachine(pair, what="backfill")
        machine.checked("plan", what="backfill", options={}, scheduled=False, max_units=0)
        self.s3 = FakeS3(page=1000)
        self.objects = JobObjects(BucketStore(self.s3.bucket()), "stack", "job-1")
        self.plan = Plan.read(pair.store.objects[f"{FOLDER}{PLAN}"])
        self.store, self.clock = MemoryStore(), ManualClock()
        self.clock.respond()
        self.journal = self.worker()

    def worker(self) -> StateJournal:
        owner = Owner.until(self.clock.aws + 600)
        state = FencedState.take(
            self.store, self.objects.state(SEGMENT, 0), plan=self.plan.digest, owner=owner
        )
        return StateJournal(state, clock=self.clock)

    def progress(self) -> Progress:
        name = self.objects.state(SEGMENT, 0)
        self.s3.store(name, self.store.objects[name], age=60)
        return ProgressReader(self.s3.bucket(), self.objects, self.plan).segments()


def test_a_backfill_counts_the_items_that_it_has_copied_and_not_those_that_it_has_opened() -> None:
    job = Backfilled()
    job.journal.advance(BackfillProgress(items=3, outside=7).document(), [key(0), key(1), key(2)])
    opened = job.progress()
    job.journal.confirm([key(0), key(1)])
    job.journal.advance(BackfillProgress(items=4, outside=7).document(), [key(3)])

    progress = job.progress()

    assert (opened.items, progress.items, progress.excluded) == (0, 2, 7)
    job.worker().rest()
    assert job.progress().items == 2


def test_an_item_that_is_left_or_needs_review_is_not_copied() -> None:
    job = Backfilled()
    job.journal.note(BackfillProgress(items=9, left=2, undecided=3, is_done=True).document())
    job.journal.rest()

    assert job.progress().items == 4


def test_the_keys_that_a_killed_worker_has_opened_are_open_until_its_writes_have_landed() -> None:
    job = Backfilled()
    job.journal.advance(BackfillProgress(items=1).document(), [key(0)])

    assert job.progress().open == LeftOpen(1, job.clock.aws + 600 + 930)


def test_an_item_that_was_handed_over_to_a_redrive_is_not_copied() -> None:
    job = Backfilled()
    job.journal.advance(BackfillProgress(items=3).document(), [key(0), key(1), key(2)])
    job.journal.confirm([key(0)])
    job.journal.leave()
    job.journal.hand_over(lambda _: None)
    job.journal.rest()
    assert job.progress().items == 1

    resumed = job.worker()
    resumed.note(BackfillProgress(items=4, is_done=True).document())
    resumed.rest()

    assert job.progress().items == 2


def test_the_report_of_an_earlier_worker_has_no_items_that_were_handed_over() -> None:
    assert copied({"items": 9, "left": 2, "undecided": 3}) == 4
