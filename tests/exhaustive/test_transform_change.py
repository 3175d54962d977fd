"""The transform is changed at any step of a command: the replica ends with what the present one makes of the source."""

from typing import Any

import pytest

from ddbreplica.mapping import last_update
from ddbreplica.reconcile.journal_format import BACKFILL, REDRIVE, VERIFY
from ddbreplica.reconcile.reconciler import _CheckedJournal
from ddbreplica.transform import same_transform
from ddbreplica.transform.same_transform import SameTransform
from tests.support.journals import JOB
from tests.support.replay import Value
from tests.support.taken_out import Source
from tests.support.transform_explorer import STEP_SECONDS, TIMEOUT_SECONDS, Change, explore

HISTORIES: tuple[tuple[Value, ...], ...] = ((1,), (1, 2), (1, None), (None, 1))
WRITERS = (BACKFILL, REDRIVE, VERIFY, JOB)


@pytest.mark.parametrize("command", WRITERS)
@pytest.mark.parametrize(("kills", "losses", "states"), [(1, 0, 15_000), (0, 1, 15_000), (1, 1, 35_000)])
def test_the_replica_ends_with_the_present_transform(
    command: str, kills: int, losses: int, states: int
) -> None:
    total = 0
    for history in HISTORIES:
        change = Change(history, command, kills=kills, losses=losses)
        result = explore(change)
        assert not result.failure, "\n".join([str(change), *result.failure])
        total += result.states
    print(f"{total:,} states")  # noqa: T201
    assert total > states


def taken_out(monkeypatch: pytest.MonkeyPatch, where: Any, line: str, without: str) -> None:
    monkeypatch.setattr(where, "__code__", Source.of(where).without(line, without).code())


def failing(command: str, *, kills: int = 0) -> tuple[str, ...]:
    """Return the shortest way to a replica with what the earlier transform has made."""
    result = explore(Change((1,), command, kills=kills))
    print(f"{result.states:,} states", command, *result.failure, sep="\n  ")  # noqa: T201
    return result.failure


def test_a_backfill_that_does_not_wait_is_overwritten_by_an_old_invocation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken_out(
        monkeypatch,
        last_update.seconds_left,
        "max(0.0, (function.updated_at + wait - now).total_seconds())",
        "0.0",
    )

    way = explore(Change((1, 2), REDRIVE)).failure

    # Both are seconds after the change, when the invocation is still under way.
    assert way.index("the transform is changed") < way.index("backfill is done")
    assert way[-1] == "function: 2" or way.index("function: 2") > way.index("backfill writes 12")


@pytest.mark.parametrize("command", WRITERS)
def test_a_command_that_does_not_read_the_transform_again_overwrites_what_a_backfill_has_copied(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_out(monkeypatch, SameTransform.check_now, "self._read_digest() != self.view.digest", "False")

    way = failing(command)

    assert way.index("backfill writes 11") < way.index("command writes 1") < way.index("command is done")


@pytest.mark.parametrize("command", [BACKFILL, VERIFY, JOB])  # the object of a redrive stays
def test_a_key_that_is_closed_without_a_check_is_lost_if_the_command_is_killed(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_out(monkeypatch, _CheckedJournal.confirm, "if keys: ...", "if False: ...")

    assert_overwritten(failing(command, kills=1))


@pytest.mark.parametrize("command", [BACKFILL, VERIFY, JOB])
def test_a_command_must_read_the_transform_more_often_than_a_backfill_waits(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = TIMEOUT_SECONDS + last_update.MARGIN.total_seconds()
    monkeypatch.setattr(same_transform, "CHECK_SECONDS", wait + STEP_SECONDS)

    assert_overwritten(failing(command, kills=1))


def assert_overwritten(way: tuple[str, ...]) -> None:
    """Check that a command wrote after the backfill, closed the key, and did not end regularly."""
    assert way.index("backfill writes 11") < way.index("command writes 1") < way.index("command confirms")
    assert {"command is killed", "command notices the change at its end"}.intersection(way)
    assert "command is done" not in way
