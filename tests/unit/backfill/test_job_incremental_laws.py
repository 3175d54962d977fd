"""job: after an outage, exports of its time make the tables equal, however they overlap and whatever their order."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddbreplica.model import Image, Key
from tests.support.backfilled import NOW, Runs, World
from tests.support.incremental import Window, deleted, gone, inserted, updated
from tests.support.redriven import key

LENGTH = 24
"""Steps of the history. A step is an hour."""


class Written(NamedTuple):
    """A change of an item: it gets this value, or is deleted if there is none."""

    at: int
    name: str
    value: int | None


def state(history: Iterable[Written], *, before: int) -> dict[Key, Image]:
    """Return the items of a table that has applied the changes before a step."""
    items: dict[Key, Image] = {}
    for change in history:
        if change.at < before:
            items.pop(key(change.name), None)
            if change.value is not None:
                items[key(change.name)] = {"PK": {"S": change.name}, "v": {"N": str(change.value)}}
    return items


def changes(history: Sequence[Written], since: int, until: int) -> Iterable[Mapping[str, Any]]:
    """Return the lines of an export as AWS documents them: none for an item that was created and deleted within it."""
    before, after = state(history, before=since), state(history, before=until)
    for name in sorted({change.name for change in history if since <= change.at < until}):
        was, is_there = key(name) in before, key(name) in after
        if is_there:
            yield (updated if was else inserted)(name)
        elif was:
            yield (deleted if name < "d" else gone)(name)


histories = st.lists(
    st.builds(Written, st.integers(0, LENGTH - 1), st.sampled_from("abcdef"), st.none() | st.integers(1, 3)),
    max_size=40,
).map(lambda changes: sorted(changes, key=lambda change: change.at))


@st.composite
def covering(draw: st.DrawFn, since: int, until: int) -> list[tuple[int, int]]:
    """Return windows that may overlap and leave no gap between two steps."""
    windows, end = list[tuple[int, int]](), since
    while end < until:
        begin = draw(st.integers(since, end))
        end = draw(st.integers(max(begin, end) + 1, until))
        windows.append((begin, end))
    return draw(st.permutations(windows))


def copied(
    runs: Runs, history: Sequence[Written], replica: Mapping[Key, Image], windows: Sequence[tuple[int, int]]
) -> World:
    """Run a backfill from exports of these windows, and return the tables."""
    world = World()
    world.source.items = state(history, before=LENGTH)
    world.replica.items = {key: dict(item) for key, item in replica.items()}
    urls = []
    for number, (since, until) in enumerate(windows):
        start = NOW - LENGTH * timedelta(hours=1)
        window = Window(
            f"{number:02}", start + since * timedelta(hours=1), start + until * timedelta(hours=1)
        )
        lines = list(changes(history, since, until))
        window.store(world.s3.store, lines[::2], lines[1::2])
        urls.append(f"s3://bucket/{window.place}")
    backfill = runs.backfill(world, from_export=urls)
    assert (backfill.left, backfill.damaged) == ({}, {})
    return world


law = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    return Runs(monkeypatch)


@law
@given(st.data(), histories, st.integers(0, LENGTH - 1))
def test_windows_from_the_stop_on_make_the_tables_equal(
    runs: Runs, data: st.DataObject, history: Sequence[Written], stopped: int
) -> None:
    windows = data.draw(covering(stopped, LENGTH))

    world = copied(runs, history, state(history, before=stopped), windows)

    assert world.replica.items == world.source.items


@law
@given(st.data(), histories, st.integers(1, LENGTH - 1))
def test_windows_of_before_may_be_added_if_none_contains_the_stop(
    runs: Runs, data: st.DataObject, history: Sequence[Written], stopped: int
) -> None:
    begin = data.draw(st.integers(0, stopped - 1))
    windows = [*data.draw(covering(stopped, LENGTH)), *data.draw(covering(begin, stopped))]

    world = copied(runs, history, state(history, before=stopped), data.draw(st.permutations(windows)))

    assert world.replica.items == world.source.items


@law
@given(st.data(), histories, st.integers(0, LENGTH - 1), st.integers(0, LENGTH - 1))
def test_the_same_keys_are_reconciled_whatever_the_order(
    runs: Runs, data: st.DataObject, history: Sequence[Written], begin: int, stopped: int
) -> None:
    windows = data.draw(covering(begin, LENGTH))
    replica = state(history, before=stopped)

    world = copied(runs, history, replica, windows)

    assert copied(runs, history, replica, sorted(windows)).replica.items == world.replica.items
    listed = {
        name
        for since, until in windows
        for change in changes(history, since, until)
        for name in [change["Keys"]["PK"]["S"]]
    }
    for name in "abcdef":
        expected = world.source.items if name in listed else replica
        assert world.replica.items.get(key(name)) == expected.get(key(name))


def test_an_item_that_was_created_and_deleted_within_a_window_is_not_in_it(runs: Runs) -> None:
    """The reason why no window may contain the stop: the replica has got the creation, and then not the deletion."""
    history = [Written(4, "a", 1), Written(6, "a", None)]
    replica = state(history, before=5)

    assert copied(runs, history, replica, [(0, LENGTH)]).replica.items == replica
    assert copied(runs, history, replica, [(0, 5), (5, LENGTH)]).replica.items == {}
