"""Run an engine from a terminal: print notes and progress to stderr, and turn signals into interrupts."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ddbreplica.driver import Driver, Interrupt
from ddbreplica.reconcile.journal_format import COMMANDS
from ddbreplica_cli.terminal import signals
from ddbreplica_cli.terminal.output import print_note
from ddbreplica_cli.terminal.progress import show_progress


class SignalInterrupt(Interrupt):
    """An interrupt that remembers which signal caused it."""

    def __init__(self) -> None:
        """Begin without an interrupt."""
        super().__init__()
        self._number: int = signal.SIGINT

    def note_signal(self, number: int) -> None:
        """Remember the number of the signal, and interrupt the engine."""
        self._number = number
        self.set()

    @property
    def exit_status(self) -> int:
        """The exit status of a command that this signal has ended."""
        return signals.exit_status(self._number)


@contextmanager
def noting_interrupts() -> Iterator[SignalInterrupt]:
    """Within the block the first signal only sets the interrupt; a second one ends the process at once."""
    interrupt = SignalInterrupt()
    with signals.handled() as handler, handler.noted(interrupt.note_signal):
        yield interrupt


def default_path(tables: str, command: str) -> Path:
    """Return the default path of a command's state file: in the working directory, named after the tables."""
    return Path(f"{tables}.{command}")


def _states_of(tables: str) -> Mapping[str, Path]:
    return {command: default_path(tables, command) for command in COMMANDS}


TERMINAL: Final = Driver(
    note=print_note, progress=show_progress, interruptible=noting_interrupts, states_of=_states_of
)
