"""A list of keys, in parts → all of them healed, each part going on where the run before was ended, or killed.

A part's cursor is noted after the keys before it are healed, or are open in the journal. So a run that goes on does at
most one page of each part again, and at its end heals whatever any run has left open.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Event, Lock
from typing import Any, TypeAlias

from ddbreplica.backfill import listing
from ddbreplica.backfill.listing import DamagedError, KeyPage, Listing
from ddbreplica.driver import Advance
from ddbreplica.dynamodb.scan import TableReader
from ddbreplica.errors import TaskError
from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.model import Items, Key
from ddbreplica.reconcile.algorithm import Reconciled
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.journal_format import DAMAGED

MOST_LEFT = 10_000
"""Where it ends early: so many items that cannot be healed tell of something else, and memory has an end."""

_BEGINNING = object()
_DAMAGE = "damage"
_COUNTED = ("items", "outside")
_ROUNDS = 3
_CHANGING = "it changed at the source each time"
_SUSPECT = "a write was not answered, and may still land"


class Scan:
    """The source as it is, in segments."""

    def __init__(self, source: TableReader, segments: int) -> None:
        """Scan nothing yet."""
        self._source = source
        self.parts = [f"segment {number} of {segments}" for number in range(segments)]

    def pages(self, part: str, after: Any) -> Iterator[KeyPage]:
        """Consistently read pages."""
        number = self.parts.index(part)
        pages = self._source.scan_on(number, of=len(self.parts), after=after, limit=listing.PAGE)
        return (KeyPage(tuple(items), items, cursor) for items, cursor in pages)


class Within:
    """A listing without the keys that the mapping's filter leaves out."""

    def __init__(self, key_filter: KeyFilter, whole: Listing) -> None:
        """List nothing yet."""
        self._key_filter = key_filter
        self._whole = whole
        self.parts = whole.parts

    def pages(self, part: str, after: Any) -> Iterator[KeyPage]:
        """The same pages, of which nothing or all may be left."""
        for page in self._whole.pages(part, after):
            keys = tuple(key for key in page.keys if self._key_filter.passes(key))
            seen = {key: page.seen[key] for key in keys if key in page.seen}
            yield KeyPage(keys, seen, page.cursor, outside=len(page.keys) - len(keys))


Reconcile: TypeAlias = Callable[[Sequence[Key], Items], Reconciled]
"""Gives the replica the source's state of keys, of which some items were seen: `Reconciler.reconcile`."""


class Backfill:
    """One run. `left` says why items are not healed yet; `items` counts all that any run has given to healing.

    `outside` counts those that it went by since the mapping's filter leaves them out. `damaged` names each part that
    this run or an earlier one found damaged, and why: the state keeps it, and what the part lacks is never copied.
    """

    def __init__(
        self,
        listing: Listing,
        *,
        reconcile: Reconcile,
        journal: FileJournal,
        undecided: Callable[[Sequence[Key]], None],
        threads: int,
        advance: Advance,
    ) -> None:
        """`undecided` keeps keys for somebody to look at; `advance` is told of every item gone through by any run."""
        self._listing = listing
        self._reconcile_keys = reconcile
        self._journal = journal
        self._threads = threads
        self._undecided = undecided
        self._advance = advance
        self._halted = Event()
        self._lock = Lock()
        self._work: list[Future[None]] = []
        self._left_before = len(journal.open_keys())
        self._refused: set[Key] = set()
        self.left: dict[Key, str] = {}
        self.damaged: dict[str, str] = {}
        self.items = 0
        self.outside = 0

    def run(self) -> None:
        """Heal what no run has gone through yet.

        Raises TaskError and KeyboardInterrupt as healing and listing do, and where too much is left.
        """
        for part in self._listing.parts:
            self._count(self._done(part))
        self._in_threads(partial(self._reconcile_part, part) for part in self._listing.parts)

    def settle(self, wait: Callable[[], None]) -> None:
        """Heal what is still open, each time after a wait until nothing of it is held back.

        A response may show that the clock is further ahead, which holds back what was free: such a round is none.
        """
        fewest, rounds = len(self._open()), 0
        while (keys := self._open()) and rounds < _ROUNDS:
            rounds = 0 if len(keys) < fewest else rounds + 1
            fewest = min(fewest, len(keys))
            wait()
            pieces = (keys[start : start + listing.PAGE] for start in range(0, len(keys), listing.PAGE))
            self._in_threads(partial(self._reconcile, piece, {}) for piece in pieces)

    def _open(self) -> Sequence[Key]:
        return [key for key in self._journal.open_keys() if key not in self._refused]

    @property
    def is_at_rest(self) -> bool:
        """Whether it is certain that no request is under way."""
        return all(work.done() and _ended_in_order(work) for work in self._work)

    def _in_threads(self, jobs: Iterable[Callable[[], None]]) -> None:
        with ThreadPoolExecutor(self._threads, thread_name_prefix="backfill") as pool:
            self._work = [pool.submit(self._halting, job) for job in jobs]
            for work in self._work:
                work.result()

    def _halting(self, job: Callable[[], None]) -> None:
        try:
            if not self._halted.is_set():
                job()
        except BaseException:
            self._halted.set()
            raise

    def _reconcile_part(self, part: str) -> None:
        done = self._done(part)
        if _DAMAGE in done:
            self.damaged[part] = done[_DAMAGE]
            return
        try:
            self._reconcile_pages(part, done)
        except DamagedError as error:
            self._journal.note(part, {**self._done(part), _DAMAGE: str(error)})
            self.damaged[part] = str(error)

    def _done(self, part: str) -> Mapping[str, Any]:
        """How far this run and earlier ones have come with a part. Raises TaskError for what none has noted."""
        done = self._journal.notes.get(part, {})
        if not _is_note(done):
            raise TaskError(
                f"{self._journal.name}: ddbreplica has not written what it says of {part}.", hint=DAMAGED
            )
        noted: Mapping[str, Any] = done
        return noted

    def _reconcile_pages(self, part: str, done: Mapping[str, Any]) -> None:
        if done.get("after", _BEGINNING) is None:
            return
        so_far = Counter({what: done.get(what, 0) for what in _COUNTED})
        for page in self._listing.pages(part, done.get("after")):
            self._reconcile(page.keys, page.seen)
            counts = {"items": len(page.keys), "outside": page.outside}
            so_far.update(counts)
            self._journal.note(part, {"after": page.cursor, **so_far})
            self._count(counts)
            if self._halted.is_set():
                return

    def _reconcile(self, keys: Sequence[Key], seen: Items) -> None:
        reconciled = self._reconcile_keys(keys, seen)
        with self._lock:
            self._hand_over(reconciled.undecided)
            for key in (*reconciled.confirmed, *reconciled.undecided):
                self.left.pop(key, None)
            self.left |= dict.fromkeys(reconciled.changing, _CHANGING) | dict.fromkeys(
                reconciled.in_doubt, _SUSPECT
            )
            self.left |= {key: f"{why.code}: {why.message}" for key, why in reconciled.refused}
            self._refused |= {key for key, _ in reconciled.refused}
            if len(self.left) - self._left_before > MOST_LEFT:
                raise TaskError(
                    f"{len(self.left):,} items cannot be healed; the last: {next(reversed(self.left.values()))}.",
                    hint="mend the replica (its indexes, its capacity), and run the same command again.",
                )

    def _hand_over(self, undecided: Sequence[Key]) -> None:
        """What nobody can decide about is none of the journal's, once it is kept elsewhere."""
        if undecided:
            self._undecided(undecided)
            self._journal.confirm(undecided)

    def _count(self, counts: Mapping[str, int]) -> None:
        items, outside = (counts.get(what, 0) for what in _COUNTED)
        with self._lock:
            self.items += items
            self.outside += outside
        self._advance(items + outside)


def _is_note(done: Any) -> bool:
    return (
        isinstance(done, dict)
        and isinstance(done.get(_DAMAGE, ""), str)
        and all(isinstance(done.get(what, 0), int) for what in _COUNTED)
    )


def _ended_in_order(work: Future[None]) -> bool:
    """Healing says that no request is under way when it raises these."""
    return isinstance(work.exception(), TaskError | KeyboardInterrupt | None)
