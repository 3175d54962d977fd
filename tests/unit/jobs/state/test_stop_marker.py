"""stop_marker: the workers of one attempt are asked to stop, once it is confirmed."""

import pytest

from ddbreplica.bucket.store import ATTEMPTS
from ddbreplica.errors import TaskError
from ddbreplica.jobs.state.stop_marker import StopMarker
from tests.support.memory_store import Fate, MemoryStore

FOLDER = "jobs/stack/job"


def marker(store: MemoryStore, attempt: str = "job-1") -> StopMarker:
    return StopMarker(store, FOLDER, attempt=attempt)


def test_an_attempt_that_nobody_stopped_goes_on() -> None:
    store = MemoryStore()

    assert not marker(store).is_set()
    assert store.reads == 1


def test_an_attempt_is_stopped_from_then_on() -> None:
    store = MemoryStore()
    workers = marker(store)
    workers.is_set()

    marker(store).set()

    assert workers.is_set()
    assert list(store.objects) == ["jobs/stack/job/stop-job-1"]


def test_the_next_attempt_resumes_the_job() -> None:
    store = MemoryStore()
    marker(store).set()

    assert not marker(store, "job-2").is_set()
    assert not marker(store, "job-1-2").is_set()
    assert not marker(store, "job-").is_set()


def test_an_attempt_may_be_stopped_twice() -> None:
    store = MemoryStore()
    marker(store).set()
    marker(store).set()

    assert marker(store).is_set()
    assert store.writes == 2


@pytest.mark.parametrize(("fate", "writes"), [(Fate.UNSENT, 2), (Fate.LOST, 1), (Fate.RACE, 2)])
def test_a_write_that_did_not_arrive_is_sent_again(fate: Fate, writes: int) -> None:
    store = MemoryStore([fate])

    marker(store).set()

    assert marker(store).is_set()
    assert store.writes == writes


def test_a_stop_that_is_not_confirmed_is_an_error() -> None:
    store = MemoryStore([Fate.UNSENT] * ATTEMPTS)

    with pytest.raises(TaskError) as unconfirmed:
        marker(store).set()

    assert unconfirmed.value.fact == (
        "the object jobs/stack/job/stop-job-1 cannot be written: S3 did not confirm any of 4 attempts."
    )
    assert unconfirmed.value.hint == "run the same command again."
    assert store.writes == ATTEMPTS
