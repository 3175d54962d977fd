"""One invocation of a worker: its task, the job's objects, the pair of tables, and the time that it has."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil
from typing import Any, Final, Protocol

from ddbreplica.aws.clock import Clock
from ddbreplica.backfill.pages import Reconcile
from ddbreplica.bucket.store import Store
from ddbreplica.deadline import Deadline
from ddbreplica.driver import Interrupt, Note, Patience
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described, identity
from ddbreplica.dynamodb.rate import Rate, YieldingRate
from ddbreplica.dynamodb.scan import TableReader
from ddbreplica.errors import JobEndedError, TaskError
from ddbreplica.jobs.ending import Ending
from ddbreplica.jobs.metrics import Metrics
from ddbreplica.jobs.objects import PLAN, JobObjects
from ddbreplica.jobs.payload import Payload
from ddbreplica.jobs.plan import BACKFILL, Conditions, Plan
from ddbreplica.jobs.state.fenced_state import FencedState, Owner
from ddbreplica.jobs.state.journal import Quarantining, StateJournal
from ddbreplica.jobs.state.lease import Lease
from ddbreplica.jobs.state.stop_marker import StopMarker
from ddbreplica.mapping.lag_figures import AskLag
from ddbreplica.mapping.preflight import Preflight
from ddbreplica.model import Journal, Table
from ddbreplica.reconcile.in_doubt_quarantine import QuarantiningJournal
from ddbreplica.reconcile.reconciler import Rates, Reconciler
from ddbreplica.reconcile.requests_under_way import UnderWay
from ddbreplica.transform.same_transform import SameTransform
from ddbreplica.transform.view import AS_IT_IS, View
from ddbreplica.verify.confirm.witness import Witness

MOST_WAIT_SECONDS: Final = 600
"""The longest wait between two invocations, so that the job keeps its lease."""

MOST_WAITS: Final = 12
"""How often a part of a job waits for in-doubt writes. After two hours their keys are left to a redrive."""


@dataclass(frozen=True, slots=True)
class Writing:
    """How a worker writes to the replica. `under_way` counts the calls that have not ended."""

    patience: Patience
    rates: Rates
    is_archive: bool
    transform: SameTransform
    under_way: UnderWay


class Pair(Protocol):
    """The two tables of a job, and what is known of the way between them."""

    @property
    def connection(self) -> Connection:
        """The connection to both tables and to the services beside them."""
        ...

    @property
    def clock(self) -> Clock:
        """AWS's time, and the clock that cannot be set."""
        ...

    @property
    def store(self) -> Store:
        """The quarantine bucket, in which the objects of jobs are."""
        ...

    def describe(self) -> tuple[Described, Described]:
        """Describe source and replica as they are now."""
        ...

    def preflight(self, *, without_mapping: bool, archive: bool) -> Preflight:
        """Return the filter that applies, and whether the replica is an archive."""
        ...

    def refuse_unsafe(self, stream: str | None) -> None:
        """Raise TaskError if a change could be missed by both a backfill and the mapping of the source's stream."""
        ...

    def refuse_unrepairable(self, stream: str | None) -> None:
        """Raise TaskError if no mapping replicates the changes after a repair from the source's stream."""
        ...

    def transform(self, source: Described) -> SameTransform:
        """Return the transform of the function. Raises TaskError if it cannot be applied."""
        ...

    @property
    def updated_at(self) -> datetime | None:
        """When the function was last updated."""
        ...

    def update_seconds_left(self) -> float:
        """Return for how many seconds an invocation with earlier settings of the function may be under way.

        Raises TaskError if the last update has failed.
        """
        ...

    def reader(
        self, table: Described, patience: Patience, *, read_rate: float, view: View = AS_IT_IS
    ) -> TableReader:
        """Return a reader of a described table, whose items are seen through the view."""
        ...

    def witness(self, interrupt: Interrupt) -> Witness:
        """Return the source's stream as the witness of changes."""
        ...

    def ask_lag(self, interrupt: Interrupt) -> AskLag:
        """Return what measures the lag."""
        ...

    def quarantining(self, journal: Journal, source: Table, *, command: str) -> QuarantiningJournal:
        """Return a journal that also writes in-doubt keys to the quarantine bucket, so that a redrive finds them."""
        ...

    def reconciler(
        self, tables: tuple[Described, Described], journal: Journal, writing: Writing
    ) -> Reconciler:
        """Return what writes the source's present state of keys to the replica."""
        ...

    def is_function_throttled(self) -> bool:
        """Return whether Lambda has throttled the replicator in the last minutes, as far as that is known."""
        ...

    def unreserved_concurrency(self) -> int:
        """Return how many functions of the account may run at a time, without those with a reserved concurrency."""
        ...

    @property
    def metrics(self) -> Metrics:
        """The metrics of the replication."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """A job as one invocation sees it. `note` shows what is no result."""

    payload: Payload
    pair: Pair
    objects: JobObjects
    deadline: Deadline
    ending: Ending
    note: Note

    @classmethod
    def of(cls, payload: Payload, pair: Pair, *, deadline: Deadline, note: Note) -> "Job":
        """Return the job of a payload."""
        objects = JobObjects(pair.store, payload.stack, payload.job)
        marker = StopMarker(objects.store, objects.folder, attempt=payload.attempt)
        return cls(payload, pair, objects, deadline, Ending(deadline, marker.is_set), note)

    @property
    def lease(self) -> Lease:
        """The lease by which one job of the stack runs at a time."""
        return Lease(self.objects.store, self.payload.stack, self.payload.job)

    def plan(self) -> Plan:
        """Return the plan. Raises TaskError if there is none, or if it is that of another function."""
        body = self.objects.read(PLAN)
        if body is None:
            raise JobEndedError(
                f"the job {self.payload.job} does not exist: it has no plan.", hint="start a new job."
            )
        plan = Plan.read(body)
        plan.refuse_other(what=plan.what, function=self.payload.function)
        return plan

    def seconds_since(self, began: str) -> float:
        """Return the seconds since a time in ISO 8601 of another worker, whose clock may be a second ahead of this one.

        `Date` headers have whole seconds.
        """
        return max(0.0, (self.pair.clock.moment - datetime.fromisoformat(began)).total_seconds())

    @property
    def owner(self) -> Owner:
        """A new owner of states, until the invocation ends."""
        return Owner.until(self.pair.clock.moment.timestamp() + self.deadline.remaining())

    def within(self, seconds: float) -> "Job":
        """Return the job with an end after so many seconds, or when the invocation has to end."""
        clock, given = self.pair.clock, self.deadline
        ends_at = clock.ticks() + seconds
        deadline = Deadline(lambda: min(given.remaining(), ends_at - clock.ticks()), sleep=given.sleep)
        return replace(self, ending=self.ending.within(deadline))

    def take(self, name: str, plan: Plan) -> FencedState:
        """Take a state of the job for this invocation. Raises SupersededError, and TaskError, as FencedState does."""
        return FencedState.take(self.objects.store, name, plan=plan.digest, owner=self.owner)

    def writer(
        self, plan: Plan, checked: "Checked", state: FencedState, *, read_rate: Rate, workers: int
    ) -> "Writer":
        """Return what writes keys, as one of so many workers. `read_rate` is that of all reads of the source."""
        clock, under_way = self.pair.clock, UnderWay()
        journal = StateJournal(state, clock=clock)
        quarantining = self.pair.quarantining(journal, checked.tables[0].table, command=plan.what)
        # The function's own writes have to come first, and a table that throttles this worker may throttle them too.
        rate = YieldingRate(plan.write_rate / workers, clock=clock.ticks, sleep=self.ending.sleep)
        writing = Writing(
            Patience(self.ending, clock=clock.ticks),
            Rates(write=rate, read=read_rate),
            is_archive=checked.preflight.is_archive,
            transform=checked.transform,
            under_way=under_way,
        )
        reconciler = self.pair.reconciler(checked.tables, quarantining, writing)
        return Writer(journal, reconciler.reconcile, quarantining.hand_over, under_way)


@dataclass(frozen=True, slots=True)
class Writer:
    """What writes keys in one invocation, with a journal in the state that the invocation owns.

    `quarantine` hands keys over to a redrive. `under_way` counts the calls of `reconcile` that have not ended.
    """

    journal: StateJournal
    reconcile: Reconcile
    quarantine: Quarantining
    under_way: UnderWay

    def rest(self) -> None:
        """Save the state, if it is certain that no request is under way."""
        if self.under_way.is_none:
            self.journal.rest()

    def wait_seconds(self) -> int:
        """Return for how long to wait until no write in doubt can land, but not longer than the job keeps its lease."""
        _, seconds = self.journal.held()
        return min(ceil(seconds), MOST_WAIT_SECONDS)

    def hand_over(self, ending: Ending) -> bool:
        """Quarantine the open keys whose writes can no longer land; the others stay in the state.

        Return False if the invocation has to end before.
        """
        self.journal.leave()
        # Saved first: otherwise a worker that is killed now would have its successor wait for writes that it has not.
        self.rest()
        self.journal.hand_over(self.quarantine, continues=lambda: not ending.is_over)
        return not self.journal.free_keys()


@dataclass(frozen=True, slots=True)
class Checked:
    """The pair of a job, which is what it was when the job was planned."""

    tables: tuple[Described, Described]
    preflight: Preflight
    transform: SameTransform

    @classmethod
    def now(cls, job: Job, plan: Plan) -> "Checked":
        """Describe the tables. Raises TaskError if they, or the function's settings, are not those of the plan."""
        tables = job.pair.describe()
        preflight = preflight_of(job.pair, tables[0], plan.what, plan.options)
        transform = job.pair.transform(tables[0])
        plan.refuse_changed(conditions(tables, preflight, transform.view.digest, job.pair.updated_at))
        return cls(tables, preflight, transform)

    def readers(
        self, job: Job, patience: Patience, rates: Sequence[float]
    ) -> tuple[TableReader, TableReader]:
        """Return readers of the source, as the replica is to hold it, and of the replica, with these read rates."""
        source, replica = self.tables
        return (
            job.pair.reader(source, patience, read_rate=rates[0], view=self.transform.view),
            job.pair.reader(replica, patience, read_rate=rates[1]),
        )


def conditions(
    tables: tuple[Described, Described],
    preflight: Preflight,
    transform: str | None,
    updated_at: datetime | None,
) -> Conditions:
    """Return the present conditions of a job."""
    return Conditions(
        identity(*tables),
        preflight.key_filter.patterns,
        preflight.is_archive,
        tables[0].stream,
        transform,
        updated_at.isoformat() if updated_at else None,
    )


def preflight_of(pair: Pair, source: Described, what: str, options: Mapping[str, Any]) -> Preflight:
    """Return the preflight of a job. Raises TaskError if a change could be missed by the job and by the mapping."""
    if not options["without_mapping"]:
        if what == BACKFILL:
            pair.refuse_unsafe(source.stream)
        elif options["repair"]:
            pair.refuse_unrepairable(source.latest_stream)
    return pair.preflight(without_mapping=options["without_mapping"], archive=options["archive"])


def in_turn(works: Iterable[int | None]) -> int | None:
    """Return for how many seconds to wait before more of some works; None if all are done.

    Each work returns the same. The next one is done unless the invocation has to end, which is if it returns 0.
    """
    waits: list[int] = []
    for wait in works:
        if wait == 0:
            return 0
        waits += [] if wait is None else [wait]
    return min(waits, default=None)


def not_done(numbers: Sequence[int], is_done: Callable[[int], bool], *, of: int, what: str) -> Sequence[int]:
    """Return which segments or pieces are not done. Raises TaskError for a number that the plan does not have."""
    for number in numbers:
        if number >= of:
            raise TaskError(f"the job has {of:,} {what}s, and no {what} {number:,}.", hint="start a new job.")
    return [number for number in numbers if not is_done(number)]
