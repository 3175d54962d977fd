"""What the steps of a verification hand to each other: what was swept, and what there is to say of a key. Pure."""

from dataclasses import dataclass
from enum import Enum

from ddbreplica.model import Key
from ddbreplica.records.compare import AttributeDifference


@dataclass(slots=True)
class Swept:
    """What a sweep has seen so far: items compared on either side, and keys that looked different.

    `source_outside` and `replica_outside` are items that the mapping's filter leaves out, and were not compared.
    """

    source_items: int = 0
    replica_items: int = 0
    suspects: int = 0
    stopped_early: bool = False
    source_outside: int = 0
    replica_outside: int = 0


class DifferenceKind(Enum):
    """What there is to say of a key."""

    MISSING = "missing"
    DIFFERENT = "different"
    EXTRA = "extra"
    INCONCLUSIVE = "inconclusive"
    """One side or the other changed during every grace, or the stream is further behind than the grace is long."""
    ARCHIVED = "archived"
    """The replica is an archive, and has an item that the source has not. Nothing is wrong with that."""


CERTAIN = frozenset({DifferenceKind.MISSING, DifferenceKind.DIFFERENT, DifferenceKind.EXTRA})
"""Where the replica is not what it has to be."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One key that there is something to say of. `attributes` says where two items differ."""

    finding: DifferenceKind
    key: Key
    attributes: tuple[AttributeDifference, ...] = ()
