"""Keys → healed: `reconcile` between two tables, for several threads, at a command's rates and with its patience."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import BoundedSemaphore
from types import MappingProxyType

from botocore.config import Config

from ddbreplica.aws.clock import Clock
from ddbreplica.aws.hints import hint_for, reason
from ddbreplica.driver import Patience
from ddbreplica.dynamodb.connection import Connection, Side
from ddbreplica.dynamodb.describe import describe_pair
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
from ddbreplica.records.size import read_units, write_units

CONNECTIONS = 64
"""How many requests at most are under way to one table, however many threads heal."""

_CLIENT_CONFIG = CLIENT_CONFIG.merge(Config(max_pool_connections=CONNECTIONS))
_PIECE = 10
"""Units waited for at a time: a wait for our own rate must not look like a table that stands still."""

_NOTHING: Items = MappingProxyType({})
_INTERRUPTED = Refusal(RefusalKind.TRANSIENT, "Interrupted", "Ctrl-C was pressed before the request was sent")


@dataclass(frozen=True, slots=True)
class Rates:
    """How many units a second to use: write units at the replica, read units at the source. None is unlimited."""

    write: Rate | None = None
    read: Rate | None = None


class Reconciler:
    """Gives the replica the source's state of keys, whatever else reads and writes the two tables meanwhile.

    Never are more than CONNECTIONS requests under way to a table.
    """

    def __init__(
        self,
        pair: ReconcileContext,
        *,
        clock: Clock,
        patience: Patience,
        rates: Rates | None = None,
        under_way: UnderWay | None = None,
    ) -> None:
        """Reconcile a pair, whose requests observe `clock`. `under_way` records whether a request may be under way."""
        self._clock = clock
        self._patience = patience
        self._under_way = under_way or UnderWay()
        rates = rates or Rates()
        self._slots = BoundedSemaphore(CONNECTIONS // IN_FLIGHT)
        self._pair = replace(
            pair,
            source=_PacedSource(pair.source, _Pace(rates.read, patience)),
            replica=_PacedReplica(pair.replica, _Pace(rates.write, patience)),
        )

    @classmethod
    def between(
        cls,
        connection: Connection,
        *,
        journal: Journal,
        patience: Patience,
        is_archive: bool,
        rates: Rates | None = None,
        under_way: UnderWay | None = None,
    ) -> "Reconciler":
        """Between the connection's two tables.

        If the replica `is_archive`, nothing is deleted there, and keys may be left undecided. `under_way` then says
        whether a request may be.

        Raises TaskError unless there are two tables of the same key.
        """
        describe_pair(connection)
        pair = ReconcileContext(
            _table(connection.source), _table(connection.replica), journal, is_archive=is_archive
        )
        return cls(pair, clock=connection.clock, patience=patience, rates=rates, under_way=under_way)

    def reconcile(self, keys: Iterable[Key], seen: Items = _NOTHING) -> Reconciled:
        """Reconcile keys, for as long as the patience lasts; no key may be in two calls at a time.

        None of the result has failed. Raises TaskError where a table refuses everything or stands still, or the
        local clock is too far ahead, and KeyboardInterrupt once the patience's interrupt is set; when it does, no
        request is under way.
        """
        with self._slots:
            self._patience.interrupt.check()
            self._clock.refuse_fast()
            self._patience.progressed()
            try:
                with self._under_way.call():
                    reconciled = reconcile(keys, self._pair, deadline=self._patience.deadline(), seen=seen)
            except ReplicatorError as error:
                raise _refused(error) from error
            if reconciled.failed:
                self._patience.interrupt.check()
                raise self._stands_still(reconciled.failed[0][1])
            return reconciled

    def _stands_still(self, refusal: Refusal) -> TaskError:
        return TaskError(
            f"nothing could be read or written for {self._patience.idle():.0f} seconds ({reason(refusal)}).",
            hint=hint_for(refusal),
        )


@dataclass(frozen=True, slots=True)
class _Pace:
    """A limit of one kind of units. To wait for it is no lack of progress."""

    rate: Rate | None
    patience: Patience

    def wait(self, units: int) -> None:
        """Wait until so many units may be used, or for Ctrl-C."""
        for start in range(0, units, _PIECE):
            if self.rate is None or self.rate.per_second is None or self.patience.interrupt.is_set:
                return  # no wait is no progress either: a table that stands still would be asked for ever
            self.rate.take(min(units - start, _PIECE))
            self.patience.progressed()


class _PacedSource:
    """The source, with the units of every answer waited for after it."""

    def __init__(self, source: Source, pace: _Pace) -> None:
        self._source = source
        self._pace = pace

    def read_batch(self, keys: Sequence[Key]) -> Mapping[Key, State] | Refusal:
        answer = self._source.read_batch(keys)
        if isinstance(answer, Refusal):
            return answer
        self._pace.patience.progressed()
        if self._pace.rate is not None:
            self._pace.wait(sum(map(read_units, answer.values())))
        return answer


class _PacedReplica:
    """The replica, with the units of every request waited for before it."""

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
            return lambda: _INTERRUPTED
        pending = start()
        return lambda: self._noted(pending(), sent=len(writes))

    def _noted(self, answer: Sequence[Write] | Refusal, *, sent: int) -> Sequence[Write] | Refusal:
        """A refused item is progress too: the table is not what holds things up."""
        is_answered = (
            answer.kind is RefusalKind.REJECTED if isinstance(answer, Refusal) else len(answer) < sent
        )
        if is_answered:
            self._pace.patience.progressed()
        return answer


def _table(side: Side) -> DynamoDBReplica:
    table = DynamoDBReplica(side.dynamodb(_CLIENT_CONFIG), side.name, skew=side.clock)
    table.describe()  # asked once here, and not by each thread
    return table


def _refused(error: ReplicatorError) -> TaskError:
    hint = hint_for(Refusal(RefusalKind.FAULT, error.code or "", error.fact))
    return TaskError(error.fact[0].lower() + error.fact[1:], hint=hint)
