"""Reconcile keys between two tables, in several threads, within a command's rates and its patience."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import BoundedSemaphore
from types import MappingProxyType

from botocore.config import Config

from ddbreplica.aws.clock import Clock
from ddbreplica.aws.hints import hint_for, reason
from ddbreplica.driver import Patience
from ddbreplica.dynamodb.connection import Connection, Side
from ddbreplica.dynamodb.describe import Described, SameTables
from ddbreplica.dynamodb.rate import Rate
from ddbreplica.dynamodb.send import IN_FLIGHT
from ddbreplica.dynamodb.table import CLIENT_CONFIG, DynamoDBReplica
from ddbreplica.errors import ReplicatorError, TaskError
from ddbreplica.model import (
    Items,
    Journal,
    Key,
    Pending,
    Refusal,
    RefusalKind,
    Replica,
    Source,
    State,
    Table,
    Write,
)
from ddbreplica.reconcile.algorithm import ReconcileContext, Reconciled, reconcile
from ddbreplica.reconcile.requests_under_way import UnderWay
from ddbreplica.reconcile.rescan import Rescan, Shown
from ddbreplica.records.size import read_units, write_units
from ddbreplica.transform.same_transform import NO_TRANSFORM, SameTransform
from ddbreplica.transform.view import AS_IT_IS, View

CONNECTIONS = 64
"""The most requests that are under way to one table, however many threads reconcile."""

_CLIENT_CONFIG = CLIENT_CONFIG.merge(Config(max_pool_connections=CONNECTIONS))
_PIECE = 10
"""Units waited for at a time, so that a wait for the command's own rate never looks like a table that stands still."""

_NOTHING: Items = MappingProxyType({})
_THROTTLING = frozenset(
    {"ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException"}
)
_INTERRUPTED = Refusal(RefusalKind.TRANSIENT, "Interrupted", "Ctrl-C was pressed before the request was sent")


@dataclass(frozen=True, slots=True)
class Rates:
    """The capacity units per second to use: of writes at the replica, of reads at the source. None is no limit."""

    write: Rate | None = None
    read: Rate | None = None


class Reconciler:
    """Reconciles keys while others read and write the two tables.

    No more than CONNECTIONS requests are under way to a table.
    """

    def __init__(  # noqa: PLR0913  all but the pair have names
        self,
        pair: ReconcileContext,
        *,
        clock: Clock,
        patience: Patience,
        rates: Rates | None = None,
        under_way: UnderWay | None = None,
        tables: SameTables | None = None,
        transform: SameTransform = NO_TRANSFORM,
    ) -> None:
        """Reconcile a pair, whose requests observe `clock`. `under_way` counts the calls that have not ended.

        `tables` are those that the caller began with. Without them, nothing notices that a table was recreated.
        """
        self._clock = clock
        self._refuse_recreated = tables.check if tables else _nothing
        self._refuse_changed = transform.check
        self._patience = patience
        self._under_way = under_way or UnderWay()
        rates = rates or Rates()
        # With more calls, requests would need more connections than the pool keeps, and open new ones each time.
        self._slots = BoundedSemaphore(CONNECTIONS // IN_FLIGHT)
        self._pair = replace(
            pair,
            source=_PacedSource(
                pair.source,
                _Pace(rates.read, patience),
                found_none=tables.check_now if tables else _nothing,
                view=transform.view,
            ),
            replica=_PacedReplica(pair.replica, _Pace(rates.write, patience)),
            journal=_CheckedJournal(pair.journal, transform.check),
        )

    @classmethod
    def between(  # noqa: PLR0913  all but the tables have names
        cls,
        connection: Connection,
        tables: tuple[Described, Described],
        *,
        journal: Journal,
        patience: Patience,
        is_archive: bool,
        transform: SameTransform,
        rates: Rates | None = None,
        under_way: UnderWay | None = None,
    ) -> "Reconciler":
        """Return a reconciler of the connection's two tables, as they were described when the caller began.

        If the replica `is_archive`, nothing is deleted there, and keys may be left undecided. `under_way` counts the
        calls that have not ended.
        """
        pair = ReconcileContext(
            _table(connection.source), _table(connection.replica), journal, is_archive=is_archive
        )
        return cls(
            pair,
            clock=connection.clock,
            patience=patience,
            rates=rates,
            under_way=under_way,
            tables=SameTables.of(connection, tables),
            transform=transform,
        )

    def reconcile(
        self, keys: Iterable[Key], seen: Items = _NOTHING, rescan: Rescan | None = None
    ) -> Reconciled:
        """Reconcile keys until the patience ends. A key must not be in two calls at the same time.

        `seen` and `rescan` are those of the algorithm. The rescan has to keep to the rate and the patience itself.
        The result has no failed keys. Raises TaskError if a table refuses everything, stands still or was recreated, if
        the function's transform was changed, or if the local clock is too far ahead; raises KeyboardInterrupt if the
        patience's interrupt is set. No request is under way when it raises these.
        """
        with self._slots:
            self._patience.interrupt.check()
            # In each call, since the lead may show only after some responses.
            self._clock.refuse_fast()
            self._refuse_recreated()
            self._refuse_changed()
            self._patience.progressed()
            try:
                with self._under_way.call():
                    reconciled = reconcile(
                        keys,
                        self._pair,
                        deadline=self._patience.deadline(),
                        seen=seen,
                        rescan=rescan and self._until_interrupted(rescan),
                    )
            except ReplicatorError as error:
                raise _refused(error) from error
            if reconciled.failed:
                self._patience.interrupt.check()
                raise self._stands_still(reconciled.failed[0][1])
            return reconciled

    def _until_interrupted(self, rescan: Rescan) -> Rescan:
        """Return the rescan, which shows nothing if the interrupt ends it.

        Otherwise its KeyboardInterrupt would look like one that is raised while a write waits for its response.
        """

        def scan() -> Shown:
            try:
                return rescan.scan()
            except KeyboardInterrupt:
                if not self._patience.interrupt.is_set:
                    raise
                return ()

        return Rescan(rescan.units, scan)

    def _stands_still(self, refusal: Refusal) -> TaskError:
        return TaskError(
            f"the tables accepted no request for {self._patience.idle():.0f} seconds ({reason(refusal)}).",
            hint=hint_for(refusal),
        )


@dataclass(frozen=True, slots=True)
class _Pace:
    """A limit of read or write units. A wait for it does not count as idle."""

    rate: Rate | None
    patience: Patience

    def wait(self, units: int) -> None:
        """Wait until so many units may be used, or until Ctrl-C."""
        for start in range(0, units, _PIECE):
            if self.rate is None or self.rate.per_second is None or self.patience.interrupt.is_set:
                return
            idle = self.patience.idle()
            self.rate.take(min(units - start, _PIECE))
            # No progress: a table that stands still would be retried forever.
            self.patience.waited(idle=idle)


class _PacedSource:
    """The source table. Each read waits for the units of its response, after the response.

    `found_none` is called after a read that finds no item, before the caller can delete it from the replica.
    """

    def __init__(
        self,
        source: Source,
        pace: _Pace,
        *,
        found_none: Callable[[], None] = lambda: None,
        view: View = AS_IT_IS,
    ) -> None:
        self._source = source
        self._pace = pace
        self._found_none = found_none
        self._view = view

    def read_batch(self, keys: Sequence[Key]) -> Mapping[Key, State] | Refusal:
        response = self._source.read_batch(keys)
        if isinstance(response, Refusal):
            return response
        if None in response.values():
            self._found_none()
        self._pace.patience.progressed()
        if self._pace.rate is not None:
            self._pace.wait(sum(map(read_units, response.values())))
        return {key: state and self._view.of(state) for key, state in response.items()}


class _PacedReplica:
    """The replica table. Each write waits for its units before it is sent."""

    def __init__(self, replica: Replica, pace: _Pace) -> None:
        self._replica = replica
        self._pace = pace

    def describe(self, *, refresh: bool = False) -> Table | Refusal:
        return self._replica.describe(refresh=refresh)

    def start_batch(self, writes: Sequence[Write]) -> Pending:
        return self._start(writes, lambda: self._replica.start_batch(writes))

    def start_one(self, write: Write) -> Pending:
        return self._start((write,), lambda: self._replica.start_one(write))

    def _start(self, writes: Sequence[Write], start: Callable[[], Pending]) -> Pending:
        if self._pace.rate is not None:
            self._pace.wait(sum(write_units(write.change.image) for write in writes))
        if self._pace.patience.interrupt.is_set:
            # Returned, not raised, so that `send` waits for the requests that are under way.
            return lambda: _INTERRUPTED
        pending = start()
        return lambda: self._noted(pending(), sent=len(writes))

    def _noted(self, response: Sequence[Write] | Refusal, *, sent: int) -> Sequence[Write] | Refusal:
        """Report progress, also for a refused item: the table responds. Report throttling to the rate."""
        is_progress = (
            response.kind is RefusalKind.REJECTED if isinstance(response, Refusal) else len(response) < sent
        )
        if is_progress:
            self._pace.patience.progressed()
        if self._pace.rate is not None and _is_throttled(response):
            self._pace.rate.throttled()
        return response


class _CheckedJournal:
    """The journal. A key is closed only if it was not written long after the function's transform was changed.

    `refuse_changed` raises an error if it was changed, and the keys stay open.
    """

    def __init__(self, journal: Journal, refuse_changed: Callable[[], None]) -> None:
        self._journal = journal
        self._refuse_changed = refuse_changed

    def intend(self, keys: Sequence[Key]) -> Sequence[Key]:
        return self._journal.intend(keys)

    def mark_in_doubt(self, keys: Sequence[Key]) -> None:
        self._journal.mark_in_doubt(keys)

    def confirm(self, keys: Sequence[Key]) -> None:
        # After the writes: a process may pause between the check and a write, and be killed before the next check.
        if keys:
            self._refuse_changed()
        self._journal.confirm(keys)


def _nothing() -> None:
    """Do nothing."""


def _is_throttled(response: Sequence[Write] | Refusal) -> bool:
    """Return whether the table throttled a request, or some of its writes, which it then leaves unprocessed."""
    return response.code in _THROTTLING if isinstance(response, Refusal) else bool(response)


def _table(side: Side) -> DynamoDBReplica:
    table = DynamoDBReplica(side.dynamodb(_CLIENT_CONFIG), side.name, skew=side.clock)
    table.describe()  # once here, not in each thread
    return table


def _refused(error: ReplicatorError) -> TaskError:
    hint = hint_for(Refusal(RefusalKind.FAULT, error.code or "", error.fact))
    return TaskError(error.fact[0].lower() + error.fact[1:], hint=hint)
