"""Handle the signals that end a run: the first one interrupts its steps, and none interrupts its removal."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType


class InterruptedRunError(KeyboardInterrupt):
    """A signal interrupted the steps of a run."""

    def __init__(self, number: int) -> None:
        """`number` is the number of the signal."""
        super().__init__(signal.Signals(number).name)
        self.number = number


class Endings:
    """The handler of SIGINT, SIGTERM and SIGHUP.

    The first signal raises InterruptedRunError in the main thread. After that, or after `disarm`, a signal
    is only reported, once.
    """

    def __init__(self) -> None:
        """Begin without a signal."""
        self._is_armed = True
        self._has_told = False

    def disarm(self) -> None:
        """Raise nothing on later signals."""
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
    """Handle these signals during the block, except those that are ignored, as with `nohup`."""
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
    # Not on the console, which may be printing at this moment; and the terminal may be closed.
    with suppress(OSError):
        os.write(2, f"{name}: the removal continues; to stop it, run kill -KILL {os.getpid()}\n".encode())
