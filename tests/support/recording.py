"""A Driver that records what an engine shows, and interrupts it when a test requests it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ddbreplica.driver import Advance, Detail, Driver, Interrupt, no_detail
from ddbreplica.reconcile.journal_format import COMMANDS


def states_of(tables: str) -> Mapping[str, Path]:
    """Return the paths of the commands' state files in the working directory."""
    return {command: Path(f"{tables}.{command}") for command in COMMANDS}


class Recording:
    """`notes` and `steps` are what was shown. A step has its name, its estimated items and the counted items.

    `details` return what is shown beside each step.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps: list[tuple[str, int | None, list[int]]] = []
        self.earlier: list[int] = []
        self.details: list[Detail] = []
        self.interrupt = Interrupt()
        self.is_interruptible = False
        self.driver = Driver(self._note, self._progress, self._interruptible, states_of)

    def _note(self, *texts: str) -> None:
        self.notes += texts

    @contextmanager
    def _progress(
        self, what: str, *, about: int | None, earlier: int = 0, detail: Detail = no_detail
    ) -> Iterator[Advance]:
        counted: list[int] = []
        self.details.append(detail)
        self.steps.append((what, about, counted))
        self.earlier.append(earlier)
        yield counted.append

    @contextmanager
    def _interruptible(self) -> Iterator[Interrupt]:
        self.is_interruptible = True
        try:
            yield self.interrupt
        finally:
            self.is_interruptible = False
