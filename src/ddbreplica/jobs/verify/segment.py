"""Compare segments of both tables until they are done, or the invocation has to end."""

from collections.abc import Sequence
from contextlib import closing, suppress
from typing import Final

from ddbreplica.driver import Patience
from ddbreplica.errors import TaskError
from ddbreplica.jobs.ending import YIELD_SECONDS, YieldError
from ddbreplica.jobs.job import Checked, Job, not_done
from ddbreplica.jobs.objects import SEGMENT, lines_of
from ddbreplica.jobs.plan import Plan
from ddbreplica.jobs.verify.options import verify_options
from ddbreplica.jobs.verify.progress import SegmentProgress, segment_progress
from ddbreplica.model import Key
from ddbreplica.records.decode import attributes_of
from ddbreplica.verify.compare.comparison import Comparison, InStep
from ddbreplica.verify.compare.merge import Segment
from ddbreplica.verify.keyset import KeySet
from ddbreplica.verify.saved_progress import SAVE_SECONDS

WAITING_BYTES: Final = 2 * 1024 * 1024
"""The bytes of items that may wait for their partner. Their keys are saved each time, and may be as large."""


def work(job: Job, plan: Plan, numbers: Sequence[int]) -> bool:
    """Compare segments, one after the other, and return whether all of them are done.

    Raises SupersededError if another worker took a segment over, YieldError if the replicator needs this worker's
    concurrency, and TaskError if a segment cannot be compared.
    """
    left = not_done(
        numbers,
        lambda number: segment_progress(job.objects, plan, number).is_done,
        of=plan.segments,
        what=SEGMENT,
    )
    if not left:
        return True
    checked = Checked.now(job, plan)
    return all(_SegmentWork(job, plan, checked, number).run() for number in left)


class _SegmentWork:
    """The work on one segment in this invocation."""

    def __init__(self, job: Job, plan: Plan, checked: Checked, number: int) -> None:
        """Take the state of the segment."""
        self._job = job
        self._plan = plan
        self._checked = checked
        self._options = verify_options(plan.options, segments=plan.segments)
        self._state = job.take(job.objects.state(SEGMENT, number), plan)
        self._progress = SegmentProgress.read(number, self._state.content)
        self._progress.failure = ""
        self._earlier = self._progress.suspects
        self._new: list[Key] = []
        self._saved_at = self._looked_at = job.pair.clock.ticks()
        self._yields = False

    def run(self) -> bool:
        """Compare until the segment is done or the invocation has to end. Return whether it is done."""
        if self._progress.is_done:
            return True
        with closing(KeySet()) as suspects:
            comparison = self._comparison(suspects)
            # It suspects the keys that waited when an earlier invocation ended.
            segment = Segment(comparison, self._progress.state, of=self._plan.segments, bound=WAITING_BYTES)
            try:
                self._compare(segment, comparison)
            except TaskError as error:
                self._progress.failure = error.fact
                with suppress(TaskError):
                    self._save(segment, comparison)
                raise
            self._save(segment, comparison)
        if self._yields and not self._progress.is_done:
            raise YieldError
        return self._progress.is_done

    def _comparison(self, suspects: KeySet) -> Comparison:
        rates = [rate / self._plan.workers for rate in self._plan.read_rates]
        source, replica = self._checked.readers(self._job, Patience(self._job.ending), rates)
        preflight = self._checked.preflight
        return Comparison(
            (source, replica),
            suspects,
            advance=lambda _: None,
            in_step=InStep(self._job.note),
            max_suspects=self._options.max_suspects - self._earlier,
            suspected=self._new.extend,
            key_filter=preflight.key_filter,
            is_archive=preflight.is_archive,
            archived=self._archive,
            consistent=self._options.scans_consistently,
        )

    def _compare(self, segment: Segment, comparison: Comparison) -> None:
        with suppress(KeyboardInterrupt):  # the invocation has to end
            while not (segment.is_done or comparison.halted.is_set() or self._has_to_end()):
                segment.step()
                if self._job.pair.clock.ticks() - self._saved_at >= SAVE_SECONDS:
                    self._save(segment, comparison)
            if not (segment.is_done or comparison.halted.is_set()):
                segment.pause()

    def _has_to_end(self) -> bool:
        """Return whether the invocation has to end soon: its time is over, or the replicator needs its concurrency."""
        now = self._job.pair.clock.ticks()
        if now - self._looked_at >= YIELD_SECONDS:
            self._looked_at = now
            self._yields = self._job.pair.is_function_throttled()
        return self._yields or self._job.ending.is_near

    def _archive(self, keys: Sequence[Key]) -> None:
        """Keep the first keys that only the archive has, as many as are shown."""
        self._progress.archived += keys[: self._options.limit - len(self._progress.archived)]

    def _save(self, segment: Segment, comparison: Comparison) -> None:
        """Save the position, after all suspected differences that were found before it."""
        progress = self._progress
        progress.parts += self._job.objects.add(lines_of(map(attributes_of, self._new)))
        self._new.clear()
        progress.suspects = self._earlier + len(comparison.suspects)
        progress.state = segment.state
        progress.stopped_early = comparison.halted.is_set() and not segment.is_done
        progress.is_done = segment.is_done or progress.stopped_early
        self._state.save(progress.document())
        self._saved_at = self._job.pair.clock.ticks()
