"""minute_lines: the progress of a long step without a terminal. Tests advance the clock instead of sleeping."""

import threading
from collections.abc import Callable

import pytest

from ddbreplica_cli.terminal import minute_lines, progress
from ddbreplica_cli.terminal.minute_lines import Step, report


class Clock:
    """A clock that a test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def lines_of(
    *, minutes: int, items: Callable[[int], int], about: int | None = None, earlier: int = 0
) -> list[str]:
    """Return the lines of a step. `items` are the numbers of items that are done in each minute."""
    clock, lines, numbers = Clock(), list[str](), iter(range(minutes))
    step = Step("copying", about=about, earlier=earlier, clock=clock)

    def ended(seconds: float) -> bool:
        number = next(numbers, None)
        if number is not None:
            clock.now += seconds
            step.advance(items(number))
        return number is None

    report(step, ended, lines.append)
    return lines


def test_each_minute_has_one_line_with_items_rate_and_time_left() -> None:
    assert lines_of(minutes=3, items=lambda _: 6000, about=120_000) == [
        "copying: 6,000 of about 120,000, 100/s, about 19 min left",
        "copying: 12,000 of about 120,000, 100/s, about 18 min left",
        "copying: 18,000 of about 120,000, 100/s, about 17 min left",
    ]


def test_what_else_is_known_of_a_step_ends_the_line() -> None:
    clock = Clock()
    step = Step("comparing", about=100, earlier=0, detail=lambda: "3 of 8 segments done", clock=clock)
    clock.now += 10
    step.advance(50)

    assert step.text() == "comparing: 50 of about 100, 5.0/s, about 1 min left, 3 of 8 segments done"


def test_a_step_shorter_than_a_minute_has_no_line() -> None:
    assert lines_of(minutes=0, items=lambda _: 6000, about=120_000) == []


def test_without_an_estimate_there_is_no_time_left() -> None:
    assert lines_of(minutes=1, items=lambda _: 90) == ["copying: 90, 1.5/s"]


def test_more_items_than_estimated_have_no_time_left() -> None:
    assert lines_of(minutes=2, items=lambda _: 6000, about=6000) == [
        "copying: 6,000, 100/s",
        "copying: 12,000, 100/s",
    ]


def test_a_minute_without_progress_has_a_line_too() -> None:
    assert lines_of(minutes=2, items=lambda number: 600 * number, about=3600) == [
        "copying: 0 of about 3,600, 0.0/s",
        "copying: 600 of about 3,600, 5.0/s, about 10 min left",
    ]


def test_items_of_earlier_runs_do_not_count_for_the_rate_and_the_time_left() -> None:
    assert lines_of(minutes=1, items=lambda _: 6000, about=120_000, earlier=102_000) == [
        "copying: 108,000 of about 120,000, 100/s, about 2 min left"
    ]


def test_hours_are_shown_as_hours() -> None:
    assert lines_of(minutes=1, items=lambda _: 60, about=12_060) == [
        "copying: 60 of about 12,060, 1.0/s, about 3 h 20 min left"
    ]


@pytest.fixture
def minute(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function that lets a minute pass for the present step, and waits for its line."""
    waited: list[float | None] = []
    asked, passed = threading.Semaphore(0), threading.Semaphore(0)

    class Ended(threading.Event):
        def set(self) -> None:
            super().set()
            passed.release()

        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout)
            asked.release()
            passed.acquire()
            return self.is_set()

    def pass_by() -> None:
        assert asked.acquire(timeout=10)
        passed.release()
        assert asked.acquire(timeout=10)  # the next wait began, so the line of this one is printed
        asked.release()
        assert waited == [60, 60]

    monkeypatch.setattr(minute_lines, "Event", Ended)
    return pass_by


def test_without_a_terminal_the_lines_go_to_stderr(
    minute: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with progress.show_progress("copying\nFORGED", about=None) as advance:
        advance(3)
        minute()

    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert shown.err.startswith("copying\\nFORGED: 3, ")


def test_a_short_step_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.show_progress("copying", about=3) as advance:
        advance(3)

    assert capsys.readouterr() == ("", "")


def test_the_thread_ends_with_the_step() -> None:
    with pytest.raises(ZeroDivisionError), progress.show_progress("copying", about=3):
        raise ZeroDivisionError

    assert not [thread for thread in threading.enumerate() if thread.name == "progress"]
