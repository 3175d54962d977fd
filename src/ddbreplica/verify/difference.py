"""The data that the steps of a verification exchange: counts of items, and the difference of a key. Pure."""

from dataclasses import dataclass
from enum import Enum

from ddbreplica.model import Key
from ddbreplica.records.compare import AttributeDifference


@dataclass(slots=True)
class Swept:
    """Counts of a sweep so far: items compared in each table, and suspected differences.

    `source_outside` and `replica_outside` count items that the mapping's filter excludes; these are not compared.
    """

    source_items: int = 0
    replica_items: int = 0
    suspects: int = 0
    stopped_early: bool = False
    source_outside: int = 0
    replica_outside: int = 0


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


@dataclass(frozen=True, slots=True)
class Difference:
    """The result for one key. `attributes` are the attributes that differ between the two items.

    `reason` is a clause that says why an inconclusive key is inconclusive.
    """

    finding: DifferenceKind
    key: Key
    attributes: tuple[AttributeDifference, ...] = ()
    reason: str = ""
