"""What an engine needs from whoever runs it, a terminal or a worker: notes, progress, interruption and patience."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from ddbreplica.deadline import Deadline

PATIENCE_SECONDS = 60.0
"""What a throttled table is waited for, counted from the last request that it granted."""

_SLICE = 0.1

Note: TypeAlias = Callable[..., None]
"""Shows texts that are no part of a result, a line each."""

Advance: TypeAlias = Callable[[int], None]
"""Counts so many more items as done; may be called from any thread."""


class Interrupt:
    """A request to end, as something to ask for: it falls between two requests to AWS and never into one.

    A plain flag: a lock, such as an Event has, must not be taken where a signal is handled.
    """

    def __init__(self) -> None:
        """Not interrupted yet."""
        self.is_set = False

    def set(self) -> None:
        """Ask for the end."""
        self.is_set = True

    def check(self) -> None:
        """Raise KeyboardInterrupt, in whatever thread, if the end was asked for."""
        if self.is_set:
            raise KeyboardInterrupt

    def sleep(self, seconds: float) -> None:
        """Sleep, and wake soon after the end was asked for."""
        end = time.monotonic() + seconds
        while not self.is_set and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE))


class Patience:
    """Runs out when nothing has moved for `seconds`, and at once when interrupted. Shared by threads."""

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
        """Something moved: start counting again."""
        self._last_progress = self._clock()

    def idle(self) -> float:
        """Seconds since something moved."""
        return self._clock() - self._last_progress

    def remaining(self) -> float:
        """Seconds left without progress."""
        return 0.0 if self.interrupt.is_set else self._seconds - self.idle()

    def deadline(self) -> Deadline:
        """The same as the core's loops understand it; their sleeps end on a signal."""
        return Deadline(self.remaining, sleep=self.interrupt.sleep)


class Progress(Protocol):
    """Shows how far a long step has come while a block runs. `about` is a guess at its items; None is no idea."""

    def __call__(self, what: str, *, about: int | None) -> AbstractContextManager[Advance]:
        """Return the block's context manager, which gives the function that counts items."""
        ...


@dataclass(frozen=True, slots=True)
class Driver:
    """What runs an engine. Within the block of `interruptible` the engine is asked to end by an Interrupt alone."""

    note: Note
    progress: Progress
    interruptible: Callable[[], AbstractContextManager[Interrupt]]
    states_of: Callable[[str], Mapping[str, Path]]
    """Returns, for two tables as their connection names them, where each command would have left its state file."""


@contextmanager
def _no_progress(what: str, *, about: int | None) -> Iterator[Advance]:  # noqa: ARG001  as Progress has it
    yield lambda _items: None


@contextmanager
def _never() -> Iterator[Interrupt]:
    yield Interrupt()


def _no_note(*_texts: str) -> None:
    """Nobody reads it."""


SILENT = Driver(note=_no_note, progress=_no_progress, interruptible=_never, states_of=lambda _tables: {})
"""Shows nothing, never asks an engine to end, and has no state files of earlier runs."""
