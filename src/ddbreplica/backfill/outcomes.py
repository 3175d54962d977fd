"""Collect the items that a backfill cannot copy yet, and try them again in rounds. Pure."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from ddbreplica.backfill import listing
from ddbreplica.backfill.listing import KeyPage
from ddbreplica.errors import TaskError
from ddbreplica.model import Key
from ddbreplica.reconcile.algorithm import Reconciled

MOST_LEFT: Final = 10_000
"""The number of items that cannot be copied at which a run ends: they have a common cause, and memory is limited."""

CHANGING: Final = "the source changed in every round"
IN_DOUBT: Final = "a write got no response and may still land"

_ROUNDS = 3


class Outcomes:
    """The items that are not copied yet, with reasons (`left`), and those of them that a table refuses."""

    def __init__(self, *, most: int) -> None:
        """Start without an item. With more than `most`, the backfill fails."""
        self._most = most
        self.left: dict[Key, str] = {}
        self.refused: set[Key] = set()

    def add(self, keys: Sequence[Key], reconciled: Reconciled) -> None:
        """Add the outcome of keys. Raises TaskError if too many items cannot be copied."""
        for key in (*reconciled.confirmed, *reconciled.undecided):
            self.left.pop(key, None)
        self.left |= dict.fromkeys(reconciled.changing, CHANGING) | dict.fromkeys(
            reconciled.in_doubt, IN_DOUBT
        )
        self.left |= {key: f"{why.code}: {why.message}" for key, why in reconciled.refused}
        # A key that was refused before may no longer be, such as one that another listing had too.
        self.refused.difference_update(keys)
        self.refused |= {key for key, _ in reconciled.refused}
        if len(self.left) > self._most:
            raise TaskError(
                f"{len(self.left):,} items cannot be copied; the last reason: {next(reversed(self.left.values()))}.",
                hint="fix the replica (its indexes or its capacity), and run the same command again.",
            )


def rounds_of(open_keys: Callable[[], Sequence[Key]]) -> Iterator[Sequence[Key]]:
    """Yield the keys that are open before each round, up to three times.

    A round after which fewer keys are open does not count: a response may have shown that the clock is further ahead,
    which holds keys back for longer.
    """
    fewest, rounds = len(open_keys()), 0
    while (keys := open_keys()) and rounds < _ROUNDS:
        rounds = 0 if len(keys) < fewest else rounds + 1
        fewest = min(fewest, len(keys))
        yield keys


def pages_of(keys: Sequence[Key]) -> Iterator[KeyPage]:
    """Yield keys in pages, without their items."""
    return (
        KeyPage(keys[start : start + listing.PAGE], {}, None) for start in range(0, len(keys), listing.PAGE)
    )
