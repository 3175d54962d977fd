"""Decide what a suspected difference is that was unequal at every look of its watch. Pure."""

from dataclasses import dataclass
from enum import Enum, auto

from ddbreplica.mapping.lag_figures import LagFigures
from ddbreplica.model import Key
from ddbreplica.verify.confirm.seen import Seen

STILL_CHANGING = "still changing: the source's item changed in every watch, and the replica's did not follow"


class Ruling(Enum):
    """What a suspected difference is."""

    DIFFERENT = auto()
    MOVING = auto()
    INCONCLUSIVE = auto()
    UNDECIDED = auto()
    """More must be known: whether the stream has records of the key, then the lag, then what a longer watch shows."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A ruling, and for an inconclusive one the reason as a clause."""

    ruling: Ruling
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known beside the looks.

    `rounds` is the number of rounds that a key is watched if it keeps changing. `silent` are the keys of which the
    source's streams of the last 24 hours have no record. `figures` are None until they are asked for.
    """

    rounds: int
    grace_given: bool = False
    without_mapping: bool = False
    silent: frozenset[Key] = frozenset()
    figures: LagFigures | None = None
    may_watch_on: bool = True


_DIFFERENT = Decision(Ruling.DIFFERENT)
_UNDECIDED = Decision(Ruling.UNDECIDED)


def decide(key: Key, seen: Seen, facts: Facts) -> Decision:
    """Decide about a key. Of the rows of the table, each an `if` here and in `_by_lag`, the first that fits decides."""
    if seen.source_changed and seen.followed >= facts.rounds:
        return Decision(Ruling.MOVING)
    if seen.source_changed:
        return Decision(Ruling.INCONCLUSIVE, STILL_CHANGING)
    # The user knows the lag.
    if facts.grace_given:
        return _DIFFERENT
    # No change arrives, so that none is on its way.
    if facts.without_mapping:
        return _DIFFERENT
    # As well if there was no change, whatever the mapping's state.
    if key in facts.silent:
        return _DIFFERENT
    return _UNDECIDED if facts.figures is None else _by_lag(seen.seconds, facts.figures, facts)


def _by_lag(watched: float, figures: LagFigures, facts: Facts) -> Decision:
    """Decide about a key whose source item kept still for `watched` seconds, by the figures of the lag."""
    if figures.problem is not None:
        return Decision(Ruling.INCONCLUSIVE, figures.problem)
    # The lag is 0.
    if figures.is_idle:
        return _DIFFERENT
    if figures.seconds is None:
        return Decision(Ruling.INCONCLUSIVE, f"the lag is unknown: {figures.unknown}")
    # Twice, since the lag was measured on other records.
    if 2 * figures.seconds <= watched:
        return _DIFFERENT
    if facts.may_watch_on:
        return _UNDECIDED
    return Decision(
        Ruling.INCONCLUSIVE,
        f"the lag is {figures.seconds:,.0f} seconds, more than half of the watch of {watched:,.0f} seconds",
    )
