"""Confirm the suspected differences of pieces, until all are decided or the invocation has to end."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from random import Random
from typing import Any, Final

from ddbreplica.driver import SILENT, Patience
from ddbreplica.errors import JobEndedError, TaskError
from ddbreplica.jobs.job import Checked, Job, refuse_unknown
from ddbreplica.jobs.objects import PART_BYTES, PIECE, lines_of
from ddbreplica.jobs.plan import Plan
from ddbreplica.jobs.verify.options import verify_options
from ddbreplica.jobs.verify.progress import PieceProgress, Suspects, piece_progress, suspects_of
from ddbreplica.records.decode import key_of
from ddbreplica.verify.confirm import plan as watching
from ddbreplica.verify.confirm.confirm import Confirmation, Rules
from ddbreplica.verify.confirm.timer import Timer
from ddbreplica.verify.keyset import KeySet
from ddbreplica.verify.result.findings import Findings
from ddbreplica.verify.saved_progress import SAVE_SECONDS

MOST_WATCHED: Final = 10_000
"""The most suspected differences that are watched, in all pieces together."""


def confirm(job: Job, plan: Plan, numbers: Sequence[int]) -> bool:
    """Confirm pieces, one after the other, and return whether all of them are done. Raises as `segment.work` does."""
    suspects = suspects_of(job.objects)
    for number in numbers:
        refuse_unknown(number, of=len(suspects.pieces), what=PIECE)
    left = [number for number in numbers if not piece_progress(job.objects, plan, number).is_done]
    if not left:
        return True
    checked = Checked.now(job, plan)
    return all(_PieceWork(job, plan, checked, suspects, number).run() for number in left)


class _PieceWork:
    """The work on one piece in this invocation."""

    def __init__(self, job: Job, plan: Plan, checked: Checked, suspects: Suspects, number: int) -> None:
        """Take the state of the piece."""
        self._job = job
        self._plan = plan
        self._checked = checked
        self._suspects = suspects
        self._number = number
        self._options = verify_options(plan.options, segments=plan.segments)
        self._state = job.take(job.objects.state(PIECE, number), plan)
        self._progress = PieceProgress.read(number, self._state.content)
        self._progress.failure = ""
        self._lines: list[bytes] = []
        self._bytes = 0
        self._saved_at = job.pair.clock.ticks()

    def run(self) -> bool:
        """Confirm until all keys are decided or the invocation has to end. Return whether all are decided."""
        progress = self._progress
        if progress.is_done:
            return True
        with closing(KeySet()) as keys:
            keys.add(key_of(line) for line in self._job.objects.lines(self._suspects.pieces[self._number]))
            keys.remove(key_of(line["key"]) for line in self._job.objects.lines(progress.parts))
            confirmation = self._confirmation(keys)
            try:
                progress.is_done = self._decide(confirmation)
            except TaskError as error:
                progress.failure = error.fact
                with suppress(TaskError):
                    self._save(confirmation)
                raise
            self._save(confirmation)
        return progress.is_done

    def _decide(self, confirmation: Confirmation) -> bool:
        """Decide about the keys. Return whether all are decided, and not only some of them."""
        decided = 0
        try:
            for line in lines_of(self._documents(confirmation)):
                self._add(line)
                decided += 1
                if self._job.pair.clock.ticks() - self._saved_at >= SAVE_SECONDS:
                    self._save(confirmation)
        except KeyboardInterrupt:  # the invocation has to end
            # The next one watches fewer keys, so that some invocation ends in time.
            self._progress.tries += not (decided or self._job.ending.was_stopped)
            return False
        return True

    def _documents(self, confirmation: Confirmation) -> Iterable[Mapping[str, Any]]:
        findings = Findings(0, without_values=self._options.no_values)
        return (findings.as_document(each, None) for each in confirmation.differences())

    def _confirmation(self, keys: KeySet) -> Confirmation:
        pair, ending, options = self._job.pair, self._job.ending, self._options
        workers = min(self._plan.workers, len(self._suspects.pieces))
        source, replica = (
            pair.reader(table, Patience(ending), read_rate=rate / workers)
            for table, rate in zip(self._checked.tables, self._plan.read_rates, strict=True)
        )
        return Confirmation(
            suspects=keys,
            source=source,
            replica=replica,
            rules=Rules(
                grace=options.grace,
                rounds=options.rounds,
                without_mapping=options.without_mapping,
                is_archive=self._checked.preflight.is_archive,
                threads=1,
                most_watched=self._most_watched(len(keys)),
                most_by_looks=self._most(watching.MOST_BY_LOOKS),
                others=self._suspects.count - len(keys),
            ),
            witness=pair.witness(ending),
            ask_lag=pair.ask_lag(ending),
            # The moments of looks are no secret.
            timer=Timer(lambda: pair.clock.moment, pair.clock.ticks, ending.sleep, Random()),  # noqa: S311
            note=self._job.note,
            progress=SILENT.progress,
        )

    def _most_watched(self, keys: int) -> int:
        """Return how many keys to watch: half as many after each invocation whose time was not enough."""
        most = min(self._most(MOST_WATCHED), max(1, keys)) >> self._progress.tries
        if most == 0:
            # The job that is started again begins with all of them.
            self._progress.tries = 0
            self._state.save(self._progress.document())
            raise JobEndedError(
                f"the suspected differences of piece {self._number:,} cannot be confirmed in one invocation.",
                hint="start a new job with a higher read rate.",
            )
        return most

    def _most(self, of_all: int) -> int:
        """Return the piece's share of what all pieces may watch together."""
        return max(1, of_all * self._suspects.sizes[self._number] // self._suspects.count)

    def _add(self, line: bytes) -> None:
        self._lines.append(line)
        self._bytes += len(line)
        if self._bytes >= PART_BYTES:  # items may be large
            self._store()

    def _store(self) -> None:
        """Store what was decided. It counts when the state that lists it is saved."""
        self._progress.parts += self._job.objects.add(self._lines)
        self._lines.clear()
        self._bytes = 0

    def _save(self, confirmation: Confirmation) -> None:
        self._store()
        progress = self._progress
        progress.by_looks |= confirmation.by_looks
        known = [each for each in (progress.lag, confirmation.lag) if each is not None]
        progress.lag = max(known, default=None)
        self._state.save(progress.document())
        self._saved_at = self._job.pair.clock.ticks()
