"""One invocation of a worker: its task, the job's objects, the pair of tables, and the time that it has."""

from dataclasses import dataclass
from typing import Protocol

from ddbreplica.aws.clock import Clock
from ddbreplica.bucket.store import Store
from ddbreplica.deadline import Deadline
from ddbreplica.driver import Interrupt, Note, Patience
from ddbreplica.dynamodb.describe import Described, identity
from ddbreplica.dynamodb.scan import TableReader
from ddbreplica.errors import TaskError
from ddbreplica.jobs.ending import Ending
from ddbreplica.jobs.metrics import Metrics
from ddbreplica.jobs.objects import PLAN, JobObjects
from ddbreplica.jobs.payload import Payload
from ddbreplica.jobs.plan import JobEndedError, Plan
from ddbreplica.jobs.state.fenced_state import FencedState, Owner
from ddbreplica.jobs.state.lease import Lease
from ddbreplica.jobs.state.stop_marker import StopMarker
from ddbreplica.jobs.verify.options import verify_options
from ddbreplica.mapping.lag_figures import AskLag
from ddbreplica.mapping.preflight import Preflight
from ddbreplica.verify.confirm.witness import Witness
from ddbreplica.verify.options import VerifyOptions


class Pair(Protocol):
    """The two tables of a job, and what is known of the way between them."""

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

    def reader(self, table: Described, patience: Patience, *, read_rate: float) -> TableReader:
        """Return a reader of a described table."""
        ...

    def witness(self, interrupt: Interrupt) -> Witness:
        """Return the source's stream as the witness of changes."""
        ...

    def ask_lag(self, interrupt: Interrupt) -> AskLag:
        """Return what measures the lag."""
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

    def take(self, name: str, plan: Plan) -> FencedState:
        """Take a state of the job for this invocation. Raises SupersededError, and TaskError, as FencedState does."""
        ends_at = self.pair.clock.moment.timestamp() + self.deadline.remaining()
        return FencedState.take(self.objects.store, name, plan=plan.digest, owner=Owner.until(ends_at))


@dataclass(frozen=True, slots=True)
class Checked:
    """The pair of a job, which is what it was when the job was planned."""

    options: VerifyOptions
    tables: tuple[Described, Described]
    preflight: Preflight

    @classmethod
    def now(cls, job: Job, plan: Plan) -> "Checked":
        """Describe the tables. Raises TaskError if they, or the function's settings, are not those of the plan."""
        options = verify_options(plan.options, segments=plan.segments)
        tables = job.pair.describe()
        preflight = job.pair.preflight(without_mapping=options.without_mapping, archive=options.archive)
        plan.refuse_changed(identity(*tables), preflight.key_filter.patterns, is_archive=preflight.is_archive)
        return cls(options, tables, preflight)


def refuse_unknown(number: int, *, of: int, what: str) -> None:
    """Raise TaskError for the number of a segment or a piece that the plan does not have."""
    if number >= of:
        raise TaskError(f"the job has {of:,} {what}s, and no {what} {number:,}.", hint="start a new job.")
