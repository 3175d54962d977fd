"""decision: what a suspected difference is, row by row of the table."""

from dataclasses import replace

import pytest

from ddbreplica.mapping.lag_figures import LagFigures
from ddbreplica.verify.confirm.decision import STILL_CHANGING, Decision, Facts, Ruling, decide
from ddbreplica.verify.confirm.seen import Seen
from tests.support.simulated_pair import key

KEY = key("a")
STILL = Seen(seconds=10.0)
DIFFERENT = Decision(Ruling.DIFFERENT)
UNDECIDED = Decision(Ruling.UNDECIDED)
FACTS = Facts(rounds=3)
DISABLED = LagFigures(problem="the mapping is Disabled")


def by(figures: LagFigures, seen: Seen = STILL, *, may_watch_on: bool = True) -> Decision:
    return decide(KEY, seen, replace(FACTS, figures=figures, may_watch_on=may_watch_on))


def inconclusive(reason: str) -> Decision:
    return Decision(Ruling.INCONCLUSIVE, reason)


@pytest.mark.parametrize(("rounds", "followed"), [(3, 3), (3, 4), (1, 1)])
def test_row_1_an_item_that_changes_in_both_tables_is_moving(rounds: int, followed: int) -> None:
    seen = Seen(source_changed=True, followed=followed)

    assert decide(KEY, seen, Facts(rounds)) == Decision(Ruling.MOVING)


@pytest.mark.parametrize("followed", [0, 1, 2])
def test_row_2_an_item_that_changes_in_the_source_only_is_inconclusive(followed: int) -> None:
    assert decide(KEY, Seen(source_changed=True, followed=followed), FACTS) == inconclusive(STILL_CHANGING)


@pytest.mark.parametrize(
    "facts",
    [
        replace(FACTS, grace_given=True),
        replace(FACTS, without_mapping=True),
        replace(FACTS, silent=frozenset({KEY})),
        replace(FACTS, figures=LagFigures(is_idle=True)),
    ],
)
@pytest.mark.parametrize(("followed", "ruling"), [(3, Ruling.MOVING), (0, Ruling.INCONCLUSIVE)])
def test_rows_1_and_2_come_before_all_others(facts: Facts, followed: int, ruling: Ruling) -> None:
    assert decide(KEY, Seen(source_changed=True, followed=followed), facts).ruling is ruling


def test_an_item_that_kept_still_in_the_last_round_is_not_moving() -> None:
    assert decide(KEY, Seen(source_changed=False, followed=3), FACTS) == UNDECIDED


def test_row_3_with_a_grace_period_it_is_different_whatever_the_figures_say() -> None:
    assert decide(KEY, STILL, replace(FACTS, grace_given=True, figures=DISABLED)) == DIFFERENT


def test_row_4_without_a_mapping_it_is_different_whatever_the_figures_say() -> None:
    assert decide(KEY, STILL, replace(FACTS, without_mapping=True, figures=DISABLED)) == DIFFERENT


def test_row_5_without_a_record_it_is_different_whatever_the_state_of_the_mapping() -> None:
    facts = replace(FACTS, silent=frozenset({KEY}), figures=DISABLED)

    assert decide(KEY, STILL, facts) == DIFFERENT
    assert decide(key("b"), STILL, facts) == inconclusive("the mapping is Disabled")


def test_row_6_with_a_problem_it_is_inconclusive_and_the_problem_is_the_reason() -> None:
    assert by(replace(DISABLED, is_idle=True, seconds=0.0)) == inconclusive("the mapping is Disabled")


def test_row_7_with_an_idle_mapping_it_is_different() -> None:
    assert by(LagFigures(is_idle=True, unknown="there is no IteratorAge")) == DIFFERENT


@pytest.mark.parametrize("lag", [0.0, 4.9, 5.0])
def test_row_8_with_a_lag_of_at_most_half_the_watch_it_is_different(lag: float) -> None:
    assert by(LagFigures(seconds=lag)) == DIFFERENT


@pytest.mark.hazard(number=21)
@pytest.mark.parametrize("lag", [5.01, 10.0, 1000.0])
def test_row_9_with_a_longer_lag_it_is_watched_on_and_then_inconclusive(lag: float) -> None:
    assert by(LagFigures(seconds=lag)) == UNDECIDED
    assert by(LagFigures(seconds=lag), may_watch_on=False) == inconclusive(
        f"the lag is {lag:,.0f} seconds, more than half of the watch of 10 seconds"
    )


def test_row_10_without_figures_it_is_inconclusive() -> None:
    assert by(LagFigures(unknown="access denied")) == inconclusive("the lag is unknown: access denied")


def test_before_the_figures_are_asked_for_it_is_undecided() -> None:
    assert decide(KEY, STILL, FACTS) == UNDECIDED
