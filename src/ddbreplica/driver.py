"""What a task needs from the program that runs it: notes, progress, an interrupt and a time limit without progress.

The engine does not depend on the terminal, so that a worker or a test can run a task as the commands do.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from ddbreplica.deadline import Deadline

PATIENCE_SECONDS = 60.0
"""How long to wait for a throttled table, counted from the last request that succeeded."""

# time.sleep continues after a signal handler has returned (PEP 475), so Ctrl-C takes effect after one slice.
_SLICE = 0.1

Note: TypeAlias = Callable[..., None]
"""Show texts that are not part of a result, one on each line."""

Advance: TypeAlias = Callable[[int], None]
"""Count more items as done. It may be called from any thread."""


Detail: TypeAlias = Callable[[], str]
"""Return a text that is shown beside the progress. It may be called from any thread."""


def no_detail() -> str:
    """Return an empty text."""
    return ""


class Interrupt:
    """A flag that asks a task to stop. The task looks at it between two requests to AWS, never during one.

    It is a plain flag: a signal handler must not take a lock, such as a threading.Event has.
    """

    def __init__(self) -> None:
        """Create a flag that is not set."""
        self.is_set = False

    def set(self) -> None:
        """Ask the task to stop."""
        self.is_set = True

    def check(self) -> None:
        """Raise KeyboardInterrupt, in whichever thread, if the task was asked to stop."""
        if self.is_set:
            raise KeyboardInterrupt

    def sleep(self, seconds: float) -> None:
        """Sleep, but not much longer than until the task is asked to stop."""
        end = time.monotonic() + seconds
        while not self.is_set and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE))


class Patience:
    """The time that a task waits without progress. It ends after `seconds`, and at once if the task is interrupted.

    It may be shared by threads.
    """

    def __init__(
        self,
        interrupt: Interrupt,
        *,
        seconds: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start counting now."""
        self.interrupt = interrupt
        self._seconds = seconds
        self._clock = clock
        self._last_progress = clock()

    def progressed(self) -> None:
        """Start counting again, since a request succeeded."""
        self._last_progress = self._clock()

    def waited(self, *, idle: float) -> None:
        """Do not count the time since the task was idle for so many seconds: it waited on purpose."""
        self._last_progress = max(self._last_progress, self._clock() - idle)

    def idle(self) -> float:
        """Return the seconds since the last progress."""
        return self._clock() - self._last_progress

    def remaining(self) -> float:
        """Return for how many more seconds the task waits without progress."""
        return 0.0 if self.interrupt.is_set else self._seconds - self.idle()

    def deadline(self) -> Deadline:
        """Return a Deadline that ends with the patience, and whose sleeps end on a signal."""
        return Deadline(self.remaining, sleep=self.interrupt.sleep)


class Progress(Protocol):
    """Show the progress of a long step while a block runs. `about` is the estimated number of items, if known.

    `earlier` items were done by earlier runs. They count as done, but not for the rate and the time left. `detail`
    returns what else is known of the step, such as the segments that are done.
    """

    def __call__(
        self, what: str, *, about: int | None, earlier: int = 0, detail: Detail = no_detail
    ) -> AbstractContextManager[Advance]:
        """Return the context manager of the block, which returns the function that counts items."""
        ...


@dataclass(frozen=True, slots=True)
class Driver:
    """What a task needs from the program that runs it.

    Within the block of `interruptible` no signal raises an exception; the Interrupt alone asks the task to stop.
    """

    note: Note
    progress: Progress
    interruptible: Callable[[], AbstractContextManager[Interrupt]]
    states_of: Callable[[str], Mapping[str, Path]]
    """Return, for the name of a pair such as `orders-orders_copy`, the path of each command's state file."""


@contextmanager
def _no_progress(*_: object, **_options: object) -> Iterator[Advance]:
    yield lambda _items: None


@contextmanager
def _never() -> Iterator[Interrupt]:
    yield Interrupt()


def _no_note(*_texts: str) -> None:
    """Discard the notes."""


SILENT = Driver(note=_no_note, progress=_no_progress, interruptible=_never, states_of=lambda _tables: {})
"""A driver that shows nothing, never asks a task to stop, and knows no state files of earlier runs."""
