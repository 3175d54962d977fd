"""Confirm the keys of a page by one more scan of the page's range, which takes fewer read units than reads by key.

A Scan is charged for the total size of what it reads, a read by key for at least one unit an item. But a Scan promises
less: it may leave out items of the page, after inserts into the range, and AWS does not promise that it shows an item
once. So it decides only about the keys for which it shows one image; the other keys have to be read by key.
"""

from collections.abc import Callable, Collection, Container, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from ddbreplica.model import Image, Key, State
from ddbreplica.records.size import read_units

Shown: TypeAlias = Iterable[tuple[Key, Image]]
"""The items of a scan, each as often as the scan shows it."""


@dataclass(frozen=True, slots=True)
class Rescan:
    """One more scan of the range of a page, which took `units` read units.

    `scan` reads the range with strong consistency. It begins when it is called, and may raise an exception of its own
    if the table cannot be read.
    """

    units: float
    scan: Callable[[], Shown]

    def costs_less(self, states: Collection[State]) -> bool:
        """Return whether the scan takes fewer read units than reading the keys that had these states."""
        # Each key takes at least one unit, so that the sizes are needed only if few keys are left, or large items.
        return self.units < len(states) or self.units < sum(map(read_units, states))

    def images(self, keys: Container[Key]) -> dict[Key, Image]:
        """Scan the range. Return the images of those of the keys that are always shown with the same image."""
        return {key: image for key, image in unambiguous(self.scan()).items() if key in keys}


def unambiguous(shown: Shown) -> dict[Key, Image]:
    """Return the image of each key that is always shown with the same image."""
    images: dict[Key, Image] = {}
    ambiguous = {key for key, image in shown if images.setdefault(key, image) != image}
    return {key: image for key, image in images.items() if key not in ambiguous}
