"""fenced_state: one worker owns a state, and an earlier owner cannot save it, whatever becomes of a write."""

import json
from typing import Any

import pytest

from ddbreplica.bucket.store import ATTEMPTS
from ddbreplica.errors import TaskError
from ddbreplica.jobs.state.fenced_state import FencedState, Owner, SupersededError
from tests.support.memory_store import Fate, MemoryStore

NAME = "jobs/stack/job/states/segment-00000.json"
PLAN = "digest"
FIRST, SECOND, THIRD = Owner("first", 900.0), Owner("second", 800.0), Owner("third", 1700.0)
UNANSWERED = [Fate.LOST, Fate.UNSENT, Fate.RACE]


def take(store: MemoryStore, owner: Owner = FIRST) -> FencedState:
    return FencedState.take(store, NAME, plan=PLAN, owner=owner)


def stored(store: MemoryStore) -> Any:
    return json.loads(store.objects[NAME])


def test_a_state_that_does_not_exist_is_created() -> None:
    store = MemoryStore()

    state = take(store)

    assert (state.content, state.was_at_rest, state.latest_deadline) == (None, True, 0.0)
    assert stored(store) == {
        "schema": 1,
        "plan": PLAN,
        "serial": 1,
        "owner": "first",
        "latest_deadline": 900.0,
        "at_rest": True,
        "content": None,
    }


def test_the_next_owner_gets_what_the_last_one_saved() -> None:
    store = MemoryStore()
    take(store).save({"a": [1]}, at_rest=False)

    state = take(store, SECOND)

    assert (state.content, state.was_at_rest) == ({"a": [1]}, False)
    assert [stored(store)[name] for name in ("serial", "owner", "at_rest")] == [3, "second", False]
    assert store.writes == 3


def test_a_state_is_at_rest_if_its_last_save_was() -> None:
    store = MemoryStore()
    state = take(store)
    state.save(1, at_rest=False)
    state.save(2)

    assert take(store, SECOND).was_at_rest


def test_an_owner_that_ended_before_its_first_save_changed_nothing() -> None:
    store = MemoryStore()
    take(store).save(1)
    take(store, SECOND)
    assert take(store, THIRD).was_at_rest

    taken = take(store, Owner.until(1.0))
    taken.save(2, at_rest=False)
    take(store, SECOND)
    state = take(store, THIRD)
    assert (state.content, state.was_at_rest) == (2, False)


def test_the_latest_deadline_is_that_of_any_earlier_owner() -> None:
    store = MemoryStore()
    take(store)
    assert take(store, SECOND).latest_deadline == 900.0
    assert take(store, THIRD).latest_deadline == 900.0
    assert take(store, Owner("fourth", 1.0)).latest_deadline == 1700.0


def test_owners_of_one_deadline_have_different_nonces() -> None:
    assert Owner.until(1.0).nonce != Owner.until(1.0).nonce
    assert Owner.until(1.0).deadline == 1.0


def test_an_earlier_owner_cannot_save() -> None:
    store = MemoryStore()
    earlier = take(store)
    take(store, SECOND).save("second")
    before = store.objects[NAME]

    for _ in range(2):
        with pytest.raises(SupersededError, match=f"^{NAME}: another worker owns the state$"):
            earlier.save("first")

    assert store.objects[NAME] == before


def test_the_same_content_does_not_let_an_earlier_owner_save() -> None:
    store = MemoryStore()
    earlier = take(store)
    earlier.save("same")
    later = take(store, SECOND)
    later.save("same")
    later.save("same")

    with pytest.raises(SupersededError):
        earlier.save("same")
    assert stored(store)["owner"] == "second"


def test_a_job_that_was_removed_stays_removed() -> None:
    store = MemoryStore()
    state = take(store)
    del store.objects[NAME]

    with pytest.raises(SupersededError, match=f"^{NAME}: the job was removed$"):
        state.save(1)
    assert not store.objects


def test_a_job_that_is_removed_while_a_write_gets_no_response() -> None:
    store = MemoryStore([Fate.ANSWERED, Fate.UNSENT])
    state = take(store)

    def remove() -> None:
        store.objects.clear()

    store.before_write = remove
    with pytest.raises(SupersededError, match="the job was removed"):
        state.save(1)


@pytest.mark.parametrize("fate", UNANSWERED)
def test_a_save_without_a_response_is_decided_by_reading_the_state(fate: Fate) -> None:
    store = MemoryStore([Fate.ANSWERED, fate])
    state = take(store)

    state.save("a", at_rest=False)
    state.save("b")

    assert (stored(store)["content"], state.content) == ("b", "b")
    assert store.writes == (3 if fate is Fate.LOST else 4)


@pytest.mark.parametrize("fate", UNANSWERED)
def test_a_state_is_taken_once_although_a_write_gets_no_response(fate: Fate) -> None:
    store = MemoryStore([fate])
    take(store).save("a")
    store.fates.append(fate)

    later = take(store, SECOND)

    assert (later.content, later.latest_deadline, stored(store)["owner"]) == ("a", 900.0, "second")
    later.save("b")
    assert stored(store)["content"] == "b"


def test_a_late_write_is_not_taken_for_a_later_one() -> None:
    store = MemoryStore([Fate.ANSWERED, Fate.LATE, *[Fate.UNSENT] * (ATTEMPTS - 1)])
    state = take(store)
    with pytest.raises(TaskError):
        state.save("a")
    assert state.content is None
    store.fates += [Fate.UNSENT]
    store.before_write = store.land

    state.save("b")

    assert stored(store)["content"] == "b"


def test_a_write_that_is_not_confirmed_ends_after_some_attempts() -> None:
    store = MemoryStore([Fate.ANSWERED, *[Fate.UNSENT] * ATTEMPTS])
    state = take(store)

    with pytest.raises(TaskError) as unwritten:
        state.save("a")

    assert (
        unwritten.value.fact
        == f"the state {NAME} cannot be written: S3 did not confirm any of {ATTEMPTS} attempts."
    )
    assert unwritten.value.hint == "start the job again, which resumes it."
    assert store.writes == 1 + ATTEMPTS
    store.fates += [Fate.UNSENT] * ATTEMPTS
    with pytest.raises(TaskError, match="cannot be written"):
        take(store, SECOND)


def test_the_earlier_owner_may_save_while_a_worker_takes_the_state() -> None:
    store = MemoryStore()
    earlier = take(store)

    def saves() -> None:
        store.before_write = lambda: None
        earlier.save("meanwhile", at_rest=False)

    store.before_write = saves
    later = take(store, SECOND)

    assert (later.content, later.was_at_rest) == ("meanwhile", False)
    with pytest.raises(SupersededError):
        earlier.save("zombie")


@pytest.mark.parametrize("exists", [True, False])
def test_of_two_workers_that_take_a_state_at_once_one_stops(exists: bool) -> None:
    store = MemoryStore()
    if exists:
        take(store)
    others: list[FencedState] = []

    def taken() -> None:
        store.before_write = lambda: None
        others.append(take(store, THIRD))

    store.before_write = taken
    with pytest.raises(SupersededError, match="another worker owns the state"):
        take(store, SECOND)

    others[0].save("third")
    assert stored(store)["owner"] == "third"


def test_a_job_that_is_removed_while_a_worker_takes_its_state() -> None:
    store = MemoryStore()
    take(store)
    store.before_write = store.objects.clear

    with pytest.raises(SupersededError, match="the job was removed"):
        take(store, SECOND)


def test_the_state_of_another_plan_is_refused() -> None:
    store = MemoryStore()
    take(store)
    before = store.objects[NAME]

    with pytest.raises(TaskError) as refused:
        FencedState.take(store, NAME, plan="other", owner=SECOND)

    assert refused.value.fact == f"the state {NAME} belongs to a job with another plan."
    assert refused.value.hint == "start a new job."
    assert store.objects[NAME] == before


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"plan": 1},
        {"serial": "1"},
        {"owner": None},
        {"latest_deadline": float("nan")},
        {"latest_deadline": float("inf")},
        {"at_rest": 1},
    ],
    ids=str,
)
def test_an_object_in_another_form_is_an_error(change: dict[str, Any]) -> None:
    store = MemoryStore()
    take(store)
    store.objects[NAME] = json.dumps({**stored(store), **change}).encode()

    with pytest.raises(TaskError) as refused:
        take(store, SECOND)

    assert (
        refused.value.fact
        == f"the object {NAME} is not the state of a job, or was written by a later version of ddbreplica."
    )
    assert refused.value.hint == "resume the job with the version that started it, or start a new job."


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"{}", b"[" * 100_000], ids=lambda body: str(body[:9]))
def test_an_object_that_is_no_state_is_an_error(body: bytes) -> None:
    store = MemoryStore()
    store.objects[NAME] = body

    with pytest.raises(TaskError, match="is not the state of a job"):
        take(store)


def test_a_value_that_is_not_json_is_not_saved() -> None:
    store = MemoryStore()
    state = take(store)

    with pytest.raises(ValueError, match="JSON"):
        state.save(float("nan"))
    assert stored(store)["content"] is None
