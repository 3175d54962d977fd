"""Items that flip between two states, and lag that is longer than it seems: neither is a difference."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import pytest

from ddbreplica.mapping.lag_figures import LagFigures
from ddbreplica.model import Key
from ddbreplica.verify.confirm import plan
from ddbreplica.verify.difference import DifferenceKind
from tests.support.confirmed import RULES, confirm
from tests.support.flipping import verification
from tests.support.simulated_pair import EPOCH, Following, Item, Pair, Still, key

MOVING = DifferenceKind.MOVING
A, B = key("a"), key("b")


def items(count: int, half_period: float, lag: float) -> Mapping[Key, Item]:
    """Return items that flip, each at moments of its own."""
    return {
        key(f"{number:04}"): Following(half_period, half_period * number / count, lag)
        for number in range(count)
    }


@pytest.mark.parametrize("readable", [True, False])
def test_of_items_that_are_followed_none_is_a_difference_and_every_real_one_is_found(readable: bool) -> None:
    for seed in range(8):
        found = verification(seed, readable=readable)

        assert found.run.confirmed == found.real
        assert DifferenceKind.INCONCLUSIVE not in found.run.kinds.values()


@pytest.mark.hazard(number=20)
def test_an_item_that_looks_the_same_eight_times_has_records_in_the_stream() -> None:
    # They are never equal, and one in 128 is in the same state at all eight looks of a round.
    run = confirm(items(600, half_period=0.07, lag=0.07))

    assert not run.confirmed
    assert set(run.kinds.values()) == {MOVING}


@pytest.mark.hazard(number=20)
def test_an_item_that_is_equal_half_of_the_time_is_equal_at_one_of_eight_looks() -> None:
    for seed in range(30):
        run = confirm(Pair(items(30, half_period=0.065, lag=0.0325), seed=seed), replace(RULES, rounds=2))

        assert not run.differences


@pytest.mark.hazard(number=20)
@pytest.mark.parametrize("readable", [True, False])
def test_an_item_in_step_with_the_looks_is_not_a_difference(readable: bool) -> None:
    """Flip it once in half of the time from one look to the next, if that were always the same."""
    request = 0.02
    rates = plan.Rates(None, None)
    looks = plan.looks_alone(rounds=3, suspects=1)
    planned = (
        plan.with_stream(5.0, keys=1, rates=rates)
        if readable
        else plan.by_looks(5.0, keys=1, looks=looks, rates=rates)
    )
    half_period = (planned.pause + 3 * request) / 2
    # It changes a moment before the look, which is therefore never at the moment of a change.
    pair = Pair({A: Following(half_period, half_period / 3, lag=half_period)}, seconds=request)
    pair.stream.why = None if readable else "denied"

    run = confirm(pair, RULES, LagFigures(seconds=half_period))

    assert run.kinds in ({}, {A: MOVING})


@pytest.mark.hazard(number=20)
def test_without_the_stream_there_are_so_many_looks_that_no_item_looks_the_same_at_all_of_them() -> None:
    for seed in range(25):
        pair = Pair(items(12, half_period=0.07, lag=0.07), seed=seed)
        pair.stream.why = "denied"

        assert not confirm(pair).confirmed


@pytest.mark.hazard(number=20)
def test_an_item_that_kept_changing_is_watched_in_a_round_of_its_own_before_it_is_a_difference() -> None:
    class Settling(Still):
        """An item that changes in the source until a moment, and arrives four seconds later."""

        def source(self, at: float) -> int:
            return int(min(at, 15))

        def replica(self, at: float) -> int:
            return int(min(at - 4, 15))

        def changed(self, since: float, until: float) -> bool:
            return self.source(since) != self.source(until)

    run = confirm({A: Settling()})

    assert not run.differences
    assert run.confirmation.excused == 1


@pytest.mark.hazard(number=20)
def test_an_item_that_changes_while_it_is_looked_at_is_compared_with_both_states() -> None:
    class Fast(Still):
        """An item that changes with each request, and is replicated before the next one."""

        def source(self, at: float) -> int:
            return round(at / 0.002)

        def replica(self, at: float) -> int:
            return self.source(at) + 1

        def changed(self, since: float, until: float) -> bool:
            return True

    run = confirm({A: Fast()})

    assert not run.differences
    assert run.confirmation.excused == 1


class Metrics(Pair):
    """A pair whose lag grows to this many seconds at a moment. CloudWatch has no figures of later minutes."""

    def __init__(self, item: Item, *, grows_to: float, at: float) -> None:
        super().__init__({A: item})
        self.grows_to = grows_to
        self.at = at

    def ask_lag(self, begin: datetime, end: datetime) -> LagFigures:
        super().ask_lag(begin, end)
        grown = (end - EPOCH).total_seconds() >= self.at
        return LagFigures(seconds=self.grows_to if grown else 0.1)


class Late(Still):
    """An item that arrives after 150 seconds."""

    def replica(self, at: float) -> int | None:
        return self.in_source if at > 250 else self.in_replica


@pytest.mark.hazard(number=21)
def test_the_lag_counts_that_the_mapping_had_during_the_watch() -> None:
    run = confirm(Metrics(Late(1, 2), grows_to=100.0, at=8.0))

    assert not run.differences


@pytest.mark.hazard(number=21)
@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        (LagFigures(problem="the mapping is Disabled"), "the mapping is Disabled"),
        (LagFigures(unknown="there is no figure"), "the lag is unknown: there is no figure"),
    ],
)
def test_a_lag_that_is_not_known_is_not_a_short_one(figures: LagFigures, reason: str) -> None:
    run = confirm({A: Still(1, 2)}, RULES, figures)

    assert run.kinds == {A: DifferenceKind.INCONCLUSIVE}
    assert run.reasons == {A: reason}
