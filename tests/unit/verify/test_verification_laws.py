"""verification: stopped or killed anywhere, and run again, it ends as if nothing had happened."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from ddbreplica.errors import TaskError
from ddbreplica.verify.compare.comparison import Comparison
from ddbreplica.verify.compare.merge import Segment
from ddbreplica.verify.repair import mapped
from ddbreplica.verify.saved_progress import SavedProgress
from ddbreplica.verify.verification import Verification
from tests.support.stopped import Killed, Stopped, counts
from tests.support.taken_out import fails_without

Patch = pytest.MonkeyPatch


def compare(one: Stopped, other: Stopped, monkeypatch: Patch) -> None:
    """Run both until they are done, and compare their results.

    An item may be suspected in two groups, and counts twice, if the scans return the items in different orders, or if
    a kill comes between it and the position behind it. There is one group for each 100,000 suspected differences.
    """
    found, expected = counts(one.finish(monkeypatch)), counts(other.finish(monkeypatch))
    if one.in_order and (one.is_one_group or Killed not in one.stops):
        # A scan that is resumed may or may not show what was repaired meanwhile.
        assert {**found, "replica_items": 0} == {**expected, "replica_items": 0}
        assert one.repair or found == expected
    assert found["verdict"] == expected["verdict"]
    assert one.reported == other.reported
    assert one.lines.content == b""


def stop(seed: int, monkeypatch: Patch) -> None:
    """Stop runs by Ctrl-C and by errors: what was found is neither forgotten nor found again."""
    stopped = Stopped(seed, [KeyboardInterrupt, TaskError])

    compare(stopped, Stopped(seed), monkeypatch)

    assert not stopped.in_order or not stopped.reported_again


def kill(seed: int, monkeypatch: Patch) -> None:
    """Kill runs anywhere, and cut the state after any line. A line of the report may then be there twice."""
    compare(Stopped(seed, [Killed, KeyboardInterrupt]), Stopped(seed), monkeypatch)


def repair(seed: int, monkeypatch: Patch) -> None:
    """Stop repairs by Ctrl-C and by errors."""
    stopped = Stopped(seed, [KeyboardInterrupt, TaskError], repair=True)

    compare(stopped, Stopped(seed, repair=True), monkeypatch)

    assert not stopped.different
    assert not stopped.in_order or not stopped.reported_again


@pytest.mark.parametrize("seed", range(150))
@pytest.mark.parametrize("law", [stop, kill, repair])
def test_a_verification_that_is_stopped_anywhere_ends_as_an_unbroken_one(
    law: Callable[[int, Patch], None], seed: int, monkeypatch: Patch
) -> None:
    law(seed, monkeypatch)


@pytest.mark.parametrize("seed", range(100))
def test_a_repair_that_is_killed_anywhere_leaves_no_difference(seed: int, monkeypatch: Patch) -> None:
    killed = Stopped(seed, [Killed], repair=True)

    assert killed.finish(monkeypatch).verdict in ("equal", "repaired")
    assert not killed.different


def test_the_runs_are_stopped_often(monkeypatch: Patch) -> None:
    worlds = [Stopped(seed, [Killed, KeyboardInterrupt, TaskError]) for seed in range(40)]
    for world in worlds:
        world.finish(monkeypatch)

    assert sum(world.runs for world in worlds) > 200


@pytest.mark.parametrize(
    ("law", "where", "rule", "instead"),
    [
        (stop, Comparison.suspect, "self.suspected(keys)", "pass"),
        (stop, SavedProgress.restore, "suspects.add([key_of(key) for key in notes[name]])", "pass"),
        (
            stop,
            SavedProgress.restore,
            "suspects.remove([key_of(key) for key in notes[name]['keys']])",
            "pass",
        ),
        (stop, SavedProgress.restore, "findings.restore(notes[name]['counts'])", "pass"),
        (stop, SavedProgress.restore, "findings.restore(notes[_SETTLED]['counts'])", "pass"),
        (stop, SavedProgress.restore, "self._group = int(notes[_SETTLED]['group'])", "pass"),
        (stop, SavedProgress.settled, "self._group += 1", "pass"),
        (stop, SavedProgress.decided, "self._new_decided.append(key)", "pass"),
        (stop, Verification._settle, "self._saved.save_decided(self._findings)", "pass"),
        (stop, Segment._pair, "self._unknown(items)", "items"),
        (stop, cast("property", Segment.state).fget, "tuple(self._known)", "()"),
        (stop, Segment.__init__, "comparison.suspect(state.waiting)", "pass"),
        (stop, Segment.__init__, "replace(state.counts)", "Swept()"),
        (
            repair,
            mapped,
            "yield from (each.result() for each in ahead if each.exception() is None)",
            "pass",
        ),
        (
            kill,
            SavedProgress.save_all,
            (
                "{**self._head, **({self._next_name(_SUSPECTS): a} if a else {}),"
                " **{f'{_SEGMENT} {b.number}': b.document() for b in c}}"
            ),
            (
                "{**self._head, **{f'{_SEGMENT} {b.number}': b.document() for b in c},"
                " **({self._next_name(_SUSPECTS): a} if a else {})}"
            ),
        ),
        (
            kill,
            SavedProgress.settled,
            "self._journal.note_all({_SETTLED: a, **{b: [] for b in c}})",
            "self._journal.note_all({**{b: [] for b in c}, _SETTLED: a})",
        ),
        (
            kill,
            SavedProgress.save_decided,
            "self._journal.note(self._next_name(_DECIDED), {'keys': a, 'counts': findings.state_document()})",
            "self._journal.note(self._next_name(_DECIDED), {'keys': [], 'counts': findings.state_document()})",
        ),
    ],
    ids=lambda each: getattr(each, "__qualname__", each),
)
def test_without_each_rule_something_is_lost_or_counts_twice(
    law: Callable[[int, Patch], None], where: Any, rule: str, instead: str, monkeypatch: Patch
) -> None:
    fails_without(monkeypatch, where, rule, instead, lambda: in_all_seeds(law, monkeypatch))


def in_all_seeds(law: Callable[[int, Patch], None], monkeypatch: Patch) -> None:
    for seed in range(150):
        law(seed, monkeypatch)
