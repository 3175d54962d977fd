"""rounds: a key whose source item changes is watched again, with the stream as the witness or by looks alone."""

from collections.abc import Mapping, Sequence

import pytest

from ddbreplica.driver import SILENT
from ddbreplica.model import Key
from ddbreplica.verify.confirm.look import Look
from ddbreplica.verify.confirm.plan import Rates, looks_alone
from ddbreplica.verify.confirm.rounds import Outcome, Rounds
from ddbreplica.verify.confirm.watch import Watch
from tests.support.simulated_pair import Following, Item, Pair, Still, Stuck, key

A, B = key("a"), key("b")
DIFFERENT = Still(1, 2)
UNLIMITED = Rates(None, None)
DENIED = (
    "The source's stream cannot be used: denied. Instead, many looks show whether the source changes, of at most 100"
    " suspected differences."
)


class Watching:
    """Rounds over a simulated pair. `notes` are what they say."""

    def __init__(self, items: Mapping[Key, Item], *, suspects: int = 100, rates: Rates = UNLIMITED) -> None:
        self.pair = Pair(items)
        self.notes: list[str] = []
        watch = Watch(
            Look(self.pair.source, self.pair.replica, False), self.pair.clock.timer, 1, SILENT.progress
        )
        self.rounds = Rounds(watch, self.pair.stream, rates, suspects, self.notes.append)

    def __call__(self, keys: Sequence[Key] = (), *, seconds: float = 5.0, rounds: int = 3) -> Outcome:
        return self.rounds.watch(keys or list(self.pair.items), seconds, rounds=rounds)


def test_a_key_that_kept_still_is_watched_once() -> None:
    watching = Watching({A: DIFFERENT})
    outcome = watching()

    assert list(outcome.unequal) == [A]
    assert not outcome.unequal[A].source_changed
    assert watching.pair.stream.calls == ["begin", "keep up", "changed"]
    assert len(watching.pair.replica.gets) == 8
    assert not watching.notes


def test_a_key_that_is_equal_at_a_look_is_excused() -> None:
    watching = Watching({A: Still(1, 1), B: DIFFERENT})
    outcome = watching()

    assert (outcome.excused, list(outcome.unequal)) == (1, [B])


def test_if_all_keys_are_equal_the_witness_is_not_asked_again() -> None:
    watching = Watching({A: Still(1, 1)})
    watching.pair.stream.why, watching.pair.stream.fails_from = "denied", 1

    assert watching() == Outcome(excused=1)
    assert watching.pair.stream.calls == ["begin", "keep up"]
    assert not watching.rounds.by_looks


def test_a_change_that_only_the_stream_has_seen_is_a_change() -> None:
    class Flips(Stuck):
        """An item that changes and changes back between two looks."""

        def source(self, at: float) -> int:
            return 1

    watching = Watching({A: Flips(times=[3.0])})

    outcome = watching(rounds=1)

    assert outcome.unequal[A].source_changed
    assert outcome.unequal[A].followed == 0


def test_a_change_is_counted_from_the_beginning_of_the_round() -> None:
    watching = Watching({A: Stuck(times=[-1.0, 3.0])})
    outcome = watching()

    assert not outcome.unequal[A].source_changed
    assert watching.pair.stream.calls == ["begin", "keep up", "changed", "begin", "changed"]


def test_a_key_that_changes_in_both_tables_is_watched_in_every_round() -> None:
    watching = Watching({A: Following(1.0, 0.5, lag=2.5, states=None)})
    outcome = watching()

    assert outcome.unequal[A].source_changed
    assert outcome.unequal[A].followed == 3
    assert watching.pair.stream.calls.count("begin") == 3


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_a_key_that_changes_in_the_source_only_is_watched_in_every_round(rounds: int) -> None:
    watching = Watching({A: Stuck(times=range(100))})
    outcome = watching(rounds=rounds)

    assert outcome.unequal[A].source_changed
    assert outcome.unequal[A].followed == 0
    assert watching.pair.stream.calls.count("begin") == rounds


def test_a_key_that_the_replica_follows_in_some_rounds_only_takes_more_of_them() -> None:
    class Now(Stuck):
        """An item that changes in the source all the time, and in the replica in the first rounds only."""

        def replica(self, at: float) -> int:
            return -sum(time <= at for time in (2, 3, 10))

    watching = Watching({A: Now(times=range(100))})
    outcome = watching()

    assert watching.pair.stream.calls.count("begin") == 6
    assert 1 <= outcome.unequal[A].followed < 3


def test_by_looks_if_the_stream_cannot_be_read_and_that_is_known_at_once() -> None:
    watching = Watching({A: DIFFERENT})
    watching.pair.stream.why = "denied"
    outcome = watching()

    assert watching.rounds.by_looks
    assert watching.notes == [DENIED]
    assert list(outcome.unequal) == [A]
    assert (outcome.unseen, outcome.left_out) == ([], [])
    assert len(watching.pair.replica.gets) == looks_alone(rounds=3, suspects=100) == 50


def test_by_looks_at_a_random_hundred() -> None:
    items: dict[Key, Item] = {key(f"{number:04}"): DIFFERENT for number in range(250)}
    watching = Watching(items)
    watching.pair.stream.why = "denied"
    outcome = watching()

    assert len(outcome.unequal) == 100
    assert sorted([*outcome.unequal, *outcome.left_out]) == list(items)
    assert any(each > key("0150") for each in outcome.unequal)


def test_by_looks_at_fewer_keys_if_the_read_rate_is_low() -> None:
    watching = Watching({key(f"{number:04}"): DIFFERENT for number in range(100)}, rates=Rates(10.0, None))
    watching.pair.stream.why = "denied"

    assert len(watching().unequal) == 30


def test_what_is_equal_or_archived_in_any_round_is_counted() -> None:
    class Expiring(Stuck):
        """An item that changes until it expires."""

        gone = 0.0

        def source(self, at: float) -> int:
            return super().source(at) if at < self.gone else None  # type: ignore[return-value]

    class Arriving(Stuck):
        """An item that changes until it arrives."""

        arrives = 0.0

        def replica(self, at: float) -> int:
            return self.source(at) if at > self.arrives else -1

    def at(kind: type[Stuck], name: str, moment: float) -> Item:
        item: Item = type("At", (kind,), {name: moment})(times=range(100))
        return item

    items = {
        A: at(Expiring, "gone", 2.0),
        B: at(Expiring, "gone", 8.0),
        key("c"): at(Arriving, "arrives", 2.0),
        key("d"): at(Arriving, "arrives", 8.0),
    }
    watching = Watching(items)
    watching.rounds.watch_once = Watch(
        Look(watching.pair.source, watching.pair.replica, True), watching.pair.clock.timer, 1, SILENT.progress
    )

    assert watching() == Outcome(archived=[A, B], excused=2)


def test_by_looks_if_the_witness_fails_later_and_only_for_what_it_left_open() -> None:
    watching = Watching({A: DIFFERENT, B: Stuck(times=[2.5, 8.0])})
    watching.pair.stream.why, watching.pair.stream.fails_from = "denied", 2
    outcome = watching()

    assert watching.rounds.by_looks
    assert sorted(outcome.unequal) == [A, B]
    assert {len(asked) for asked in watching.pair.replica.gets[:8]} == {2}
    # A kept still in the first round, of which the witness has told all.
    assert {asked[0] for asked in watching.pair.replica.gets[8:]} == {B}
    assert len(watching.pair.replica.gets) == 8 + 8 + 50


def test_once_by_looks_the_stream_is_no_longer_asked() -> None:
    watching = Watching({A: DIFFERENT})
    watching.pair.stream.why = "denied"
    watching()
    watching()

    assert watching.pair.stream.calls == ["begin", "keep up"]
    assert watching.notes == [DENIED]


def test_by_looks_a_change_is_seen_by_the_looks() -> None:
    watching = Watching({A: Following(1.0, 0.3, lag=2.5, states=None), B: DIFFERENT})
    watching.pair.stream.why = "denied"
    outcome = watching()

    assert outcome.unequal[A].source_changed
    assert outcome.unequal[A].followed == 3
    assert not outcome.unequal[B].source_changed


def test_the_witness_keeps_up_during_a_long_watch() -> None:
    watching = Watching({A: DIFFERENT})
    watching(seconds=600.0)

    assert len(watching.pair.stream.kept_up) >= 9
    assert set(map(repr, watching.pair.stream.watched)) == {repr(frozenset({A}))}


def test_a_watch_has_the_planned_length() -> None:
    watching = Watching({A: DIFFERENT})
    outcome = watching(seconds=100.0)

    assert len(watching.pair.replica.gets) == 40
    assert outcome.unequal[A].seconds >= 100


def test_archived_items_are_returned() -> None:
    watching = Watching({A: Still(None, 1), B: DIFFERENT})
    watching.rounds.watch_once = Watch(
        Look(watching.pair.source, watching.pair.replica, True), watching.pair.clock.timer, 1, SILENT.progress
    )

    assert watching().archived == [A]
