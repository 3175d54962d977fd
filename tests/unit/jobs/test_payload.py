"""payload: what the state machine sends, and what is refused by its name."""

from typing import Any

import pytest

from ddbreplica.errors import TaskError
from ddbreplica.jobs.payload import Payload

NAMES = {"function": "replicator", "stack": "orders", "job": "job-1", "attempt": "job-1.2"}
PLAN = {
    "action": "plan",
    **NAMES,
    "what": "verify",
    "options": {},
    "scheduled": False,
    "concurrency": 10,
    "max_units": 0,
}
WORK = {"action": "work", **NAMES, "line": {"segments": [0, 4]}}
CONFIRM = {"action": "confirm", **NAMES, "line": {"pieces": [1]}}


@pytest.mark.parametrize(
    "event",
    [PLAN, WORK, CONFIRM, *({"action": name, **NAMES} for name in ("gather", "report", "redrive"))],
)
def test_a_payload_is_read(event: Any) -> None:
    payload = Payload.read(event)

    assert payload.action == event["action"]
    assert (payload.function, payload.stack, payload.job, payload.attempt) == tuple(NAMES.values())


def test_the_numbers_of_a_line_are_those_of_its_segments_or_pieces() -> None:
    assert Payload.read(WORK).numbers == (0, 4)
    assert Payload.read(CONFIRM).numbers == (1,)


@pytest.mark.parametrize("event", [PLAN, WORK, CONFIRM])
def test_a_payload_without_a_member_is_refused_by_its_name(event: Any) -> None:
    for name in event:
        less = {each: value for each, value in event.items() if each != name}
        with pytest.raises(TaskError, match=f"not valid: {name} is None"):
            Payload.read(less)


@pytest.mark.parametrize(
    ("event", "name", "value"),
    [
        (PLAN, "action", "erase"),
        (PLAN, "action", ["plan"]),
        (PLAN, "job", "../other"),
        (PLAN, "job", ""),
        (PLAN, "job", ".."),
        (PLAN, "stack", "a/b"),
        (PLAN, "attempt", 5),
        (PLAN, "function", "x" * 129),
        (PLAN, "what", None),
        (PLAN, "options", []),
        (PLAN, "scheduled", 1),
        (PLAN, "concurrency", 0),
        (PLAN, "concurrency", True),
        (PLAN, "max_units", -1),
        (WORK, "line", {"pieces": [0]}),
        (WORK, "line", {"segments": 0}),
        (WORK, "line", {"segments": [-1]}),
        (WORK, "line", {"segments": [True]}),
        (WORK, "line", {"segments": [0], "pieces": [0]}),
        (CONFIRM, "line", {"segments": [0]}),
    ],
)
def test_a_member_that_is_not_valid_is_refused_by_its_name(event: Any, name: str, value: Any) -> None:
    with pytest.raises(TaskError, match=f"not valid: {name} is "):
        Payload.read({**event, name: value})


def test_an_event_that_is_no_object_is_refused() -> None:
    with pytest.raises(TaskError, match="the event is"):
        Payload.read([PLAN])


def test_a_long_value_is_cut() -> None:
    with pytest.raises(TaskError) as refused:
        Payload.read({**PLAN, "job": "/" * 100_000})

    assert len(refused.value.fact) < 200
