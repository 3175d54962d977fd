"""The signals that end a run: the first one interrupts its steps, and none interrupts its removal."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType


class InterruptedRunError(KeyboardInterrupt):
    """A signal has ended the steps of a run."""

    def __init__(self, number: int) -> None:
        """`number` is the signal's."""
        super().__init__(signal.Signals(number).name)
        self.number = number


class Endings:
    """The handler of SIGINT, SIGTERM and SIGHUP.

    The first signal raises InterruptedRunError in the main thread. From then on, or once `disarm` was called, a signal
    is noted once, and raises nothing.
    """

    def __init__(self) -> None:
        """No signal has arrived yet."""
        self._is_armed = True
        self._has_told = False

    def disarm(self) -> None:
        """Let no signal raise anything from now on."""
        self._is_armed = False

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        if self._is_armed:
            self._is_armed = False
            raise InterruptedRunError(number)
        if not self._has_told:
            self._has_told = True
            _tell(signal.Signals(number).name)


@contextmanager
def handled() -> Iterator[Endings]:
    """Within the block these signals are handled, except for those that were ignored before, as `nohup` does."""
    endings = Endings()
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for number, handler in previous.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, endings)
    try:
        yield endings
    finally:
        for number, handler in previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _tell(name: str) -> None:
    # Not by the console, which may be printing at this very moment; and the terminal may be gone.
    with suppress(OSError):
        os.write(
            2, f"{name}: the removal continues to its end; kill -KILL {os.getpid()} stops it.\n".encode()
        )
