"""confirm: which suspected differences are differences."""

from collections import Counter
from contextlib import closing
from dataclasses import replace

import pytest

from ddbreplica.dynamodb.rate import Rate
from ddbreplica.mapping.lag_figures import LagFigures
from ddbreplica.model import Key
from ddbreplica.records.compare import AttributeDifference
from ddbreplica.verify.confirm.decision import STILL_CHANGING
from ddbreplica.verify.confirm.look import CHANGED_SINCE
from ddbreplica.verify.confirm.plan import looks_alone
from ddbreplica.verify.difference import NOT_WATCHED, Difference, DifferenceKind
from ddbreplica.verify.keyset import KeySet
from tests.support.confirmed import RULES, confirm, start
from tests.support.simulated_pair import Following, Item, Pair, Still, Stuck, key

A, B, C = key("a"), key("b"), key("c")
DIFFERENT = Still(1, 2)
FOUND = Difference(DifferenceKind.DIFFERENT, A, (AttributeDifference("v", {"N": "1"}, {"N": "2"}),))


def test_a_difference_that_keeps_still_is_confirmed_with_its_attributes() -> None:
    run = confirm({A: DIFFERENT, B: Still(1, None), C: Still(None, 1)})

    assert run.differences == [
        FOUND,
        Difference(DifferenceKind.MISSING, B),
        Difference(DifferenceKind.EXTRA, C),
    ]
    assert run.confirmation.lag == 0
    assert (run.confirmation.excused, run.confirmation.moving, run.confirmation.unwatched) == (0, 0, 0)
    assert not run.confirmation.by_looks
    assert not run.notes
    assert [what for what, _ in run.shown.what] == [
        "looking at suspected differences",
        "looking at suspected differences again",
        "watching suspected differences",
        "waiting for the metrics of the lag",
    ]
    assert [about for _, about in run.shown.what] == [3, 3, 24, None]


def test_without_suspects_nothing_is_read() -> None:
    run = confirm({})

    assert run.differences == []
    assert not run.pair.source.gets
    assert not run.shown.what


def test_keys_that_are_equal_at_the_first_look_need_no_grace_period() -> None:
    run = confirm({A: Still(1, 1), B: Still(None, None)})

    assert run.differences == []
    assert run.confirmation.excused == 2
    assert not run.pair.clock.slept
    assert not run.pair.stream.calls


class Late(Still):
    """An item that arrives after two seconds."""

    def replica(self, at: float) -> int | None:
        return self.in_source if at > 2 else self.in_replica


@pytest.mark.hazard(number=13)
@pytest.mark.parametrize(("grace", "waited"), [(None, 5.0), (7.0, 7.0), (3.0, 3.0)])
def test_the_two_first_looks_are_a_grace_period_apart(grace: float | None, waited: float) -> None:
    run = confirm({A: Late(1, 2)}, replace(RULES, grace=grace))

    assert run.differences == []
    assert run.confirmation.excused == 1
    assert sum(run.pair.clock.slept) == pytest.approx(waited)
    assert len(run.pair.replica.gets) == 2
    assert not run.pair.stream.calls, "what is equal at the second look is not watched"


@pytest.mark.hazard(number=13)
@pytest.mark.parametrize(("grace", "least"), [(None, 5.0), (1.0, 5.0), (50.0, 50.0)])
def test_a_watch_lasts_as_long_as_the_grace_period_and_at_least_five_seconds(
    grace: float | None, least: float
) -> None:
    run = confirm({A: DIFFERENT}, replace(RULES, grace=grace))
    first, *_, last = run.pair.replica.times[2:-1]

    assert least <= last - first <= 1.5 * least + 2
    assert run.kinds == {A: DifferenceKind.DIFFERENT}


def test_the_witness_begins_before_the_first_look_of_the_watch() -> None:
    run = confirm({A: DIFFERENT})

    assert run.pair.stream.began < run.pair.replica.times[2]
    assert run.pair.stream.calls == ["begin", "keep up", "changed", "silent"]


def test_an_item_that_changes_in_both_tables_is_moving() -> None:
    moving = Following(1.0, 0.5, lag=2.5, states=None)
    run = confirm({A: moving, B: DIFFERENT, C: moving})

    assert run.kinds == {
        A: DifferenceKind.MOVING,
        B: DifferenceKind.DIFFERENT,
        C: DifferenceKind.MOVING,
    }
    assert run.confirmation.moving == 2
    assert not run.reasons


class Later(Still):
    """An item that arrives in the watch."""

    def replica(self, at: float) -> int | None:
        return self.in_source if at > 7 else self.in_replica


def test_what_is_equal_at_any_look_is_excused_and_counted() -> None:
    run = confirm({A: Still(1, 1), B: Late(1, 2), C: Later(1, 2)})

    assert run.differences == []
    assert run.confirmation.excused == 3


def test_an_item_that_changes_in_the_source_only_is_inconclusive() -> None:
    run = confirm({A: Stuck(times=range(1000))})

    assert run.differences == [Difference(DifferenceKind.INCONCLUSIVE, A, reason=STILL_CHANGING)]
    assert not run.pair.asked


def test_with_a_grace_period_the_lag_is_not_waited_for() -> None:
    run = confirm({A: DIFFERENT}, replace(RULES, grace=10.0), LagFigures(seconds=10.0))

    assert run.differences == [FOUND]
    assert not run.notes
    assert run.confirmation.lag == 10
    ((begin, end),) = run.pair.asked
    assert end - begin == 300
    assert run.pair.clock.time == pytest.approx(end + 180, abs=0.1)
    assert run.pair.clock.time == pytest.approx(run.pair.replica.times[-1], abs=0.1)
    assert run.pair.clock.time < 60
    assert "silent" not in run.pair.stream.calls


def test_with_a_grace_period_a_longer_lag_is_noted() -> None:
    run = confirm({A: DIFFERENT, B: DIFFERENT}, replace(RULES, grace=5.5), LagFigures(seconds=1000.0))

    assert run.kinds == dict.fromkeys([A, B], DifferenceKind.DIFFERENT)
    assert run.notes == [
        (
            "The lag was 1,000 seconds, longer than the grace period of 5.5 seconds. The differences may be changes"
            " that have not arrived."
        )
    ]


@pytest.mark.parametrize("figures", [LagFigures(unknown="denied"), LagFigures(problem="it is disabled")])
def test_with_a_grace_period_unknown_figures_do_not_matter(figures: LagFigures) -> None:
    run = confirm({A: DIFFERENT}, replace(RULES, grace=5.0), figures)

    assert run.differences == [FOUND]
    assert not run.notes


def test_with_a_grace_period_and_no_difference_the_lag_is_not_asked_for() -> None:
    run = confirm({A: Following(1.0, 0.5, lag=2.5, states=None)}, replace(RULES, grace=5.0))

    assert run.kinds == {A: DifferenceKind.MOVING}
    assert not run.pair.asked


@pytest.mark.parametrize("grace", [None, 5.0])
def test_without_a_mapping_the_lag_is_not_asked_for(grace: float | None) -> None:
    run = confirm({A: DIFFERENT}, replace(RULES, without_mapping=True, grace=grace))

    assert run.differences == [FOUND]
    assert not run.pair.asked
    assert "silent" not in run.pair.stream.calls
    assert run.confirmation.lag is None


def test_what_has_no_record_in_24_hours_is_different_and_the_lag_is_asked_for_the_others_only() -> None:
    pair = Pair({A: DIFFERENT, B: Stuck(times=[-100.0])})
    pair.stream.silent_since = -86400.0
    run = confirm(pair, RULES, LagFigures(problem="the mapping is Disabled"))

    assert run.differences == [
        FOUND,
        Difference(DifferenceKind.INCONCLUSIVE, B, reason="the mapping is Disabled"),
    ]
    assert len(pair.asked) == 1


def test_if_no_key_has_a_record_the_lag_is_not_asked_for() -> None:
    pair = Pair({A: DIFFERENT})
    pair.stream.silent_since = -86400.0
    run = confirm(pair, RULES, LagFigures(problem="the mapping is Disabled"))

    assert run.differences == [FOUND]
    assert not pair.asked


def test_the_lag_is_asked_for_the_whole_watch() -> None:
    run = confirm({A: DIFFERENT, B: Stuck(times=[10.0])}, RULES, LagFigures(seconds=2.0))

    ((begin, end),) = run.pair.asked
    assert begin < run.pair.replica.times[2]
    assert end >= run.pair.replica.times[2 + 8 + 8 - 1]


def test_an_idle_mapping_has_no_lag() -> None:
    run = confirm({A: DIFFERENT}, RULES, LagFigures(is_idle=True))

    assert run.differences == [FOUND]
    assert run.confirmation.lag == 0


def test_an_unknown_lag_is_noted_and_inconclusive() -> None:
    run = confirm({A: DIFFERENT}, RULES, LagFigures(unknown="access denied"))

    assert run.differences == [
        Difference(DifferenceKind.INCONCLUSIVE, A, reason="the lag is unknown: access denied")
    ]
    assert run.notes == [
        (
            "The lag is unknown: access denied. So it is not known whether the suspected differences are differences."
            " Give --grace if you know how long a change takes at most to arrive, or --without-mapping if changes do"
            " not arrive."
        )
    ]
    assert run.confirmation.lag is None


@pytest.mark.parametrize(("lag", "seconds"), [(20.0, 60.0), (40.0, 120.0), (50.0, 150.0), (51.0, 300.0)])
def test_a_lag_that_may_be_longer_than_the_watch_is_watched_out(lag: float, seconds: float) -> None:
    run = confirm({A: DIFFERENT}, RULES, LagFigures(seconds=lag))

    assert run.differences == [FOUND]
    assert len(run.pair.asked) == 2
    assert run.pair.asked[0][0] == run.pair.asked[1][0]
    first, *_, last = run.pair.replica.times[10:-1]
    assert seconds <= last - first < 1.3 * seconds
    assert run.confirmation.lag == lag
    assert [about for _, about in run.shown.what if about is not None] == [1, 1, 8, seconds / 2.5]


def test_a_long_lag_is_watched_out_for_300_seconds_and_is_then_the_reason() -> None:
    run = confirm({A: DIFFERENT}, RULES, LagFigures(seconds=1000.0))

    (found,) = run.differences
    assert found.finding is DifferenceKind.INCONCLUSIVE
    assert found.reason.startswith("the lag is 1,000 seconds, more than half of the watch of 3")
    first, *_, last = run.pair.replica.times[10:]
    assert 300 <= last - first < 350
    assert len(run.pair.asked) == 2


def test_a_lag_that_grows_is_watched_out_for_300_seconds_in_all() -> None:
    run = confirm(
        {A: DIFFERENT}, RULES, LagFigures(seconds=4.0), LagFigures(seconds=40.0), LagFigures(seconds=400.0)
    )

    assert run.kinds == {A: DifferenceKind.INCONCLUSIVE}
    assert run.reasons[A].startswith("the lag is 400 seconds, more than half of the watch of ")
    # 12 seconds first, three times the lag, and then the rest of the 300.
    assert [about for _, about in run.shown.what if about is not None] == [1, 1, 8, 8, 115]
    first, *_, last = run.pair.replica.times[18:]
    assert 288 <= last - first < 340
    assert len(run.pair.asked) == 3
    assert run.confirmation.lag == 400


def test_what_arrives_while_it_is_watched_on_is_excused() -> None:
    class Slow(Still):
        """An item that arrives late."""

        def replica(self, at: float) -> int | None:
            return self.in_source if at > 220 else self.in_replica

    run = confirm({A: Slow(1, 2)}, RULES, LagFigures(seconds=100.0))

    assert run.differences == []
    assert run.confirmation.excused == 1


@pytest.mark.parametrize("readable", [True, False])
def test_an_item_that_changes_only_while_it_is_watched_on_is_moving(readable: bool) -> None:
    # Its half-period is the lag, so that it is never equal; and it does not change in the first watch.
    pair = Pair({A: Following(100.0, 90.0, lag=100.0)})
    pair.stream.why = None if readable else "denied"
    run = confirm(pair, RULES, LagFigures(seconds=100.0))

    assert run.kinds == {A: DifferenceKind.MOVING}
    assert run.confirmation.by_looks is not readable
    # Two looks first, one watch, and one round of watching on.
    assert len(run.shown.what) == 2 + 1 + 1 + 1


@pytest.mark.hazard(number=14)
def test_what_only_an_archive_has_is_no_difference() -> None:
    class Expiring(Still):
        """An item that expires after a while."""

        def source(self, at: float) -> int | None:
            return None if at > 7 else 1

    rules = replace(RULES, is_archive=True)
    run = confirm({A: Still(None, 1), B: Expiring(1, 2), C: DIFFERENT}, rules)

    assert run.kinds == {
        A: DifferenceKind.ARCHIVED,
        B: DifferenceKind.ARCHIVED,
        C: DifferenceKind.DIFFERENT,
    }
    assert run.confirmation.excused == 0


def test_what_changes_after_the_watch_is_inconclusive() -> None:
    run = confirm({A: Stuck(times=[100.0])}, RULES, LagFigures(seconds=0.0))

    assert run.differences == [Difference(DifferenceKind.INCONCLUSIVE, A, reason=CHANGED_SINCE)]


def test_what_arrives_after_the_watch_is_excused() -> None:
    class Slow(Still):
        """An item that arrives late."""

        def replica(self, at: float) -> int | None:
            return self.in_source if at > 100 else self.in_replica

    run = confirm({A: Slow(1, 2), B: DIFFERENT})

    assert run.kinds == {B: DifferenceKind.DIFFERENT}
    assert run.confirmation.excused == 1


def test_only_a_random_choice_of_the_survivors_is_watched() -> None:
    items: dict[Key, Item] = {key(f"{number:04}"): DIFFERENT for number in range(1000)}
    run = confirm(items, replace(RULES, most_watched=150))

    assert Counter(run.kinds.values()) == {
        DifferenceKind.DIFFERENT: 150,
        DifferenceKind.INCONCLUSIVE: 850,
    }
    assert set(run.reasons.values()) == {NOT_WATCHED}
    assert run.confirmation.unwatched == 850
    assert [each.finding for each in run.differences[:150]] == [DifferenceKind.DIFFERENT] * 150
    assert len([each for each in run.differences[:150] if each.key > key("0500")]) > 50


def test_if_a_few_are_enough_the_others_are_not_watched() -> None:
    items: dict[Key, Item] = {key(f"{number:04}"): DIFFERENT for number in range(1000)}
    run = confirm(items, replace(RULES, enough=150))

    assert Counter(run.kinds.values()) == {
        DifferenceKind.DIFFERENT: 150,
        DifferenceKind.INCONCLUSIVE: 850,
    }
    assert set(run.reasons.values()) == {NOT_WATCHED}
    assert len([each for each in run.differences[:150] if each.key > key("0500")]) > 50


def test_one_confirmed_difference_among_the_few_is_enough() -> None:
    changing = Stuck(times=range(1000))
    items: dict[Key, Item] = {
        key(f"{number:04}"): DIFFERENT if number % 4 else changing for number in range(100)
    }
    run = confirm(items, replace(RULES, enough=50, grace=10.0))

    assert len(run.differences) == 100
    assert STILL_CHANGING in run.reasons.values(), "decided after those that are confirmed"
    assert Counter(run.reasons.values())[NOT_WATCHED] == 50


def test_as_many_as_are_enough_are_watched_together() -> None:
    run = confirm({A: Later(1, 2), B: Later(1, 2)}, replace(RULES, enough=2))

    assert run.differences == []
    assert [what for what, _ in run.shown.what].count("watching suspected differences") == 1


def test_if_none_of_the_few_is_confirmed_the_others_are_watched_as_well() -> None:
    """A few differences among many items that only change are found all the same."""
    items: dict[Key, Item] = {key(f"{number:04}"): Later(1, 2) for number in range(1000)}
    items[key("0500")] = DIFFERENT
    run = confirm(items, replace(RULES, enough=10))

    assert run.kinds == {key("0500"): DifferenceKind.DIFFERENT}
    assert run.confirmation.excused == 1000 - 1


@pytest.mark.parametrize(
    ("source", "replica", "watched"), [(None, None, 400), (100.0, 10.0, 375), (10.0, None, 187)]
)
def test_at_a_low_read_rate_fewer_keys_are_watched(
    source: float | None, replica: float | None, watched: int
) -> None:
    pair = Pair({key(f"{number:04}"): DIFFERENT for number in range(400)})
    pair.source.rate, pair.replica.rate = Rate(source), Rate(replica)
    run = confirm(pair)

    assert Counter(run.kinds.values())[DifferenceKind.DIFFERENT] == watched


def test_by_looks_the_rest_is_not_watched() -> None:
    pair = Pair({key(f"{number:04}"): DIFFERENT for number in range(300)})
    pair.stream.why = "denied"
    run = confirm(pair)

    assert run.confirmation.by_looks
    assert Counter(run.kinds.values()) == {
        DifferenceKind.DIFFERENT: 100,
        DifferenceKind.INCONCLUSIVE: 200,
    }
    assert run.confirmation.unwatched == 200
    # 52 looks, since all suspects count, each at one group of 100 keys.
    assert [about for _, about in run.shown.what] == [300, 300, 5200, None]


def test_an_interrupt_ends_it_wherever_it_is() -> None:
    whole = confirm({A: DIFFERENT})
    for stop in range(len(whole.pair.source.gets) + len(whole.pair.clock.slept)):
        pair = Interrupted(stop)

        with pytest.raises(KeyboardInterrupt):
            confirm(pair)

        assert pair.steps <= stop + 2, "neither a wait nor a read follows"


class Interrupted(Pair):
    """A pair whose run is interrupted at its so many-th read of the source, or sleep."""

    def __init__(self, stop: int) -> None:
        super().__init__({A: DIFFERENT})
        self.steps = 0
        self._stop = stop
        self.source.state = self._state
        self.clock.timer = replace(self.clock.timer, sleep=self._sleep)

    def _state(self, each: Key, at: float) -> int | None:
        self.steps += 1
        if self.steps > self._stop:
            raise KeyboardInterrupt
        return self.items[each].source(at)

    def _sleep(self, seconds: float) -> None:
        self.steps += 1
        if self.steps <= self._stop:
            self.clock.sleep(seconds)


def test_differences_are_read_again_when_they_are_asked_for() -> None:
    pair = Pair({key(f"{number:03}"): DIFFERENT for number in range(250)})
    with closing(KeySet()) as suspects:
        found = start(pair, RULES, suspects).confirmation.differences()
        next(found)
        read = len(pair.source.gets)
        for _ in range(100):
            next(found)

        assert len(pair.source.gets) == read + 1
        assert len(list(found)) == 250 - 101


def test_a_confirmation_watches_its_share_by_looks() -> None:
    pair = Pair({key(f"{number:04}"): DIFFERENT for number in range(30)})
    pair.stream.why = "denied"
    run = confirm(pair, replace(RULES, most_by_looks=7))

    assert Counter(run.kinds.values()) == {DifferenceKind.DIFFERENT: 7, DifferenceKind.INCONCLUSIVE: 23}
    assert "of at most 7 suspected differences" in run.notes[0]


def test_the_suspected_differences_of_other_confirmations_make_the_looks_more() -> None:
    alone, one_of_many = (Pair({key("a"): DIFFERENT}) for _ in range(2))
    for pair, others in ((alone, 0), (one_of_many, 9_999)):
        pair.stream.why = "denied"
        confirm(pair, replace(RULES, others=others))

    more = len(one_of_many.replica.gets) - len(alone.replica.gets)
    assert more == looks_alone(rounds=3, suspects=10_000) - looks_alone(rounds=3, suspects=1) > 0
