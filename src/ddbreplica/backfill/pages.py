"""Reconcile all keys of a listing. Each part resumes where the last run was interrupted or killed.

The cursor of a part is noted after the keys before it are confirmed, or are open in the journal. So a resumed run
repeats at most one page of each part. At its end it reconciles all keys that any run has left open.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Event, Lock
from typing import Any, TypeAlias

from ddbreplica.backfill import listing
from ddbreplica.backfill.listing import DamagedError, KeyPage, Listing
from ddbreplica.backfill.outcomes import MOST_LEFT, Outcomes, pages_of, rounds_of
from ddbreplica.driver import Advance
from ddbreplica.dynamodb.scan import TableReader
from ddbreplica.errors import TaskError
from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.model import Items, Key
from ddbreplica.reconcile.algorithm import Reconciled
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.journal_format import DAMAGED
from ddbreplica.reconcile.rescan import Rescan

_BEGINNING = object()
_DAMAGE = "damage"
_COUNTED = ("items", "outside")


class Scan:
    """A scan of the source table. Each segment is a part."""

    def __init__(self, source: TableReader, segments: int) -> None:
        """Scan nothing yet."""
        self._source = source
        self.parts = [f"segment {number} of {segments}" for number in range(segments)]

    def pages(self, part: str, after: Any) -> Iterator[KeyPage]:
        """Yield pages that are read consistently, and can be read once more at the same price."""
        segment, of = self.parts.index(part), len(self.parts)
        for items, cursor, units in self._source.scan_on(segment, of=of, after=after, limit=listing.PAGE):
            again = partial(self._source.rescan, segment, of=of, after=after, limit=len(items))
            yield KeyPage(tuple(items), items, cursor, rescan=Rescan(units, again))
            after = cursor


class Within:
    """A listing without the keys that the mapping's filter excludes."""

    def __init__(self, key_filter: KeyFilter, whole: Listing) -> None:
        """Take the filter and the listing of all keys."""
        self._key_filter = key_filter
        self._whole = whole
        self.parts = whole.parts

    def pages(self, part: str, after: Any) -> Iterator[KeyPage]:
        """Return the same pages without the excluded keys; a page may become empty."""
        for page in self._whole.pages(part, after):
            keys = tuple(key for key in page.keys if self._key_filter.passes(key))
            seen = {key: page.seen[key] for key in keys if key in page.seen}
            outside = len(page.keys) - len(keys)
            yield KeyPage(keys, seen, page.cursor, outside=outside, rescan=page.rescan)


Reconcile: TypeAlias = Callable[[Sequence[Key], Items, Rescan | None], Reconciled]
"""Reconciles keys, some of whose items the listing has read, and may read once more: `Reconciler.reconcile`."""


class Backfill:
    """One run of a backfill.

    `left` has the items that are not copied yet, with reasons. `items` counts the items that this and earlier runs
    have reconciled; `outside` counts those that the mapping's filter excludes. `damaged` has each part that this or an
    earlier run found damaged, with the reason. The state keeps it, since the items that such a part lacks are never
    copied.
    """

    def __init__(
        self,
        listings: Sequence[Listing],
        *,
        reconcile: Reconcile,
        journal: FileJournal,
        undecided: Callable[[Sequence[Key]], None],
        threads: int,
        advance: Advance,
    ) -> None:
        """Copy nothing yet. `undecided` lists keys for review; `advance` counts the items processed by this run.

        The listings are worked through one after the other. Several may have the same key.
        """
        self._listings = listings
        self._reconcile_keys = reconcile
        self._journal = journal
        self._threads = threads
        self._undecided = undecided
        self._advance = advance
        self._halted = Event()
        self._lock = Lock()
        self._work: list[Future[None]] = []
        # Keys that earlier runs left open do not count, since a resumed run has to try all of them.
        self._outcomes = Outcomes(most=MOST_LEFT + len(journal.open_keys()))
        self.damaged: dict[str, str] = {}
        self.items = 0
        self.outside = 0

    def run(self) -> None:
        """Reconcile the keys that no run has processed yet.

        Raises TaskError and KeyboardInterrupt as `reconcile` and the listing do, and TaskError if too many items
        cannot be copied.
        """
        for whole in self._listings:
            for part in whole.parts:
                self._add(self._done(part))
        for whole in self._listings:
            # One listing at a time: no key may be in two calls of `reconcile` at the same time.
            self._in_threads(partial(self._reconcile_part, whole, part) for part in whole.parts)

    def settle(self, wait: Callable[[], None]) -> None:
        """Reconcile the keys that are still open, in rounds. Before each, wait until no key is held back."""
        for keys in rounds_of(self._open):
            wait()
            self._in_threads(partial(self._reconcile, page) for page in pages_of(keys))

    def _open(self) -> Sequence[Key]:
        return [key for key in self._journal.open_keys() if key not in self._outcomes.refused]

    @property
    def left(self) -> Mapping[Key, str]:
        """The items that are not copied yet, with reasons."""
        return self._outcomes.left

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
        # The pool waits for all threads before it raises, so the others have to stop too.
        except BaseException:
            self._halted.set()
            raise

    def _reconcile_part(self, whole: Listing, part: str) -> None:
        done = self._done(part)
        if _DAMAGE in done:
            self.damaged[part] = done[_DAMAGE]
            return
        try:
            self._reconcile_pages(whole, part, done)
        except DamagedError as error:
            self._journal.note(part, {**self._done(part), _DAMAGE: str(error)})
            self.damaged[part] = str(error)

    def _done(self, part: str) -> Mapping[str, Any]:
        """Return the note of a part's progress. Raises TaskError if no run can have written it."""
        done = self._journal.notes.get(part, {})
        if not _is_note(done):
            raise TaskError(
                f"{self._journal.name}: the entry for {part} was not written by ddbreplica, or is damaged.",
                hint=DAMAGED,
            )
        noted: Mapping[str, Any] = done
        return noted

    def _reconcile_pages(self, whole: Listing, part: str, done: Mapping[str, Any]) -> None:
        if done.get("after", _BEGINNING) is None:
            return
        so_far = Counter({what: done.get(what, 0) for what in _COUNTED})
        for page in whole.pages(part, done.get("after")):
            self._reconcile(page)
            counts = {"items": len(page.keys), "outside": page.outside}
            so_far.update(counts)
            # Not before the page is reconciled, or after a kill the next run would skip it.
            self._journal.note(part, {"after": page.cursor, **so_far})
            self._count(counts)
            if self._halted.is_set():
                return

    def _reconcile(self, page: KeyPage) -> None:
        reconciled = self._reconcile_keys(page.keys, page.seen, page.rescan)
        with self._lock:
            self._hand_over(reconciled.undecided)
            self._outcomes.add(page.keys, reconciled)

    def _hand_over(self, undecided: Sequence[Key]) -> None:
        """List undecided keys for review, then close them in the journal."""
        if undecided:
            # Listed first: if the run is killed between the two, the keys are listed twice and not lost.
            self._undecided(undecided)
            self._journal.confirm(undecided)

    def _count(self, counts: Mapping[str, int]) -> None:
        self._add(counts)
        self._advance(_all_of(counts))

    def _add(self, counts: Mapping[str, Any]) -> None:
        with self._lock:
            self.items += counts.get("items", 0)
            self.outside += counts.get("outside", 0)


def done_earlier(journal: FileJournal, parts: Iterable[str]) -> int:
    """Return how many items of these parts earlier runs have processed."""
    return sum(_all_of(done) for part in parts if _is_note(done := journal.notes.get(part, {})))


def _all_of(counts: Mapping[str, Any]) -> int:
    return sum(counts.get(what, 0) for what in _COUNTED)


def _is_note(done: Any) -> bool:
    return (
        isinstance(done, dict)
        and isinstance(done.get(_DAMAGE, ""), str)
        and all(isinstance(done.get(what, 0), int) for what in _COUNTED)
    )


def _ended_in_order(work: Future[None]) -> bool:
    """Return whether the job ended with no request under way: `reconcile` raises these only then."""
    return isinstance(work.exception(), TaskError | KeyboardInterrupt | None)
