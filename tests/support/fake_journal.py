"""A journal in memory. Another one can be created with the keys that it left open, as after a kill."""

from collections.abc import Callable, Iterable, Sequence

from ddbreplica.aws.clock import UNKNOWN_HOLD_SECONDS as HOLD
from ddbreplica.model import Key

__all__ = ["HOLD"]


class FakeJournal:
    """A journal whose `opened` keys a real one would have on disk. It has seen no response."""

    def __init__(self, now: Callable[[], float] = lambda: 0.0, left_open: Iterable[Key] = ()) -> None:
        self.opened = dict.fromkeys(left_open)
        self._now = now
        self._free_at: dict[Key, float] = {}
        self.mark_in_doubt(tuple(self.opened))

    def intend(self, keys: Sequence[Key]) -> Sequence[Key]:
        self.opened |= dict.fromkeys(keys)
        return [key for key in keys if self._free_at.get(key, 0) <= self._now()]

    def mark_in_doubt(self, keys: Sequence[Key]) -> None:
        self._free_at |= dict.fromkeys(keys, self._now() + HOLD)

    def confirm(self, keys: Sequence[Key]) -> None:
        for key in keys:
            del self.opened[key]
            self._free_at.pop(key, None)
