"""A terminal as the driver of an engine: notes and progress go to stderr, and signals interrupt."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ddbreplica.driver import Driver, Interrupt
from ddbreplica.reconcile.journal_format import COMMANDS
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


def default_path(tables: str, command: str) -> Path:
    """Return where a command keeps its state if no file is named: in the working directory, by the tables' names."""
    return Path(f"{tables}.{command}")


def _states_of(tables: str) -> Mapping[str, Path]:
    return {command: default_path(tables, command) for command in COMMANDS}


TERMINAL: Final = Driver(
    note=print_note, progress=progress_bar, interruptible=noting_interrupts, states_of=_states_of
)
