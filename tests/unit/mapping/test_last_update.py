"""last_update: a backfill waits until no invocation with earlier settings of the function can be under way."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ddbreplica.driver import Interrupt
from ddbreplica.errors import TaskError
from ddbreplica.mapping.event_source_mapping import MappingState
from ddbreplica.mapping.last_update import seconds_left, wait_for_update
from tests.support.recording import Recording
from tests.support.redriven import mapping

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def updated(seconds_ago: float, *, timeout: int | None = 60, status: str = "Successful") -> MappingState:
    settings: dict[str, Any] = {} if timeout is None else {"Timeout": timeout}
    at = NOW - timedelta(seconds=seconds_ago)
    return replace(mapping(), settings=settings, updated_at=at, update_status=status)


@pytest.mark.parametrize(
    ("function", "left"),
    [
        (updated(0), 120),
        (updated(119), 1),
        (updated(120), 0),
        (updated(1e6), 0),
        (updated(100, timeout=900), 860),
        (updated(100, timeout=None), 860),
        (updated(-5), 125),
        (updated(1e6, status="InProgress"), 120),
        (replace(updated(0), updated_at=None), 0),
    ],
    ids=[
        "now",
        "nearly",
        "over",
        "long ago",
        "timeout",
        "unknown timeout",
        "clocks",
        "in progress",
        "unknown",
    ],
)
def test_invocations_end_a_timeout_and_a_minute_after_the_update(function: MappingState, left: float) -> None:
    assert seconds_left(function, now=NOW) == left


def test_the_settings_are_unknown_after_an_update_that_failed() -> None:
    with pytest.raises(TaskError, match=r"the last update of the function .* failed") as refused:
        seconds_left(updated(1e6, status="Failed"), now=NOW)
    assert refused.value.hint == "deploy the stack again."


class Waiting:
    """A wait, during which time passes only in sleeps. `mappings` are what is read after each sleep; the last stays."""

    def __init__(self, *mappings: MappingState) -> None:
        self.recording = Recording()
        self.interrupt = Interrupt()
        self.slept = 0.0
        self._mappings = list(mappings)
        self.interrupt.sleep = self.sleep  # type: ignore[method-assign]

    def sleep(self, seconds: float) -> None:
        assert self.slept < 10_000, "it waits forever"
        self.slept += seconds

    def read(self) -> MappingState:
        return self._mappings.pop(0) if len(self._mappings) > 1 else self._mappings[0]

    def run(self, first: MappingState) -> MappingState:
        return wait_for_update(
            first,
            self.read,
            now=lambda: NOW + timedelta(seconds=self.slept),
            driver=self.recording.driver,
            interrupt=self.interrupt,
        )


def test_a_function_that_was_updated_long_ago_is_not_waited_for() -> None:
    waiting, function = Waiting(), updated(1e6)

    assert waiting.run(function) is function

    assert (waiting.slept, waiting.recording.notes) == (0.0, [])


def test_the_wait_is_announced_and_counted() -> None:
    function = updated(20)
    waiting = Waiting(function)

    assert waiting.run(function) == function

    assert waiting.slept == 100
    assert waiting.recording.notes == [
        (
            "The function ddbreplica was updated at 2026-11-30 11:59:40 UTC. The work begins in 100 seconds, when no"
            " invocation with its earlier settings can be under way."
        )
    ]
    assert waiting.recording.steps == [("waiting (seconds)", 100, [5] * 20)]


def test_an_update_whose_time_is_unknown_is_announced_without_it() -> None:
    function = updated(100)
    waiting = Waiting(function)

    waiting.run(replace(updated(0, status="InProgress"), updated_at=None))

    assert waiting.slept == 20
    assert waiting.recording.notes == [
        (
            "The function ddbreplica was updated. The work begins in 120 seconds, when no invocation with its earlier"
            " settings can be under way."
        )
    ]


def test_the_settings_are_those_at_the_end_of_the_wait() -> None:
    """An update during the wait begins another one."""
    later = replace(updated(-50), environment={"TRANSFORM": "{}"})
    waiting = Waiting(updated(100), later)

    assert waiting.run(updated(100)) == later

    assert waiting.slept == 50 + 120


def test_an_interrupt_ends_the_wait() -> None:
    waiting = Waiting(updated(0))
    waiting.interrupt.set()

    with pytest.raises(KeyboardInterrupt):
        waiting.run(updated(0))
