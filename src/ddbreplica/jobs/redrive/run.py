"""Run a scheduled redrive: the objects in doubt and the discarded batches, for at most five minutes.

A redrive that is killed leaves its open keys in a state of its own, which the next one takes over.
"""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from ddbreplica.bucket import verifications
from ddbreplica.driver import Patience
from ddbreplica.dynamodb.describe import Described, identity
from ddbreplica.dynamodb.rate import Rate
from ddbreplica.errors import TaskError
from ddbreplica.jobs.job import Job, Writing
from ddbreplica.jobs.objects import document_bytes
from ddbreplica.jobs.redrive.abandoned import AbandonedJobs, BucketJobs
from ddbreplica.jobs.redrive.journal import RedriveJournal
from ddbreplica.jobs.redrive.overdue import hours_since
from ddbreplica.jobs.state.fenced_state import FencedState, SupersededError
from ddbreplica.jobs.state.journal import StateJournal
from ddbreplica.jobs.state.lease import Lease
from ddbreplica.mapping.event_source_mapping import MappingState
from ddbreplica.mapping.preflight import Preflight
from ddbreplica.mapping.safeguards import pause_note, refuse_unrepairable
from ddbreplica.model import INTERRUPTED, Key
from ddbreplica.reconcile.algorithm import Reconciled
from ddbreplica.reconcile.in_doubt_quarantine import Reasons
from ddbreplica.reconcile.journal_format import REDRIVE
from ddbreplica.reconcile.reconciler import Rates
from ddbreplica.reconcile.requests_under_way import UnderWay
from ddbreplica.redrive.places import Buckets
from ddbreplica.redrive.scheduled import ObjectProgress, ScheduledRedriver, find_due

RUN_SECONDS: Final = 300.0
"""The longest run, so that a schedule of five minutes finds none that runs."""

LEASE_SECONDS: Final = RUN_SECONDS - 30
"""How long a redrive that was killed keeps the next one from running; less than the interval of the schedule."""

MAX_POISON_IN_AN_HOUR: Final = 100
"""With more, the replica itself is at fault, and would refuse what a redrive writes as well."""

HINT: Final = "check the quarantine bucket; the next redrive tries the key again."


def redrive(job: Job) -> None:
    """Redrive for at most five minutes. Do nothing if another redrive of the stack runs.

    Raises TaskError if the tables or the buckets cannot be used, or if the replica refuses everything.
    """
    lease = Lease(job.objects.store, job.payload.stack, job.payload.job, "redrive-", LEASE_SECONDS)
    if lease.take(now=job.pair.clock.moment.timestamp()) is not None:
        job.note("another redrive runs, so that this one does nothing")
        return
    try:
        _redrive(job.within(RUN_SECONDS))
    except SupersededError:
        job.note("another redrive has taken over")
    finally:
        with suppress(TaskError):  # it ends by itself, only later
            lease.release()


def _redrive(job: Job) -> None:
    tables = job.pair.describe()
    preflight = job.pair.preflight(without_mapping=False, archive=False)
    _emit_hours(job, tables, preflight.mapping)
    mapping = _replicating(preflight.mapping, tables[0])
    if note := pause_note(mapping):
        job.note(note)
    journal = _journal(job, tables)
    run = _Run(job, tables, preflight, mapping, journal)
    try:
        with suppress(KeyboardInterrupt):  # the time is over
            run.all()
    finally:
        job.note(run.summary)
        journal.leave()


def _emit_hours(job: Job, tables: tuple[Described, Described], mapping: MappingState | None) -> None:
    """Emit how long ago the last verification was. A redrive does not depend on it."""
    now = job.pair.clock.moment
    if mapping is None or mapping.quarantine is None:
        return
    try:
        records = verifications.newest(job.pair.connection, mapping.quarantine, now=now)
    except TaskError as error:
        job.note(f"the last verification is unknown: {error.fact}")
        return
    hours = hours_since(records, tables, now=now)
    job.pair.metrics.publish({"HoursSinceVerification": hours}, note=job.note)


def _replicating(mapping: MappingState | None, source: Described) -> MappingState:
    """Return the mapping. Raises TaskError unless it replicates the changes that come after those of a redrive."""
    is_present = mapping is not None and mapping.stream_arn == source.latest_stream
    return refuse_unrepairable(mapping if is_present else None)


def _journal(job: Job, tables: tuple[Described, Described]) -> RedriveJournal:
    digest = hashlib.sha256(document_bytes(identity(*tables))).hexdigest()
    # A name for each pair: the keys of a table that was recreated are not those of the present one.
    name = f"jobs/{job.payload.stack}/redrive-{digest[:16]}.json"
    state = FencedState.take(job.objects.store, name, plan=digest, owner=job.owner)
    journal = StateJournal(state, clock=job.pair.clock)
    return RedriveJournal(journal, job.pair.quarantining(journal, tables[0].table, command=REDRIVE))


class _Run:
    """One run: what a ScheduledRedriver works with."""

    def __init__(
        self,
        job: Job,
        tables: tuple[Described, Described],
        preflight: Preflight,
        mapping: MappingState,
        journal: RedriveJournal,
    ) -> None:
        self._job = job
        self._journal = journal
        source = tables[0]
        buckets = Buckets.of(mapping, quarantine=None, on_failure=None, note=job.note)
        self._kept, *self._discarded = buckets.places(job.pair.connection, source, preflight.key_filter)
        writing = Writing(
            Patience(job.ending, clock=job.pair.clock.ticks),
            # Its writes are few, so that only its reads have a limit.
            Rates(read=Rate(source.read_rate(None), sleep=job.ending.sleep)),
            is_archive=preflight.is_archive,
            transform=job.pair.transform(source),
            under_way=UnderWay(),
        )
        self._transform = writing.transform
        self._reconciler = job.pair.reconciler(tables, journal, writing)
        progress = journal.progress or {}
        self._progress = ObjectProgress(progress.get("objects"), patterns=preflight.key_filter.patterns)
        self._redriver = ScheduledRedriver(self, self._progress, interrupt=job.ending)
        self._tables = tables
        self._abandoned = AbandonedJobs(
            progress.get("jobs"),
            BucketJobs(self._kept.bucket, job.payload.stack),
            clock=job.pair.clock,
            note=job.note,
        )

    @property
    def summary(self) -> str:
        """What the run has done, as text."""
        result = self._redriver.result
        return (
            f"objects: {result.moved:,} moved to done/, {result.stay:,} stay; keys: {result.confirmed:,} reconciled,"
            f" {result.in_doubt:,} in doubt again, {result.kept:,} in objects of their own"
        )

    def all(self) -> None:
        """Process all objects. Raises KeyboardInterrupt when the time is over."""
        self._journal.record_left()
        self._process()
        # Last, since most keys of a killed redrive are still in objects, and were reconciled with these.
        handed_over = self._journal.hand_over(continues=lambda: not self._job.ending.is_near)
        if self._take_over() or handed_over:
            self._process()

    def _take_over(self) -> int:
        """Hand over the keys of jobs that nobody resumed for an hour, and return their number."""
        job, pair = self._job, identity(*self._tables)
        try:
            return self._abandoned.take_over(
                lambda name: replace(job.objects, job=name),
                # The keys of a job with other tables are not those of the present ones.
                lambda plan: plan.pair == pair,
                lambda plan: (
                    job.pair.quarantining(self._journal, self._tables[0].table, command=plan.what).hand_over
                ),
                job.ending.check,
            )
        finally:
            self.progressed()

    def _process(self) -> None:
        due = find_due(self._kept, self._discarded, self._progress)
        if due.poison_in_an_hour > MAX_POISON_IN_AN_HOUR:
            self._job.note(
                f"nothing is redriven, since {due.poison_in_an_hour:,} records were quarantined in the last hour"
            )
            return
        self._redriver.run(due.found)

    def intend(self, keys: Sequence[Key]) -> Sequence[Key]:
        """Open keys with one save, and return those that are not held back."""
        return self._journal.intend(keys)

    def reconcile(self, keys: Sequence[Key]) -> Reconciled:
        """Reconcile open keys."""
        return self._reconciler.reconcile(keys)

    def check_transform(self) -> None:
        """Raise TaskError if the function's transform was changed."""
        self._transform.check_now()

    def close(self, keys: Sequence[Key]) -> None:
        """Close keys, which are reconciled or in an object."""
        self._journal.confirm(keys)

    def progressed(self) -> None:
        """Note the progress; the next save stores it."""
        self._journal.note({"objects": self._progress.document(), "jobs": self._abandoned.document()})

    def keep(self, refused: Reasons, others: Reasons, *, confirmed: int) -> None:
        """Keep each key in a new object of its own. Raises TaskError if one cannot be kept."""
        if refused:
            self._refuse_unwritable()
        self._journal.quarantine.keep_poison(refused, puts_applied=confirmed)
        self._journal.quarantine.keep(others)
        # As the replicator counts them, so that its alarm goes off.
        if left := len(refused) + sum(code != INTERRUPTED for code, _ in others.values()):
            self._job.pair.metrics.publish({"RecordsQuarantined": left}, note=self._job.note)

    def _refuse_unwritable(self) -> None:
        """Raise TaskError if the replica refuses every item. It is described again, since it may have changed."""
        _, replica = self._job.pair.describe()
        if not replica.table.is_writable:
            raise TaskError(
                f"the replica refused an item, and the table's status is {replica.table.status}.", hint=HINT
            )
