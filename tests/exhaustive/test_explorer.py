"""reconcile among all that can happen to one or two keys, in every order."""

from collections.abc import Iterable, Iterator
from itertools import combinations_with_replacement, pairwise, product
from typing import Any

import pytest

from ddbreplica.reconcile.journal_format import BACKFILL, COMMANDS, VERIFY
from tests.support.explorer import EXPIRED, Flaw, Story, explore
from tests.support.replay import Value, next_request

VALUES: tuple[Value, ...] = (None, 1, 2)
HISTORIES = tuple(
    history
    for history in product(VALUES, repeat=4)
    if all(one != next_one for one, next_one in pairwise(history))
    and (2 not in history or 1 in history[: history.index(2)])  # the names of values do not matter
)
"""Every way in which one key is put, updated, deleted and re-created, three changes long: they may end early."""
SHORTER = sorted({history[:3] for history in HISTORIES}, key=str)


def explored(stories: Iterable[Story]) -> int:
    """Explore stories that must end well, and count their states."""
    total = 0
    for story in stories:
        result = explore(story)
        assert not result.failure, "\n".join([str(story), *result.failure])
        total += result.states
    print(f"{total:,} states")  # noqa: T201
    return total


def test_the_histories_are_all_there_are() -> None:
    assert len(HISTORIES) == 12
    assert {(1, 2, None, 1), (None, 1, None, 1), (1, None, 2, None)} < set(HISTORIES)


def test_a_scanned_page_converges_whatever_interleaves() -> None:
    assert explored(Story((h,), (None,), command=BACKFILL, kills=1) for h in HISTORIES) > 20_000
    assert explored(Story((h,), (None,), command=BACKFILL, kills=1, losses=1) for h in SHORTER) > 15_000


def test_named_keys_converge_whatever_interleaves() -> None:
    assert explored(Story((h,), (9,), kills=1) for h in HISTORIES) > 20_000
    assert explored(Story((h,), (9,), losses=1) for h in HISTORIES) > 30_000


def test_two_keys_in_one_page_converge_whatever_interleaves() -> None:
    pairs = list(combinations_with_replacement([(1, 2), (1, None), (None, 1)], 2))

    assert explored(Story(pair, (None, None), command=BACKFILL, kills=1) for pair in pairs) > 20_000
    assert explored(Story(pair, (None, None), command=BACKFILL, losses=1) for pair in pairs) > 10_000


def test_two_healers_of_one_key_converge_whatever_interleaves() -> None:
    assert explored(Story((h,), (9,), reconcilers=2) for h in SHORTER) > 20_000


@pytest.fixture
def _one_round(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("ddbreplica.reconcile.algorithm.ROUNDS", 1)
    next_request.cache_clear()
    yield
    next_request.cache_clear()


@pytest.mark.usefixtures("_one_round")
def test_what_still_changes_after_the_last_round_is_taken_up_again() -> None:
    assert explored(Story((h,), (9,), kills=1) for h in SHORTER) > 3_000


def failing(flaw: Flaw, **story: Any) -> tuple[str, ...]:
    return told(Story(((1, 2, None),), (None,), command=BACKFILL, flaw=flaw, **story))


def told(story: Story) -> tuple[str, ...]:
    """How it goes wrong."""
    result = explore(story)
    print(f"{result.states:,} states", story.flaw, *result.failure, sep="\n  ")  # noqa: T201
    return result.failure


@pytest.mark.parametrize("flaw", [Flaw.NO_LAST_READ, Flaw.EVENTUAL_LAST_READ])
def test_the_explorer_finds_what_comes_of_confirming_without_a_consistent_last_read(flaw: Flaw) -> None:
    assert failing(flaw) == (
        "healer 1 scans a = 1",
        "source: a = 2",
        "stream: a = 2",
        "healer 1 begins",
        "healer 1 opens keys",
        "healer 1 writes a = 1",
        "healer 1 is answered",
        "healer 1 reads a = 1",
        "healer 1 confirms",
        "healer 1 ends",
    )


def test_the_explorer_finds_what_comes_of_a_kill_without_a_journal() -> None:
    # The next scan does not even see the key: nobody would ever look at it again.
    assert failing(Flaw.JOURNAL_IN_MEMORY, kills=1) == (
        "source: a = 2",
        "healer 1 scans a = 2",
        "source: no a",
        "stream: no a",
        "healer 1 begins",
        "healer 1 opens keys",
        "healer 1 writes a = 2",
        "healer 1 is killed",
        "healer 1 scans no a",
        "healer 1 begins",
        "healer 1 opens keys",
        "healer 1 ends",
    )


def test_the_explorer_finds_what_comes_of_a_cursor_that_moves_too_early() -> None:
    assert failing(Flaw.CURSOR_TOO_EARLY, kills=1) == (
        "healer 1 scans a = 1",
        "healer 1 begins",
        "healer 1 is killed",
    )


def test_the_explorer_finds_what_comes_of_writes_that_land_late() -> None:
    unknown = failing(Flaw.SUSPECTS_UNKNOWN, losses=1)
    impatient = failing(Flaw.NO_PATIENCE, losses=1)
    killed = failing(Flaw.NO_PATIENCE, kills=1)

    for story in (unknown, impatient, killed):
        assert "late: a = 1" in story
    assert "healer 1 gives its request up" in unknown
    assert "healer 1 has waited" in impatient
    assert "healer 1 is killed" in killed


def test_the_explorer_finds_what_comes_of_a_change_that_the_stream_leaves_out() -> None:
    assert failing(Flaw.STREAM_TOO_LATE) == (
        "source: a = 2",
        "stream: a = 2",
        "source: no a",
        "healer 1 scans no a",
        "healer 1 begins",
        "healer 1 opens keys",
        "healer 1 ends",
    )


LIVES = tuple(
    history
    for history in product((*VALUES, EXPIRED), repeat=4)
    if history[0] != EXPIRED
    and all(one != next_one for one, next_one in pairwise(history))
    and not {(None, EXPIRED), (EXPIRED, None)} & set(pairwise(history))  # what is gone cannot go
    and (2 not in history or 1 in history[: history.index(2)])  # the names of values do not matter
)
"""Every way in which one key is put, updated, deleted, let expire and re-created, three changes long."""
SHORTER_LIVES = sorted({history[:3] for history in LIVES}, key=str)


def archives(histories: Iterable[tuple[Value, ...]], **story: Any) -> Iterator[Story]:
    """An archive that held something else before, and is told the keys; and one that was empty, and scans."""
    for history in histories:
        yield Story((history,), (9,), is_archive=True, **story)
        yield Story((history,), (None,), is_archive=True, command=BACKFILL, **story)


def test_the_lives_are_all_there_are() -> None:
    assert len(LIVES) == 26
    assert {(1, EXPIRED, 1, 2), (1, 2, EXPIRED, 1), (None, 1, 2, EXPIRED), (1, None, 2, EXPIRED)} < set(LIVES)


def test_what_is_certain_in_an_archive_is_so_whatever_interleaves() -> None:
    assert explored(archives(LIVES, kills=1)) > 60_000
    assert explored(archives(SHORTER_LIVES, losses=1)) > 9_000
    assert explored(archives(SHORTER_LIVES, kills=1, losses=1)) > 20_000


def test_two_keys_of_an_archive_in_one_page_are_right_whatever_interleaves() -> None:
    pairs = list(combinations_with_replacement([(1, 2), (1, None), (1, EXPIRED)], 2))

    assert (
        explored(Story(p, (None, None), is_archive=True, command=BACKFILL, losses=1) for p in pairs) > 10_000
    )


def test_two_healers_of_an_archive_are_right_whatever_interleaves() -> None:
    assert explored(archives(SHORTER_LIVES, reconcilers=2)) > 20_000


def test_the_explorer_finds_what_comes_of_healing_an_archive_as_a_mirror() -> None:
    story = Story(((1, EXPIRED),), (1,), is_archive=True, flaw=Flaw.ABSENCE_DELETES)

    assert told(story) == (
        "source: a expires",
        "stream: a expires",
        "healer 1 begins",
        "healer 1 opens keys",
        "healer 1 reads no a",
        "healer 1 writes no a",
        "healer 1 is answered",
        "healer 1 reads no a",
        "healer 1 confirms",
        "healer 1 ends",
    )


def test_the_explorer_finds_what_comes_of_taking_an_absence_for_an_expiry() -> None:
    # Who deleted it before the stream was there, nobody can tell.
    story = Story(((None,),), (9,), is_archive=True, flaw=Flaw.ABSENCE_CONFIRMS)

    assert told(story) == (
        "healer 1 begins",
        "healer 1 opens keys",
        "healer 1 reads no a",
        "healer 1 ends, undecided",
    )


def test_the_explorer_finds_what_comes_of_confirming_what_is_gone_after_the_write() -> None:
    brought_back = Story(((1, None),), (None,), command=BACKFILL, is_archive=True, flaw=Flaw.ABSENCE_CONFIRMS)

    assert told(brought_back) == (
        "healer 1 scans a = 1",
        "source: no a",
        "stream: no a",
        "healer 1 begins",
        "healer 1 opens keys",
        "healer 1 writes a = 1",
        "healer 1 is answered",
        "healer 1 reads no a",
        "healer 1 ends, undecided",
    )


def test_the_explorer_finds_what_the_archive_may_hold_of_an_undecided_key() -> None:
    # The price of a put that is not conditional: the item before the last, where both came between scan and write.
    older = Story(((1, 2, EXPIRED),), (None,), command=BACKFILL, is_archive=True, flaw=Flaw.ABSENCE_CONFIRMS)

    assert told(older) == (
        "healer 1 scans a = 1",
        "source: a = 2",
        "source: a expires",
        "stream: a = 2",
        "stream: a expires",
        "healer 1 begins",
        "healer 1 opens keys",
        "healer 1 writes a = 1",
        "healer 1 is answered",
        "healer 1 reads no a",
        "healer 1 ends, undecided",
    )


def test_the_explorer_finds_what_comes_of_leaving_out_what_an_expiry_supersedes() -> None:
    story = Story(((1, 2, EXPIRED),), (None,), command=BACKFILL, is_archive=True, flaw=Flaw.EXPIRY_SUPERSEDES)

    assert told(story) == (
        "healer 1 scans a = 1",
        "healer 1 begins",
        "healer 1 opens keys",
        "healer 1 writes a = 1",
        "healer 1 is answered",
        "healer 1 reads a = 1",
        "source: a = 2",
        "source: a expires",
        "stream: a expires",
        "healer 1 confirms",
        "healer 1 ends",
    )


@pytest.mark.parametrize("flaw", [Flaw.NO_LAST_READ, Flaw.EVENTUAL_LAST_READ])
def test_the_explorer_finds_in_an_archive_too_what_comes_of_confirming_too_early(flaw: Flaw) -> None:
    story = Story(((1, 2, EXPIRED),), (None,), command=BACKFILL, is_archive=True, flaw=flaw)

    assert "healer 1 confirms" in told(story)


@pytest.mark.parametrize("trouble", [{"losses": 1}, {"kills": 1}])
def test_the_explorer_finds_in_an_archive_too_what_comes_of_impatience(trouble: dict[str, int]) -> None:
    story = Story(((1, 2),), (None,), command=BACKFILL, is_archive=True, flaw=Flaw.NO_PATIENCE, **trouble)

    assert "late: a = 1" in told(story)


def test_a_repair_converges_whatever_interleaves() -> None:
    assert explored(Story((h,), (9,), command=VERIFY, kills=1) for h in SHORTER) > 10_000
    assert explored(Story((h,), (None,), command=VERIFY, losses=1) for h in SHORTER) > 5_000
    assert (
        explored(Story((h,), (1,), command=VERIFY, kills=1, is_archive=True) for h in SHORTER_LIVES) > 4_000
    )


@pytest.mark.parametrize("flaw", [Flaw.JOURNAL_IN_MEMORY, Flaw.ALWAYS_AT_REST])
@pytest.mark.parametrize("command", COMMANDS)
def test_the_explorer_finds_what_comes_of_an_intention_that_dies_with_its_process(
    command: str, flaw: Flaw
) -> None:
    """The next run ends well, and then the old write lands: in every command."""
    way = told(Story(((1, 2),), (None,), command=command, kills=1, flaw=flaw))

    assert way.index("healer 1 is killed") < way.index("late: a = 1")


def test_the_explorer_finds_what_comes_of_a_repair_that_forgets_what_it_was_writing() -> None:
    forgetful = Story(((1, 2),), (None,), command=VERIFY, kills=1, flaw=Flaw.JOURNAL_IN_MEMORY)

    assert told(forgetful) == (
        "healer 1 looks at a = 1",
        "healer 1 looks at no a",
        "healer 1 finds what differs",
        "healer 1 opens keys",
        "healer 1 reads a = 1",
        "source: a = 2",
        "stream: a = 2",
        "healer 1 is killed",
        "healer 1 looks at a = 2",
        "healer 1 looks at a = 2",
        "late: a = 1",
        "healer 1 finds them equal",
    )
