"""What all parts of a comparison share: the readers of both tables, the suspected differences, and the rules."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Protocol, TypeAlias

from ddbreplica.driver import Advance, Note
from ddbreplica.mapping.key_filter import EVERY_KEY, KeyFilter
from ddbreplica.model import Image, Items, Key, ScanPage
from ddbreplica.verify.compare.pairing import SOURCE
from ddbreplica.verify.difference import Swept
from ddbreplica.verify.keyset import KeySet

_LOOK_UPS = 1000
_NOT_IN_STEP = (
    "The two scans do not return the items in the same order. The rest of the tables is compared item by item, which"
    " takes about ten times the read capacity units."
)


class Reader(Protocol):
    """Reads one table, as TableReader does."""

    def scan_page(self, segment: int, *, of: int, after: Image | None, consistent: bool) -> ScanPage:
        """Return the page that follows `after`, or the first one, of one of `of` segments of the table."""
        ...

    def by_key(self, items: Iterable[Image]) -> Mapping[Key, Image]:
        """Return items by their keys, in the same order."""
        ...

    def get(self, keys: Sequence[Key], *, keys_only: bool = False) -> Items:
        """Return the items that exist among at most MAX_KEYS different keys, strongly consistently."""
        ...


Tables: TypeAlias = tuple[Reader, Reader]
"""The source and the replica."""


@dataclass(slots=True)
class InStep:
    """Whether the scans of the two tables return the keys in the same order, judged by the latest look-ups."""

    note: Note
    is_lost: bool = False
    _latest: deque[bool] = field(default_factory=lambda: deque(maxlen=_LOOK_UPS))
    _lock: Lock = field(default_factory=Lock)

    def looked_up(self, *, equal: int, of: int) -> None:
        """Count look-ups, of which so many found an equal partner that the other scan should have shown."""
        with self._lock:
            self._latest.extend([True] * equal + [False] * (of - equal))
            if not self.is_lost and len(self._latest) == _LOOK_UPS and 2 * sum(self._latest) > _LOOK_UPS:
                self.is_lost = True
                self.note(_NOT_IN_STEP)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the segments of a comparison share. `suspects` is changed under `lock`; `suspected` gets each new key.

    If the replica `is_archive`, items that only it has do not differ; `archived` gets their keys. The comparison halts
    at `max_suspects`.
    """

    tables: Tables
    suspects: KeySet
    advance: Advance
    in_step: InStep
    max_suspects: int
    suspected: Callable[[Sequence[Key]], None] = lambda _: None
    key_filter: KeyFilter = EVERY_KEY
    is_archive: bool = False
    archived: Callable[[Sequence[Key]], None] = lambda _: None
    consistent: bool = True
    lock: Lock = field(default_factory=Lock)
    halted: Event = field(default_factory=Event)

    def suspect(self, keys: Sequence[Key]) -> None:
        """Add suspected differences. Halt the comparison if there are too many of them."""
        if keys:
            with self.lock:
                # Reported first: if the disk is full, `add` fails, and the next run must know the keys all the same.
                self.suspected(keys)
                self.suspects.add(keys)
                if len(self.suspects) >= self.max_suspects:
                    self.halted.set()

    def archive(self, keys: Sequence[Key], counts: Swept) -> None:
        """Count keys that only the archive has."""
        if keys:
            counts.archived += len(keys)
            with self.lock:
                self.archived(keys)

    def unequal(self, keys: Sequence[Key], source: Items, counts: Swept) -> None:
        """Add keys whose items are unequal, given those of the source. An archive may have what the source lacks."""
        if not self.is_archive:
            self.suspect(keys)
            return
        self.suspect([key for key in keys if key in source])
        self.archive([key for key in keys if key not in source], counts)

    def inside(self, items: Items) -> Items:
        """Return the items that the filter does not exclude."""
        if not self.key_filter.patterns:
            return items
        return {key: item for key, item in items.items() if self.key_filter.passes(key)}

    def count(self, side: int, counts: Swept, *, compared: int, outside: int = 0) -> None:
        """Count items of a side that were compared, and those that the filter excludes."""
        if side == SOURCE:
            counts.source_items += compared
            counts.source_outside += outside
        else:
            counts.replica_items += compared
            counts.replica_outside += outside
        self.advance(compared + outside)
