"""Pair the items of two scans of the same keys, in a bounded part of memory. Pure.

Two tables with the same primary key return the keys of a segment in the same order, although no contract of the API
says so: https://github.com/awslabs/amazon-dynamodb-tools/issues/350. The order therefore decides which items are read
by key, and so the price, but never the result: each item either meets its partner or is returned to its caller.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from ddbreplica.dynamodb.read import MAX_KEYS
from ddbreplica.model import Image, Items, Key
from ddbreplica.records.compare import same

SOURCE, REPLICA = 0, 1
"""The two sides of a comparison."""

_Waiting: TypeAlias = "OrderedDict[Key, tuple[Image, float]]"


@dataclass(slots=True)
class Met:
    """What the items of one page met.

    `pairs` counts the items that met a partner, and `unequal` are the keys of the pairs that differ. `passed` are the
    items of each side that waited before such a pair: in tables of one order, they have no partner.
    """

    pairs: int = 0
    unequal: list[Key] = field(default_factory=list)
    passed: tuple[dict[Key, Image], dict[Key, Image]] = field(default_factory=lambda: ({}, {}))


class Pairing:
    """The items of both sides that wait for their partner, each side in the order of its scan."""

    def __init__(self) -> None:
        """Begin without items."""
        self._waiting: tuple[_Waiting, _Waiting] = (OrderedDict(), OrderedDict())
        self._sizes = [0.0, 0.0]
        self._behind: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no item waits."""
        return not any(self._waiting)

    @property
    def size(self) -> float:
        """The bytes of all items that wait."""
        return sum(self._sizes)

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys of all items that wait."""
        return (*self._waiting[SOURCE], *self._waiting[REPLICA])

    @property
    def next_side(self) -> int:
        """The side to read next, so that few items wait: the one that is behind the other."""
        return self._behind if self._behind is not None else int(self._sizes[REPLICA] < self._sizes[SOURCE])

    def add(self, side: int, items: Items, size: float) -> Met:
        """Add the items of a page of a side, whose bytes are `size`. Return what they met."""
        met = Met()
        mine, others = self._waiting[side], self._waiting[1 - side]
        share = size / max(1, len(items))
        for key, item in items.items():
            if key in others:
                self._meet(side, key, item, met)
            else:
                if key in mine:  # shown a second time: the newer image replaces the older one
                    self._take(side, key)
                mine[key] = item, share
                self._sizes[side] += share
        return met

    def _meet(self, side: int, key: Key, item: Image, met: Met) -> None:
        """Compare a pair, and let all items pass that wait before it."""
        other = 1 - side
        while True:
            waited, (image, share) = self._waiting[other].popitem(last=False)
            self._sizes[other] -= share
            if waited == key:
                break
            met.passed[other][waited] = image
        if self._waiting[side]:
            met.passed[side].update(self.rest(side))
        met.pairs += 1
        self._behind = None
        # `same` is symmetric, so the sides need not be told apart.
        if not same(item, image):
            met.unequal.append(key)

    def rest(self, side: int) -> dict[Key, Image]:
        """Take out all items of a side."""
        taken = {key: image for key, (image, _) in self._waiting[side].items()}
        self._waiting[side].clear()
        self._sizes[side] = 0.0
        return taken

    def overflow(self) -> tuple[int, Mapping[Key, Image]]:
        """Take out the oldest items of the side that is behind, or of the larger one. Return the side and the items.

        `learn` takes what their partners were.
        """
        side = self._behind
        if side is None or not self._waiting[side]:
            side = int(self._sizes[REPLICA] > self._sizes[SOURCE])
        taken: dict[Key, Image] = {}
        while self._waiting[side] and len(taken) < MAX_KEYS:
            key, (image, share) = self._waiting[side].popitem(last=False)
            self._sizes[side] -= share
            taken[key] = image
        return side, taken

    def learn(self, side: int, *, equal: int, of: int) -> None:
        """Note how many of the items that overflowed on a side have an equal partner.

        If most have none, the other side lacks a part of the table, and this side is behind. Otherwise the other side
        is: it has not shown the partners yet. So a part that one side lacks costs one read of each of its items.
        """
        self._behind = 1 - side if 2 * equal > of else side

    def _take(self, side: int, key: Key) -> None:
        _, share = self._waiting[side].pop(key)
        self._sizes[side] -= share
