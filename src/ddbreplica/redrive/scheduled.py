"""Redrive by schedule what is in doubt and what Lambda discarded, so that no run repeats what an earlier one has done.

Of an object with several keys what is reconciled is done. Each other key gets a new object of its own in the quarantine
bucket, and then the object is moved. Otherwise one bad record of a discarded batch would have the other keys of the
batch reconciled by each run. A new object is in doubt if a later run can reconcile its key. If only an operator can,
the name shows that it is not in doubt, and it leaves the schedule.
"""

import heapq
from collections.abc import Collection, Container, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any, Final, Protocol

from ddbreplica.bucket.bucket import Listed
from ddbreplica.bucket.quarantine import IN_DOUBT_SUFFIX
from ddbreplica.driver import Interrupt
from ddbreplica.dynamodb.read import MAX_KEYS
from ddbreplica.model import EXCLUDED, INTERRUPTED, NEEDS_REVIEW, Key
from ddbreplica.reconcile.algorithm import UNDECIDED, Reconciled
from ddbreplica.reconcile.in_doubt_quarantine import Reasons
from ddbreplica.redrive.objects import (
    EXCLUDED_REASON,
    LISTED_AT_A_TIME,
    WORKERS,
    BucketPrefix,
    FoundObject,
    ObjectOutcome,
    OpenedObject,
    RemainingObject,
    move,
    open_object,
    pieces,
    pieces_of_objects,
)

CHUNK_KEYS: Final = 200
"""Keys of one object that are reconciled between two notes of the progress. A small table takes minutes for them."""

MAX_NOTED: Final = 1_000
"""The most objects whose progress is noted. Others are only processed again."""

HOUR: Final = 3600.0

_OUTCOME: Final = "scheduled"
"""The outcome in the metadata of a moved object, which may have left keys in objects of their own."""

_CHANGED: Final = "the source changed in every round"
_NEVER_DUE: Final = frozenset({ObjectOutcome.UNREADABLE, ObjectOutcome.FOREIGN})
"""The outcomes of an object that a later run cannot process either."""


@dataclass(frozen=True, slots=True)
class Due:
    """The objects to process, the oldest first, and how many poison records were quarantined in the last hour."""

    found: Sequence[FoundObject]
    poison_in_an_hour: int


class ObjectProgress:
    """How many keys of each object are done; None if the object stays, since no later run can do more.

    An object is identified by its name and by when it was stored.
    """

    def __init__(self, content: Any, *, patterns: Sequence[str]) -> None:
        """Continue from a document. With other patterns, which may exclude other keys, start again."""
        known = content if isinstance(content, dict) and content.get("filter") == list(patterns) else {}
        self._patterns = list(patterns)
        self._done: dict[str, int | None] = dict(known.get("objects", {}))

    def document(self) -> dict[str, Any]:
        """Return the progress as JSON values."""
        return {"filter": self._patterns, "objects": dict(self._done)}

    def keep_only(self, listed: Collection[Listed]) -> None:
        """Forget the objects that no longer exist."""
        names = set(map(_identity, listed))
        self._done = {name: done for name, done in self._done.items() if name in names}

    def stays(self, listed: Listed) -> bool:
        """Return whether no run can do more with the object."""
        return self._done.get(_identity(listed), 0) is None

    def done(self, listed: Listed) -> int:
        """Return how many keys of the object are done."""
        return self._done.get(_identity(listed)) or 0

    def note(self, listed: Listed, done: int | None) -> None:
        """Note how many keys of the object are done, or None if no run can do more."""
        if len(self._done) < MAX_NOTED or _identity(listed) in self._done:
            self._done[_identity(listed)] = done


def _identity(listed: Listed) -> str:
    return f"{listed.stored_at.isoformat()} {listed.name}"


def find_due(kept: BucketPrefix, discarded: Sequence[BucketPrefix], progress: ObjectProgress) -> Due:
    """List the in-doubt objects of the quarantine bucket and the discarded batches, and count the recent poison."""
    poison = 0
    noted: list[Listed] = []

    def found() -> Iterator[FoundObject]:
        nonlocal poison
        for place in (kept, *discarded):
            for listed in place.bucket.list(place.prefix):
                if place is kept and not listed.name.endswith(IN_DOUBT_SUFFIX):
                    poison += listed.age < HOUR
                elif progress.stays(listed):
                    noted.append(listed)
                else:
                    if progress.done(listed):
                        noted.append(listed)
                    yield FoundObject(place, listed)

    oldest = heapq.nsmallest(LISTED_AT_A_TIME, found(), key=attrgetter("listed.stored_at"))
    progress.keep_only(noted)
    return Due(oldest, poison)


class Tools(Protocol):
    """What a scheduled redrive works with. `intend` and `reconcile` may be called from several threads."""

    def intend(self, keys: Sequence[Key]) -> Sequence[Key]:
        """Open keys with one save, and return those that are not held back."""
        ...

    def reconcile(self, keys: Sequence[Key]) -> Reconciled:
        """Reconcile open keys. Each key that comes into doubt is in a new object when this returns."""
        ...

    def check_transform(self) -> None:
        """Raise TaskError if keys may have been written with an earlier transform: they are not done."""
        ...

    def keep(self, refused: Reasons, others: Reasons, *, confirmed: int) -> None:
        """Keep each key in a new object of its own. Raises TaskError if one cannot be kept."""
        ...

    def close(self, keys: Sequence[Key]) -> None:
        """Close keys, which are reconciled or in an object."""
        ...

    def progressed(self) -> None:
        """Note the progress; the next save stores it."""
        ...


@dataclass(slots=True)
class ScheduledResult:
    """What a run has done so far. `moved` and `stay` count objects; the others count keys.

    The `kept` keys were not reconciled, and are in objects of their own. Those `in_doubt` are too.
    """

    moved: int = 0
    stay: int = 0
    confirmed: int = 0
    in_doubt: int = 0
    kept: int = 0


class ScheduledRedriver:
    """Processes objects. `result` is what was done so far, at any moment."""

    def __init__(self, tools: Tools, progress: ObjectProgress, *, interrupt: Interrupt) -> None:
        """Process nothing yet."""
        self.result = ScheduledResult()
        self._tools = tools
        self._progress = progress
        self._interrupt = interrupt

    def run(self, found: Sequence[FoundObject]) -> None:
        """Process objects. Raises KeyboardInterrupt once interrupted, and the errors of the tools."""
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="redrive") as pool:
            for piece in pieces_of_objects(found):
                self._interrupt.check()
                opened = self._opened(pool.map(open_object, piece))
                self._singles([each for each in opened if len(each.unpacked.keys) <= 1], pool)
                for each in opened:
                    if len(each.unpacked.keys) > 1:
                        self._batch(each, pool)

    def _opened(self, objects: Iterator[OpenedObject | RemainingObject]) -> Sequence[OpenedObject]:
        """Return the objects that could be opened and are due."""
        opened = []
        for each in objects:
            if isinstance(each, OpenedObject):
                opened.append(each)
            elif each.outcome in _NEVER_DUE:
                self._leave(each.found)
        return opened

    def _singles(self, opened: Sequence[OpenedObject], pool: Executor) -> None:
        """Process objects with one key or none. An object whose key has to wait stays as it is."""
        keys = tuple(dict.fromkeys(key for each in opened for key in each.unpacked.keys))
        waiting = self._reconcile(keys, pool, is_batch=False)
        self._finish([each for each in opened if not any(key in waiting for key in each.unpacked.keys)], pool)

    def _batch(self, opened: OpenedObject, pool: Executor) -> None:
        """Process an object with several keys, from where the last run ended."""
        listed, keys = opened.found.listed, opened.unpacked.keys
        done = self._progress.done(listed)
        for chunk in pieces(keys[done:], CHUNK_KEYS):
            self._interrupt.check()
            if self._reconcile(chunk, pool, is_batch=True):
                return  # a key is held back; a later run continues here
            done += len(chunk)
            self._progress.note(listed, done)
            self._tools.progressed()
        self._finish([opened], pool)

    def _reconcile(self, keys: Sequence[Key], pool: Executor, *, is_batch: bool) -> Container[Key]:
        """Reconcile keys, and keep in a new object each of those that were not. Return the keys that have to wait.

        Keys that are held back have to wait. In a batch no key is reconciled then, so that none is kept twice. The
        keys of other objects also wait if the source changed in every round: their object stays.
        """
        if not keys:
            return ()
        free = self._tools.intend(keys)
        held = set(keys).difference(free)
        if held and is_batch:
            self._tools.close(free)
            return held
        total = _total(pool.map(self._tools.reconcile, pieces(free, MAX_KEYS)))
        self._tools.check_transform()
        waiting = held if is_batch else held.union(total.changing)
        refused = {key: (why.code, f"refused by a table: {why.message}") for key, why in total.refused}
        others = {
            **{key: (INTERRUPTED, _CHANGED) for key in total.changing if key not in waiting},
            **dict.fromkeys(total.undecided, (NEEDS_REVIEW, UNDECIDED)),
        }
        self._tools.keep(refused, others, confirmed=len(total.confirmed))
        self._tools.close(keys)
        self.result.confirmed += len(total.confirmed)
        self.result.in_doubt += len(total.in_doubt)
        self.result.kept += len(refused) + len(others)
        return waiting

    def _finish(self, opened: Sequence[OpenedObject], pool: Executor) -> None:
        """Move objects whose keys are reconciled or in objects of their own."""
        excluded = {key: (EXCLUDED, EXCLUDED_REASON) for each in opened for key in each.unpacked.outside}
        if excluded:
            self._tools.keep({}, excluded, confirmed=0)
            self.result.kept += len(excluded)
        ready = []
        for each in opened:
            # Only this object has the records whose keys are unknown, or are those of an earlier table.
            if each.unpacked.earlier or each.unpacked.keyless:
                self._leave(each.found)
            else:
                ready.append(each)
        for moved in pool.map(partial(move, outcome=_OUTCOME), ready):
            self.result.moved += isinstance(moved, OpenedObject)

    def _leave(self, found: FoundObject) -> None:
        self.result.stay += 1
        self._progress.note(found.listed, None)
        self._tools.progressed()


def _total(parts: Iterator[Reconciled]) -> Reconciled:
    """Return the outcomes of several calls together. None has failed keys."""
    total = Reconciled()
    for each in parts:
        total.confirmed += each.confirmed
        total.changing += each.changing
        total.in_doubt += each.in_doubt
        total.refused += each.refused
        total.undecided += each.undecided
    return total
