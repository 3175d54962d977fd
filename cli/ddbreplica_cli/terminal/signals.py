"""Handle the signals that end a command: Ctrl-C, SIGTERM, and SIGHUP unless `nohup` has started the command."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_SAME_HANGUP_SECONDS = 1.0
"""A closing terminal and its shell may both send SIGHUP; systemd may send it immediately after SIGTERM."""

_SAME_SIGNAL_SECONDS = 0.2
"""`timeout` sends its signal twice: to the command and to the process group. No person is so quick."""

_HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)  # Windows has none
# rich hides the cursor while it shows a bar, and a process that ends at once cannot let it clean up.
_SHOW_CURSOR = b"\x1b[?25h\n"
_AT_ONCE = (
    b"Error: a second signal ended the command at once; a request may still be in progress.\n"
    b"Try: run the same command again.\n"
)


class Signals:
    """The signal handler of one command.

    The first signal raises KeyboardInterrupt in the main thread. Within the block of `noted` it calls a function
    instead. A second signal ends the process at once, unless it is a repetition of the first one (see the constants).
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin before any signal has arrived."""
        self.first: int | None = None
        self._first_at = 0.0
        self._clock = clock
        self._note: Callable[[int], None] | None = None

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        if self.first is None:
            self.first, self._first_at = number, self._clock()
            if self._note is None:
                # For SIGTERM too: every block that cleans up after Ctrl-C then does so.
                raise KeyboardInterrupt
            self._note(number)
        elif self._clock() - self._first_at > self._same_seconds(number):
            _end_at_once(number)

    def _same_seconds(self, number: int) -> float:
        """Return the seconds after the first signal in which this one is a repetition of it, and is ignored."""
        if number == _HANGUP:
            return _SAME_HANGUP_SECONDS
        return _SAME_SIGNAL_SECONDS if number == self.first else 0.0

    @property
    def exit_status(self) -> int:
        """The exit status of a command that the first signal has ended."""
        return exit_status(self.first or signal.SIGINT)

    @contextmanager
    def noted(self, note: Callable[[int], None]) -> Iterator[None]:
        """Within the block the first signal calls `note` with its number, and raises no exception."""
        outer, self._note = self._note, note
        try:
            yield
        finally:
            self._note = outer


def exit_status(number: int) -> int:
    """Return the exit status of a command that this signal has ended, by the convention of shells."""
    return 128 + number


@contextmanager
def handled() -> Iterator[Signals]:
    """Handle the signals within the block. A nested block uses the handler of the outer one."""
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
            # A handler that was not installed by Python is None, and cannot be restored.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _chosen() -> Iterator[signal.Signals]:
    if threading.current_thread() is not threading.main_thread():
        return  # Python allows only the main thread to install signal handlers
    yield signal.SIGINT
    yield signal.SIGTERM
    if _HANGUP and signal.getsignal(_HANGUP) is not signal.SIG_IGN:  # `nohup` makes a command ignore SIGHUP
        yield _HANGUP


def _end_at_once(number: int) -> None:
    with suppress(OSError):
        os.write(2, (_SHOW_CURSOR if os.isatty(2) else b"") + _AT_ONCE)
    # Neither print nor sys.exit: the interrupted code may hold the stream's lock, and an exit would wait for threads.
    os._exit(exit_status(number))
