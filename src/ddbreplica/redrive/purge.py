"""Delete the objects in done/ for good, with all their versions, for `redrive --purge-done`.

A moved object leaves an old version under its first name. That version is deleted before the object in done/, so that
a run after an interruption finds both.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any

from ddbreplica.bucket.bucket import DONE, Version
from ddbreplica.driver import Advance, Interrupt
from ddbreplica.model import Key
from ddbreplica.records.text import lines
from ddbreplica.redrive.bounded_list import BoundedList
from ddbreplica.redrive.copies import Copy, holds, pieces
from ddbreplica.redrive.objects import WORKERS, BucketPrefix

_WIDTH = 13
_OVERWRITTEN = "it was overwritten before it was moved; an old version may be the only copy of a record"


@dataclass(frozen=True, slots=True)
class _Done:
    """All versions of one object in done/."""

    place: BucketPrefix
    name: str
    versions: Sequence[Version]


@dataclass(slots=True)
class Purged:
    """The numbers of objects and of versions that were deleted so far; delete markers count as versions.

    `left` has the objects that were not deleted although they may hold a key, with reasons. A dry run counts the
    objects and versions that it would delete.
    """

    objects: int = 0
    versions: int = 0
    left: BoundedList[tuple[Copy, str]] = field(default_factory=BoundedList)

    @property
    def document(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "purged": self.objects,
            "versions": self.versions,
            "left": [{**copy.document, "reason": reason} for copy, reason in self.left.first],
            "more_left": self.left.more,
        }

    @property
    def text(self) -> str:
        """The result as text: counts, then the objects that are left."""
        rows = {"purged": self.objects, "versions": self.versions, "left": self.left.count}
        table = [f"{name:<{_WIDTH}}{count:>12,}" for name, count in rows.items()]
        return lines([*table, *(line for copy, why in self.left.first for line in copy.rows("left", why))])


def purge(
    places: Iterable[BucketPrefix],
    keys: frozenset[Key] | None,
    *,
    dry_run: bool,
    interrupt: Interrupt,
    advance: Advance,
    into: Purged,
) -> None:
    """Delete the objects in done/, or only those that hold one of the keys, and count them in `into`.

    A dry run only counts them. Raises KeyboardInterrupt once interrupted.
    """
    done = (each for place in places for each in _done(place))
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="purge") as pool:
        for piece in pieces(done):
            interrupt.check()
            for versions, left in pool.map(partial(_purge, keys, dry_run=dry_run), piece):
                into.objects += bool(versions)
                into.versions += versions
                for copy, why in left:
                    into.left.add((copy, why), copy.url, why)
            advance(len(piece))


def _done(place: BucketPrefix) -> Iterator[_Done]:
    by_name = groupby(place.bucket.versions(DONE + place.prefix), lambda version: version.name)
    for name, versions in by_name:
        yield _Done(place, name, tuple(versions))


def _purge(
    keys: frozenset[Key] | None, done: _Done, *, dry_run: bool
) -> tuple[int, Sequence[tuple[Copy, str]]]:
    """Return how many versions were deleted, and the objects that were not, with reasons."""
    if keys is not None:
        looked = [(copy, holds(keys, copy)) for copy in (Copy(done.place, each) for each in done.versions)]
        if not any(held is True for _, held in looked):
            return 0, [(copy, held) for copy, held in looked if isinstance(held, str)]
    moved = _moved(done)
    # Redrive has read the last content only, so an earlier one may be a record that no command has seen.
    if _is_overwritten(moved):
        return 0, [(Copy(done.place, moved[0]), _OVERWRITTEN)]
    # In this order, since an interrupted run finds the first name by what is still in done/.
    versions = [*moved, *done.versions]
    if not dry_run:
        _delete(done.place, versions)
    return len(versions), ()


def _delete(place: BucketPrefix, versions: Sequence[Version]) -> None:
    for version in versions:
        place.bucket.delete(version)


def _is_overwritten(moved: Sequence[Version]) -> bool:
    """Return whether the versions differ in content, delete markers aside."""
    return len({version.etag for version in moved if version.size is not None}) > 1


def _moved(done: _Done) -> Sequence[Version]:
    """Return all versions under the object's first name; none if an object has that name again."""
    name = done.name.removeprefix(DONE)
    versions = [version for version in done.place.bucket.versions(name) if version.name == name]
    is_there = any(version.is_present and version.size is not None for version in versions)
    return () if is_there else versions
