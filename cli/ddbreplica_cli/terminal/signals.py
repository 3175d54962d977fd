"""The signals that end a command: Ctrl-C, SIGTERM, and SIGHUP unless that was ignored when the command started."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_SAME_HANGUP_SECONDS = 1.0
"""A terminal that closes may send SIGHUP twice, itself and by its shell; systemd can send it right after SIGTERM."""

_SAME_SIGNAL_SECONDS = 0.2
"""`timeout` sends its signal to the command and then to the command's process group; nobody is so quick by hand."""

_HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows has none
_SHOW_CURSOR = b"\x1b[?25h\n"
_AT_ONCE = (
    b"Error: ended at once by a second signal; a request may still be under way.\n"
    b"Try: run the same command again.\n"
)


class Signals:
    """The handler of these signals, for one command.

    The first signal raises KeyboardInterrupt in the main thread, or is only noted while something asks for that. A
    second one ends the process at once, but not the same signal that arrives twice for one reason.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """No signal has arrived yet."""
        self.first: int | None = None
        self._first_at = 0.0
        self._clock = clock
        self._note: Callable[[int], None] | None = None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        if self.first is None:
            self.first, self._first_at = number, self._clock()
            if self._note is None:
                raise KeyboardInterrupt
            self._note(number)
        elif self._clock() - self._first_at > self._same_seconds(number):
            _end_at_once(number)

    def _same_seconds(self, number: int) -> float:
        """For how long after the first signal this one is no second signal."""
        if number == _HANGUP:
            return _SAME_HANGUP_SECONDS
        return _SAME_SIGNAL_SECONDS if number == self.first else 0.0

    @property
    def exit_status(self) -> int:
        """The exit status of a command that the first signal has ended."""
        return exit_status(self.first or signal.SIGINT)

    @contextmanager
    def noted(self, note: Callable[[int], None]) -> Iterator[None]:
        """Within the block the first signal calls `note` with its number, and raises nothing."""
        outer, self._note = self._note, note
        try:
            yield
        finally:
            self._note = outer


def exit_status(number: int) -> int:
    """The exit status of a command that a signal has ended, as a shell counts."""
    return 128 + number


@contextmanager
def handled() -> Iterator[Signals]:
    """Within the block these signals are handled; a block inside another one has the same handler."""
    current = signal.getsignal(signal.SIGINT)
    if isinstance(current, Signals):
        yield current
        return
    signals = Signals()
    previous = {number: signal.getsignal(number) for number in _chosen()}
    for number in previous:
        signal.signal(number, signals)
    try:
        yield signals
    finally:
        for number, handler in previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _chosen() -> Iterator[signal.Signals]:
    if threading.current_thread() is not threading.main_thread():
        return  # no other thread may handle a signal
    yield signal.SIGINT
    yield signal.SIGTERM
    if _HANGUP and signal.getsignal(_HANGUP) is not signal.SIG_IGN:  # as `nohup` starts a command
        yield _HANGUP


def _end_at_once(number: int) -> None:
    with suppress(OSError):
        os.write(2, (_SHOW_CURSOR if os.isatty(2) else b"") + _AT_ONCE)
    os._exit(exit_status(number))
