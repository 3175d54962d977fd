"""Show the progress of a long step if stderr is not a terminal: one line per minute."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread

from ddbreplica.driver import Advance, Detail, Note, no_detail
from ddbreplica_cli.terminal.output import print_note

SECONDS = 60.0


class Step:
    """The progress of a step, which any thread may advance. `earlier` is the number of items of earlier runs."""

    def __init__(
        self,
        what: str,
        *,
        about: int | None,
        earlier: int,
        detail: Detail = no_detail,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start counting now."""
        self._what = what
        self._about = about
        self._earlier = earlier
        self._detail = detail
        self._items = 0
        self._clock = clock
        self._started = clock()
        self._lock = Lock()

    def advance(self, items: int) -> None:
        """Add items that this run has done."""
        with self._lock:
            self._items += items

    def text(self) -> str:
        """Return one line: the step, the items of all runs, and the rate and the time left of this run only."""
        done = self._earlier + self._items
        left = (self._about or 0) - done
        parts = [f"{done:,} of about {self._about:,}" if left > 0 else f"{done:,}", _rate_text(self._rate())]
        if left > 0 and self._items:
            parts.append(f"about {_time_text(left / self._rate())} left")
        if detail := self._detail():
            parts.append(detail)
        return f"{self._what}: {', '.join(parts)}"

    def _rate(self) -> float:
        return self._items / (self._clock() - self._started)


@contextmanager
def minute_lines(
    what: str, *, about: int | None, earlier: int, detail: Detail = no_detail
) -> Iterator[Advance]:
    """Print a line each minute while the block runs, even if nothing advances."""
    step, ended = Step(what, about=about, earlier=earlier, detail=detail), Event()
    # In a thread, because a step that waits for a throttled table advances nothing, and a log without lines looks dead.
    thread = Thread(target=report, args=(step, ended.wait, print_note), name="progress", daemon=True)
    thread.start()
    try:
        yield step.advance
    finally:
        ended.set()
        thread.join()


def report(step: Step, ended: Callable[[float], bool], note: Note) -> None:
    """Print the line of the step each minute. `ended` waits for these seconds; it returns True if the step ended."""
    while not ended(SECONDS):
        note(step.text())


def _rate_text(per_second: float) -> str:
    return f"{per_second:,.0f}/s" if per_second >= 10 else f"{per_second:.1f}/s"


def _time_text(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60} min"
