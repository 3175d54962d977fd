"""journal: the open keys of a worker are known to whoever replaces it, and held back as long as it may write."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from ddbreplica.aws.clock import MARGIN_SECONDS
from ddbreplica.aws.clock import UNKNOWN_HOLD_SECONDS as LONGEST
from ddbreplica.bucket.store import ATTEMPTS
from ddbreplica.errors import AttentionError, TaskError
from ddbreplica.jobs.state import journal as module
from ddbreplica.jobs.state.fenced_state import FencedState, Owner, SavedState, SupersededError, saved_in
from ddbreplica.jobs.state.journal import LeftOpen, StateJournal, attention, left_open, unconfirmed
from ddbreplica.model import Journal, Key
from tests.support.journal_contract import A, B, C, JournalContract
from tests.support.memory_state import ManualClock
from tests.support.memory_store import Fate, MemoryStore

NAME = "jobs/stack/job/states/segment-00000.json"
HOLD = 900 + MARGIN_SECONDS
"""The time for which a key is held back, with a correct clock."""
INVOCATION = 600.0
"""The time that an invocation has."""
D: Key = (("PK", "S", "d"),)


class _Clock(ManualClock):
    """The clock of a worker, which has seen no response; its own time is right."""

    def __init__(self) -> None:
        super().__init__()
        self.local = lambda: datetime.fromtimestamp(self.aws, UTC)


class Job:
    """A state, and the workers that take it one after the other."""

    def __init__(self, *, responds: bool = True, lasts: float = INVOCATION) -> None:
        self.store = MemoryStore()
        self.clock = _Clock()
        self._responds = responds
        self._lasts = lasts

    def worker(self) -> StateJournal:
        """Return the journal of the next invocation."""
        if self._responds:
            self.clock.respond()
        owner = Owner.until(self.clock.aws + self._lasts)
        return StateJournal(FencedState.take(self.store, NAME, plan="p", owner=owner), clock=self.clock)

    @property
    def saved(self) -> Any:
        """The content of the state."""
        return json.loads(self.store.objects[NAME])["content"]

    @property
    def left(self) -> LeftOpen:
        """The keys that may still be written."""
        return left_open(self._state)

    @property
    def unconfirmed(self) -> int:
        """The number of keys that are not confirmed."""
        return unconfirmed(self._state)

    @property
    def _state(self) -> SavedState:
        return saved_in(self.store, NAME, plan="p")


class TestTheContract(JournalContract):
    @pytest.fixture(autouse=True)
    def _begin(self) -> None:
        self.job = Job(responds=False, lasts=0.0)

    def journal(self) -> Journal:
        return self.job.worker()

    def pass_by(self, seconds: float) -> None:
        self.job.clock.pass_by(seconds)

    def test_a_confirmed_key_is_closed_for_every_run(self) -> None:
        """The next save closes it."""
        journal = self.journal()
        journal.intend([A, B])
        journal.confirm([A])
        journal.intend([C])

        assert list(self.journal().intend([A, B])) == [A]


@pytest.fixture
def job() -> Job:
    return Job()


def keys(start: int, end: int) -> Sequence[Key]:
    return [(("PK", "N", str(number)),) for number in range(start, end)]


class TestPrice:
    def test_one_save_opens_the_keys_of_a_page_and_closes_those_of_the_last_one(self, job: Job) -> None:
        worker = job.worker()
        before = job.store.writes
        for page in range(3):
            of_page = keys(2000 * page, 2000 * page + 2000)
            worker.note(page)
            assert worker.intend(of_page) == of_page
            for start in range(0, 2000, 500):  # as threads do
                assert worker.intend(of_page[start : start + 500]) == of_page[start : start + 500]
                worker.confirm(of_page[start : start + 500])

        assert job.store.writes - before == 3
        assert job.saved["progress"] == 2
        assert len(job.saved["open"]) == 2000
        worker.rest()
        assert (job.saved["open"], job.store.writes - before) == ([], 4)

    def test_keys_and_progress_are_saved_together(self, job: Job) -> None:
        worker = job.worker()
        assert worker.progress is None
        worker.note({"cursor": 1})
        worker.intend([A])
        worker.confirm([A])
        worker.note({"cursor": 2})

        resumed = job.worker()
        assert (resumed.progress, job.saved["open"]) == ({"cursor": 1}, [{"PK": {"S": "a"}}])

    def test_keys_that_are_held_back_take_no_save(self, job: Job) -> None:
        job.worker().intend([A])
        worker = job.worker()
        before = job.store.writes

        assert worker.intend([A]) == []
        assert worker.intend([]) == []
        assert job.store.writes == before


class TestTakeover:
    def test_the_new_owner_goes_on_at_once_with_other_keys(self, job: Job) -> None:
        job.worker().intend([A, B])
        worker = job.worker()

        assert worker.intend([A, B, C]) == [C]
        assert worker.open_keys() == (C,)
        assert [set(job.saved["open"][0]), job.saved["predecessors"][0]["keys"]] == [
            {"PK"},
            [{"PK": {"S": "a"}}, {"PK": {"S": 'é "\n'}, "SK": {"N": "-1500"}}],
        ]

    @pytest.mark.parametrize(
        ("passed", "waits"),
        [(0.0, INVOCATION + HOLD), (INVOCATION - 1, 1 + HOLD), (INVOCATION, HOLD), (INVOCATION + 99, HOLD)],
    )
    def test_its_keys_are_held_back_from_the_deadline_or_from_now(
        self, job: Job, passed: float, waits: float
    ) -> None:
        job.worker().intend([A])
        job.clock.pass_by(passed)
        worker = job.worker()

        assert worker.held() == (1, waits)
        job.clock.pass_by(waits - 1)
        assert worker.intend([A]) == []
        job.clock.pass_by(1)
        assert worker.intend([A]) == [A]
        assert (worker.open_keys(), job.saved["predecessors"]) == ((A,), [])

    def test_the_deadline_is_the_latest_of_any_owner_so_far(self, job: Job) -> None:
        job.worker().intend([A])
        job.clock.pass_by(INVOCATION)
        job.worker()  # takes the state, and ends before its first save
        worker = job.worker()

        assert worker.held() == (1, INVOCATION + HOLD)

    def test_a_further_owner_holds_them_back_until_the_same_time(self, job: Job) -> None:
        job.worker().intend([A])
        job.clock.pass_by(INVOCATION)
        second = job.worker()
        second.intend([B])
        until = job.saved["predecessors"][0]["until"]
        job.clock.pass_by(10)
        third = job.worker()
        third.intend([C])

        assert job.saved["predecessors"] == [
            {"keys": [{"PK": {"S": "a"}}], "until": until},
            {"keys": [{"PK": {"S": 'é "\n'}, "SK": {"N": "-1500"}}], "until": until + INVOCATION},
        ]

    def test_an_owner_that_saw_no_response_may_be_further_ahead(self) -> None:
        job = Job(responds=False)
        job.worker().intend([A])
        job.clock.respond()

        assert job.worker().held() == (1, INVOCATION + LONGEST)

    def test_the_hold_is_that_of_the_clock_that_signed_the_writes(self, job: Job) -> None:
        job.clock.ahead_by = 40
        job.worker().intend([A])
        assert job.saved["clock_ahead_seconds"] == 40
        job.clock = _Clock()

        assert job.worker().held() == (1, INVOCATION + HOLD + 40)

    def test_keys_in_doubt_are_held_back_for_the_longer_of_both_times(self, job: Job) -> None:
        worker = job.worker()
        worker.intend([A, B])
        worker.mark_in_doubt([A])
        worker.intend([C])
        assert job.saved["held"] == [{"keys": [{"PK": {"S": "a"}}], "until": job.clock.aws + HOLD}]

        assert job.worker().held() == (3, INVOCATION + HOLD)

    def test_a_hold_of_an_earlier_owner_may_be_the_longest(self) -> None:
        job = Job(responds=False)
        worker = job.worker()
        worker.intend([A])
        worker.mark_in_doubt([A])
        worker.rest()
        job.clock.respond()
        second = job.worker()
        second.intend([B])

        third = job.worker()
        third.intend([C])
        assert third.held() == (2, LONGEST)
        third.rest()
        assert job.left == LeftOpen(2, job.clock.aws + LONGEST)

    def test_no_write_lands_later_than_aws_accepts_its_time_stamp(self, job: Job) -> None:
        job.clock.ahead_by = 86_400
        job.worker().intend([A])
        job.clock = _Clock()

        assert job.worker().held() == (1, INVOCATION + LONGEST)

    def test_an_owner_that_lost_the_state_opens_no_further_key(self, job: Job) -> None:
        earlier = job.worker()
        earlier.intend([A])
        job.worker()

        with pytest.raises(SupersededError):
            earlier.intend([B])
        assert earlier.intend([A]) == [A]  # its successor holds this key back
        earlier.confirm([A])
        with pytest.raises(SupersededError):
            earlier.rest()
        assert job.saved["open"] == [{"PK": {"S": "a"}}]


class TestRest:
    def test_keys_that_were_left_open_may_be_written_at_once(self, job: Job) -> None:
        worker = job.worker()
        worker.intend([A, B])
        worker.confirm([B])
        worker.rest()

        resumed = job.worker()
        assert (resumed.open_keys(), resumed.held()) == ((A,), (0, 0.0))
        assert resumed.intend([A]) == [A]

    def test_keys_in_doubt_stay_held_back(self, job: Job) -> None:
        worker = job.worker()
        worker.intend([A, B])
        worker.mark_in_doubt([A])
        worker.rest()
        job.clock.pass_by(100)
        resumed = job.worker()

        assert (resumed.open_keys(), resumed.held()) == ((A, B), (1, HOLD - 100))
        assert resumed.intend([A, B]) == [B]
        job.clock.pass_by(HOLD - 100)
        assert resumed.intend([A, B]) == [A, B]
        resumed.rest()
        assert job.saved["held"] == []

    def test_a_key_that_is_open_already_ends_the_rest(self, job: Job) -> None:
        worker = job.worker()
        worker.intend([A])
        worker.rest()
        resumed = job.worker()
        resumed.intend([A])

        assert job.worker().intend([A]) == []

    def test_a_rest_that_is_not_confirmed_may_be_stored(self, job: Job) -> None:
        worker = job.worker()
        worker.intend([A])
        job.store.fates += [Fate.UNSENT] * (ATTEMPTS - 1) + [Fate.LATE]
        with pytest.raises(TaskError):
            worker.rest()
        job.store.land()

        worker.intend([A])

        assert job.worker().intend([A]) == []

    def test_keys_of_an_intention_that_is_not_confirmed_are_not_open(self, job: Job) -> None:
        worker = job.worker()
        job.store.fates += [Fate.UNSENT] * ATTEMPTS
        with pytest.raises(TaskError):
            worker.intend([A])
        assert worker.open_keys() == ()

        assert worker.intend([A]) == [A]
        assert job.worker().intend([A]) == []

    def test_an_owner_that_ended_before_its_first_save_left_nothing_open(self, job: Job) -> None:
        worker = job.worker()
        worker.intend([A])
        worker.rest()
        job.worker()

        assert job.worker().intend([A]) == [A]


def test_a_lead_of_the_clock_that_shows_later_makes_a_hold_longer(job: Job) -> None:
    worker = job.worker()
    worker.intend([A])
    worker.mark_in_doubt([A])
    job.clock.ahead_by = 40
    job.clock.respond()

    assert worker.held() == (1, HOLD + 40)


class TestHandingOver:
    def left(self, job: Job, *opened: Key) -> StateJournal:
        """Return the journal of a worker whose predecessor left keys open."""
        job.worker().intend(opened)
        return job.worker()

    def test_keys_are_quarantined_when_no_write_can_land(self, job: Job) -> None:
        worker = self.left(job, A, B)
        kept: list[Key] = []
        job.clock.pass_by(INVOCATION + HOLD - 1)
        worker.hand_over(kept.extend)
        assert kept == []

        job.clock.pass_by(1)
        worker.hand_over(kept.extend)
        assert kept == [A, B]
        worker.rest()
        assert job.saved["predecessors"] == []
        worker.hand_over(kept.extend)
        assert kept == [A, B]

    def test_keys_that_cannot_be_quarantined_stay(self, job: Job) -> None:
        worker = self.left(job, A)
        job.clock.pass_by(INVOCATION + HOLD)

        def refuse(_keys: Sequence[Key]) -> None:
            raise TaskError("denied.", hint="allow it.")

        with pytest.raises(TaskError, match=r"denied\."):
            worker.hand_over(refuse)
        worker.rest()
        assert job.left.keys == 1

    def test_keys_that_were_opened_again_are_not_quarantined(self, job: Job) -> None:
        worker = self.left(job, A, B)
        job.clock.pass_by(INVOCATION + HOLD)
        worker.intend([A])
        kept: list[Key] = []

        worker.hand_over(kept.extend)

        assert (kept, worker.open_keys()) == ([B], (A,))

    def test_a_worker_without_time_stops_between_two_requests(
        self, job: Job, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_HANDED_OVER_AT_ONCE", 2)
        worker = self.left(job, A, B, C, D)
        job.clock.pass_by(INVOCATION + HOLD)
        kept: list[Sequence[Key]] = []

        worker.hand_over(kept.append, continues=lambda: not kept)

        assert kept == [[A, B]]
        worker.rest()
        assert job.left.keys == 2


class TestAdvancing:
    def test_progress_is_noted_with_the_keys_before_it(self, job: Job) -> None:
        worker = job.worker()
        worker.advance({"cursor": 1}, [A, B])

        assert (job.saved["progress"], len(job.saved["open"])) == ({"cursor": 1}, 2)

    def test_a_save_that_is_not_confirmed_leaves_the_earlier_progress(self, job: Job) -> None:
        worker = job.worker()
        worker.advance({"cursor": 1}, [A])
        worker.confirm([A])
        job.store.fates += [Fate.UNSENT] * ATTEMPTS
        with pytest.raises(TaskError):
            worker.advance({"cursor": 2}, [B])

        worker.rest()

        assert (job.saved["progress"], job.saved["open"]) == ({"cursor": 1}, [])

    def test_progress_without_new_keys_is_in_the_next_save(self, job: Job) -> None:
        job.worker().intend([A])
        worker = job.worker()
        worker.advance({"cursor": 2}, [A])
        worker.rest()

        assert job.saved["progress"] == {"cursor": 2}
        assert job.left.keys == 1


class TestLeaving:
    def test_keys_that_a_worker_does_not_confirm_are_handed_over_at_once(self, job: Job) -> None:
        worker = job.worker()
        worker.intend([A, B])
        worker.mark_in_doubt([A])
        kept: list[Key] = []

        worker.leave()
        worker.hand_over(kept.extend)
        worker.rest()

        assert kept == [B]
        assert (job.saved["open"], job.left) == ([], LeftOpen(1, job.clock.aws + HOLD))
        job.clock.pass_by(HOLD)
        worker.hand_over(kept.extend)
        assert kept == [B, A]

    def test_free_keys_are_those_that_may_be_written(self, job: Job) -> None:
        job.worker().intend([A])
        worker = job.worker()
        worker.intend([B, C])
        worker.mark_in_doubt([C])
        assert worker.free_keys() == [B]

        job.clock.pass_by(INVOCATION + HOLD)

        assert worker.free_keys() == [B, C, A]


class TestWhatIsLeft:
    def test_a_job_without_open_keys_requires_no_attention(self, job: Job) -> None:
        worker = job.worker()
        worker.intend([A])
        worker.rest()

        assert job.left == left_open(SavedState()) == LeftOpen(0, 0.0)
        assert attention([job.left]) is None

    def test_the_open_keys_of_a_worker_that_was_killed_may_be_written_until_its_deadline_and_the_hold(
        self, job: Job
    ) -> None:
        job.worker().intend([A, B])
        worker = job.worker()
        worker.intend([C])
        ends_at = job.clock.aws + INVOCATION + HOLD

        assert (job.left, job.unconfirmed) == (LeftOpen(3, ends_at), 3)
        job.clock.pass_by(60)
        assert job.left == LeftOpen(3, ends_at)

    def test_of_a_worker_that_has_ended_only_the_keys_in_doubt_may_be_written(self, job: Job) -> None:
        worker = job.worker()
        worker.intend([A, B])
        worker.mark_in_doubt([A])
        worker.rest()

        assert (job.left, job.unconfirmed) == (LeftOpen(1, job.clock.aws + HOLD), 2)

    def test_a_job_with_open_keys_of_earlier_workers_reports_until_when(self, job: Job) -> None:
        job.worker().intend([A])
        worker = job.worker()
        worker.rest()
        left = job.left

        assert left == LeftOpen(1, job.clock.aws + INVOCATION + HOLD)
        now = datetime.now(UTC).timestamp()
        error = attention([left, LeftOpen(0, 0.0), LeftOpen(1499, now + 3600)])
        assert isinstance(error, AttentionError)
        time = datetime.fromtimestamp(now + 3660, UTC)
        assert error.fact == (
            f"workers that ended early left 1,500 keys open; their writes may land until {time:%H:%M} UTC."
        )
        assert (
            error.hint
            == "start the job again after that time, which hands these keys over to the quarantine bucket."
        )
        assert error.facts == {"keys_left_open": 1500, "left_open_until": now + 3600}


@pytest.mark.parametrize(
    "change",
    [
        {"open": None},
        {"open": [{}]},
        {"open": [{"PK": {"N": "x"}}]},
        {"held": [{"keys": []}, {}]},
        {"predecessors": [{"keys": [{"PK": {"S": "a"}}], "until": "x"}]},
        {"clock_ahead_seconds": "x"},
    ],
    ids=str,
)
def test_a_damaged_state_is_an_error(job: Job, change: dict[str, Any]) -> None:
    job.worker().rest()
    state = FencedState.take(job.store, NAME, plan="p", owner=Owner.until(0))
    state.save({**job.saved, **change})

    with pytest.raises(TaskError) as damaged:
        job.worker()

    assert damaged.value.fact == (
        "the state of the job has no valid list of open keys: it was not written by this version of ddbreplica."
    )
    assert damaged.value.hint == "resume the job with the version that started it, or start a new job."
