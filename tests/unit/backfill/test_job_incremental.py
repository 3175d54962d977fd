"""job: incremental exports copy what changed in their windows, as the source has it now, and miss nothing between."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from ddbreplica.backfill.estimate import Estimate
from ddbreplica.backfill.export import Export
from ddbreplica.backfill.job import Tables
from ddbreplica.backfill.windows import in_order
from ddbreplica.errors import StoppedError, TaskError
from ddbreplica.model import Key
from tests.support.backfilled import NOW, URL, Runs, World, source, table
from tests.support.incremental import TABLE_ID, Window, changes, deleted, gone, inserted, updated
from tests.support.redriven import ARN, CREATED, item, key, mapping

HOUR = timedelta(hours=1)
BUCKET = "s3://bucket/"


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    return Runs(monkeypatch)


def window(name: str, since: float, until: float) -> Window:
    """Return a window between two numbers of hours before now."""
    return Window(name, NOW - since * HOUR, NOW - until * HOUR)


def url(of: Window) -> str:
    return f"{BUCKET}{of.place}/"


def stored(world: World, *windows: Window, keys: str = "a", **summary: Any) -> list[str]:
    """Store an export of each window, in which these items changed, and return their folders."""
    for each in windows:
        each.store(world.s3.store, changes(keys), **summary)
    return [url(each) for each in windows]


def notes_of(*windows: Window) -> str:
    since, until = min(each.since for each in windows), max(each.until for each in windows)
    return (
        f"The exports have the items that changed from {since:%Y-%m-%d %H:%M:%S} UTC to {until:%Y-%m-%d %H:%M:%S} UTC,"
        " except those that were created and deleted within one export. Only these are copied; compare the tables"
        " afterwards."
    )


class TestCopies:
    WINDOW = window("1", 2, 1)

    def test_what_changed_is_copied_as_the_source_has_it_now(self, runs: Runs) -> None:
        world = World("a", "b", "c", "unchanged")
        world.replica.items = {key(name): {"PK": {"S": name}, "old": {"N": "0"}} for name in "bcd"}
        self.WINDOW.store(world.s3.store, [inserted("a"), updated("b")], [], [deleted("c"), gone("d")])

        backfill = runs.backfill(world, from_export=[url(self.WINDOW)])

        assert world.replica.items == {key(name): item(name) for name in "abc"}
        assert (backfill.items, backfill.left, runs.lines.content) == (4, {}, b"")
        assert world.segments == set()
        ((what, about, counted),) = runs.recording.steps
        assert (what, about, sum(counted)) == ("copying", 4, 4)

    def test_files_of_other_exports_in_the_same_folder_are_not_read(self, runs: Runs) -> None:
        world = World("a", "b")
        window("2", 2, 1).store(world.s3.store, changes("b"))

        runs.backfill(world, from_export=stored(world, self.WINDOW))

        assert world.replica.items == {key("a"): item("a")}

    def test_in_an_archive_a_delete_needs_review(self, runs: Runs) -> None:
        world = World("a")
        world.replica.items[key("d")] = dict(item("d"))
        self.WINDOW.store(world.s3.store, [inserted("a"), deleted("d")])

        runs.backfill(world, archive=True, from_export=[url(self.WINDOW)])

        assert world.replica.items == {key(name): item(name) for name in "ad"}
        assert runs.undecided == [key("d")]

    def test_a_note_says_that_only_what_changed_is_copied(self, runs: Runs) -> None:
        world = World()
        windows = window("1", 3, 2), window("2", 2.5, 1)

        runs.prepare(world, from_export=stored(world, *windows))

        assert runs.recording.notes == [notes_of(*windows)]

    def test_with_a_full_export_all_items_are_copied(self, runs: Runs) -> None:
        world = World("a", "b", "c")
        full = world.export("ab", taken_at=NOW - 2 * HOUR)

        backfill = runs.backfill(world, from_export=[*stored(world, window("1", 3, 1), keys="bc"), full])

        assert world.replica.items == {key(name): item(name) for name in "abc"}
        assert (backfill.items, runs.recording.notes) == (4, [])

    def test_a_damaged_file_is_reported_and_the_others_are_copied(self, runs: Runs) -> None:
        world = World("a", "b")
        first, second = window("1", 3, 2), window("2", 2, 1)
        first.store(world.s3.store, changes("a"), lacking=1)
        second.store(world.s3.store, changes("b"))

        backfill = runs.backfill(world, from_export=[url(first), url(second)])

        part = f"{BUCKET}{first.file(0)}"
        assert backfill.damaged == {part: "is damaged: it has 1 items, and the manifest lists 2"}
        assert world.replica.items == {key(name): item(name) for name in "ab"}
        assert part in runs.notes(world)


class TestSeveral:
    FIRST, SECOND = window("1", 30, 10), window("2", 12, 1)

    def test_one_is_done_before_the_next_begins_whatever_the_order_of_the_options(self, runs: Runs) -> None:
        world = World(*"abcdef")
        self.FIRST.store(world.s3.store, changes("ab"), changes("cd"))
        self.SECOND.store(world.s3.store, changes("de"), changes("fa"))
        done: list[Sequence[Key]] = []
        world.reconciled = done.append

        backfill = runs.backfill(world, from_export=[url(self.SECOND), url(self.FIRST)])

        pieces = [sorted(value for ((_, _, value),) in keys) for keys in done if keys]
        assert sorted(pieces[:2]) == [["a", "b"], ["c", "d"]]
        assert sorted(pieces[2:]) == [["a", "f"], ["d", "e"]]
        assert backfill.items == 8

    @pytest.mark.parametrize("order", [1, -1])
    def test_an_interrupted_run_is_resumed_with_the_options_in_any_order(
        self, runs: Runs, order: int
    ) -> None:
        world = World("a", "b")
        self.FIRST.store(world.s3.store, changes("a"))
        self.SECOND.store(world.s3.store, changes("b"))
        urls = [url(self.FIRST), url(self.SECOND)]
        asked: list[Key] = []

        def interrupt(keys: Sequence[Key]) -> None:
            if key("b") in keys:
                runs.recording.interrupt.set()
                runs.recording.interrupt.check()

        world.reconciled = interrupt
        with pytest.raises(StoppedError, match="interrupted; 1 item was processed"):
            runs.backfill(world, from_export=urls)
        world.reconciled = asked.extend
        backfill = runs.backfill(world, from_export=urls[::order])

        assert asked == [key("b")]
        assert (backfill.items, world.replica.items) == (2, world.source.items)
        assert runs.recording.notes[1:] == ["Resuming from state."]
        assert [step[:2] for step in runs.recording.steps] == [("copying", 2)]

    def test_a_state_of_other_exports_is_not_resumed(self, runs: Runs) -> None:
        world = World("a")
        urls = stored(world, self.FIRST, self.SECOND)
        world.s3.store(self.FIRST.file(0), b"damaged")
        runs.backfill(world, from_export=urls)

        with pytest.raises(TaskError) as refused:
            runs.backfill(world, from_export=urls[1:])

        assert refused.value.fact == (
            "state is the state file of a backfill with other tables or options: its listing is"
            f" {url(self.FIRST)} and {url(self.SECOND)}, not {url(self.SECOND)}."
        )

    def test_a_gap_between_them_is_refused(self, runs: Runs) -> None:
        world = World()

        with pytest.raises(TaskError) as refused:
            runs.prepare(world, from_export=stored(world, window("1", 30, 10), window("2", 9, 1)))

        assert refused.value.fact == (
            "no export has the changes from 2026-11-28 08:00:00 UTC to 2026-11-28 09:00:00 UTC; they would be missed."
        )


class TestRefused:
    WINDOW = window("1", 2, 1)

    def why(self, runs: Runs, world: World, *urls: str) -> str:
        with pytest.raises(TaskError) as refused:
            runs.prepare(world, from_export=urls)
        assert world.replica.items == {}
        return refused.value.fact

    @pytest.mark.parametrize("summary", [{"tableArn": f"{ARN}/other"}, {"tableId": "t-2"}])
    def test_one_of_another_table(self, runs: Runs, summary: dict[str, Any]) -> None:
        world = World()
        world.tables = source(TableId=TABLE_ID), table("copy")
        (good,) = stored(world, self.WINDOW)
        (bad,) = stored(world, window("2", 2, 1), **summary)
        runs.prepare(world, from_export=[good])

        assert self.why(runs, world, good, bad) == f"{bad} is not an export of the present source table."

    def test_one_of_before_the_table_was_created(self, runs: Runs) -> None:
        world = World()
        (url_,) = stored(world, Window("1", CREATED - 2 * HOUR, CREATED - timedelta(seconds=1)))

        assert self.why(runs, world, url_) == f"{url_} is not an export of the present source table."

    def test_a_full_one_of_another_table_with_the_same_name(self, runs: Runs) -> None:
        world = World()
        world.tables = source(TableId="t-2"), table("copy")
        url_ = world.export("a", tableId="t-1")

        assert self.why(runs, world, url_) == f"{url_} is not an export of the present source table."

    def test_a_full_one_without_an_identity_is_accepted(self, runs: Runs) -> None:
        world = World()
        world.tables = source(TableId="t-2"), table("copy")

        runs.prepare(world, from_export=[world.export("a")])


class TestOutageOfMoreThanADay:
    """The mapping was disabled for 30 hours, and enabled two hours ago: the stream has lost the first six hours."""

    ENABLED_AT = NOW - 2 * HOUR

    def world(self) -> World:
        world = World("a")
        world.mapping = mapping(modified_at=self.ENABLED_AT)
        return world

    def test_windows_from_before_the_outage_until_after_its_end_are_accepted(self, runs: Runs) -> None:
        world = self.world()

        runs.backfill(world, from_export=stored(world, window("1", 33, 9), window("2", 10, 1)))

        assert world.replica.items == world.source.items

    def test_only_the_newest_window_has_to_end_after_the_mapping_was_enabled(self, runs: Runs) -> None:
        world = self.world()

        with pytest.raises(TaskError) as refused:
            runs.prepare(world, from_export=stored(world, window("1", 33, 9), window("2", 10, 2)))

        assert refused.value.fact == (
            "the newest export is of 2026-11-28 16:00:00 UTC; it must be of 2026-11-28 16:01:00 UTC or later, since the"
            " mapping was created or updated at 2026-11-28 16:00:00 UTC and may have missed changes."
        )

    def test_a_full_export_of_before_with_a_window_until_after_is_accepted(self, runs: Runs) -> None:
        world = self.world()

        full = world.export("a", taken_at=NOW - 10 * HOUR)

        runs.prepare(world, from_export=[full, *stored(world, window("1", 10, 1))])


class TestEstimate:
    TABLES = Tables(source(ItemCount=1000, TableSizeBytes=500_000), table("copy"))

    def export(self, items: int, since: datetime | None) -> Export:
        return Export(f"s3://{items}/", "arn", NOW, {f"file-{items}": items}, since)

    def test_items_of_a_window_have_the_average_size(self) -> None:
        exports = in_order([self.export(8, NOW - HOUR), self.export(2, NOW - HOUR)])

        assert self.TABLES.estimate(exports) == Estimate(items=10, bytes=5000, indexes=0, is_listed=True)

    def test_they_add_to_the_size_of_the_table_that_a_full_export_has(self) -> None:
        exports = in_order([self.export(900, None), self.export(10, NOW - HOUR)])

        assert self.TABLES.estimate(exports) == Estimate(items=910, bytes=505_000, indexes=0, is_listed=True)

    @pytest.mark.parametrize(("items", "size", "expected"), [(0, 0, 0), (1, 100, 800)])
    def test_a_table_with_one_item_or_none(self, items: int, size: int, expected: int) -> None:
        tables = Tables(source(ItemCount=items, TableSizeBytes=size), table("copy"))

        assert tables.estimate(in_order([self.export(8, NOW - HOUR)])).bytes == expected


HALF_DONE = b"""{"ddbreplica":"state","version":2,"command":"backfill"}
{"note":"identity","value":%s}
{"note":"s3://bucket/exports/AWSDynamoDB/01234-abc/data/0.json.gz","value":{"after":1,"items":1,"outside":0}}
{"rest":true}
"""
"""The state of a backfill from one full export, as version 0.1.0 has left it when it was interrupted."""


def test_a_half_done_backfill_of_an_earlier_version_is_finished(runs: Runs) -> None:
    world = World("a", "b", "c")
    urls = [world.export("ab", "c")]
    identity = (
        b'{"source":"%(arn)s/logfile of 2026-11-01 11:59:59+00:00","replica":"%(arn)s/copy of 2026-11-01'
        b' 11:59:59+00:00","stream":"%(arn)s/logfile/stream/2026-11-01T12:00:00.000","listing":"%(url)s","filter":[]}'
    )
    runs.lines.content = HALF_DONE % (identity % {b"arn": ARN.encode(), b"url": URL.encode()})

    backfill = runs.backfill(world, from_export=urls)

    assert world.replica.items == {key(name): item(name) for name in "bc"}
    assert (backfill.items, runs.lines.content) == (3, b"")
    assert runs.recording.notes == ["Resuming from state."]
