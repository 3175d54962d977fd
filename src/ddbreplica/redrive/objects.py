"""Reconcile the keys of the objects that hold records, and move the objects that are done to `done/`.

An object is read before its keys are reconciled, and moved only after every key was confirmed. So a record that is
quarantined during the run keeps its object, and a killed run leaves the objects that it has not finished.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import islice
from math import ceil
from typing import Protocol, TypeAlias, TypeVar

from ddbreplica.bucket.bucket import Bucket, Listed
from ddbreplica.bucket.object_format import ForeignError, Unpack, Unpacked, UnreadableError
from ddbreplica.driver import Advance, Interrupt
from ddbreplica.dynamodb.read import MAX_KEYS
from ddbreplica.files.limits import MAX_OBJECT, MIB, memory_for
from ddbreplica.model import Key
from ddbreplica.reconcile.algorithm import IN_DOUBT, UNDECIDED, Reconciled
from ddbreplica.redrive.bounded_list import BoundedList

T = TypeVar("T")

PIECE = 20
"""Objects whose keys are held in memory at a time. A discarded batch may have 10,000 records."""

PIECE_BYTES = 16 * MIB
"""The most bytes of these objects, unless a single one has more."""

WORKERS = 8
LISTED_AT_A_TIME = 20_000
"""Objects whose names are held in memory at a time."""

KEYS_NAMED = 10
"""The most keys that are listed of an object that stays."""

_LONGEST_REASON = 500

_EARLIER = "the record is older than the source table, which was recreated"
EXCLUDED_REASON = "the mapping's filter excludes the key now, but did not when the record was stored"


class ObjectOutcome(Enum):
    """The outcome of an object. Only a reconciled object is moved."""

    RECONCILED = "healed"
    DUE = "due"
    """A redrive would reconcile it: in a dry run only."""
    WAITING = "waiting"
    """An in-doubt write of one of its keys may still change the replica."""
    UNWRITABLE = "unwritable"
    """A table refuses a key or its item."""
    UNSETTLED = "unsettled"
    """The source changed in every round."""
    UNDECIDED = "undecided"
    """The replica is an archive, and the source has no item of a key: it was deleted or has expired."""
    EARLIER = "earlier"
    """A record is of an earlier table with the source's name. Keys of other records are reconciled."""
    OUTSIDE = "outside"
    """The mapping's filter excludes a key now. Other keys are reconciled."""
    KEYLESS = "keyless"
    """No key can be read from a record. Keys of other records are reconciled."""
    UNREADABLE = "unreadable"
    FOREIGN = "foreign"
    """It is of another table or function."""
    GONE = "gone"
    """Another process has moved or replaced it."""

    @property
    def label(self) -> str:
        """The outcome in text; JSON has the value."""
        return "repaired" if self is ObjectOutcome.RECONCILED else self.value


@dataclass(frozen=True, slots=True)
class BucketPrefix:
    """A prefix of a bucket with objects of one kind."""

    bucket: Bucket
    prefix: str
    unpack: Unpack


@dataclass(frozen=True, slots=True)
class FoundObject:
    """An object, and the prefix in which it was found."""

    place: BucketPrefix
    listed: Listed

    @property
    def url(self) -> str:
        """The URL that `aws s3` uses."""
        return f"s3://{self.place.bucket.name}/{self.listed.name}"


@dataclass(frozen=True, slots=True)
class RemainingObject:
    """An object that stays, with the reason. `keys` are the keys with this reason; `more_keys` counts others.

    `wait` is the number of seconds for which an in-doubt write may still land, if the object records one.
    """

    outcome: ObjectOutcome
    found: FoundObject
    reason: str
    keys: tuple[Key, ...] = ()
    wait: float = 0.0
    more_keys: int = 0


@dataclass(slots=True)
class Redriven:
    """The result of a redrive so far.

    `keys` counts the keys of the objects that were moved. `resumed` counts the reconciled keys that an earlier run
    left open and that no object holds any more; `open` has the other keys of these, with outcomes and reasons.
    In-doubt writes may still change `in_doubt` keys for `in_doubt_seconds`, and keys of objects that stay for
    `objects_wait` seconds.
    """

    counts: Counter[ObjectOutcome] = field(default_factory=Counter)
    keys: int = 0
    left: BoundedList[RemainingObject] = field(default_factory=BoundedList)
    resumed: int = 0
    open: dict[Key, tuple[ObjectOutcome, str]] = field(default_factory=dict)
    in_doubt: int = 0
    in_doubt_seconds: float = 0.0
    objects_wait: float = 0.0

    @property
    def wait(self) -> float:
        """The number of seconds for which any in-doubt write may still land."""
        return max(self.in_doubt_seconds, self.objects_wait)

    def reconciled(self, opened: "OpenedObject") -> None:
        """Count an object that was moved."""
        self.counts[ObjectOutcome.RECONCILED] += 1
        self.keys += len(opened.unpacked.keys)

    def stays(self, left: RemainingObject) -> None:
        """Count an object that stays."""
        self.counts[left.outcome] += 1
        self.objects_wait = max(self.objects_wait, left.wait)
        named, reason = left.keys[:KEYS_NAMED], left.reason[:_LONGEST_REASON]
        short = replace(left, reason=reason, keys=named, more_keys=len(left.keys) - len(named))
        self.left.add(
            short, left.found.url, reason, *(part for key in named for each in key for part in each)
        )


@dataclass(frozen=True, slots=True)
class OpenedObject:
    """An object that was read. It may be moved only while it has this ETag."""

    found: FoundObject
    etag: str
    unpacked: Unpacked


Reconcile: TypeAlias = Callable[[Sequence[Key]], Reconciled]
"""Reconciles keys; the result has no failed keys."""


class ObjectRepair(Protocol):
    """What reconciles the keys of objects."""

    def reconcile_objects(self, keys: Sequence[Key]) -> Reconciled:
        """Reconcile keys. The result has no failed keys."""
        ...

    @property
    def check_transform(self) -> Callable[[], None]:
        """Raises TaskError if keys may have been written with an earlier transform: their objects are not done."""
        ...


_WhyNot: TypeAlias = Mapping[Key, tuple[ObjectOutcome, str]]


def find(places: Iterable[BucketPrefix], *, older_than: float, limit: int | None) -> Iterator[FoundObject]:
    """Return the objects that are at least `older_than` seconds old, up to `limit`, by prefix and name."""
    found = (FoundObject(place, listed) for place in places for listed in place.bucket.list(place.prefix))
    return islice((each for each in found if each.listed.age >= older_than), limit)


class Redriver:
    """Processes objects. `redriven` is the result so far, at any moment."""

    def __init__(self, repair: ObjectRepair | None, *, interrupt: Interrupt) -> None:
        """Process nothing yet. Without a repair it is a dry run."""
        self.redriven = Redriven()
        self._repair = repair
        self._interrupt = interrupt

    def run(self, found: Sequence[FoundObject], advance: Advance) -> None:
        """Reconcile and move objects. `advance` counts each object that was read.

        Raises KeyboardInterrupt once interrupted, and the errors of the repair.
        """
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="redrive") as pool:
            for piece in pieces_of_objects(found):
                self._interrupt.check()
                due = self._left_out(pool.map(open_object, piece))
                if self._repair is None:
                    self._left_out(map(_previewed, due))
                else:
                    self._repair_all(due, self._repair, pool)
                advance(len(piece))

    def _repair_all(self, due: Sequence[OpenedObject], repair: ObjectRepair, pool: Executor) -> None:
        reconciled = self._left_out(_reconciled(due, repair.reconcile_objects, pool))
        repair.check_transform()
        for moved in self._left_out(pool.map(move, reconciled)):
            self.redriven.reconciled(moved)

    def resume(self, keys: Sequence[Key], reconcile: Reconcile) -> None:
        """Reconcile the keys that an earlier run left open and that are no longer in any object."""
        for piece in pieces(keys, MAX_KEYS):
            self._interrupt.check()
            reconciled = reconcile(piece)
            self.redriven.resumed += len(reconciled.confirmed)
            self.redriven.open |= {
                key: why for key, why in _why_not(reconciled).items() if why[0] is not ObjectOutcome.WAITING
            }

    def leave_outside(self, keys: Sequence[Key]) -> None:
        """Count keys that an earlier run left open and that the mapping's filter excludes now."""
        self.redriven.open |= dict.fromkeys(keys, (ObjectOutcome.OUTSIDE, EXCLUDED_REASON))

    def _left_out(self, objects: Iterable[OpenedObject | RemainingObject]) -> Sequence[OpenedObject]:
        """Count the objects that stay, and return the others."""
        opened = []
        for each in objects:
            if isinstance(each, RemainingObject):
                self.redriven.stays(each)
            else:
                opened.append(each)
        return opened


def pieces(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield values, at most `size` at a time."""
    return (values[start : start + size] for start in range(0, len(values), size))


def pieces_of_objects(found: Sequence[FoundObject]) -> Iterator[Sequence[FoundObject]]:
    """Return as many objects at a time as are held in memory."""
    piece: list[FoundObject] = []
    size = 0
    for each in found:
        size += each.listed.size
        # Before it is added, so that only an object that is too large by itself exceeds the limit.
        if piece and (len(piece) == PIECE or size > PIECE_BYTES):
            yield piece
            piece, size = [], each.listed.size
        piece.append(each)
    if piece:
        yield piece


def open_object(found: FoundObject) -> OpenedObject | RemainingObject:
    """Read an object. Return it as remaining, with the reason, if it cannot be reconciled now."""
    if found.listed.size > MAX_OBJECT:
        return RemainingObject(
            ObjectOutcome.UNREADABLE,
            found,
            f"it is too large for a quarantined record or a discarded batch (at most {MAX_OBJECT:,} bytes)",
        )
    with memory_for(found.listed.size):
        return _read(found)


def _read(found: FoundObject) -> OpenedObject | RemainingObject:
    held = found.place.bucket.read(found.listed.name, most=found.listed.size)
    # An object that has grown is another one, whose keys the next run reads.
    if held is None or held.is_cut:
        return RemainingObject(ObjectOutcome.GONE, found, "another process has moved or replaced it")
    try:
        unpacked = found.place.unpack(held.body, found.listed.stored_at)
    except ForeignError as error:
        return RemainingObject(ObjectOutcome.FOREIGN, found, f"it {error}")
    except UnreadableError as error:
        return RemainingObject(ObjectOutcome.UNREADABLE, found, f"it {error}")
    wait = unpacked.hold_seconds - found.listed.age
    if unpacked.keys and wait > 0:
        reason = f"{IN_DOUBT} for {ceil(wait / 60)} more minutes"
        return RemainingObject(ObjectOutcome.WAITING, found, reason, unpacked.keys, wait)
    return OpenedObject(found, held.etag, unpacked)


def _previewed(opened: OpenedObject) -> RemainingObject:
    return _unrepairable(opened) or RemainingObject(
        ObjectOutcome.DUE, opened.found, opened.unpacked.why, opened.unpacked.keys
    )


def _reconciled(
    due: Sequence[OpenedObject], reconcile: Reconcile, pool: Executor
) -> Iterator[OpenedObject | RemainingObject]:
    # Each key once: many objects may hold the same key, and no key may be in two calls at a time.
    keys = tuple(dict.fromkeys(key for each in due for key in each.unpacked.keys))
    confirmed: set[Key] = set()
    why_not: dict[Key, tuple[ObjectOutcome, str]] = {}
    for reconciled in pool.map(reconcile, pieces(keys, MAX_KEYS)):
        # Not the undecided keys: their object shows the operator which item may have to be deleted.
        confirmed.update(reconciled.confirmed)
        why_not |= _why_not(reconciled)
    return (_judged(each, confirmed, why_not) for each in due)


def _judged(
    opened: OpenedObject, confirmed: Container[Key], why_not: _WhyNot
) -> OpenedObject | RemainingObject:
    """Return the object if all its keys are confirmed; else a RemainingObject with the first reason."""
    unconfirmed = tuple(key for key in opened.unpacked.keys if key not in confirmed)
    if unconfirmed:
        outcome, reason = why_not[unconfirmed[0]]
        return RemainingObject(outcome, opened.found, reason, unconfirmed)
    return _unrepairable(opened) or opened


def _unrepairable(opened: OpenedObject) -> RemainingObject | None:
    """Return a RemainingObject if the object has records that cannot be reconciled; else None."""
    unpacked = opened.unpacked
    if unpacked.earlier:
        return RemainingObject(ObjectOutcome.EARLIER, opened.found, _EARLIER, unpacked.earlier)
    if unpacked.outside:
        return RemainingObject(ObjectOutcome.OUTSIDE, opened.found, EXCLUDED_REASON, unpacked.outside)
    if unpacked.keyless:
        reason = f"no key can be read from {unpacked.keyless} of its records ({unpacked.why})"
        return RemainingObject(ObjectOutcome.KEYLESS, opened.found, reason)
    return None


def _why_not(reconciled: Reconciled) -> _WhyNot:
    return {
        **dict.fromkeys(reconciled.changing, (ObjectOutcome.UNSETTLED, "the source changed in every round")),
        **dict.fromkeys(reconciled.in_doubt, (ObjectOutcome.WAITING, IN_DOUBT)),
        **dict.fromkeys(reconciled.undecided, (ObjectOutcome.UNDECIDED, UNDECIDED)),
        **{key: (ObjectOutcome.UNWRITABLE, f"{why.code}: {why.message}") for key, why in reconciled.refused},
    }


def move(
    opened: OpenedObject, *, outcome: str = ObjectOutcome.RECONCILED.value
) -> OpenedObject | RemainingObject:
    """Move an object to `done/`, with its outcome. Return a RemainingObject if another process was faster."""
    listed = opened.found.listed
    metadata = {"outcome": outcome, "keys": str(len(opened.unpacked.keys))}
    if opened.found.place.bucket.finish(listed.name, opened.etag, metadata=metadata):
        return opened
    return RemainingObject(
        ObjectOutcome.GONE, opened.found, "another process has moved or replaced it; its keys were repaired"
    )
