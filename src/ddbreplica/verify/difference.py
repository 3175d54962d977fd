"""The data that the steps of a verification exchange: counts of items, and the difference of a key. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any

from ddbreplica.model import Key
from ddbreplica.records.compare import AttributeDifference

EVERYTHING = "everything"
"""The description of the compared items if all were compared, with strongly consistent scans."""


@dataclass(slots=True)
class Swept:
    """Counts of a comparison so far: the items of each table that were compared.

    `source_outside` and `replica_outside` count items that the mapping's filter excludes; these are not compared.
    `archived` counts items that only an archive has.
    """

    source_items: int = 0
    replica_items: int = 0
    source_outside: int = 0
    replica_outside: int = 0
    archived: int = 0

    @property
    def compared(self) -> int:
        """All items that were read."""
        return self.source_items + self.replica_items + self.source_outside + self.replica_outside

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "Swept":
        """Return stored counts. Raises KeyError, TypeError or ValueError if they are damaged."""
        counts = {each.name: document[each.name] for each in fields(cls)}
        if not all(type(count) is int and count >= 0 for count in counts.values()):
            raise ValueError(document)
        return cls(**counts)


def total(counts: Iterable[Swept]) -> Swept:
    """Return the sums of some counts."""
    each = list(counts)
    return Swept(*(sum(getattr(one, name.name) for one in each) for name in fields(Swept)))


class DifferenceKind(Enum):
    """The result of comparing a key in both tables."""

    MISSING = "missing"
    DIFFERENT = "different"
    EXTRA = "extra"
    INCONCLUSIVE = "inconclusive"
    """It is not known whether the tables differ. `Difference.reason` says why."""
    ARCHIVED = "archived"
    """The replica is an archive and has an item that the source no longer has. This is not a difference."""
    MOVING = "moving"
    """Both items changed during each watch, so that the replica follows the source. This is not a difference."""


CERTAIN = frozenset({DifferenceKind.MISSING, DifferenceKind.DIFFERENT, DifferenceKind.EXTRA})
"""Confirmed differences."""

NO_DIFFERENCE = frozenset({DifferenceKind.ARCHIVED, DifferenceKind.MOVING})
"""Results that are counted, but do not count against the replica."""


NOT_WATCHED = "not watched: only a random choice of the suspected differences was"
"""The reason of an inconclusive key that looked different twice, and was not chosen to be watched."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The result for one key. `attributes` are the attributes that differ between the two items.

    `reason` is a clause that says why an inconclusive key is inconclusive, or why a different one cannot be equal.
    """

    finding: DifferenceKind
    key: Key
    attributes: tuple[AttributeDifference, ...] = ()
    reason: str = ""
