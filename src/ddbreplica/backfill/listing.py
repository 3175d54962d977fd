"""Where the keys of a backfill come from: a listing in parts, each of which is read page by page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ddbreplica.model import Items, Key

PAGE = 200
"""Items held in memory at once, for each part that is worked on."""


@dataclass(frozen=True, slots=True)
class KeyPage:
    """Keys to heal together. `seen` are the items that are known of them; `cursor` is None if nothing follows.

    `outside` counts the keys that were there as well, and are none of the mapping's.
    """

    keys: Sequence[Key]
    seen: Items
    cursor: Any
    outside: int = 0


class DamagedError(Exception):
    """A part of a listing is damaged. The message completes the sentence that begins with the part's name."""


class Listing(Protocol):
    """Where the keys come from. Its parts share no key; each may be read from a thread of its own."""

    @property
    def parts(self) -> Sequence[str]:
        """Their names, the same in every run."""
        ...

    def pages(self, part: str, after: Any) -> Iterator[KeyPage]:
        """What follows a cursor of an earlier page, or all of a part if that is None.

        Raises DamagedError for a part that is damaged, before any page whose cursor is None.
        """
        ...
