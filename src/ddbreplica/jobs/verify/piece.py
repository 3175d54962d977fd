"""Confirm the suspected differences of pieces, until all are decided or the invocation has to end."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from random import Random
from typing import Any, Final

from ddbreplica.driver import SILENT, Patience
from ddbreplica.errors import JobEndedError, TaskError
from ddbreplica.jobs.ending import YIELD_SECONDS, YieldError
from ddbreplica.jobs.job import MOST_WAITS, Checked, Job, Writer, in_turn, not_done
from ddbreplica.jobs.objects import PART_BYTES, PIECE, lines_of
from ddbreplica.jobs.plan import Plan
from ddbreplica.jobs.verify.options import verify_options
from ddbreplica.jobs.verify.progress import PieceProgress, Suspects, piece_progress, repairs, suspects_of
from ddbreplica.jobs.verify.repair import PieceRepair
from ddbreplica.reconcile.algorithm import IN_DOUBT
from ddbreplica.records.decode import key_of
from ddbreplica.verify.confirm import plan as watching
from ddbreplica.verify.confirm.confirm import Confirmation, Rules
from ddbreplica.verify.confirm.look import Look
from ddbreplica.verify.confirm.timer import Timer
from ddbreplica.verify.keyset import KeySet
from ddbreplica.verify.repair import ENOUGH, RepairResult, leave
from ddbreplica.verify.result.findings import Findings
from ddbreplica.verify.saved_progress import SAVE_SECONDS

MOST_WATCHED: Final = 10_000
"""The most suspected differences that are watched, in all pieces together."""

MOST_YIELDS: Final = 10
"""How often a piece begins later for the replicator. One that is always throttled must not keep a job from ending."""


def confirm(job: Job, plan: Plan, numbers: Sequence[int]) -> int | None:
    """Confirm pieces, one after the other, and repair them if the plan says so.

    Return None if all of them are done, or for how many seconds to wait before more. Raises as `segment.work` does.
    """
    suspects = suspects_of(job.objects)
    left = not_done(
        numbers,
        lambda number: piece_progress(job.objects, plan, number).is_done,
        of=len(suspects.pieces),
        what=PIECE,
    )
    if not left:
        return None
    checked = Checked.now(job, plan)
    return in_turn(_PieceWork(job, plan, checked, suspects, number).run() for number in left)


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
        patience = Patience(job.ending)
        workers = min(plan.workers, len(suspects.pieces))
        rates = [rate / workers for rate in plan.read_rates]
        self._source, self._replica = checked.readers(job, patience, rates)
        self._state = job.take(job.objects.state(PIECE, number), plan)
        self._writer: Writer | None = None
        self._repair: PieceRepair | None = None
        content = self._state.content
        if repairs(plan):
            self._writer = job.writer(
                plan, checked, self._state, read_rate=self._source.rate, workers=workers
            )
            self._repair, content = self._repairing(self._writer), self._writer.journal.progress
        self._progress = PieceProgress.read(number, content)
        self._progress.failure = ""
        self._wait = self._in_doubt = 0
        self._lines: list[bytes] = []
        self._bytes = 0
        self._saved_at = self._looked_at = job.pair.clock.ticks()
        self._yields = False

    def run(self) -> int | None:
        """Confirm until all keys are decided or the invocation has to end. Return and raise as `confirm` does."""
        progress = self._progress
        if progress.is_done:
            return None
        self._make_room()
        with closing(KeySet()) as keys:
            keys.add(key_of(line) for line in self._job.objects.lines(self._suspects.pieces[self._number]))
            keys.remove(key_of(line["key"]) for line in self._job.objects.lines(progress.parts))
            confirmation = self._confirmation(keys)
            try:
                progress.is_done = self._decide(confirmation) and self._finish()
            except TaskError as error:
                progress.failure = error.fact
                with suppress(TaskError):
                    self._save(confirmation)
                raise
            self._save(confirmation)
        if self._yields and not progress.is_done:
            raise YieldError
        return None if progress.is_done else self._wait

    def _make_room(self) -> None:
        """Raise YieldError if the replicator needs this worker's concurrency, before a watch, which is not resumed."""
        if self._progress.yields < MOST_YIELDS and self._job.pair.is_function_throttled():
            self._progress.yields += 1
            self._save_state()
            raise YieldError

    def _decide(self, confirmation: Confirmation) -> bool:
        """Decide about the keys. Return whether all are decided, and not only some of them."""
        decided = 0
        try:
            if self._repair:
                self._repair.try_again()
            for line in lines_of(self._documents(confirmation)):
                self._add(line)
                decided += 1
                if self._job.pair.clock.ticks() - self._saved_at >= SAVE_SECONDS:
                    self._save(confirmation)
                    self._look_around()
        except KeyboardInterrupt:  # the invocation has to end
            # The next one watches fewer keys, so that some invocation ends in time.
            self._progress.tries += not (decided or self._job.ending.was_stopped)
            return False
        return True

    def _look_around(self) -> None:
        """End the invocation if the replicator needs its concurrency. What was repaired is decided before it ends."""
        if self._job.pair.clock.ticks() - self._looked_at >= YIELD_SECONDS:
            self._looked_at = self._job.pair.clock.ticks()
            if self._job.pair.is_function_throttled():
                self._yields = True
                self._job.ending.set()

    def _documents(self, confirmation: Confirmation) -> Iterator[Mapping[str, Any]]:
        findings = Findings(0, without_values=self._options.no_values)
        for difference, outcome in self._results(confirmation):
            if outcome == IN_DOUBT and self._progress.waits < MOST_WAITS:
                self._in_doubt += 1  # decided later, when the write can no longer land
            else:
                yield findings.as_document(difference, findings.shown(outcome))

    def _results(self, confirmation: Confirmation) -> Iterable[RepairResult]:
        differences = confirmation.differences()
        if self._repair is None:
            return leave(differences)
        return self._repair.results(differences, about=len(confirmation.suspects))

    def _finish(self) -> bool:
        """Return whether the piece is done. A repair waits for in-doubt writes, also those of earlier workers."""
        if self._writer is None:
            return True
        self._wait = self._writer.wait_seconds()
        if self._in_doubt or (self._wait and self._progress.waits < MOST_WAITS):
            self._progress.waits += 1
            return False
        # After the last write: what was written with an earlier transform is not done.
        self._checked.transform.check_now()
        return self._writer.hand_over(self._job.ending)

    def _repairing(self, writer: Writer) -> PieceRepair:
        job, options = self._job, self._options
        look = Look(self._source, self._replica, self._checked.preflight.is_archive)
        grace = watching.DEFAULT_GRACE if options.grace is None else options.grace
        return PieceRepair(
            writer.journal,
            writer.reconcile,
            lambda keys: [key for key, sight in look(keys).items() if sight.is_suspect],
            lambda: job.ending.sleep(grace),
        )

    def _confirmation(self, keys: KeySet) -> Confirmation:
        pair, ending, options = self._job.pair, self._job.ending, self._options
        return Confirmation(
            suspects=keys,
            source=self._source,
            replica=self._replica,
            rules=Rules(
                grace=options.grace,
                rounds=options.rounds,
                without_mapping=options.without_mapping,
                is_archive=self._checked.preflight.is_archive,
                threads=1,
                enough=ENOUGH if self._repair else None,
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
            self._save_state()
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
        self._save_state()
        self._saved_at = self._job.pair.clock.ticks()

    def _save_state(self) -> None:
        document = self._progress.document()
        if self._writer is None:
            self._state.save(document)
        else:
            self._writer.journal.note(document)
            self._writer.rest()
