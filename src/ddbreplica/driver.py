"""How long a command goes on: until a signal ends it, and no longer than a while without progress."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ddbreplica.dynamodb.deadline import Deadline
from ddbreplica_cli.terminal import signals

PATIENCE_SECONDS = 60.0
"""What a throttled table is waited for, counted from the last request that it granted."""

_SLICE = 0.1


class Interrupt:
    """A signal that ends the command, as something to ask for: it falls between two requests and never into one.

    A plain flag: a lock, such as an Event has, must not be taken where a signal is handled.
    """

    def __init__(self) -> None:
        """Not interrupted yet."""
        self.is_set = False
        self._number: int = signal.SIGINT

    def set(self, number: int) -> None:
        """Note a signal by its number."""
        self._number = number
        self.is_set = True

    @property
    def exit_status(self) -> int:
        """The exit status of a command that this interrupt has ended."""
        return signals.exit_status(self._number)

    def check(self) -> None:
        """Raise KeyboardInterrupt, in whatever thread, if a signal was noted."""
        if self.is_set:
            raise KeyboardInterrupt

    def sleep(self, seconds: float) -> None:
        """Sleep, and wake soon after a signal."""
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


@contextmanager
def noting_interrupts() -> Iterator[Interrupt]:
    """Within the block the first signal is only noted; a second one ends the process at once."""
    interrupt = Interrupt()
    with signals.handled() as handler, handler.noted(interrupt.set):
        yield interrupt
