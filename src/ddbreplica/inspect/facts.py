"""The state of a replication as `status` reads it. A value that cannot be read is Unknown, with the reason. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from ddbreplica.aws.request import Known, Unknown
from ddbreplica.bucket.verification_record import VerificationRecord
from ddbreplica.mapping.event_source_mapping import MappingState
from ddbreplica.mapping.metrics import Series

T = TypeVar("T")

HOUR = timedelta(hours=1)

_SLACK = timedelta(minutes=2)  # the metrics of Lambda and of the function may arrive in different minutes

THROTTLED = "WriteThrottleEvents"

COUNTED_BY_FUNCTION = ("WritesApplied", "DeletesApplied", "RecordsQuarantined", "WritesSuspect")
"""The metrics that the function emits with each batch. AWS emits all other metrics."""


@dataclass(frozen=True, slots=True)
class TableFacts:
    """The description of a table.

    `items` and `bytes` are those of some hours ago. `indexes` maps the name of each index to its state. `capacity` is
    the provisioned read and write capacity units, or None for on-demand. `view` is the view type of the stream, or
    None if the stream is disabled. `ttl` is the TTL attribute, or None if TTL is disabled. `replicas` are the other
    Regions of a global table.
    """

    name: str
    arn: str
    created_at: datetime
    state: str
    key_schema: frozenset[tuple[str, str]]
    items: int
    capacity: tuple[int, int] | None
    indexes: Mapping[str, str]
    stream_arn: str | None
    view: str | None
    ttl: Known[str | None]
    replicas: str | None = None
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Depth:
    """The number of objects in a place, and the age of the oldest in seconds. `or_more`: not all were counted."""

    place: str
    objects: int
    or_more: bool
    oldest: float | None


@dataclass(frozen=True, slots=True)
class LastVerification:
    """The newest record of a complete verification, and its place.

    `conclusive` is the newest record of the same tables whose verdict is not inconclusive; None if none was found.
    `recreated` are the names of the tables that were recreated since; the record is then of earlier tables. `written`
    is what was written to the source from its begin to `seen_at`, in write capacity units; None for an earlier table.
    """

    record: VerificationRecord
    place: str
    seen_at: datetime
    recreated: tuple[str, ...]
    conclusive: VerificationRecord | None
    written: Known[int] | None

    @property
    def age(self) -> float:
        """The seconds since the first scan began, whose state the verdict is about."""
        return max(0.0, (self.seen_at - self.record.began).total_seconds())


@dataclass(frozen=True, slots=True)
class UnseenTable(Unknown):
    """A table that cannot be described. Only its name is known, and whether it does not exist (`is_missing`)."""

    name: str
    is_missing: bool = False


@dataclass(frozen=True, slots=True)
class Figures:
    """CloudWatch metrics of the last hour, by name. Those of an index are `WriteThrottleEvents <index>`."""

    taken_at: datetime
    series: Mapping[str, Series]

    @property
    def begin(self) -> datetime:
        """The start of the hour."""
        return self.taken_at - HOUR

    @property
    def latest(self) -> datetime | None:
        """The minute of the latest value, or None if there are no values."""
        return max((at for series in self.series.values() for at, _ in series), default=None)

    @property
    def counts_from(self) -> datetime | None:
        """The minute of the first metric that the function emitted itself, or None.

        An update of the function may change the dimensions of its metrics. Then they begin with the update.
        """
        return self._first(COUNTED_BY_FUNCTION)

    @property
    def are_counts_partial(self) -> bool:
        """Whether the function ran in this hour before it emitted the first of its own metrics."""
        ran, counted = self._first(("IteratorAge",)), self.counts_from
        return ran is not None and counted is not None and counted > ran + _SLACK

    def count(self, name: str) -> int | None:
        """Return the sum of a metric of the function, or None if the function ran and emitted no metrics."""
        if self.counts_from is None and self.series.get("IteratorAge"):
            return None
        return self.total(name)

    def total(self, name: str, *, since: timedelta = HOUR) -> int:
        """Return the sum of a metric, which is 0 if CloudWatch has no values."""
        return round(sum(self._values(name, since, timedelta(0))))

    def most(self, name: str, *, since: timedelta = HOUR, until: timedelta = timedelta(0)) -> float | None:
        """Return the maximum of a metric between `since` and `until` ago, or None if there are no values."""
        return max(self._values(name, since, until), default=None)

    def throttled(self, *, since: timedelta = HOUR) -> Mapping[str, int]:
        """Return the throttled writes of the replica table and of each index, without zeros."""
        names = [name for name in self.series if name.startswith(THROTTLED)]
        return {name: count for name in names if (count := self.total(name, since=since))}

    def _first(self, names: Iterable[str]) -> datetime | None:
        return min((at for name in names for at, _ in self.series.get(name, ())), default=None)

    def _values(self, name: str, since: timedelta, until: timedelta) -> Iterator[float]:
        first, end = self.taken_at - since, self.taken_at - until
        return (value for at, value in self.series.get(name, ()) if first <= at <= end)


@dataclass(frozen=True, slots=True)
class Facts:
    """The state of a replication. `mappings` read any stream of the source and write to the replica.

    `verification` is None if there is no record of a complete verification. `transform` is the digest of the function's
    transform, None without one, and Unknown if the function rejects it.
    """

    source: TableFacts | UnseenTable
    replica: TableFacts | UnseenTable
    mappings: Known[tuple[MappingState, ...]]
    figures: Known[Figures]
    quarantine: Known[Depth]
    on_failure: Known[Depth]
    verification: Known[LastVerification | None]
    transform: Known[str | None] = None

    @property
    def transform_differs(self) -> bool:
        """Whether the last verification was of another transform than the function has now."""
        last, transform = self.verification, self.transform
        if isinstance(transform, Unknown) or not isinstance(last, LastVerification):
            return False
        return last.record.transform != transform

    @property
    def present(self) -> Sequence[MappingState]:
        """The mappings that read the source's present stream, or all mappings if the source cannot be described."""
        if isinstance(self.mappings, Unknown):
            return ()
        if isinstance(self.source, Unknown):
            return self.mappings
        return [mapping for mapping in self.mappings if mapping.stream_arn == self.source.stream_arn]

    @property
    def mapping(self) -> MappingState | None:
        """A mapping that reads the present stream, otherwise any mapping, or None."""
        if isinstance(self.mappings, Unknown):
            return None
        return next(iter((*self.present, *self.mappings)), None)

    @property
    def unknowns(self) -> Mapping[str, Unknown]:
        """The values that cannot be read, by the name that JSON documents use. A table that does not exist is known."""
        figures = {
            "the source": self.source,
            "the replica": self.replica,
            "the mapping": self.mappings,
            "CloudWatch's metrics": self.figures,
            "the quarantine": self.quarantine,
            "what Lambda gave up": self.on_failure,
            "the last verification": self.verification,
            "what was written since the last verification": self._written,
            "the replica's time to live": None if isinstance(self.replica, Unknown) else self.replica.ttl,
        }
        return {
            what: figure
            for what, figure in figures.items()
            if isinstance(figure, Unknown) and not (isinstance(figure, UnseenTable) and figure.is_missing)
        }

    @property
    def _written(self) -> Known[int] | None:
        return self.verification.written if isinstance(self.verification, LastVerification) else None
