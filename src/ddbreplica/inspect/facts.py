"""What `status` sees of a replication at one moment. A figure that cannot be had is Unknown, and says why. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias, TypeVar

from ddbreplica.aws.request import Known, Unknown
from ddbreplica.mapping.event_source_mapping import MappingState

T = TypeVar("T")

HOUR = timedelta(hours=1)

_SLACK = timedelta(minutes=2)  # Lambda's figures and the function's own need not arrive in the same minute

THROTTLED = "WriteThrottleEvents"

COUNTED_BY_FUNCTION = ("WritesApplied", "DeletesApplied", "RecordsQuarantined", "WritesSuspect")
"""What the function counts itself and emits with each batch; AWS emits all else."""


@dataclass(frozen=True, slots=True)
class TableFacts:
    """A table as it describes itself. `items` is some hours old; `indexes` are their states by name.

    `capacity` holds read and write units, or is None on demand; `view` is what the stream carries, or None if it
    is off; `ttl` is the attribute by which items expire, or None if they do not; `replicas` are the other Regions of a
    global table.
    """

    name: str
    arn: str
    state: str
    key_schema: frozenset[tuple[str, str]]
    items: int
    capacity: tuple[int, int] | None
    indexes: Mapping[str, str]
    stream_arn: str | None
    view: str | None
    ttl: Known[str | None]
    replicas: str | None = None


@dataclass(frozen=True, slots=True)
class Depth:
    """How many objects wait in a place, and how many seconds the oldest has; `or_more`: not all were counted."""

    place: str
    objects: int
    or_more: bool
    oldest: float | None


@dataclass(frozen=True, slots=True)
class UnseenTable(Unknown):
    """A table that cannot be described: no more is known than its name, or that it is not there."""

    name: str
    is_missing: bool = False


Series: TypeAlias = Sequence[tuple[datetime, float]]
"""A figure a minute, where there is one; `datetime` is when the minute began."""


@dataclass(frozen=True, slots=True)
class Figures:
    """CloudWatch's metrics of the last hour, by name; an index's throttled writes are `WriteThrottleEvents <index>`."""

    taken_at: datetime
    series: Mapping[str, Series]

    @property
    def begin(self) -> datetime:
        """When the hour began."""
        return self.taken_at - HOUR

    @property
    def latest(self) -> datetime | None:
        """The minute of the latest figure; None if there is none."""
        return max((at for series in self.series.values() for at, _ in series), default=None)

    @property
    def counts_from(self) -> datetime | None:
        """The minute of the function's first own counts; None if it emitted none.

        A function that was updated emits them under other dimensions than before.
        """
        return self._first(COUNTED_BY_FUNCTION)

    @property
    def are_counts_partial(self) -> bool:
        """Whether the function ran in this hour before the first of its own counts."""
        ran, counted = self._first(("IteratorAge",)), self.counts_from
        return ran is not None and counted is not None and counted > ran + _SLACK

    def count(self, name: str) -> int | None:
        """The sum of one of the function's own counts; None if it ran and emitted none, so that nothing is known."""
        if self.counts_from is None and self.series.get("IteratorAge"):
            return None
        return self.total(name)

    def total(self, name: str, *, since: timedelta = HOUR) -> int:
        """The sum of a metric; one that CloudWatch has no figure of has counted nothing."""
        return round(sum(self._values(name, since, timedelta(0))))

    def most(self, name: str, *, since: timedelta = HOUR, until: timedelta = timedelta(0)) -> float | None:
        """The highest value of a metric between two times ago; None if there is none."""
        return max(self._values(name, since, until), default=None)

    def throttled(self, *, since: timedelta = HOUR) -> Mapping[str, int]:
        """The replica's throttled writes, of the table and of each index that has any."""
        names = [name for name in self.series if name.startswith(THROTTLED)]
        return {name: count for name in names if (count := self.total(name, since=since))}

    def _first(self, names: Iterable[str]) -> datetime | None:
        return min((at for name in names for at, _ in self.series.get(name, ())), default=None)

    def _values(self, name: str, since: timedelta, until: timedelta) -> Iterator[float]:
        first, end = self.taken_at - since, self.taken_at - until
        return (value for at, value in self.series.get(name, ()) if first <= at <= end)


@dataclass(frozen=True, slots=True)
class Facts:
    """All of it. `mappings` are those from any stream of the source to the replica."""

    source: TableFacts | UnseenTable
    replica: TableFacts | UnseenTable
    mappings: Known[tuple[MappingState, ...]]
    figures: Known[Figures]
    quarantine: Known[Depth]
    on_failure: Known[Depth]

    @property
    def present(self) -> Sequence[MappingState]:
        """The mappings that read the source's present stream; all, where the source cannot be seen."""
        if isinstance(self.mappings, Unknown):
            return ()
        if isinstance(self.source, Unknown):
            return self.mappings
        return [mapping for mapping in self.mappings if mapping.stream_arn == self.source.stream_arn]

    @property
    def mapping(self) -> MappingState | None:
        """One that reads the present stream; else any, if there is one."""
        if isinstance(self.mappings, Unknown):
            return None
        return next(iter((*self.present, *self.mappings)), None)

    @property
    def unknowns(self) -> Mapping[str, Unknown]:
        """What could not be seen; not what is seen to be missing."""
        figures = {
            "the source": self.source,
            "the replica": self.replica,
            "the mapping": self.mappings,
            "CloudWatch's metrics": self.figures,
            "the quarantine": self.quarantine,
            "what Lambda gave up": self.on_failure,
            "the replica's time to live": None if isinstance(self.replica, Unknown) else self.replica.ttl,
        }
        return {
            what: figure
            for what, figure in figures.items()
            if isinstance(figure, Unknown) and not (isinstance(figure, UnseenTable) and figure.is_missing)
        }
