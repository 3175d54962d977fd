"""Find out which suspected differences are differences.

The replica lags, so a difference at one moment proves nothing. Neither do looks at several moments if an item flips
between two states. A difference is confirmed if the tables were unequal at every look, the source's stream has no
record of the key between the first and the last of them, and the lag is known to be short enough.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from ddbreplica.aws.request import Unknown
from ddbreplica.driver import Note, Progress
from ddbreplica.mapping.lag_figures import AskLag, LagFigures
from ddbreplica.model import Key
from ddbreplica.verify.confirm import plan
from ddbreplica.verify.confirm.decision import Facts, Ruling, decide
from ddbreplica.verify.confirm.first_looks import Survivors, choose, look_once
from ddbreplica.verify.confirm.look import Look, Reader
from ddbreplica.verify.confirm.rounds import Rounds
from ddbreplica.verify.confirm.seen import Seen
from ddbreplica.verify.confirm.timer import Timer
from ddbreplica.verify.confirm.watch import Watch
from ddbreplica.verify.confirm.witness import Witness
from ddbreplica.verify.difference import CERTAIN, NOT_WATCHED, Difference, DifferenceKind
from ddbreplica.verify.keyset import KeySet

WATCH_ON_SECONDS = 300.0
"""How much longer a key is watched, at most, if the lag may be longer than its watch."""

_CHUNK = 10_000

_Undecided: TypeAlias = Generator[Difference, None, Mapping[Key, Seen]]

_FIGURES_SECONDS = 300.0
_FIGURES_DELAY = 180.0
"""With a grace period the figures are only for a note. So they are of five minutes that are complete already."""

_LAG_UNKNOWN = (
    "The lag is unknown: {why}. So it is not known whether the suspected differences are differences. Give --grace if"
    " you know how long a change takes at most to arrive, or --without-mapping if changes do not arrive."
)
_LAG_LONGER = (
    "The lag was {lag:,.0f} seconds, longer than the grace period of {grace:,g} seconds. The differences may be"
    " changes that have not arrived."
)


@dataclass(frozen=True, slots=True)
class Rules:
    """How to confirm. `grace` is the grace period if one is given.

    At most `most_watched` keys are watched, and `most_by_looks` if the stream cannot be read. If `enough` is given, so
    many of them are watched first, and the others only if none of these is confirmed. `others` is the number of
    suspected differences that other confirmations of the same verification decide.
    """

    grace: float | None
    rounds: int
    without_mapping: bool
    is_archive: bool
    threads: int
    most_watched: int = 10_000
    most_by_looks: int = plan.MOST_BY_LOOKS
    others: int = 0
    enough: int | None = None

    @property
    def seconds(self) -> float:
        """The least length of a watch."""
        return max(self.grace or 0.0, plan.LEAST_SECONDS)


@dataclass(slots=True, kw_only=True)
class Confirmation:
    """One confirmation of all suspected differences, which share the grace period.

    The counts are final when `differences` has ended. `excused` counts the keys that were equal at a look, so that
    only lag was seen, `moving` those that kept changing in both tables, `unwatched` those that looked different twice
    and were not watched. `by_looks` is whether the stream could not be read. `lag` is the lag in seconds; None if it
    is unknown or was not asked for.
    """

    suspects: KeySet
    source: Reader
    replica: Reader
    rules: Rules
    witness: Witness
    ask_lag: AskLag
    timer: Timer
    note: Note
    progress: Progress
    moving: int = field(default=0, init=False)
    excused: int = field(default=0, init=False)
    unwatched: int = field(default=0, init=False)
    by_looks: bool = field(default=False, init=False)
    lag: float | None = field(default=None, init=False)
    _look: Look = field(init=False)
    _rates: plan.Rates = field(init=False)
    _rounds: Rounds = field(init=False)

    def __post_init__(self) -> None:
        """Send no request yet. `suspects` must not change from now on until `differences` has ended."""
        self._look = Look(self.source, self.replica, self.rules.is_archive)
        self._rates = plan.Rates(self.source.rate.per_second, self.replica.rate.per_second)
        watch = Watch(self._look, self.timer, self.rules.threads, self.progress)
        self._rounds = Rounds(
            watch,
            self.witness,
            self._rates,
            len(self.suspects) + self.rules.others,
            self.note,
            self.rules.most_by_looks,
        )

    def differences(self) -> Iterator[Difference]:
        """Yield the result of each key that was not excused, as soon as it is decided.

        Confirmed differences have the attributes that differ, inconclusive ones a reason. Raises the errors of
        reading, and KeyboardInterrupt if the run is interrupted.
        """
        with closing(Survivors()) as survivors:
            self._look_twice(survivors)
            yield from _archived(_all(survivors.archived))
            if survivors.suspects:
                yield from self._watched(survivors.suspects)

    def _look_twice(self, survivors: Survivors) -> None:
        """Look at all suspects twice, a grace period apart."""
        if not self.suspects:
            return
        with closing(Survivors()) as first:
            self._look_once(self.suspects, "looking at suspected differences", first)
            survivors.archived.add(_all(first.archived))
            if first.suspects:
                grace = plan.DEFAULT_GRACE if self.rules.grace is None else self.rules.grace
                self.timer.wait(self.timer.ticks() + grace, is_over=lambda: False)
                self._look_once(first.suspects, "looking at suspected differences again", survivors)
        self.excused = len(self.suspects) - len(survivors.suspects) - len(survivors.archived)

    def _look_once(self, keys: KeySet, what: str, into: Survivors) -> None:
        with self.progress(what, about=len(keys)) as advance:
            look_once(keys, look=self._look, threads=self.rules.threads, into=into, advance=advance)

    def _watched(self, survivors: KeySet) -> Iterator[Difference]:
        """Watch a random choice of the survivors, and decide about each."""
        chosen = choose(
            survivors, plan.most_with_stream(self.rules.most_watched, self._rates), self.timer.random
        )
        watched: set[Key] = set()
        for keys in self._in_turn(chosen):
            watched.update(keys)
            is_any_certain = False
            for difference in self._settled(keys):
                is_any_certain |= difference.finding in CERTAIN
                yield difference
            if is_any_certain:
                break
        yield from self._left_out(key for key in _all(survivors) if key not in watched)

    def _in_turn(self, chosen: Sequence[Key]) -> Sequence[Sequence[Key]]:
        """Return the keys in the groups that are watched one after the other."""
        enough = self.rules.enough
        if enough is None or enough >= len(chosen):
            return [chosen]
        first = self.timer.random.sample(chosen, enough)  # `chosen` is in the order of the keys
        apart = frozenset(first)
        return [first, [key for key in chosen if key not in apart]]

    def _settled(self, keys: Sequence[Key]) -> Iterator[Difference]:
        """Watch keys, and decide about each."""
        rules, began = self.rules, self.timer.now()
        facts = Facts(rules.rounds, rules.grace is not None, rules.without_mapping)
        suspects = yield from self._watch(keys, rules.seconds, facts)
        if suspects:
            facts = replace(facts, silent=self._silent(suspects))
            suspects = yield from self._decided(suspects, facts)
        yield from self._by_lag(suspects, facts, began)

    def _watch(self, keys: Sequence[Key], seconds: float, facts: Facts) -> _Undecided:
        """Watch keys, and yield what is decided. Return the others."""
        outcome = self._rounds.watch(keys, seconds, rounds=facts.rounds)
        self.by_looks = self._rounds.by_looks
        self.excused += outcome.excused
        yield from _archived(outcome.archived)
        undecided = yield from self._decided(outcome.unequal, facts)
        yield from self._left_out(outcome.left_out)
        return undecided

    def _decided(self, suspects: Mapping[Key, Seen], facts: Facts) -> _Undecided:
        """Yield what can be decided by these facts, the confirmed differences first. Return the others."""
        decisions = {key: decide(key, seen, facts) for key, seen in suspects.items()}
        yield from self._confirmed(
            {key: suspects[key] for key, each in decisions.items() if each.ruling is Ruling.DIFFERENT}, facts
        )
        for key, each in decisions.items():
            if each.ruling is Ruling.INCONCLUSIVE:
                yield Difference(DifferenceKind.INCONCLUSIVE, key, reason=each.reason)
            elif each.ruling is Ruling.MOVING:
                self.moving += 1
                yield Difference(DifferenceKind.MOVING, key)
        return {key: suspects[key] for key, each in decisions.items() if each.ruling is Ruling.UNDECIDED}

    def _confirmed(self, confirmed: Mapping[Key, Seen], facts: Facts) -> Iterator[Difference]:
        """Yield confirmed differences with their attributes, unless they are equal by now."""
        if confirmed and facts.grace_given:
            self._warn_of_lag()
        self.excused += len(confirmed)
        for difference in self._look.differences(confirmed, threads=self.rules.threads):
            self.excused -= 1
            yield difference

    def _silent(self, suspects: Mapping[Key, Seen]) -> frozenset[Key]:
        silent = self.witness.silent(list(suspects))
        return frozenset() if isinstance(silent, Unknown) else silent

    def _by_lag(self, suspects: Mapping[Key, Seen], facts: Facts, began: datetime) -> Iterator[Difference]:
        """Decide by the lag, and watch on where it may be longer than the watch."""
        watched_on = 0.0
        while suspects:
            figures = self._figures(began, self.timer.now())
            facts = replace(facts, rounds=1, figures=figures, may_watch_on=watched_on < WATCH_ON_SECONDS)
            suspects = yield from self._decided(suspects, facts)
            if not suspects:
                return
            seconds = _watch_on_seconds(figures.seconds or 0.0, watched_on)
            watched_on += seconds
            # The figures are asked for again, since the lag may have grown.
            suspects = yield from self._watch(list(suspects), seconds, replace(facts, figures=None))

    def _figures(self, begin: datetime, end: datetime) -> LagFigures:
        with self.progress("waiting for the metrics of the lag", about=None):
            figures = self.ask_lag(begin, end)
        self.lag = 0.0 if figures.is_idle else figures.seconds
        if figures.unknown is not None:
            self.note(_LAG_UNKNOWN.format(why=figures.unknown))
        return figures

    def _warn_of_lag(self) -> None:
        """Note if the lag is longer than the grace period. Do not wait for the figures of the watch."""
        if self.rules.grace is None or self.rules.without_mapping:
            return
        end = self.timer.now() - timedelta(seconds=_FIGURES_DELAY)
        self.lag = self.ask_lag(end - timedelta(seconds=_FIGURES_SECONDS), end).seconds
        if self.lag is not None and self.lag > self.rules.grace:
            self.note(_LAG_LONGER.format(lag=self.lag, grace=self.rules.grace))

    def _left_out(self, keys: Iterable[Key]) -> Iterator[Difference]:
        for key in keys:
            self.unwatched += 1
            yield Difference(DifferenceKind.INCONCLUSIVE, key, reason=NOT_WATCHED)


def _watch_on_seconds(lag: float, watched_on: float) -> float:
    """Return how much longer to watch: first as long as the lag makes likely, then for the rest of the time."""
    enough = 3 * lag
    return enough if watched_on == 0 and 2 * enough <= WATCH_ON_SECONDS else WATCH_ON_SECONDS - watched_on


def _archived(keys: Iterable[Key]) -> Iterator[Difference]:
    return (Difference(DifferenceKind.ARCHIVED, key) for key in keys)


def _all(keys: KeySet) -> Iterator[Key]:
    return (key for chunk in keys.chunks(_CHUNK) for key in chunk)
