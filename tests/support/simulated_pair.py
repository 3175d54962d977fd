"""A source and a replica on a simulated clock: items that flip, count or differ, and a stream that records changes."""

import math
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Protocol

from ddbreplica.aws.request import Unknown
from ddbreplica.dynamodb.rate import Rate
from ddbreplica.mapping.lag_figures import LagFigures
from ddbreplica.model import Items, Key
from ddbreplica.verify.confirm.timer import Timer

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
BEFORE = -1000.0
"""A time before any verification begins, so that a value of then has arrived long ago."""


def key(name: str) -> Key:
    return (("PK", "S", name),)


class Clock:
    """A clock that only sleeps and requests advance."""

    def __init__(self, seed: int = 0) -> None:
        self.time = 0.0
        self.slept: list[float] = []
        self.timer = Timer(self.now, lambda: self.time, self.sleep, Random(seed))  # noqa: S311  a simulation

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.time)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


class Item(Protocol):
    """An item of both tables as a function of time. None is an absent item."""

    def source(self, at: float) -> int | None: ...

    def replica(self, at: float) -> int | None: ...

    def changed(self, since: float, until: float) -> bool:
        """Return whether the source's item changed in this time."""
        ...


def _steps(at: float, half_period: float, phase: float) -> int:
    return math.floor((at - phase) / half_period)


@dataclass(frozen=True)
class Following:
    """An item that changes once in a half-period, and arrives after a lag, or then at the next end of a window."""

    half_period: float
    phase: float
    lag: float
    window: float = 0.0
    states: int | None = 2
    """The number of states that it takes in turn; None if it never takes a state again."""

    def source(self, at: float) -> int:
        steps = _steps(at, self.half_period, self.phase)
        return steps if self.states is None else steps % self.states

    def replica(self, at: float) -> int:
        delivered = at - self.lag
        return self.source(math.floor(delivered / self.window) * self.window if self.window else delivered)

    def changed(self, since: float, until: float) -> bool:
        return _steps(since, self.half_period, self.phase) != _steps(until, self.half_period, self.phase)


@dataclass(frozen=True)
class Still:
    """An item that differs and keeps still, or that is the same."""

    in_source: int | None = 1
    in_replica: int | None = 2

    def source(self, at: float) -> int | None:
        return self.in_source

    def replica(self, at: float) -> int | None:
        return self.in_replica

    def changed(self, since: float, until: float) -> bool:
        return False


@dataclass(frozen=True)
class Stuck(Still):
    """An item that changes in the source at these times, and never in the replica."""

    times: Sequence[float] = ()

    def source(self, at: float) -> int:
        return 10 + sum(time <= at for time in self.times)

    def changed(self, since: float, until: float) -> bool:
        return any(since < time <= until for time in self.times)


@dataclass
class Side:
    """One of the tables. It counts requests and advances the clock by the duration of each."""

    clock: Clock
    state: Callable[[Key, float], int | None]
    rate: Rate = field(default_factory=lambda: Rate(None))
    seconds: float = 0.002
    seconds_a_key: float = 0.0
    gets: list[Sequence[Key]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def get(self, keys: Sequence[Key]) -> Items:
        self.gets.append(keys)
        self.clock.time += self.seconds + self.seconds_a_key * len(keys)
        self.times.append(self.clock.time)
        states = {each: self.state(each, self.clock.time) for each in keys}
        return {
            each: {"PK": {"S": each[0][2]}, "v": {"N": str(state)}}
            for each, state in states.items()
            if state is not None
        }


@dataclass
class Stream:
    """The Witness of a simulated source.

    With `why` it cannot be read, from the given call of `changed` on, or from the beginning.
    """

    clock: Clock
    items: Mapping[Key, Item]
    why: str | None = None
    fails_from: int = 0
    silent_since: float | None = None
    """The time from which `silent` reads; None if it cannot."""
    calls: list[str] = field(default_factory=list)
    began: float = math.inf
    kept_up: list[float] = field(default_factory=list)
    watched: list[Container[Key]] = field(default_factory=list)
    """What each call was asked about."""

    def begin(self) -> None:
        self.calls.append("begin")
        self.began = self.clock.time

    def keep_up(self, watched: Container[Key]) -> Unknown | None:
        self.calls.append("keep up")
        self.watched.append(watched)
        self.kept_up.append(self.clock.time)
        return self._failed

    def changed(self, watched: Container[Key]) -> frozenset[Key] | Unknown:
        self.calls.append("changed")
        self.watched.append(watched)
        if self._failed:
            return self._failed
        found = (each for each, item in self.items.items() if item.changed(self.began, self.clock.time))
        return frozenset(each for each in found if each in watched)

    @property
    def _failed(self) -> Unknown | None:
        fails = self.why is not None and self.calls.count("changed") >= self.fails_from
        return Unknown(self.why or "") if fails else None

    def silent(self, keys: Collection[Key]) -> frozenset[Key] | Unknown:
        self.calls.append("silent")
        if self.silent_since is None:
            return Unknown("it takes more than 200 requests")
        since = self.silent_since
        return frozenset(each for each in keys if not self.items[each].changed(since, self.clock.time))


class Pair:
    """Both tables, the stream and the metrics of one simulated verification."""

    def __init__(self, items: Mapping[Key, Item], *, seed: int = 0, seconds: float = 0.002) -> None:
        self.items = items
        self.clock = Clock(seed)
        self.source = Side(self.clock, lambda each, at: items[each].source(at), seconds=seconds)
        self.replica = Side(self.clock, lambda each, at: items[each].replica(at), seconds=seconds)
        self.stream = Stream(self.clock, items)
        self.figures: list[LagFigures] = [LagFigures(seconds=0.0)]
        """What the metrics say, each time they are asked; the last one from then on."""
        self.asked: list[tuple[float, float]] = []

    def ask_lag(self, begin: datetime, end: datetime) -> LagFigures:
        """Wait until CloudWatch has the complete minutes, and return the figures."""
        self.asked.append(((begin - EPOCH).total_seconds(), (end - EPOCH).total_seconds()))
        self.clock.time = max(self.clock.time, self.asked[-1][1] + 180)
        return self.figures[min(len(self.asked), len(self.figures)) - 1]
