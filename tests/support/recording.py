"""A Driver that notes what an engine shows, and that asks it to end when a test says so."""

from collections.abc import Iterator
from contextlib import contextmanager

from ddbreplica.driver import Advance, Driver, Interrupt


class Recording:
    """`notes` and `steps` are what was shown; a step has its name, the guess at its items, and what was counted."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps: list[tuple[str, int | None, list[int]]] = []
        self.interrupt = Interrupt()
        self.is_interruptible = False
        self.driver = Driver(self._note, self._progress, self._interruptible)

    def _note(self, *texts: str) -> None:
        self.notes += texts

    @contextmanager
    def _progress(self, what: str, *, about: int | None) -> Iterator[Advance]:
        counted: list[int] = []
        self.steps.append((what, about, counted))
        yield counted.append

    @contextmanager
    def _interruptible(self) -> Iterator[Interrupt]:
        self.is_interruptible = True
        try:
            yield self.interrupt
        finally:
            self.is_interruptible = False
