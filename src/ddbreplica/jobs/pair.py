"""The two tables of a function, as its configuration in AWS Lambda and its event source mapping give them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from botocore.config import Config

from ddbreplica.aws.arn import account_of, region_of
from ddbreplica.aws.clients.session import ASKING, Clients
from ddbreplica.aws.clock import Clock
from ddbreplica.aws.hints import explain
from ddbreplica.aws.region import decide
from ddbreplica.aws.request import REFUSALS, ask
from ddbreplica.bucket.bucket import Bucket
from ddbreplica.bucket.bucket_store import BucketStore
from ddbreplica.bucket.store import Store
from ddbreplica.driver import Interrupt, Patience
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described, describe_pair
from ddbreplica.dynamodb.location import Location
from ddbreplica.dynamodb.scan import TableReader
from ddbreplica.errors import TaskError
from ddbreplica.jobs.job import Writing
from ddbreplica.jobs.metrics import Metrics
from ddbreplica.mapping.event_source_mapping import MappingState
from ddbreplica.mapping.lag import LagReader
from ddbreplica.mapping.lag_figures import AskLag
from ddbreplica.mapping.last_update import seconds_left
from ddbreplica.mapping.lookup import list_mappings, state_of
from ddbreplica.mapping.metrics import of_function, read_series
from ddbreplica.mapping.preflight import Preflight
from ddbreplica.mapping.safeguards import refuse_unrepairable, refuse_unsafe
from ddbreplica.mapping.source_transform import to_write
from ddbreplica.model import Journal, Table
from ddbreplica.reconcile.in_doubt_quarantine import QuarantiningJournal
from ddbreplica.reconcile.reconciler import Reconciler
from ddbreplica.transform.same_transform import SameTransform
from ddbreplica.transform.view import AS_IT_IS, View
from ddbreplica.verify.confirm.stream_witness import StreamWitness
from ddbreplica.verify.confirm.witness import Witness

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

_LAST_MINUTES = timedelta(minutes=3)
"""CloudWatch has the values of a minute up to two minutes after it."""

_START_AGAIN = "start the job again, which resumes it."

# Lambda allows 15 such requests a second in an account, and a thousand workers may begin at once.
_PATIENT = ASKING.merge(Config(retries={"mode": "standard", "total_max_attempts": 10}))


@dataclass(frozen=True, slots=True)
class FunctionPair:
    """The pair of a function. Nothing of it is taken from the worker's own environment.

    AWS CloudFormation does not update two functions at once: the worker's environment may be of another time.
    """

    connection: Connection
    mapping: MappingState
    bucket: str

    @classmethod
    def of(cls, function: str) -> "FunctionPair":
        """Read the configuration of a function. Raises TaskError if it has no replica or replicates no table."""
        clients = _clients()
        client = clients.functions(None, _PATIENT)
        mapping = state_of(client, _only_mapping(client, function))
        environment = mapping.environment
        bucket = mapping.quarantine
        if not environment.get("REPLICA_TABLE_NAME") or not bucket:
            raise TaskError(
                f"the function {function} has no environment variable REPLICA_TABLE_NAME or QUARANTINE_BUCKET.",
                hint="start the job for a function that was deployed from template.yaml.",
            )
        location = _location(mapping)
        connection = Connection(
            location, source_clients=clients, replica_clients=_replica_clients(mapping, location, clients)
        )
        return cls(connection, mapping, bucket)

    @property
    def clock(self) -> Clock:
        """AWS's time, and the clock that cannot be set."""
        return self.connection.clock

    @property
    def store(self) -> Store:
        """The quarantine bucket."""
        return BucketStore(Bucket(self.connection.buckets, self.bucket, option="QUARANTINE_BUCKET"))

    def describe(self) -> tuple[Described, Described]:
        """Describe source and replica as they are now."""
        return describe_pair(self.connection)

    def preflight(self, *, without_mapping: bool, archive: bool) -> Preflight:
        """Return the filter that applies, and whether the replica is an archive."""
        return Preflight.of_job(self.mapping, without_mapping=without_mapping, archive=archive)

    def refuse_unsafe(self, stream: str | None) -> None:
        """Raise TaskError if a change could be missed by both a backfill and the mapping of the source's stream."""
        refuse_unsafe(self._mapping_of(stream), stream=stream, exported_at=None, now=self.clock.moment)

    def refuse_unrepairable(self, stream: str | None) -> None:
        """Raise TaskError if no mapping replicates the changes after a repair from the source's stream."""
        refuse_unrepairable(self._mapping_of(stream))

    def _mapping_of(self, stream: str | None) -> MappingState | None:
        return self.mapping if self.mapping.stream_arn == stream else None

    def transform(self, source: Described) -> SameTransform:
        """Return the transform of the function. Raises TaskError if it cannot be applied."""
        return to_write(self.connection, self.mapping, source, given=None)

    @property
    def updated_at(self) -> datetime | None:
        """When the function was last updated."""
        return self.mapping.updated_at

    def update_seconds_left(self) -> float:
        """Return for how many seconds an invocation with earlier settings of the function may be under way."""
        return seconds_left(self.mapping, now=self.clock.moment)

    def reader(
        self, table: Described, patience: Patience, *, read_rate: float, view: View = AS_IT_IS
    ) -> TableReader:
        """Return a reader of a described table, for one thread."""
        return TableReader.of(table.side, table.table, patience, threads=1, read_rate=read_rate, view=view)

    def witness(self, interrupt: Interrupt) -> Witness:
        """Return the source's stream as the witness of changes."""
        return StreamWitness.of(self.connection, interrupt)

    def ask_lag(self, interrupt: Interrupt) -> AskLag:
        """Return what measures the lag by the mapping's metrics."""
        return LagReader.of(self.connection, now=lambda: self.clock.moment, interrupt=interrupt)

    def quarantining(self, journal: Journal, source: Table, *, command: str) -> QuarantiningJournal:
        """Return a journal that also writes in-doubt keys to the quarantine bucket, so that a redrive finds them."""
        return QuarantiningJournal.of(
            journal, self.connection, self.bucket, source, command=command, hint=_START_AGAIN
        )

    def reconciler(
        self,
        tables: tuple[Described, Described],
        journal: Journal,
        writing: Writing,
    ) -> Reconciler:
        """Return what writes the source's present state of keys to the replica."""
        return Reconciler.between(
            self.connection,
            tables,
            journal=journal,
            patience=writing.patience,
            is_archive=writing.is_archive,
            transform=writing.transform,
            rates=writing.rates,
            under_way=writing.under_way,
        )

    def is_function_throttled(self) -> bool:
        """Return whether Lambda has throttled the replicator in the last minutes, as far as that is known."""
        client, end = self.connection.source.metrics(), self.clock.moment
        queries = [of_function("Throttles", self.mapping)]
        try:
            series = read_series(client, queries, begin=end - _LAST_MINUTES, end=end)
        except REFUSALS:  # the work does not depend on it
            return False
        return any(count for _, count in series["Throttles"])

    def unreserved_concurrency(self) -> int:
        """Return how many functions of the account may run at a time, without those with a reserved concurrency."""
        client = self.connection.functions
        return ask(
            lambda: int(client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]),
            refused=partial(explain, doing="the account's concurrency cannot be read"),
        )

    @property
    def metrics(self) -> Metrics:
        """The metrics of the replication."""
        return Metrics.of(self.mapping, self.connection.replica.short_name)


def _only_mapping(client: "LambdaClient", function: str) -> object:
    found: Sequence[object] = tuple(list_mappings(client, function=function))
    if len(found) != 1:
        raise TaskError(
            f"the function {function} has {len(found)} event source mappings of DynamoDB streams, and not one.",
            hint="run `ddbreplica status`.",
        )
    return found[0]


def _location(mapping: MappingState) -> Location:
    replica = mapping.environment["REPLICA_TABLE_NAME"]
    source = mapping.source_arn
    is_own = account_of(source) == account_of(mapping.function_arn)
    return Location(
        source=source.rpartition("/")[2] if is_own else source,
        replica=replica,
        stack_name=None,
        region=region_of(source),
        replica_region=region_of(replica)
        or mapping.environment.get("REPLICA_REGION")
        or region_of(mapping.function_arn),
        profile=None,
        replica_profile=None,
        endpoint_url=None,
    )


def _replica_clients(mapping: MappingState, location: Location, own: Clients) -> Clients:
    role = mapping.environment.get("REPLICA_ROLE_ARN")
    if not role:
        return own
    external_id = mapping.environment.get("REPLICA_EXTERNAL_ID") or None
    return _clients_as(role, external_id, mapping.function_name, location.replica_region)


# Kept between the invocations of an execution environment, since creating a client takes longer than using it.
@lru_cache(maxsize=1)
def _clients() -> Clients:
    return Clients(None, decide(profile=None), None)


@lru_cache(maxsize=4)
def _clients_as(role: str, external_id: str | None, session_name: str, region: str | None) -> Clients:
    from ddbreplica.aws.role import Role  # noqa: PLC0415  botocore may lack what only a role needs

    session = Role(role, external_id=external_id, session_name=session_name).session()
    return Clients(None, region, None, session=session)
