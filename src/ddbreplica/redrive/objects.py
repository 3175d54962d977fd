"""Objects that keep records → their keys healed, and the objects that are done with moved to `done/`.

An object is read before its keys are healed, and moved only once every one of them was confirmed after that. So a
record that is put aside meanwhile keeps its object, and a run that is killed leaves what it has not finished.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import islice
from math import ceil
from typing import TypeAlias, TypeVar

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
"""Objects held in memory at a time, by their keys: a batch that Lambda gave up may have 10,000 records."""

PIECE_BYTES = 16 * MIB
"""Bytes of these objects, unless one alone has more."""

WORKERS = 8
LISTED_AT_A_TIME = 20_000
"""Objects of a bucket whose names are held in memory at a time."""

KEYS_NAMED = 10
"""Keys of an object that are named where they are the reason that it stays."""

_LONGEST_REASON = 500

_EARLIER = "the record is older than the source table, which was created again under the same name"
_OUTSIDE = "the mapping's filter leaves it out, and did not when this was kept"


class ObjectOutcome(Enum):
    """What became of an object. Only what is healed is moved."""

    RECONCILED = "healed"
    DUE = "due"
    """It would be healed: a dry run."""
    WAITING = "waiting"
    """An in-doubt write of it may still change the replica."""
    UNWRITABLE = "unwritable"
    """A table refuses a key, or its item, by itself."""
    UNSETTLED = "unsettled"
    """The source had another state of a key in every round."""
    UNDECIDED = "undecided"
    """The replica is an archive, and the source has no item of a key: deleted or expired, nobody can tell."""
    EARLIER = "earlier"
    """A record is one of an earlier table with the source's name; the keys of the others are reconciled."""
    OUTSIDE = "outside"
    """The mapping's filter leaves a key out, by now; the keys of the others are healed."""
    KEYLESS = "keyless"
    """A record has no key that can be read; the keys of the others are healed."""
    UNREADABLE = "unreadable"
    FOREIGN = "foreign"
    """It is for somebody else."""
    GONE = "gone"
    """Somebody else moved or replaced it."""


@dataclass(frozen=True, slots=True)
class BucketPrefix:
    """A part of a bucket that holds objects of one kind."""

    bucket: Bucket
    prefix: str
    unpack: Unpack


@dataclass(frozen=True, slots=True)
class FoundObject:
    """An object, and the place that it was found in."""

    place: BucketPrefix
    listed: Listed

    @property
    def url(self) -> str:
        """As `aws s3` spells it."""
        return f"s3://{self.place.bucket.name}/{self.listed.name}"


@dataclass(frozen=True, slots=True)
class RemainingObject:
    """An object that stays, and why; `keys` are those that are the reason, and `more_keys` counts others.

    `wait` is for how many seconds an in-doubt write of it may still change the replica, where the object says so.
    """

    outcome: ObjectOutcome
    found: FoundObject
    reason: str
    keys: tuple[Key, ...] = ()
    wait: float = 0.0
    more_keys: int = 0


@dataclass(slots=True)
class Redriven:
    """What has become of the objects so far; `keys` counts those of the objects that were healed.

    `resumed` counts the keys that an earlier run left open, and that are reconciled now though no object has them any
    more. `open` says of others of these why they are not. Of `in_doubt` keys a write may still change the replica, for
    so many seconds at most, and after `objects_wait` seconds no write of an object that stays may land.
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
        """For how many seconds anything at all may still change the replica."""
        return max(self.in_doubt_seconds, self.objects_wait)

    def reconciled(self, opened: "_Opened") -> None:
        """Count an object that was moved."""
        self.counts[ObjectOutcome.RECONCILED] += 1
        self.keys += len(opened.unpacked.keys)

    def stays(self, left: RemainingObject) -> None:
        """Count an object that was not."""
        self.counts[left.outcome] += 1
        self.objects_wait = max(self.objects_wait, left.wait)
        named, reason = left.keys[:KEYS_NAMED], left.reason[:_LONGEST_REASON]
        short = replace(left, reason=reason, keys=named, more_keys=len(left.keys) - len(named))
        self.left.add(
            short, left.found.url, reason, *(part for key in named for each in key for part in each)
        )


@dataclass(frozen=True, slots=True)
class _Opened:
    """An object as it was read: with this content and no other it may be moved."""

    found: FoundObject
    etag: str
    unpacked: Unpacked


Reconcile: TypeAlias = Callable[[Sequence[Key]], Reconciled]
"""None of the result has failed."""

_WhyNot: TypeAlias = Mapping[Key, tuple[ObjectOutcome, str]]


def find(places: Iterable[BucketPrefix], *, older_than: float, limit: int | None) -> Iterator[FoundObject]:
    """The objects that are at least so many seconds old; the first few by place and name."""
    found = (FoundObject(place, listed) for place in places for listed in place.bucket.list(place.prefix))
    return islice((each for each in found if each.listed.age >= older_than), limit)


class Redriver:
    """Works through objects. `redriven` is right at any moment, so that an end at any moment can be told."""

    def __init__(self, reconcile: Reconcile | None, *, interrupt: Interrupt) -> None:
        """Without `reconcile` it is a dry run."""
        self.redriven = Redriven()
        self._reconcile = reconcile
        self._interrupt = interrupt

    def run(self, found: Sequence[FoundObject], advance: Advance) -> None:
        """Heal and move what can be. Raises KeyboardInterrupt once interrupted, and whatever `reconcile` raises.

        `advance` counts every object that was looked at.
        """
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="redrive") as pool:
            for piece in _pieces_of_objects(found):
                self._interrupt.check()
                due = self._left_out(pool.map(_open, piece))
                reconciled = self._left_out(
                    map(_foretold, due)
                    if self._reconcile is None
                    else _reconciled(due, self._reconcile, pool)
                )
                for moved in self._left_out(pool.map(_move, reconciled)):
                    self.redriven.reconciled(moved)
                advance(len(piece))

    def resume(self, keys: Sequence[Key], reconcile: Reconcile) -> None:
        """Reconcile the keys that an earlier run left open and that no object has any more."""
        for piece in _pieces(keys, MAX_KEYS):
            self._interrupt.check()
            reconciled = reconcile(piece)
            self.redriven.resumed += len(reconciled.confirmed)
            self.redriven.open |= {
                key: why for key, why in _why_not(reconciled).items() if why[0] is not ObjectOutcome.WAITING
            }

    def leave_outside(self, keys: Sequence[Key]) -> None:
        """Count keys that an earlier run left open, and that the mapping's filter leaves out by now."""
        self.redriven.open |= dict.fromkeys(keys, (ObjectOutcome.OUTSIDE, _OUTSIDE))

    def _left_out(self, objects: Iterable[_Opened | RemainingObject]) -> Sequence[_Opened]:
        """Count the objects that stay, and return the others."""
        opened = []
        for each in objects:
            if isinstance(each, RemainingObject):
                self.redriven.stays(each)
            else:
                opened.append(each)
        return opened


def _pieces(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (values[start : start + size] for start in range(0, len(values), size))


def _pieces_of_objects(found: Sequence[FoundObject]) -> Iterator[Sequence[FoundObject]]:
    """As many as are held in memory at a time."""
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


def _open(found: FoundObject) -> _Opened | RemainingObject:
    """Read one object; say why, if it is not to be healed now."""
    if found.listed.size > MAX_OBJECT:
        return RemainingObject(
            ObjectOutcome.UNREADABLE, found, f"is larger than anything that is kept ({MAX_OBJECT:,} bytes)"
        )
    with memory_for(found.listed.size):
        return _opened(found)


def _opened(found: FoundObject) -> _Opened | RemainingObject:
    held = found.place.bucket.read(found.listed.name, most=found.listed.size)
    # An object that has grown is another one, whose keys the next run reads.
    if held is None or held.is_cut:
        return RemainingObject(ObjectOutcome.GONE, found, "was moved or replaced meanwhile")
    try:
        unpacked = found.place.unpack(held.body, found.listed.stored_at)
    except ForeignError as error:
        return RemainingObject(ObjectOutcome.FOREIGN, found, str(error))
    except UnreadableError as error:
        return RemainingObject(ObjectOutcome.UNREADABLE, found, str(error))
    wait = unpacked.hold_seconds - found.listed.age
    if unpacked.keys and wait > 0:
        reason = f"{IN_DOUBT}, for {ceil(wait / 60)} min more"
        return RemainingObject(ObjectOutcome.WAITING, found, reason, unpacked.keys, wait)
    return _Opened(found, held.etag, unpacked)


def _foretold(opened: _Opened) -> RemainingObject:
    return _unrepairable(opened) or RemainingObject(
        ObjectOutcome.DUE, opened.found, opened.unpacked.why, opened.unpacked.keys
    )


def _reconciled(
    due: Sequence[_Opened], reconcile: Reconcile, pool: Executor
) -> Iterator[_Opened | RemainingObject]:
    # Each key once, since none may be in two calls at a time, and many objects may keep the same one.
    keys = tuple(dict.fromkeys(key for each in due for key in each.unpacked.keys))
    confirmed: set[Key] = set()
    why_not: dict[Key, tuple[ObjectOutcome, str]] = {}
    for reconciled in pool.map(reconcile, _pieces(keys, MAX_KEYS)):
        # Not the undecided keys: their object shows the operator which item may have to be deleted.
        confirmed.update(reconciled.confirmed)
        why_not |= _why_not(reconciled)
    return (_judged(each, confirmed, why_not) for each in due)


def _judged(opened: _Opened, confirmed: Container[Key], why_not: _WhyNot) -> _Opened | RemainingObject:
    """The object, if all that it keeps is healed; else the reason, which is that of the first key that is not."""
    unconfirmed = tuple(key for key in opened.unpacked.keys if key not in confirmed)
    if unconfirmed:
        outcome, reason = why_not[unconfirmed[0]]
        return RemainingObject(outcome, opened.found, reason, unconfirmed)
    return _unrepairable(opened) or opened


def _unrepairable(opened: _Opened) -> RemainingObject | None:
    """Why it stays even if all is healed that can be; None if that is all of it."""
    unpacked = opened.unpacked
    if unpacked.earlier:
        return RemainingObject(ObjectOutcome.EARLIER, opened.found, _EARLIER, unpacked.earlier)
    if unpacked.outside:
        return RemainingObject(ObjectOutcome.OUTSIDE, opened.found, _OUTSIDE, unpacked.outside)
    if unpacked.keyless:
        reason = f"{unpacked.keyless} of its records: no key can be read ({unpacked.why})"
        return RemainingObject(ObjectOutcome.KEYLESS, opened.found, reason)
    return None


def _why_not(reconciled: Reconciled) -> _WhyNot:
    return {
        **dict.fromkeys(reconciled.changing, (ObjectOutcome.UNSETTLED, "the source changed in every round")),
        **dict.fromkeys(reconciled.in_doubt, (ObjectOutcome.WAITING, IN_DOUBT)),
        **dict.fromkeys(reconciled.undecided, (ObjectOutcome.UNDECIDED, UNDECIDED)),
        **{key: (ObjectOutcome.UNWRITABLE, f"{why.code}: {why.message}") for key, why in reconciled.refused},
    }


def _move(opened: _Opened) -> _Opened | RemainingObject:
    listed = opened.found.listed
    metadata = {"outcome": ObjectOutcome.RECONCILED.value, "keys": str(len(opened.unpacked.keys))}
    if opened.found.place.bucket.finish(listed.name, opened.etag, metadata=metadata):
        return opened
    return RemainingObject(
        ObjectOutcome.GONE, opened.found, "was moved or replaced meanwhile; its keys are healed"
    )
