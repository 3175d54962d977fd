"""Copy segments of the source until all is copied, the invocation has to end, or only in-doubt writes are left.

A save opens the keys of the next pages together with the position behind them, and closes the keys that were confirmed
since the last one. So every key before the saved position is confirmed, open in the state, or in quarantine.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from ddbreplica.backfill import listing
from ddbreplica.backfill.listing import KeyPage
from ddbreplica.backfill.outcomes import IN_DOUBT, Outcomes, pages_of, rounds_of
from ddbreplica.backfill.pages import Scan, Within
from ddbreplica.driver import Patience
from ddbreplica.errors import TaskError
from ddbreplica.jobs.backfill.progress import NAMED, SegmentProgress, segment_progress
from ddbreplica.jobs.ending import YIELD_SECONDS, YieldError
from ddbreplica.jobs.job import MOST_WAITS, Checked, Job, in_turn, not_done
from ddbreplica.jobs.objects import SEGMENT, lines_of
from ddbreplica.jobs.plan import Plan
from ddbreplica.jobs.state.journal import PAGE_KEYS
from ddbreplica.model import Key
from ddbreplica.records.decode import attributes_of

MOST_LEFT: Final = 1_000
"""The number of items of a segment that cannot be copied at which the segment fails: they have a common cause."""

_BATCH_UNITS = 4_096
"""The read units of the items in memory: 16 MiB of them."""

_SAVE_SECONDS = 10.0


def work(job: Job, plan: Plan, numbers: Sequence[int]) -> int | None:
    """Copy segments, one after the other. Return None if all are done, or for how many seconds to wait before more.

    Raises SupersededError if another worker took a segment over, YieldError if the replicator needs this worker's
    concurrency, and TaskError if a segment cannot be copied.
    """
    left = not_done(
        numbers,
        lambda number: segment_progress(job.objects, plan, number).is_done,
        of=plan.segments,
        what=SEGMENT,
    )
    if not left:
        return None
    checked = Checked.now(job, plan)
    return in_turn(_SegmentWork(job, plan, checked, number).run() for number in left)


class _SegmentWork:
    """The work on one segment in this invocation."""

    def __init__(self, job: Job, plan: Plan, checked: Checked, number: int) -> None:
        """Take the state of the segment."""
        patience = Patience(job.ending, clock=job.pair.clock.ticks)
        reader = job.pair.reader(
            checked.tables[0],
            patience,
            read_rate=plan.read_rates[0] / plan.workers,
            view=checked.transform.view,
        )
        self._job = job
        self._transform = checked.transform
        state = job.take(job.objects.state(SEGMENT, number), plan)
        self._writer = job.writer(plan, checked, state, read_rate=reader.rate, workers=plan.workers)
        self._journal = self._writer.journal
        self._progress = replace(SegmentProgress.read(number, self._journal.progress), failure="")
        scan = Scan(reader, plan.segments)
        self._part = scan.parts[number]
        self._listing = Within(checked.preflight.key_filter, scan)
        self._outcomes = Outcomes(most=MOST_LEFT)
        self._saved_at = self._looked_at = job.pair.clock.ticks()
        self._yields = False

    def run(self) -> int | None:
        """Copy until all is copied or the invocation has to end. Return as `work` does.

        Raises YieldError if the invocation has to end for the replicator.
        """
        if self._progress.is_done:
            return None
        wait: int | None = 0
        try:
            with suppress(KeyboardInterrupt):  # the invocation has to end
                self._try_again()
                self._copy()
                self._try_again()
                wait = self._finish()
        except TaskError as error:
            self._progress = replace(self._progress, failure=error.fact)
            with suppress(TaskError):
                self._save()
            raise
        self._save()
        if self._yields:
            raise YieldError
        return wait

    def _copy(self) -> None:
        """Copy the rest of the segment. Raises KeyboardInterrupt if the invocation has to end."""
        if self._progress.is_scanned:
            return
        for pages in _batches(self._listing.pages(self._part, self._progress.after)):
            self._open(pages)
            for page in pages:
                self._reconcile(page)
            if self._seconds_since(self._looked_at) >= YIELD_SECONDS:
                self._look_around()
            if self._job.ending.is_near:
                raise KeyboardInterrupt

    def _look_around(self) -> None:
        """Try again what is open, and end the invocation if the replicator needs its concurrency."""
        self._try_again()
        if self._job.pair.is_function_throttled():
            self._yields = True
            raise KeyboardInterrupt
        self._looked_at = self._job.pair.clock.ticks()

    def _open(self, pages: Sequence[KeyPage]) -> None:
        """Open the keys of pages, together with the position behind them."""
        keys = [key for page in pages for key in page.keys]
        after = pages[-1].cursor
        progress = replace(
            self._progress,
            after=after,
            is_scanned=after is None,
            items=self._progress.items + len(keys),
            outside=self._progress.outside + sum(page.outside for page in pages),
        )
        self._journal.advance(progress.document(), keys)
        self._progress = progress
        if keys:
            self._saved_at = self._job.pair.clock.ticks()
        elif self._seconds_since(self._saved_at) >= _SAVE_SECONDS:
            self._save()

    def _try_again(self) -> None:
        """Reconcile the keys that are open and no longer held back, also those of earlier workers."""
        for keys in rounds_of(self._free):
            for page in pages_of(keys):
                self._reconcile(page)

    def _free(self) -> Sequence[Key]:
        return [key for key in self._journal.free_keys() if key not in self._outcomes.refused]

    def _reconcile(self, page: KeyPage) -> None:
        if not page.keys:
            return
        reconciled = self._writer.reconcile(page.keys, page.seen, page.rescan)
        if reconciled.undecided:
            self._list_for_review(reconciled.undecided)
        self._outcomes.add(page.keys, reconciled)

    def _list_for_review(self, undecided: Sequence[Key]) -> None:
        """List undecided keys, and close them: the save that removes them from the state has the list."""
        parts = self._job.objects.add(lines_of(map(attributes_of, undecided)))
        self._progress = replace(
            self._progress,
            parts=[*self._progress.parts, *parts],
            undecided=self._progress.undecided + len(undecided),
        )
        self._journal.note(self._progress.document())
        self._journal.confirm(undecided)

    def _finish(self) -> int | None:
        """Return for how long to wait for in-doubt writes, or None after the keys that are left are in quarantine."""
        wait = self._writer.wait_seconds()
        if wait and self._progress.waits < MOST_WAITS:
            self._progress = replace(self._progress, waits=self._progress.waits + 1)
            return wait
        # After the last write: what was written with an earlier transform is not done.
        self._transform.check_now()
        self._count_left()
        self._progress = replace(self._progress, is_done=self._writer.hand_over(self._job.ending))
        return None if self._progress.is_done else 0

    def _count_left(self) -> None:
        """Count and name the items that are not copied. An earlier invocation may have handed some of them over."""
        left = self._journal.unconfirmed()
        if len(left) <= self._progress.left:
            return
        reasons = ((key, self._outcomes.left.get(key, IN_DOUBT)) for key in left[:NAMED])
        self._progress = replace(
            self._progress,
            left=len(left),
            left_items=[{"key": attributes_of(key), "reason": reason} for key, reason in reasons],
        )

    def _save(self) -> None:
        self._journal.note(self._progress.document())
        self._writer.rest()
        self._saved_at = self._job.pair.clock.ticks()

    def _seconds_since(self, ticks: float) -> float:
        return self._job.pair.clock.ticks() - ticks


def _batches(pages: Iterable[KeyPage]) -> Iterator[Sequence[KeyPage]]:
    """Yield pages in groups whose keys are opened with one save, and whose items are in memory together."""
    batch: list[KeyPage] = []
    keys, units = 0, 0.0
    for page in pages:
        batch.append(page)
        keys += len(page.keys)
        units += page.rescan.units if page.rescan else 0
        if page.cursor is None or keys + listing.PAGE > PAGE_KEYS or units >= _BATCH_UNITS:
            yield batch
            batch, keys, units = [], 0, 0.0
