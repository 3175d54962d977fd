"""A terminal as the driver of an engine: notes and progress go to stderr, and signals interrupt."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ddbreplica.driver import Driver, Interrupt
from ddbreplica_cli.terminal import signals
from ddbreplica_cli.terminal.output import print_note
from ddbreplica_cli.terminal.progress import progress_bar


class SignalInterrupt(Interrupt):
    """A signal that ends the command."""

    def __init__(self) -> None:
        """Not interrupted yet."""
        super().__init__()
        self._number: int = signal.SIGINT

    def note_signal(self, number: int) -> None:
        """Note a signal by its number."""
        self._number = number
        self.set()

    @property
    def exit_status(self) -> int:
        """The exit status of a command that this interrupt has ended."""
        return signals.exit_status(self._number)


@contextmanager
def noting_interrupts() -> Iterator[SignalInterrupt]:
    """Within the block the first signal is only noted; a second one ends the process at once."""
    interrupt = SignalInterrupt()
    with signals.handled() as handler, handler.noted(interrupt.note_signal):
        yield interrupt


TERMINAL: Final = Driver(note=print_note, progress=progress_bar, interruptible=noting_interrupts)
