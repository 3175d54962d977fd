"""job: what a backfill reports, how it ends early, and how it waits for writes that may still land."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from ddbreplica.backfill import job
from ddbreplica.backfill.estimate import Estimate
from ddbreplica.backfill.export import Export
from ddbreplica.backfill.job import Copying, Tables
from ddbreplica.backfill.pages import Backfill
from ddbreplica.backfill.windows import in_order
from ddbreplica.errors import StoppedError, TaskError, TransformChangedError
from ddbreplica.mapping.key_filter import EVERY_KEY, KeyFilter
from ddbreplica.mapping.preflight import Preflight
from ddbreplica.model import Key
from ddbreplica.transform.same_transform import NO_TRANSFORM, SameTransform, begin_again_once, fixed
from ddbreplica.transform.view import AS_IT_IS, View
from tests.support.backfilled import NOW, STREAM, URL, WANTED, Runs, World, source, table
from tests.support.fake_replica import INVALID, TIMED_OUT, FakeReplica, in_turn
from tests.support.recording import Recording
from tests.support.redriven import ARN, CREATED, described, item, key, mapping

ONLY_B = '{"dynamodb": {"Keys": {"PK": {"S": ["b"]}}}}'
DAY = 86_400
NO_FACTS = {"items": 1000, "outside": 2, "left": 0, "left_items": [], "damaged": []}


def done(*, left: int = 0, damaged: Any = None) -> Any:
    """A backfill that has processed 1,000 items; the filter excludes two more."""
    reasons = {key(str(number)): f"why {number}" for number in range(left)}
    return SimpleNamespace(items=1000, outside=2, left=reasons, damaged=damaged or {})


def test_the_first_ten_items_that_are_left_are_listed() -> None:
    facts = job.facts(done(left=11, damaged={"b": "lacks one", "a": "lacks two"}))

    assert facts == {
        "items": 1000,
        "outside": 2,
        "left": 11,
        "left_items": [
            {"key": {"PK": {"S": str(number)}}, "reason": f"why {number}"} for number in range(10)
        ],
        "damaged": [{"file": "a", "reason": "lacks two"}, {"file": "b", "reason": "lacks one"}],
    }


@pytest.mark.parametrize(
    ("damaged", "text"),
    [
        ({"a": "lacks one"}, "a lacks one"),
        ({"c": "w", "b": "v", "a": "lacks one"}, "a lacks one (and 2 more files)"),
    ],
)
def test_the_first_damaged_file_is_listed_and_the_others_are_counted(
    damaged: dict[str, str], text: str
) -> None:
    assert job.damage(done(damaged=damaged)) == text


@pytest.mark.parametrize(("state", "more"), [("state", "; state keeps the progress"), (None, "")])
def test_an_error_has_the_progress(state: str | None, more: str) -> None:
    error = job._ended(done(), TaskError("broken X.", hint="try"), state)

    assert (error.fact, error.hint) == (f"broken X; 1,000 items were processed{more}.", "try")
    assert error.facts == NO_FACTS


@pytest.mark.parametrize(("state", "more"), [("state", "; it resumes from state"), (None, "")])
def test_an_interruption_has_the_progress(state: str | None, more: str) -> None:
    error = job._ended(done(damaged={"a": "lacks one"}), KeyboardInterrupt(), state)

    assert isinstance(error, StoppedError)
    assert error.fact == "interrupted; 1,000 items were processed; a lacks one."
    assert error.hint == f"run the same command again{more}."
    assert error.facts == {**NO_FACTS, "damaged": [{"file": "a", "reason": "lacks one"}]}


def test_the_same_work_has_the_same_tables_listing_and_filter() -> None:
    tables = Tables(described("logfile"), described("copy"))

    identity = tables.identity("a scan", KeyFilter.of([ONLY_B]))

    assert identity["source"] == f"{ARN}/logfile of 2026-11-01 11:59:59+00:00"
    assert identity["replica"] == f"{ARN}/copy of 2026-11-01 11:59:59+00:00"
    assert (identity["stream"], identity["listing"]) == (None, "a scan")
    assert identity["filter"] == [ONLY_B]
    assert tables.names == {"source": f"{ARN}/logfile", "replica": f"{ARN}/copy"}
    assert tables.identity("a scan", EVERY_KEY)["filter"] == []


def wait(*, no_wait: bool = False, held: tuple[int, float] = (0, 0.0)) -> tuple[Recording, list[float]]:
    """What is shown, and the seconds of each sleep."""
    recording = Recording()
    sleeps: list[float] = []
    wanted = replace(WANTED, no_wait=no_wait)
    unused: Any = None
    journal: Any = SimpleNamespace(held=lambda: held)

    def sleep(seconds: float) -> None:
        assert len(sleeps) < 1000, "it waits for ever"
        sleeps.append(seconds)

    interrupt: Any = SimpleNamespace(sleep=sleep, check=lambda: None)
    copying = Copying(unused, wanted, unused, None, unused, NO_TRANSFORM, recording.driver)
    copying._wait(journal, interrupt)
    return recording, sleeps


def test_the_wait_for_held_keys_is_shown_second_by_second() -> None:
    recording, sleeps = wait(held=(1000, 120.5))

    assert recording.notes == [
        (
            "In-doubt writes, which got no response, may still change 1,000 items. These items are copied in"
            " 3 minutes."
        )
    ]
    assert recording.steps == [("waiting (seconds)", 120, [1] * 121)]
    assert sleeps == [1] * 120 + [0.5]


@pytest.mark.parametrize(("no_wait", "held"), [(True, (1, 5.0)), (False, (0, 5.0))])
def test_there_is_no_wait_if_nothing_is_held_back_or_with_no_wait(
    no_wait: bool, held: tuple[int, float]
) -> None:
    recording, sleeps = wait(no_wait=no_wait, held=held)

    assert (recording.notes, recording.steps, sleeps) == ([], [], [])


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    return Runs(monkeypatch)


def identity_of(world: World, *, listing: str = "a scan in 4 segments") -> dict[str, Any]:
    """The identity in a state."""
    function = {"transform": None, "function updated": None}
    return {**Tables(*world.tables).identity(listing, EVERY_KEY), **function}


class TestEstimate:
    TABLES = Tables(
        source(ItemCount=3, TableSizeBytes=3000),
        table("copy", GlobalSecondaryIndexes=[{"IndexName": "one"}, {"IndexName": "two"}]),
    )

    def test_a_scan_reads_the_items_that_the_description_has(self) -> None:
        assert Estimate(items=3, bytes=3000, indexes=2, is_listed=False) == self.TABLES.estimate(None)

    def test_an_export_has_the_items_and_is_a_list(self) -> None:
        export = Export(URL, "arn", NOW, {"one": 4, "two": 3})

        assert Estimate(items=7, bytes=3000, indexes=2, is_listed=True) == self.TABLES.estimate(
            in_order([export])
        )


class TestGo:
    def test_every_item_is_copied_and_the_state_is_empty(self, runs: Runs) -> None:
        world = World("a", "b", "c")

        backfill = runs.backfill(world)

        assert world.replica.items == {key(name): item(name) for name in "abc"}
        assert (backfill.items, backfill.outside, backfill.left, backfill.damaged) == (3, 0, {}, {})
        assert (runs.lines.content, runs.lines.is_open) == (b"", False)
        assert runs.recording.notes == []
        assert not runs.recording.is_interruptible

    def test_the_source_is_scanned_in_the_segments_of_the_option(self, runs: Runs) -> None:
        world = World("a", "b", "c")

        backfill = runs.backfill(world, segments=3)

        assert world.segments == {(0, 3), (1, 3), (2, 3)}
        assert world.asked["reader_threads"] == 3
        assert backfill._threads == 3

    def test_each_page_is_confirmed_by_one_more_scan_of_its_range(self, runs: Runs) -> None:
        world = World(*"abcdefgh")

        assert runs.backfill(world).left == {}

        assert (world.rescans, world.source.requests) == (4, [])
        assert world.replica.items == world.source.items

    def test_progress_is_shown_of_the_number_of_items_in_the_description(self, runs: Runs) -> None:
        world = World("a", "b", "c")
        world.tables = source(ItemCount=7), world.tables[1]

        runs.backfill(world)

        ((what, about, counted),) = runs.recording.steps
        assert (what, about, sum(counted)) == ("copying", 7, 3)

    def test_it_is_interruptible_while_it_copies_and_while_it_waits(self, runs: Runs) -> None:
        world = World("a")
        world.replica = FakeReplica(script=in_turn(TIMED_OUT))
        seen: list[bool] = []
        world.reconciled = lambda _: seen.append(runs.recording.is_interruptible)

        runs.backfill(world)

        assert set(seen) == {True}

    def test_reading_and_writing_share_a_patience_that_ends_when_it_is_interrupted(self, runs: Runs) -> None:
        world = World()

        runs.backfill(world)

        assert world.asked["patience"].interrupt is runs.recording.interrupt
        assert world.asked["reader_patience"] is world.asked["patience"]

    @pytest.mark.parametrize(
        ("rate", "read_rate", "provisioned", "read"),
        [(5.0, 7.0, 100, 7.0), (5.0, None, 100, 25.0), (5.0, None, None, None)],
    )
    def test_it_uses_the_rates_of_the_options(
        self, runs: Runs, rate: float, read_rate: float | None, provisioned: int | None, read: float | None
    ) -> None:
        world = World()
        world.tables = source(read_units=provisioned), world.tables[1]

        runs.backfill(world, rate=rate, read_rate=read_rate)

        rates = world.asked["rates"]
        assert rates.write.per_second == rate
        assert rates.write._sleep == runs.recording.interrupt.sleep
        assert rates.read is (world.rate if read else None)
        assert world.asked["reader_read_rate"] == read

    def test_no_rate_is_no_limit(self, runs: Runs) -> None:
        world = World()

        runs.backfill(world)

        assert (world.asked["rates"].write, world.asked["rates"].read) == (None, None)

    @pytest.mark.parametrize("is_archive", [True, False])
    def test_an_archive_keeps_items_that_the_source_no_longer_has(self, runs: Runs, is_archive: bool) -> None:
        world = World("a")
        world.replica.items[key("a")] = dict(item("a"))
        url = world.export("a")
        del world.source.items[key("a")]

        backfill = runs.backfill(world, archive=is_archive, from_export=[url])

        assert bool(world.replica.items) is is_archive
        assert runs.undecided == ([key("a")] if is_archive else [])
        assert backfill.left == {}
        assert runs.lines.content == b""

    def test_items_that_the_filter_excludes_are_not_copied(self, runs: Runs) -> None:
        world = World("a", "b")
        world.mapping = mapping(patterns=(ONLY_B,))

        backfill = runs.backfill(world)

        assert world.replica.items.keys() == {key("b")}
        assert (backfill.items, backfill.outside) == (1, 1)

    def test_a_refused_item_is_left_and_the_state_stays(self, runs: Runs) -> None:
        world = World("a", "b")
        world.replica = FakeReplica(poison=lambda image: image["PK"] == {"S": "a"})

        backfill = runs.backfill(world)

        assert backfill.left == {key("a"): f"{INVALID.code}: {INVALID.message}"}
        assert runs.lines.content.endswith(b'{"rest":true}\n')
        assert runs.open_keys(world) == (key("a"),)
        assert runs.notes(world) == {
            "identity": identity_of(world),
            "segment 0 of 4": {"after": None, "items": 1, "outside": 0},
            "segment 1 of 4": {"after": None, "items": 1, "outside": 0},
            "segment 2 of 4": {"after": None, "items": 0, "outside": 0},
            "segment 3 of 4": {"after": None, "items": 0, "outside": 0},
        }


class TestExport:
    def test_its_items_are_confirmed_by_key(self, runs: Runs) -> None:
        world = World(*"ab")
        url = world.export("ab")

        runs.backfill(world, from_export=[url])

        assert (world.rescans, len(world.source.requests)) == (0, 2)

    def test_its_items_are_copied_as_the_source_has_them_now(self, runs: Runs) -> None:
        world = World("a", "b", "c")

        backfill = runs.backfill(world, from_export=[world.export("ab", "c")])

        assert world.replica.items == {key(name): item(name) for name in "abc"}
        assert backfill.items == 3
        assert world.segments == set()
        ((what, about, counted),) = runs.recording.steps
        assert (what, about, sum(counted)) == ("copying", 3, 3)

    def test_a_damaged_file_is_reported_and_the_state_stays(self, runs: Runs) -> None:
        world = World("a")
        url = world.export("a", lacking=1)
        why = "is damaged: it has 1 items, and the manifest lists 2"

        backfill = runs.backfill(world, from_export=[url])

        part = f"{URL}data/0.json.gz"
        assert backfill.damaged == {part: why}
        assert runs.open_keys(world) == ()
        assert runs.notes(world) == {
            "identity": identity_of(world, listing=URL),
            part: {"after": 1, "items": 1, "outside": 0, "damage": why},
        }

    @pytest.mark.parametrize(
        "other", [{"table_arn": f"{ARN}/other"}, {"taken_at": CREATED - timedelta(seconds=1)}]
    )
    def test_one_of_another_table_is_refused(self, runs: Runs, other: Any) -> None:
        world = World()

        with pytest.raises(TaskError) as refused:
            runs.prepare(world, from_export=[world.export("a", **other)])

        assert refused.value.fact == f"{URL} is not an export of the present source table."
        assert refused.value.hint == f"name an export of {ARN}/logfile."

    def test_one_of_the_moment_at_which_the_source_was_created_is_accepted(self, runs: Runs) -> None:
        world = World()
        world.mapping = mapping(modified_at=CREATED - timedelta(minutes=1))

        copying = runs.prepare(world, from_export=[world.export("a", taken_at=CREATED)])

        files = {f"{URL}data/0.json.gz": 1}
        assert copying.exports == in_order([Export(URL, f"{ARN}/logfile", CREATED, files)])


class TestWarn:
    LARGE = source(ItemCount=100_000, TableSizeBytes=100_000 * 1000)

    def notes(self, runs: Runs, world: World, **wanted: Any) -> list[str]:
        runs.prepare(world, **wanted)._warn()
        return runs.recording.notes

    @pytest.mark.parametrize("rates", [{"rate": 1.0}, {"read_rate": 0.4883}])
    def test_a_backfill_of_more_than_a_day(self, runs: Runs, rates: Any) -> None:
        world = World()
        world.tables = self.LARGE, world.tables[1]

        assert self.notes(runs, world, **rates) == [
            (
                "Warning: the replica's lag is 0:00:00, and the backfill takes about 1 day, 3:46:40. The stream drops"
                " a change after 24 hours. With a higher --rate the backfill ends sooner; with a lower one the"
                " function has more of the replica's write capacity."
            )
        ]

    def test_a_replica_that_is_far_behind(self, runs: Runs) -> None:
        world = World()
        world.lag = DAY

        (note,) = self.notes(runs, world)

        assert note.startswith(
            "Warning: the replica's lag is 1 day, 0:00:00, and the backfill takes about 0:00:00. "
        )

    def test_the_lag_is_not_measured_without_a_mapping(self, runs: Runs) -> None:
        world = World()
        world.lag = DAY

        assert self.notes(runs, world, without_mapping=True) == []

    def test_there_is_no_warning_while_there_is_time(self, runs: Runs) -> None:
        assert self.notes(runs, World(), rate=1.0) == []

    def test_an_export_takes_as_long_as_its_items(self, runs: Runs) -> None:
        world = World()
        world.tables = self.LARGE, world.tables[1]

        (note,) = self.notes(runs, world, rate=1.0, from_export=[world.export("a")])

        assert "takes about 1 day, 3:07:37. " in note

    def test_a_run_warns_before_it_copies(self, runs: Runs) -> None:
        world = World("a")
        world.lag = DAY
        seen: list[int] = []
        world.reconciled = lambda _: seen.append(len(runs.recording.notes))

        runs.backfill(world)

        assert set(seen) == {1}


class TestState:
    def leave_one(self, runs: Runs, world: World, **wanted: Any) -> None:
        """Run, and leave `a` in doubt."""
        world.replica = FakeReplica(script=in_turn(TIMED_OUT))
        assert runs.backfill(world, no_wait=True, **wanted).left.keys() == {key("a")}

    def test_an_earlier_run_is_resumed_and_its_items_are_not_read_again(self, runs: Runs) -> None:
        world = World("a")
        self.leave_one(runs, world)
        world.segments.clear()

        backfill = runs.backfill(world)

        assert runs.recording.notes[0] == "Resuming from state."
        assert world.segments == set()
        assert (runs.recording.earlier[0], runs.recording.steps[0]) == (1, ("copying", 0, []))
        assert (backfill.items, backfill.left) == (1, {})
        assert world.replica.items == {key("a"): item("a")}
        assert runs.lines.content == b""

    @pytest.mark.parametrize(
        ("changed", "named"),
        [
            ({"segments": 5}, "its listing is a scan in 4 segments, not a scan in 5 segments."),
            ({"from_export": [URL]}, f"its listing is a scan in 4 segments, not {URL}."),
        ],
    )
    def test_a_state_of_another_listing_is_refused(self, runs: Runs, changed: Any, named: str) -> None:
        world = World("a")
        world.export("a")
        self.leave_one(runs, world)
        before = runs.notes(world)

        with pytest.raises(TaskError) as refused:
            runs.backfill(world, **changed)

        assert (
            refused.value.fact
            == f"state is the state file of a backfill with other tables or options: {named}"
        )
        assert runs.notes(world) == before

    def test_a_state_of_another_filter_is_refused(self, runs: Runs) -> None:
        world = World("a")
        self.leave_one(runs, world)
        world.mapping = mapping(patterns=(ONLY_B,))

        with pytest.raises(TaskError, match="its filter is "):
            runs.backfill(world)

    def function(self, world: World, *, digest: str | None, updated: str = "") -> None:
        """Give the function a transform, and a last update long ago."""
        view = View(digest, lambda image: {"PK": image["PK"]}) if digest else AS_IT_IS
        world.transform = fixed(view)
        at = datetime.fromisoformat(updated) if updated else None
        world.mapping = replace(mapping(), updated_at=at)

    @pytest.mark.parametrize(
        ("digest", "updated"),
        [("masking", "2026-11-01T00:00:00+00:00"), (None, "2026-11-02T00:00:00+00:00")],
        ids=["another transform", "a later update"],
    )
    def test_all_items_are_copied_again_after_the_function_was_updated(
        self, runs: Runs, digest: str | None, updated: str
    ) -> None:
        """An earlier transform may have been deployed meanwhile, and have written over what was copied."""
        world = World("a", "b")
        self.function(world, digest=None, updated="2026-11-01T00:00:00+00:00")
        self.leave_one(runs, world)
        self.function(world, digest=digest, updated=updated)
        world.segments.clear()

        backfill = runs.backfill(world)

        assert (
            runs.recording.notes[0]
            == "The function was updated since state began: all items are copied again."
        )
        assert len(world.segments) == 4
        assert (backfill.items, backfill.left) == (2, {})

    def test_a_state_of_an_earlier_version_is_of_a_function_without_a_transform(self, runs: Runs) -> None:
        world = World("a")
        self.function(world, digest=None, updated="2026-11-01T00:00:00+00:00")
        self.leave_one(runs, world)
        with closing(runs.journal(world)) as journal:
            identity = {
                name: value
                for name, value in journal.notes["identity"].items()
                if name not in ("transform", "function updated")
            }
            journal.note("identity", identity)

        runs.backfill(world)

        assert runs.recording.notes[0] == "Resuming from state."

    def test_items_whose_transform_changed_meanwhile_are_not_done(self, runs: Runs) -> None:
        world = World("a")
        world.transform = SameTransform(AS_IT_IS, lambda: "masking", world.clock.ticks)

        with pytest.raises(TransformChangedError):
            runs.backfill(world)

        assert runs.notes(world)["segment 0 of 4"] == {"after": None, "items": 1, "outside": 0}
        self.function(world, digest="masking")
        assert runs.backfill(world).items == 1
        assert (
            runs.recording.notes[0]
            == "The function was updated since state began: all items are copied again."
        )

    @pytest.mark.parametrize(
        ("digest", "archive", "kept"),
        [("masking", True, 5), (None, True, 5), ("masking", False, 5), ("masking", True, 1)],
    )
    def test_what_an_archive_keeps_of_an_earlier_transform_is_said(
        self, runs: Runs, digest: str | None, archive: bool, kept: int
    ) -> None:
        world = World("a")
        self.function(world, digest=digest)
        world.tables = source(ItemCount=1), table("copy", ItemCount=kept)

        runs.backfill(world, archive=archive)

        is_said = digest is not None and archive and kept > 1
        assert runs.recording.notes == is_said * [
            (
                "The archive has about 4 items that the source no longer has. They stay as they were written, also"
                " where the present transform would hide a value. `ddbreplica verify` counts them."
            )
        ]

    def test_a_backfill_begins_again_by_itself(self, runs: Runs) -> None:
        world = World("a")
        digests = iter(["masking"])
        world.transform = SameTransform(AS_IT_IS, lambda: next(digests), world.clock.ticks)

        def backfill() -> Backfill:
            try:
                return runs.backfill(world)
            finally:
                self.function(world, digest="masking")

        assert begin_again_once(backfill, runs.recording.driver.note).items == 1

    def test_in_doubt_writes_are_waited_for(self, runs: Runs) -> None:
        world = World("a")
        world.replica = FakeReplica(script=in_turn(TIMED_OUT))

        backfill = runs.backfill(world)

        assert backfill.left == {}
        assert runs.slept == 1800
        assert runs.recording.notes == [
            (
                "In-doubt writes, which got no response, may still change 1 items. These items are copied in"
                " 30 minutes."
            )
        ]
        assert runs.recording.steps[1] == ("waiting (seconds)", 1800, [1] * 1800)
        assert world.replica.items == {key("a"): item("a")}

    def test_with_no_wait_a_later_run_copies_it(self, runs: Runs) -> None:
        world = World("a")

        self.leave_one(runs, world)

        assert runs.slept == 0
        assert runs.open_keys(world) == (key("a"),)


class TestEnding:
    def refuse(self, world: World, name: str) -> None:
        """Make the reconciliation of an item fail."""

        def refuse(keys: Sequence[Key]) -> None:
            if key(name) in keys:
                world.asked["journal"].intend(keys)
                raise OtherError("the table refuses.", hint="look at it")

        world.reconciled = refuse

    def test_a_refusal_has_the_progress_and_the_state_file(self, runs: Runs) -> None:
        world = World("a", "b")
        self.refuse(world, "a")
        world.export("b", "a")

        with pytest.raises(TaskError) as refused:
            runs.backfill(world, segments=1, from_export=[URL])

        assert refused.value.fact == ("the table refuses; 1 item was processed; state keeps the progress.")
        assert refused.value.hint == "look at it"
        assert refused.value.facts == {**NO_FACTS, "items": 1, "outside": 0}
        assert isinstance(refused.value.__cause__, OtherError)
        assert runs.lines.content.endswith(b'{"rest":true}\n')
        assert runs.open_keys(world) == (key("a"),)

    def test_an_empty_state_is_not_mentioned(self, runs: Runs) -> None:
        world = World("a")

        def refuse(_: int) -> None:
            raise OtherError("the source refuses.", hint="look at it")

        world.scanned = refuse

        with pytest.raises(TaskError) as refused:
            runs.backfill(world)

        assert refused.value.fact == "the source refuses; 0 items were processed."
        assert runs.lines.content == b""

    def test_interrupted_while_it_copies(self, runs: Runs) -> None:
        world = World("a")

        def interrupt(_: Sequence[Key]) -> None:
            world.asked["journal"].intend([key("a")])
            runs.recording.interrupt.set()
            runs.recording.interrupt.check()

        world.reconciled = interrupt

        with pytest.raises(StoppedError) as stopped:
            runs.backfill(world, segments=1)

        assert stopped.value.fact == "interrupted; 0 items were processed."
        assert stopped.value.hint == "run the same command again; it resumes from state."
        assert isinstance(stopped.value.__cause__, KeyboardInterrupt)
        assert runs.lines.content.endswith(b'{"rest":true}\n')

    def test_interrupted_while_it_waits(self, runs: Runs) -> None:
        world = World("a")
        world.replica = FakeReplica(script=in_turn(TIMED_OUT))
        copying = runs.prepare(world)
        runs.slept_for = lambda _: runs.recording.interrupt.set()
        review: Any = SimpleNamespace(add=runs.undecided.extend)
        journal = runs.journal(world)

        with pytest.raises(StoppedError) as stopped, journal.kept():
            copying.go(journal, review)

        assert stopped.value.fact == "interrupted; 1 item was processed."
        assert stopped.value.hint == "run the same command again; it resumes from state."
        assert runs.lines.content.endswith(b'{"rest":true}\n')

    def test_a_state_that_cannot_be_written_does_not_hide_why_it_ended(self, runs: Runs) -> None:
        world = World("a")
        self.refuse(world, "a")
        append = runs.lines.append

        def full(line: bytes, *, durably: bool) -> None:
            if b"rest" in line:
                raise TaskError("the disk is full.", hint="make room")
            append(line, durably=durably)

        runs.lines.append = full  # type: ignore[method-assign]

        with pytest.raises(TaskError, match=r"^the table refuses; 0 items were processed; state keeps"):
            runs.backfill(world)

    @pytest.mark.parametrize("is_at_rest", [True, False])
    def test_it_rests_only_if_no_request_is_under_way(self, runs: Runs, is_at_rest: bool) -> None:
        copying = runs.prepare(World())
        rests: list[bool] = []
        backfill: Any = SimpleNamespace(is_at_rest=is_at_rest)
        journal: Any = SimpleNamespace(rest=lambda: rests.append(True))

        with copying._explained(backfill, journal):
            assert rests == []

        assert rests == [True] * is_at_rest


class OtherError(TaskError):
    """A subclass of TaskError."""


class TestPrepare:
    def test_it_returns_the_tables_and_the_export(self, runs: Runs) -> None:
        world = World()

        copying = runs.prepare(world, segments=7)

        assert copying == Copying(
            world.connection,
            replace(WANTED, segments=7),
            Tables(*world.tables),
            None,
            Preflight(mapping(), EVERY_KEY, is_archive=False),
            copying.transform,
            runs.recording.driver,
        )
        assert runs.recording.notes == []

    def test_a_dry_run_shows_the_open_writes_of_interrupted_runs(self, runs: Runs) -> None:
        world = World()
        world.leftovers = ("Note: one.", "Note: two.")

        runs.prepare(world, dry_run=True)

        assert runs.recording.notes == ["Note: one.", "Note: two."]
        runs.prepare(world)
        assert runs.recording.notes == []

    def test_with_a_fast_clock_only_a_dry_run_is_accepted(self, runs: Runs) -> None:
        world = World()
        world.clock.ahead_by = 301.0
        world.clock.respond()

        with pytest.raises(TaskError, match="the local clock is 301 seconds ahead"):
            runs.prepare(world)

        runs.prepare(world, dry_run=True)

    @pytest.mark.parametrize("archive", [True, False])
    def test_an_archive_of_a_global_table_is_warned_of(self, runs: Runs, archive: bool) -> None:
        world = World()
        replicas: Any = {"TableArn": f"{ARN}/logfile", "Replicas": [{"RegionName": "eu-west-1"}]}
        world.tables = source(**replicas), world.tables[1]

        runs.prepare(world, archive=archive)

        starts = [note[:68] for note in runs.recording.notes]
        assert starts == ["Warning: the source logfile is a global table with replicas in eu-we"] * archive


class TestGround:
    @pytest.mark.parametrize("archive", [True, False])
    def test_without_a_mapping_the_option_decides_whether_it_is_an_archive(
        self, runs: Runs, archive: bool
    ) -> None:
        world = World()
        world.mapping = None
        world.ground = Preflight(None, EVERY_KEY, is_archive=archive)

        copying = runs.prepare(world, without_mapping=True, archive=archive)

        assert copying.ground is world.ground
        assert world.asked == {"archive": archive, "note": runs.recording.driver.note, "transform": None}

    @pytest.mark.parametrize(
        ("archive", "replicates_ttl_deletes", "is_archive"),
        [(True, "true", True), (False, "false", True), (False, "true", False)],
    )
    def test_it_is_an_archive_by_the_option_or_the_mapping(
        self, runs: Runs, archive: bool, replicates_ttl_deletes: str, is_archive: bool
    ) -> None:
        world = World()
        world.mapping = mapping(environment={"REPLICATE_TTL_DELETES": replicates_ttl_deletes})

        ground = runs.prepare(world, archive=archive).ground

        assert (ground.mapping, ground.is_archive) == (world.mapping, is_archive)

    def test_a_source_without_a_stream_is_refused(self, runs: Runs) -> None:
        world = World()
        world.tables = source(StreamSpecification={"StreamEnabled": False}), world.tables[1]

        with pytest.raises(TaskError, match="the source has no enabled stream"):
            runs.prepare(world)

    @pytest.mark.parametrize("found", [None, mapping(stream_arn=f"{STREAM}1")])
    def test_a_stream_that_no_mapping_reads_is_refused(self, runs: Runs, found: Any) -> None:
        world = World()
        world.mapping = found

        with pytest.raises(TaskError, match=r"^no event source mapping of a function with the tag"):
            runs.prepare(world)

    @pytest.mark.parametrize(("minutes", "is_refused"), [(9, True), (10, False)])
    def test_a_mapping_that_starts_at_latest_is_refused_for_ten_minutes(
        self, runs: Runs, minutes: int, is_refused: bool
    ) -> None:
        world = World()
        modified_at = NOW - timedelta(minutes=minutes)
        world.mapping = mapping(starting_position="LATEST", modified_at=modified_at)

        if is_refused:
            with pytest.raises(TaskError, match="it may still miss changes"):
                runs.prepare(world)
        else:
            assert runs.prepare(world).ground.mapping == world.mapping

    def test_an_export_from_before_the_mapping_is_refused(self, runs: Runs) -> None:
        world = World()
        url = world.export("a", taken_at=CREATED)
        world.mapping = mapping(modified_at=CREATED + timedelta(seconds=1))

        with pytest.raises(
            TaskError,
            match=r"^the newest export is of 2026-11-01 11:59:59 UTC; it must be of 2026-11-01 12:01:00",
        ):
            runs.prepare(world, from_export=[url])
