"""lease: one job of a stack runs at a time, and no job that ended by force stops the later ones for long."""

from itertools import product

import pytest

from ddbreplica.errors import TaskError
from ddbreplica.jobs.state.lease import RENEWED_BELOW_SECONDS, SECONDS, Lease
from tests.support.memory_store import Fate, MemoryStore

NOW = 1_795_910_400.0
NAME = "jobs/stack/lease.json"


def lease(store: MemoryStore, job: str = "a", *, stack: str = "stack") -> Lease:
    return Lease(store, stack, job)


def test_another_job_does_not_get_the_lease_until_it_ends() -> None:
    store = MemoryStore()

    assert lease(store, "a").take(now=NOW) is None
    assert lease(store, "b").take(now=NOW + SECONDS - 1) == "a"
    assert lease(store, "b", stack="other").take(now=NOW) is None
    assert lease(store, "b").take(now=NOW + SECONDS) is None
    assert lease(store, "a").take(now=NOW + SECONDS) == "b"


def test_a_job_that_is_started_again_keeps_the_lease() -> None:
    store = MemoryStore()

    for later in (0, 10, SECONDS):
        assert lease(store).take(now=NOW + later) is None

    assert lease(store, "b").take(now=NOW + 2 * SECONDS - 1) == "a"


def test_a_lease_that_is_released_is_free() -> None:
    store = MemoryStore()
    lease(store, "a").take(now=NOW)

    lease(store, "b").release()
    assert lease(store, "b").take(now=NOW) == "a"
    lease(store, "a").release()
    assert lease(store, "b").take(now=NOW) is None
    lease(store, "a").release()
    assert lease(store, "a").take(now=NOW) == "b"


def test_a_worker_renews_the_lease_before_it_ends() -> None:
    store = MemoryStore()
    lease(store).take(now=NOW)
    writes = store.writes

    lease(store).renew(now=NOW + SECONDS - RENEWED_BELOW_SECONDS)
    assert store.writes == writes
    later = NOW + SECONDS - RENEWED_BELOW_SECONDS + 1
    lease(store).renew(now=later)

    assert lease(store, "b").take(now=later + SECONDS - 1) == "a"


def test_a_lease_that_has_ended_is_renewed_unless_another_job_has_it() -> None:
    store = MemoryStore()
    lease(store, "a").take(now=NOW)

    lease(store, "a").renew(now=NOW + SECONDS + 1)
    assert lease(store, "b").take(now=NOW + SECONDS + 2) == "a"
    lease(store, "b").take(now=NOW + 3 * SECONDS)
    lease(store, "a").renew(now=NOW + 4 * SECONDS)
    assert lease(store, "a").take(now=NOW + 3 * SECONDS + 1) == "b"


def test_a_lease_that_was_released_is_not_renewed() -> None:
    store = MemoryStore()
    lease(store).take(now=NOW)
    lease(store).release()

    lease(store).renew(now=NOW)

    assert lease(store, "b").take(now=NOW) is None


def test_without_a_lease_nothing_is_renewed_or_released() -> None:
    store = MemoryStore()

    lease(store).renew(now=NOW)
    lease(store).release()

    assert not store.objects


@pytest.mark.parametrize("fates", list(product(Fate, repeat=2)))
def test_the_lease_is_one_jobs_whatever_becomes_of_the_responses(fates: tuple[Fate, ...]) -> None:
    store = MemoryStore(fates)

    assert lease(store, "a").take(now=NOW) is None
    store.land()
    assert lease(store, "b").take(now=NOW) == "a"


def test_of_two_jobs_that_begin_at_once_one_gets_the_lease() -> None:
    store = MemoryStore()
    others = ["b"]

    def other_job() -> None:
        if others:
            assert lease(store, others.pop()).take(now=NOW) is None

    store.before_write = other_job

    assert lease(store, "a").take(now=NOW) == "b"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"job": "b", "until": "x"}', b"[" * 100_000])
def test_a_damaged_lease_is_free(body: bytes) -> None:
    store = MemoryStore()
    store.objects[NAME] = body

    assert lease(store, "a").take(now=NOW) is None


def test_a_lease_that_cannot_be_written_is_an_error() -> None:
    with pytest.raises(TaskError, match=r"jobs/stack/lease\.json, cannot be written"):
        lease(MemoryStore([Fate.UNSENT] * 4)).take(now=NOW)
