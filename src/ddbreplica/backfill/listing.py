"""The listing of a backfill's keys. It has parts, and each part is read page by page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ddbreplica.model import Items, Key
from ddbreplica.reconcile.rescan import Rescan

# With more, every thread needs more memory, and a backfill is not faster.
PAGE = 200
"""Items held in memory at once, for each part that is being read."""


@dataclass(frozen=True, slots=True)
class KeyPage:
    """Keys to reconcile together. `seen` has their known items; `cursor` is None on the last page of a part.

    `outside` counts the keys of the page that the mapping's filter excludes. `rescan` reads the range of the page once
    more; a page that is not of a scan has no range.
    """

    keys: Sequence[Key]
    seen: Items
    cursor: Any
    outside: int = 0
    rescan: Rescan | None = None


class DamagedError(Exception):
    """A part of a listing is damaged. The message continues a sentence that begins with the part's name."""


class Listing(Protocol):
    """A source of keys. Its parts share no key; each may be read in its own thread."""

    @property
    def parts(self) -> Sequence[str]:
        """The names of the parts, the same in every run."""
        ...

    def pages(self, part: str, after: Any) -> Iterator[KeyPage]:
        """Return the pages after the cursor of an earlier page; all pages of the part if `after` is None.

        Raises DamagedError for a damaged part, before a page whose cursor is None.
        """
        ...
