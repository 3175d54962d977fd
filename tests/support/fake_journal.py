"""A journal in memory. What one leaves open, another one is begun with, as after a kill."""

from collections.abc import Callable, Iterable, Sequence

from ddbreplica.model import Key
from ddbreplica.reconcile import LATE_SECONDS


class FakeJournal:
    """`opened` is what a real one would have on disk."""

    def __init__(self, now: Callable[[], float], left_open: Iterable[Key] = ()) -> None:
        self.opened = dict.fromkeys(left_open)
        self._now = now
        self._free_at: dict[Key, float] = {}
        self.suspect(tuple(self.opened))

    def intend(self, keys: Sequence[Key]) -> Sequence[Key]:
        self.opened |= dict.fromkeys(keys)
        return [key for key in keys if self._free_at.get(key, 0) <= self._now()]

    def suspect(self, keys: Sequence[Key]) -> None:
        self._free_at |= dict.fromkeys(keys, self._now() + LATE_SECONDS)

    def confirm(self, keys: Sequence[Key]) -> None:
        for key in keys:
            del self.opened[key]
            self._free_at.pop(key, None)
