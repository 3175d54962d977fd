"""Find every object that holds a key, for `redrive --find`: in both buckets, with old versions and done/."""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from ddbreplica.bucket.bucket import DONE, Held, Listed, NoVersionsError, Version
from ddbreplica.bucket.object_format import ForeignError, UnreadableError
from ddbreplica.driver import Advance, Interrupt
from ddbreplica.errors import TaskError
from ddbreplica.files.limits import MAX_OBJECT, memory_for
from ddbreplica.model import Key, Table
from ddbreplica.records.decode import MalformedError, key_of
from ddbreplica.records.text import bare, key_example, lines
from ddbreplica.redrive.bounded_list import BoundedList
from ddbreplica.redrive.objects import PIECE, WORKERS, BucketPrefix

T = TypeVar("T")

_WIDTH = 13


@dataclass(frozen=True, slots=True)
class Copy:
    """A version of an object, and the prefix in which it was found."""

    place: BucketPrefix
    version: Version

    @property
    def url(self) -> str:
        """The URL that `aws s3` uses."""
        return f"s3://{self.place.bucket.name}/{self.version.name}"

    @property
    def document(self) -> dict[str, Any]:
        """The copy as JSON values."""
        return {"object": self.url, "version": self.version.id, "present": self.version.is_present}

    def row(self, what: str) -> str:
        """Return the copy as a line of text."""
        old = "" if self.version.is_present else f"  (old version {bare(str(self.version.id))})"
        return f"{what:<{_WIDTH}}{bare(self.url)}{old}"

    def rows(self, what: str, why: str) -> Sequence[str]:
        """Return the copy as a line of text, and a line with the reason."""
        return self.row(what), f"{'':<{_WIDTH}}{bare(why)}"


@dataclass(slots=True)
class Copies:
    """The result of a search so far. `objects` counts the objects searched; `unread` lists those that cannot be read.

    `unseen` has the buckets whose old versions cannot be listed, with reasons.
    """

    objects: int = 0
    found: BoundedList[Copy] = field(default_factory=BoundedList)
    unread: BoundedList[tuple[Copy, str]] = field(default_factory=BoundedList)
    unseen: dict[str, str] = field(default_factory=dict)

    @property
    def document(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "objects": self.objects,
            "found": [copy.document for copy in self.found.first],
            "more_found": self.found.more,
            "unread": [{**copy.document, "reason": reason} for copy, reason in self.unread.first],
            "more_unread": self.unread.more,
            "old_versions_unseen": dict(self.unseen),
        }

    @property
    def text(self) -> str:
        """The result as text: counts, then the copies, then the objects that cannot be read."""
        rows = {"objects": self.objects, "found": self.found.count, "unread": self.unread.count}
        table = [f"{name:<{_WIDTH}}{count:>12,}" for name, count in rows.items()]
        copies = [copy.row("found") for copy in self.found.first]
        unread = [line for copy, why in self.unread.first for line in copy.rows("unread", why)]
        return lines([*table, *copies, *unread])


def keys_of(texts: Iterable[str], table: Table) -> frozenset[Key]:
    """Parse keys in DynamoDB JSON. Raises TaskError for one that is not a primary key of the table."""
    return frozenset(_key(text, table) for text in texts)


def _key(text: str, table: Table) -> Key:
    try:
        key = key_of(json.loads(text))
    except json.JSONDecodeError as error:
        raise _no_key(text, f"invalid JSON: {error}", table) from error
    except (ValueError, RecursionError, MalformedError) as error:
        raise _no_key(text, str(error), table) from error
    if {(name, tag) for name, tag, _ in key} != table.key_schema:
        raise _no_key(text, "these are not the table's key attributes", table)
    return key


def _no_key(text: str, why: str, table: Table) -> TaskError:
    example = key_example(table.key_schema)
    return TaskError(
        f"--find {text[:200]}: not a primary key of this table: {why}.",
        hint=f"give the key in DynamoDB JSON, as '{example}'.",
    )


def search(
    places: Iterable[BucketPrefix],
    keys: frozenset[Key],
    *,
    interrupt: Interrupt,
    advance: Advance,
    into: Copies,
) -> None:
    """Search all versions of all objects, and add those that hold one of the keys to `into`.

    Raises KeyboardInterrupt once interrupted.
    """
    everything = (
        copy
        for place in places
        for prefix in (place.prefix, DONE + place.prefix)
        for copy in _copies(place, prefix, into)
    )
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="find") as pool:
        for piece in pieces(everything):
            interrupt.check()
            for copy, looked in zip(piece, pool.map(partial(holds, keys), piece), strict=True):
                into.objects += 1
                if isinstance(looked, str):
                    into.unread.add((copy, looked), copy.url, looked)
                elif looked:
                    into.found.add(copy, copy.url)
            advance(len(piece))


def holds(keys: frozenset[Key], copy: Copy) -> bool | str:
    """Return whether a version holds one of the keys, or the reason why that is unknown."""
    if copy.version.size is None:
        return False
    if copy.version.size > MAX_OBJECT:
        return "it is too large for a quarantined record or a discarded batch"
    with memory_for(copy.version.size):
        held = copy.place.bucket.read(copy.version.name, copy.version.id, most=copy.version.size)
        if held is None:  # another process has deleted it
            return False
        return "it was replaced meanwhile" if held.is_cut else _holds(keys, copy, held)


def _holds(keys: frozenset[Key], copy: Copy, held: Held) -> bool | str:
    try:
        unpacked = copy.place.unpack(held.body, copy.version.stored_at)
    except ForeignError:
        return False
    except UnreadableError as error:
        return f"it {error}"
    # Also those of an earlier table: who asks for copies of an item means all of them.
    if not keys.isdisjoint((*unpacked.keys, *unpacked.earlier)):
        return True
    return f"no key can be read from {unpacked.keyless} of its records" if unpacked.keyless else False


def pieces(values: Iterable[T]) -> Iterator[Sequence[T]]:
    """Yield the values in tuples of PIECE at most, so that no more are in memory at the same time."""
    remaining = iter(values)
    while piece := tuple(islice(remaining, PIECE)):
        yield piece


def _present(listed: Listed) -> Version:
    return Version(
        listed.name, None, is_present=True, size=listed.size, etag=None, stored_at=listed.stored_at
    )


def _copies(place: BucketPrefix, prefix: str, into: Copies) -> Iterator[Copy]:
    """Return all versions; only the present objects if versions cannot be listed."""
    try:
        for version in place.bucket.versions(prefix):
            if version.size is not None:
                yield Copy(place, version)
    except NoVersionsError as error:
        into.unseen[place.bucket.name] = error.fact
        for listed in place.bucket.list(prefix):
            yield Copy(place, _present(listed))
