"""The explorer checks `reconcile` with every order of all steps that one or two keys allow."""

from collections.abc import Iterable, Iterator
from itertools import combinations_with_replacement, pairwise, product
from typing import Any

import pytest

from ddbreplica.jobs.state.journal import StateJournal
from ddbreplica.reconcile.journal_format import BACKFILL, COMMANDS, VERIFY
from tests.support import journals
from tests.support.explorer import EXPIRED, Flaw, Story, explore
from tests.support.journals import JOB
from tests.support.replay import Value, next_request
from tests.support.taken_out import Source

VALUES: tuple[Value, ...] = (None, 1, 2)
HISTORIES = tuple(
    history
    for history in product(VALUES, repeat=4)
    if all(one != next_one for one, next_one in pairwise(history))
    and (2 not in history or 1 in history[: history.index(2)])  # the names of values do not matter
)
"""All histories of one key with three puts, updates and deletes. A story may also end before the last change."""
SHORTER = sorted({history[:3] for history in HISTORIES}, key=str)


def explored(stories: Iterable[Story]) -> int:
    """Explore stories without a wrong end state, and return the number of their states."""
    total = 0
    for story in stories:
        result = explore(story)
        assert not result.failure, "\n".join([str(story), *result.failure])
        total += result.states
    print(f"{total:,} states")  # noqa: T201
    return total


def test_the_histories_are_complete() -> None:
    assert len(HISTORIES) == 12
    assert {(1, 2, None, 1), (None, 1, None, 1), (1, None, 2, None)} < set(HISTORIES)


def test_a_scanned_page_converges_in_every_order() -> None:
    assert explored(Story((h,), (None,), command=BACKFILL, kills=1) for h in HISTORIES) > 20_000
    assert explored(Story((h,), (None,), command=BACKFILL, kills=1, losses=1) for h in SHORTER) > 15_000
    assert explored(Story((h,), (None,), command=BACKFILL, kills=1, by_key=True) for h in SHORTER) > 3_000


def test_given_keys_converge_in_every_order() -> None:
    assert explored(Story((h,), (9,), kills=1) for h in HISTORIES) > 20_000
    assert explored(Story((h,), (9,), losses=1) for h in HISTORIES) > 30_000


def test_two_keys_in_one_page_converge_in_every_order() -> None:
    pairs = list(combinations_with_replacement([(1, 2), (1, None), (None, 1)], 2))

    assert explored(Story(pair, (None, None), command=BACKFILL, kills=1) for pair in pairs) > 20_000
    assert explored(Story(pair, (None, None), command=BACKFILL, losses=1) for pair in pairs) > 10_000


def test_two_reconcilers_of_one_key_converge_in_every_order() -> None:
    assert explored(Story((h,), (9,), reconcilers=2) for h in SHORTER) > 20_000


@pytest.fixture
def _one_round(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("ddbreplica.reconcile.algorithm.ROUNDS", 1)
    next_request.cache_clear()
    yield
    next_request.cache_clear()


@pytest.mark.usefixtures("_one_round")
def test_keys_that_still_change_after_the_last_round_are_reconciled_again() -> None:
    assert explored(Story((h,), (9,), kills=1) for h in SHORTER) > 3_000


def failing(flaw: Flaw, **story: Any) -> tuple[str, ...]:
    return failing_steps(Story(((1, 2, None),), (None,), command=BACKFILL, flaw=flaw, **story))


def failing_steps(story: Story) -> tuple[str, ...]:
    """Return the steps to the wrong end state."""
    result = explore(story)
    print(f"{result.states:,} states", story.flaw, *result.failure, sep="\n  ")  # noqa: T201
    return result.failure


@pytest.mark.parametrize("flaw", [Flaw.NO_LAST_READ, Flaw.EVENTUAL_LAST_READ])
def test_the_explorer_finds_the_error_of_confirming_without_a_consistent_last_read(flaw: Flaw) -> None:
    assert failing(flaw, by_key=True) == (
        "reconciler 1 scans a = 1",
        "source: a = 2",
        "stream: a = 2",
        "reconciler 1 begins",
        "reconciler 1 opens keys",
        "reconciler 1 writes a = 1",
        "reconciler 1 gets a response",
        "reconciler 1 reads a = 1",
        "reconciler 1 confirms",
        "reconciler 1 ends",
    )


def test_the_explorer_finds_the_error_of_a_rescan_that_begins_before_the_responses_to_the_writes() -> None:
    assert failing(Flaw.RESCAN_BEFORE_THE_WRITES) == (
        "reconciler 1 scans a = 1",
        "reconciler 1 begins",
        "reconciler 1 opens keys",
        "reconciler 1 shows a = 1",
        "source: a = 2",
        "stream: a = 2",
        "reconciler 1 writes a = 1",
        "reconciler 1 gets a response",
        "reconciler 1 confirms",
        "reconciler 1 ends",
    )


@pytest.mark.parametrize(
    ("flaw", "shown"),
    [
        (Flaw.EVENTUAL_RESCAN, "shows a = 1"),
        (Flaw.NOT_SHOWN_IS_UNCHANGED, "does not show a"),
        (Flaw.LAST_SHOWN_COUNTS, "shows a = 2 and shows a = 1"),
    ],
)
def test_the_explorer_finds_the_error_of_a_rescan_that_confirms_too_much(flaw: Flaw, shown: str) -> None:
    assert failing(flaw) == (
        "reconciler 1 scans a = 1",
        "source: a = 2",
        "stream: a = 2",
        "reconciler 1 begins",
        "reconciler 1 opens keys",
        "reconciler 1 writes a = 1",
        "reconciler 1 gets a response",
        f"reconciler 1 {shown}",
        "reconciler 1 confirms",
        "reconciler 1 ends",
    )


def test_the_explorer_finds_the_error_of_a_rescan_that_takes_what_it_does_not_show_for_absent() -> None:
    # A replica that is no archive gets the item back, since the next read is by key. An archive is written nothing, and
    # an operator is asked about an item that the source has.
    story = Story(((1,),), (None,), command=BACKFILL, is_archive=True, flaw=Flaw.NOT_SHOWN_IS_ABSENT)

    with pytest.raises(AssertionError, match="the item existed all the time"):
        explore(story)


def test_the_explorer_finds_the_error_of_a_kill_without_a_journal() -> None:
    # The next scan does not contain the key, so that nothing would ever check it again.
    assert failing(Flaw.JOURNAL_IN_MEMORY, kills=1) == (
        "source: a = 2",
        "reconciler 1 scans a = 2",
        "source: no a",
        "stream: no a",
        "reconciler 1 begins",
        "reconciler 1 opens keys",
        "reconciler 1 writes a = 2",
        "reconciler 1 is killed",
        "reconciler 1 scans no a",
        "reconciler 1 begins",
        "reconciler 1 opens keys",
        "reconciler 1 ends",
    )


def test_the_explorer_finds_the_error_of_a_checkpoint_that_moves_too_early() -> None:
    assert failing(Flaw.CURSOR_TOO_EARLY, kills=1) == (
        "reconciler 1 scans a = 1",
        "reconciler 1 begins",
        "reconciler 1 is killed",
    )


def test_the_explorer_finds_the_error_of_ignoring_writes_that_land_late() -> None:
    unknown = failing(Flaw.SUSPECTS_UNKNOWN, losses=1)
    impatient = failing(Flaw.NO_PATIENCE, losses=1)
    killed = failing(Flaw.NO_PATIENCE, kills=1)

    for story in (unknown, impatient, killed):
        assert "late: a = 1" in story
    assert "reconciler 1 gets no response in time" in unknown
    assert "reconciler 1 has waited" in impatient
    assert "reconciler 1 is killed" in killed


def test_the_explorer_finds_the_error_of_a_change_missing_from_the_stream() -> None:
    assert failing(Flaw.STREAM_TOO_LATE) == (
        "source: a = 2",
        "stream: a = 2",
        "source: no a",
        "reconciler 1 scans no a",
        "reconciler 1 begins",
        "reconciler 1 opens keys",
        "reconciler 1 ends",
    )


LIVES = tuple(
    history
    for history in product((*VALUES, EXPIRED), repeat=4)
    if history[0] != EXPIRED
    and all(one != next_one for one, next_one in pairwise(history))
    and not {(None, EXPIRED), (EXPIRED, None)}
    & set(pairwise(history))  # an absent item cannot be deleted or expire
    and (2 not in history or 1 in history[: history.index(2)])  # the names of values do not matter
)
"""All histories of one key with three puts, updates, deletes and expiries."""
SHORTER_LIVES = sorted({history[:3] for history in LIVES}, key=str)


def archives(histories: Iterable[tuple[Value, ...]], **story: Any) -> Iterator[Story]:
    """Yield a redrive of an archive with an older image, and a backfill of an empty archive."""
    for history in histories:
        yield Story((history,), (9,), is_archive=True, **story)
        yield Story((history,), (None,), is_archive=True, command=BACKFILL, **story)


def test_the_archives_histories_are_complete() -> None:
    assert len(LIVES) == 26
    assert {(1, EXPIRED, 1, 2), (1, 2, EXPIRED, 1), (None, 1, 2, EXPIRED), (1, None, 2, EXPIRED)} < set(LIVES)


def test_the_certain_keys_of_an_archive_are_right_in_every_order() -> None:
    assert explored(archives(LIVES, kills=1)) > 60_000
    assert explored(archives(SHORTER_LIVES, losses=1)) > 9_000
    assert explored(archives(SHORTER_LIVES, kills=1, losses=1)) > 20_000


def test_two_keys_of_an_archive_in_one_page_are_right_in_every_order() -> None:
    pairs = list(combinations_with_replacement([(1, 2), (1, None), (1, EXPIRED)], 2))

    assert (
        explored(Story(p, (None, None), is_archive=True, command=BACKFILL, losses=1) for p in pairs) > 10_000
    )


def test_two_reconcilers_of_an_archive_are_right_in_every_order() -> None:
    assert explored(archives(SHORTER_LIVES, reconcilers=2)) > 20_000


def test_the_explorer_finds_the_error_of_reconciling_an_archive_like_a_mirror() -> None:
    story = Story(((1, EXPIRED),), (1,), is_archive=True, flaw=Flaw.ABSENCE_DELETES)

    assert failing_steps(story) == (
        "source: a expires",
        "stream: a expires",
        "reconciler 1 begins",
        "reconciler 1 opens keys",
        "reconciler 1 reads no a",
        "reconciler 1 writes no a",
        "reconciler 1 gets a response",
        "reconciler 1 reads no a",
        "reconciler 1 confirms",
        "reconciler 1 ends",
    )


def test_the_explorer_finds_the_error_of_treating_an_absence_as_an_expiry() -> None:
    # The cause of a delete before the stream is unknown.
    story = Story(((None,),), (9,), is_archive=True, flaw=Flaw.ABSENCE_CONFIRMS)

    assert failing_steps(story) == (
        "reconciler 1 begins",
        "reconciler 1 opens keys",
        "reconciler 1 reads no a",
        "reconciler 1 ends, undecided",
    )


def test_the_explorer_finds_the_error_of_confirming_an_absence_after_the_write() -> None:
    brought_back = Story(((1, None),), (None,), command=BACKFILL, is_archive=True, flaw=Flaw.ABSENCE_CONFIRMS)

    assert failing_steps(brought_back) == (
        "reconciler 1 scans a = 1",
        "source: no a",
        "stream: no a",
        "reconciler 1 begins",
        "reconciler 1 opens keys",
        "reconciler 1 writes a = 1",
        "reconciler 1 gets a response",
        "reconciler 1 does not show a",
        "reconciler 1 reads no a",
        "reconciler 1 ends, undecided",
    )


def test_the_explorer_finds_what_an_archive_may_contain_for_an_undecided_key() -> None:
    # The cost of an unconditional put: the archive keeps the older of two images written between scan and put.
    older = Story(((1, 2, EXPIRED),), (None,), command=BACKFILL, is_archive=True, flaw=Flaw.ABSENCE_CONFIRMS)

    assert failing_steps(older) == (
        "reconciler 1 scans a = 1",
        "source: a = 2",
        "source: a expires",
        "stream: a = 2",
        "stream: a expires",
        "reconciler 1 begins",
        "reconciler 1 opens keys",
        "reconciler 1 writes a = 1",
        "reconciler 1 gets a response",
        "reconciler 1 does not show a",
        "reconciler 1 reads no a",
        "reconciler 1 ends, undecided",
    )


def test_the_explorer_finds_the_error_of_leaving_out_changes_before_an_expiry() -> None:
    story = Story(((1, 2, EXPIRED),), (None,), command=BACKFILL, is_archive=True, flaw=Flaw.EXPIRY_SUPERSEDES)

    assert failing_steps(story) == (
        "reconciler 1 scans a = 1",
        "reconciler 1 begins",
        "reconciler 1 opens keys",
        "reconciler 1 writes a = 1",
        "reconciler 1 gets a response",
        "reconciler 1 shows a = 1",
        "source: a = 2",
        "source: a expires",
        "stream: a expires",
        "reconciler 1 confirms",
        "reconciler 1 ends",
    )


@pytest.mark.parametrize("flaw", [Flaw.NO_LAST_READ, Flaw.EVENTUAL_LAST_READ])
def test_the_explorer_finds_the_error_of_confirming_too_early_in_an_archive(flaw: Flaw) -> None:
    story = Story(((1, 2, EXPIRED),), (None,), command=BACKFILL, is_archive=True, flaw=flaw)

    assert "reconciler 1 confirms" in failing_steps(story)


@pytest.mark.parametrize("trouble", [{"losses": 1}, {"kills": 1}])
def test_the_explorer_finds_the_error_of_ignoring_late_writes_in_an_archive(trouble: dict[str, Any]) -> None:
    story = Story(((1, 2),), (None,), command=BACKFILL, is_archive=True, flaw=Flaw.NO_PATIENCE, **trouble)

    assert "late: a = 1" in failing_steps(story)


def test_a_repair_converges_in_every_order() -> None:
    assert explored(Story((h,), (9,), command=VERIFY, kills=1) for h in SHORTER) > 10_000
    assert explored(Story((h,), (None,), command=VERIFY, losses=1) for h in SHORTER) > 5_000
    assert (
        explored(Story((h,), (1,), command=VERIFY, kills=1, is_archive=True) for h in SHORTER_LIVES) > 4_000
    )


@pytest.mark.parametrize("flaw", [Flaw.JOURNAL_IN_MEMORY, Flaw.ALWAYS_AT_REST])
@pytest.mark.parametrize("command", [*COMMANDS, JOB])
def test_the_explorer_finds_the_error_of_an_intention_that_is_lost_with_its_process(
    command: str, flaw: Flaw
) -> None:
    """With every command, the next run ends regularly, and then the old write lands."""
    way = failing_steps(Story(((1, 2),), (None,), command=command, kills=1, flaw=flaw))

    assert way.index("reconciler 1 is killed") < way.index("late: a = 1")


def test_the_explorer_finds_the_error_of_a_repair_that_loses_its_open_keys() -> None:
    forgetful = Story(((1, 2),), (None,), command=VERIFY, kills=1, flaw=Flaw.JOURNAL_IN_MEMORY)

    assert failing_steps(forgetful) == (
        "reconciler 1 compares a = 1",
        "reconciler 1 compares no a",
        "reconciler 1 finds differences",
        "reconciler 1 opens keys",
        "reconciler 1 reads a = 1",
        "source: a = 2",
        "stream: a = 2",
        "reconciler 1 is killed",
        "reconciler 1 compares a = 2",
        "reconciler 1 compares a = 2",
        "late: a = 1",
        "reconciler 1 finds no difference",
    )


def test_a_job_converges_in_every_order_although_its_workers_are_replaced() -> None:
    assert explored(Story((h,), (None,), command=JOB, kills=1) for h in SHORTER) > 25_000
    assert explored(Story((h,), (None,), command=JOB, losses=1) for h in SHORTER) > 10_000
    assert explored(Story((h[:2],), (None,), command=JOB, kills=1, losses=1) for h in SHORTER) > 35_000
    assert explored(Story((h[:2],), (None,), command=JOB, kills=2) for h in SHORTER) > 40_000


def test_a_job_of_two_keys_converges_in_every_order_although_its_workers_are_replaced() -> None:
    pairs = list(combinations_with_replacement([(1, 2), (1, None)], 2))

    assert explored(Story(pair, (None, None), command=JOB, kills=1, by_key=True) for pair in pairs) > 20_000


def test_the_explorer_finds_the_error_of_ignoring_the_deadline_of_a_worker_that_was_replaced() -> None:
    way = failing_steps(Story(((1, 2),), (None,), command=JOB, kills=1, flaw=Flaw.DEADLINE_IGNORED))

    assert (
        way.index("reconciler 1 is replaced")
        < way.index("reconciler 1 has waited")
        < way.index("late: a = 1")
    )


@pytest.fixture
def _own_replays() -> Iterator[None]:
    """Forget what was replayed with other code."""
    journals.forget()
    yield
    journals.forget()


@pytest.mark.usefixtures("_own_replays")
@pytest.mark.parametrize(
    ("method", "line", "without"),
    [
        ("intend", "self._save(..., at_rest=False)", "None"),
        ("intend", "self._save(..., at_rest=False)", "self._save(..., at_rest=True)"),
        ("__init__", "if not state.was_at_rest: ...", "if False: ..."),
        ("_free_at", "self._predecessors.get(key, 0.0)", "0.0"),
    ],
)
def test_the_explorer_finds_the_error_of_a_worker_s_journal_without_a_rule(
    method: str, line: str, without: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where: Any = getattr(StateJournal, method)
    monkeypatch.setattr(where, "__code__", Source.of(where).without(line, without).code())

    assert "late: a = 1" in failing_steps(Story(((1, 2),), (None,), command=JOB, kills=1))
