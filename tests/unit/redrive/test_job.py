"""job: a whole redrive between two tables and two buckets in memory, and its state afterwards."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ddbreplica.dynamodb.describe import identity
from ddbreplica.errors import StoppedError, TaskError, TransformChangedError
from ddbreplica.mapping.key_filter import EVERY_KEY, KeyFilter
from ddbreplica.mapping.preflight import Preflight
from ddbreplica.model import Key
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.redrive import job, report
from ddbreplica.redrive.job import RedriveOptions
from ddbreplica.redrive.objects import ObjectOutcome, Redriven
from ddbreplica.transform.same_transform import SameTransform
from ddbreplica.transform.view import AS_IT_IS
from tests.support.fake_replica import INVALID, TIMED_OUT, FakeReplica, in_turn
from tests.support.fake_s3 import NAME
from tests.support.memory_state import MemoryLines
from tests.support.recording import Recording
from tests.support.redriven import CREATED, World, described, item, key, mapping

OPTIONS = RedriveOptions(
    quarantine_bucket=None,
    on_failure_bucket=None,
    older_than=0.0,
    limit=None,
    rate=None,
    read_rate=None,
    without_mapping=False,
    archive=False,
    dry_run=False,
)
ONLY_B = KeyFilter.of(['{"dynamodb": {"Keys": {"PK": {"S": ["b"]}}}}'])


class Runs:
    """Runs of the engine on one world and one state, and their output."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.lines = MemoryLines()
        self.recording = Recording()
        self.shown: list[Redriven] = []
        self.open_when_shown: Sequence[Key] = ()

    def redrive(self, world: World, **options: Any) -> Redriven:
        self._use(world)
        self.recording = Recording()
        journal = self.journal(world)

        def show(redriven: Redriven) -> None:
            self.shown.append(redriven)
            self.open_when_shown = journal.open_keys()

        return job.redrive(
            world.connection, replace(OPTIONS, **options), show, self.recording.driver, journal
        )

    def preview(self, world: World, **options: Any) -> Redriven:
        self._use(world)
        self.recording = Recording()
        return job.preview(
            world.connection, replace(OPTIONS, **options), self.shown.append, self.recording.driver
        )

    def journal(self, world: World) -> FileJournal:
        self.lines.is_open = True
        return FileJournal(self.lines, command="redrive", clock=world.clock)

    def leave_open(self, world: World, *keys: Key, is_at_rest: bool = True) -> None:
        """Leave these keys open, as an earlier run would."""
        journal = self.journal(world)
        journal.resume(identity(*world.tables))
        journal.intend(keys)
        if is_at_rest:
            journal.rest()
        journal.close()

    def open_keys(self, world: World) -> Sequence[Key]:
        return self.journal(world).open_keys()

    def _use(self, world: World) -> None:
        for name, fake in (
            ("describe_pair", world.describe_pair),
            ("to_repair", world.to_repair),
            ("to_write", world.to_write),
            ("Reconciler", SimpleNamespace(between=world.reconciler)),
        ):
            self._monkeypatch.setattr(job, name, fake)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Runs:
    monkeypatch.chdir(tmp_path)
    return Runs(monkeypatch)


def outcomes(redriven: Redriven) -> dict[str, ObjectOutcome]:
    """Return the outcomes of the objects that stay, by the last part of their names."""
    return {each.found.url.rpartition("/")[2]: each.outcome for each in redriven.left.first}


def changing(world: World, *digests: str | None) -> SameTransform:
    """Return no transform, for a function that has these digests one after the other when it is read."""
    left = iter(digests)
    return SameTransform(AS_IT_IS, lambda: next(left), world.clock.ticks)


class TestRedrive:
    def test_both_tables_are_equal_and_the_objects_moved(self, runs: Runs) -> None:
        world = World("a", "b")
        world.quarantine("a")
        world.discard("b", "c")

        redriven = runs.redrive(world)

        assert redriven.counts == {ObjectOutcome.RECONCILED: 2}
        assert (redriven.keys, redriven.in_doubt, redriven.in_doubt_seconds) == (3, 0, 0)
        assert world.replica.items == {key("a"): item("a"), key("b"): item("b")}
        assert all(name.startswith("done/") for name in world.s3.names)
        assert runs.shown == [redriven]
        assert runs.recording.notes == []
        assert runs.recording.steps == [("redriving", 2, [2])]
        assert not runs.recording.is_interruptible

    def test_an_object_stays_if_the_transform_changed_and_is_done_with_the_present_one(
        self, runs: Runs
    ) -> None:
        world = World("a")
        world.quarantine("a")
        world.transform = changing(world, None, "masking", None)

        redriven = runs.redrive(world)

        assert redriven.counts == {ObjectOutcome.RECONCILED: 1}
        assert runs.recording.notes[0] == (
            "The function's transform was changed meanwhile; 0 of 1 objects were repaired and moved to done/. Beginning"
            " again."
        )
        assert len(world.replica.requests) == 2

    def test_an_object_stays_if_the_transform_changed_twice(self, runs: Runs) -> None:
        world = World("a")
        name = world.quarantine("a")
        world.transform = changing(world, None, "masking", "masking")

        with pytest.raises(TransformChangedError):
            runs.redrive(world)

        assert world.s3.names == [name]

    def test_keys_that_no_object_has_stay_open_if_the_transform_changed(self, runs: Runs) -> None:
        world = World("a")
        runs.leave_open(world, key("a"))
        world.transform = changing(world, None, "masking", "masking")

        with pytest.raises(TransformChangedError):
            runs.redrive(world)

        assert runs.open_keys(world) == (key("a"),)

    def test_an_empty_state_is_removed(self, runs: Runs) -> None:
        world = World("a")
        world.quarantine("a")

        runs.redrive(world)

        assert (runs.lines.content, runs.lines.is_open) == (b"", False)

    def test_nothing_there(self, runs: Runs) -> None:
        assert runs.redrive(World()).counts == {}
        assert runs.recording.steps == []

    @pytest.mark.parametrize("asked", [True, False])
    def test_the_arguments_of_the_preflight(self, runs: Runs, asked: bool) -> None:
        world = World()

        runs.redrive(world, without_mapping=asked, archive=not asked)

        assert (world.asked["without_mapping"], world.asked["archive"]) == (asked, not asked)
        assert world.asked["note"] == runs.recording.driver.note

    @pytest.mark.parametrize("is_archive", [True, False])
    def test_an_archive_keeps_items_that_the_source_no_longer_has(self, runs: Runs, is_archive: bool) -> None:
        world = World()
        world.ground = Preflight(mapping(), EVERY_KEY, is_archive=is_archive)
        world.replica.items[key("a")] = dict(item("a"))
        world.quarantine("a")

        redriven = runs.redrive(world)

        assert redriven.counts == {ObjectOutcome.UNDECIDED if is_archive else ObjectOutcome.RECONCILED: 1}
        assert bool(world.replica.items) is is_archive

    def test_keys_that_the_filter_excludes(self, runs: Runs) -> None:
        world = World("a", "b")
        world.ground = Preflight(mapping(), ONLY_B, is_archive=False)
        world.quarantine("a")
        world.quarantine("b")

        assert outcomes(runs.redrive(world)) == {"a.json": ObjectOutcome.OUTSIDE}
        assert world.replica.items.keys() == {key("b")}

    def test_older_than_and_limit(self, runs: Runs) -> None:
        world = World()
        for name, age in (("a", 9.0), ("b", 10.0), ("c", 10.0)):
            world.quarantine(name, age=age)

        runs.redrive(world, older_than=10.0, limit=1)

        assert world.s3.names == [
            "done/quarantine/copy/b.json",
            "quarantine/copy/a.json",
            "quarantine/copy/c.json",
        ]

    def test_the_buckets_of_the_options(self, runs: Runs) -> None:
        world = World("a")
        world.ground = Preflight(None, EVERY_KEY, is_archive=False)
        world.quarantine("a")
        world.discard("b")

        redriven = runs.redrive(world, quarantine_bucket=NAME)

        assert redriven.counts == {ObjectOutcome.RECONCILED: 1}
        assert runs.recording.notes == [
            "Note: discarded batches are not processed; to include them, add --on-failure-bucket."
        ]
        assert runs.redrive(world, quarantine_bucket=NAME, on_failure_bucket=NAME).counts == {
            ObjectOutcome.RECONCILED: 1
        }

    @pytest.mark.parametrize(
        ("rate", "read_rate", "provisioned", "read"),
        [(5.0, 7.0, 100, 7.0), (None, None, 100, 25.0), (None, None, None, None)],
    )
    def test_it_uses_the_rates_of_the_options(
        self, runs: Runs, rate: float, read_rate: float, provisioned: int, read: float | None
    ) -> None:
        world = World()
        world.tables = described("logfile", read_units=provisioned), world.tables[1]

        runs.redrive(world, rate=rate, read_rate=read_rate)

        rates = world.asked["rates"]
        assert (rates.write.per_second, rates.read.per_second) == (rate, read)
        sleep = runs.recording.interrupt.sleep
        assert (rates.write._sleep, rates.read._sleep) == (sleep, sleep)

    def test_its_patience_ends_when_it_is_interrupted(self, runs: Runs) -> None:
        world = World()

        runs.redrive(world)

        assert world.asked["patience"].interrupt is runs.recording.interrupt

    def test_more_than_are_listed_at_a_time(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(job, "LISTED_AT_A_TIME", 2)
        world = World()
        for name in "abcde":
            world.quarantine(name)

        assert runs.redrive(world).counts == {ObjectOutcome.RECONCILED: 5}

        assert runs.recording.steps == [
            ("redriving", 2, [2]),
            ("redriving", 2, [2]),
            ("redriving", 1, [1]),
        ]

    def test_a_fast_clock_is_refused(self, runs: Runs) -> None:
        world = World("a")
        world.quarantine("a")
        world.clock.ahead_by = 301.0
        world.clock.respond()

        with pytest.raises(TaskError, match="the local clock is 301 seconds ahead"):
            runs.redrive(world)

        assert not world.replica.items


class TestState:
    def test_an_earlier_run_is_resumed(self, runs: Runs) -> None:
        world = World("a", "b")
        runs.leave_open(world, key("a"), key("b"))

        redriven = runs.redrive(world)

        assert runs.recording.notes == ["Resuming from state."]
        assert (redriven.resumed, redriven.open, redriven.counts) == (2, {}, {})
        assert world.replica.items.keys() == {key("a"), key("b")}
        assert runs.lines.content == b""

    def test_one_of_other_tables_is_refused(self, runs: Runs) -> None:
        world = World()
        runs.leave_open(world, key("a"))
        world.tables = described("other"), described("copy")
        content = runs.lines.content

        with pytest.raises(
            TaskError,
            match="state is the state file of a redrive with other tables or options: its source is",
        ):
            runs.redrive(world)

        assert len(runs.lines.content) >= len(content)
        assert not runs.lines.is_open

    def test_the_state_has_the_identity_of_the_tables(self, runs: Runs) -> None:
        world = World("a")
        world.replica = FakeReplica(script=in_turn(TIMED_OUT))
        world.quarantine("a")

        runs.redrive(world)

        assert runs.journal(world).notes == {
            "identity": {
                "source": f"arn:aws:dynamodb:us-east-1:123456789012:table/logfile of {CREATED}",
                "replica": f"arn:aws:dynamodb:us-east-1:123456789012:table/copy of {CREATED}",
            }
        }

    def test_a_write_in_doubt_is_held_back_here_and_by_the_bucket(self, runs: Runs) -> None:
        world = World("a")
        world.replica = FakeReplica(script=in_turn(TIMED_OUT))
        world.quarantine("a")

        redriven = runs.redrive(world)

        assert outcomes(redriven) == {"a.json": ObjectOutcome.WAITING}
        assert (redriven.in_doubt, redriven.in_doubt_seconds, redriven.open) == (1, 1800, {})
        assert runs.open_keys(world) == (key("a"),)
        assert world.s3.buckets == {NAME}
        ((name, _),) = world.s3.objects.items()
        assert name.startswith("quarantine/copy/")
        assert "-redrive-" in name
        (kept,) = world.s3.kept
        assert kept["record"] == {
            "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/logfile",
            "dynamodb": {"Keys": {"PK": {"S": "a"}}},
        }
        assert kept["reason"] == "a write of redrive got no response and may still land"

    def test_it_records_that_no_request_is_under_way(self, runs: Runs) -> None:
        world = World("a")
        world.replica = FakeReplica(script=in_turn(TIMED_OUT))
        world.quarantine("a")

        runs.redrive(world)

        assert runs.lines.content.endswith(b'{"rest":true}\n')

    def test_it_does_not_record_so_if_one_may_be(self, runs: Runs) -> None:
        world = World("a")
        world.quarantine("a")

        def interrupted(keys: Sequence[Key]) -> None:
            world.asked["journal"].intend(keys)
            raise KeyboardInterrupt

        world.reconciled = interrupted

        with pytest.raises(StoppedError):
            runs.redrive(world)

        assert runs.lines.content.endswith(b'{"open":[{"PK":{"S":"a"}}]}\n')

    @pytest.mark.parametrize("fate", ["refused", "changing", "undecided"])
    def test_keys_whose_objects_stay_are_closed(self, runs: Runs, fate: str) -> None:
        world = World(*("a" if fate != "undecided" else ""))
        world.ground = Preflight(mapping(), EVERY_KEY, is_archive=fate == "undecided")
        if fate == "refused":
            world.replica = FakeReplica(poison=lambda image: image["PK"] == {"S": "a"})
        if fate == "changing":
            world.replica = FakeReplica(script=lambda request: self.change(world))
        world.quarantine("a")

        redriven = runs.redrive(world)

        assert outcomes(redriven).keys() == {"a.json"}
        assert runs.lines.content == b""

    def change(self, world: World) -> tuple[()]:
        world.source.put({"PK": {"S": "a"}, "v": {"N": f"{10 + len(world.source.requests)}"}})
        return ()

    def test_a_key_that_no_object_has_stays_open_while_it_cannot_be_written(self, runs: Runs) -> None:
        world = World("a", "b")
        world.replica = FakeReplica(poison=lambda image: image["PK"] == {"S": "a"})
        runs.leave_open(world, key("a"), key("b"))

        redriven = runs.redrive(world)

        assert redriven.open == {key("a"): (ObjectOutcome.UNWRITABLE, f"{INVALID.code}: {INVALID.message}")}
        assert redriven.resumed == 1
        assert runs.open_keys(world) == (key("a"),)

    def test_a_key_that_only_an_operator_can_decide_is_shown_once(self, runs: Runs) -> None:
        world = World("b")
        world.ground = Preflight(mapping(), ONLY_B, is_archive=True)
        runs.leave_open(world, key("a"), key("b"))
        del world.source.items[key("b")]

        redriven = runs.redrive(world)

        assert {each: outcome for each, (outcome, _) in redriven.open.items()} == {
            key("a"): ObjectOutcome.OUTSIDE,
            key("b"): ObjectOutcome.UNDECIDED,
        }
        assert redriven.resumed == 0
        assert runs.shown == [redriven]
        assert runs.open_when_shown == (key("a"), key("b"))
        assert runs.lines.content == b""

    def test_keys_of_a_killed_run_wait(self, runs: Runs) -> None:
        world = World("a")
        runs.leave_open(world, key("a"), is_at_rest=False)

        redriven = runs.redrive(world)

        assert (redriven.resumed, redriven.open, redriven.in_doubt) == (0, {}, 1)
        assert not world.replica.items
        assert runs.open_keys(world) == (key("a"),)


class TestEnding:
    def test_interrupted(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(job, "LISTED_AT_A_TIME", 1)
        world = World("a", "b", "c")
        for name in "abc":
            world.quarantine(name)

        def stop(keys: Sequence[Key]) -> None:
            if keys == (key("b"),):
                runs.recording.interrupt.set()

        world.reconciled = stop

        with pytest.raises(StoppedError) as stopped:
            runs.redrive(world)

        assert stopped.value.fact == "interrupted; 2 of 3 objects were repaired and moved to done/."
        assert stopped.value.hint == ("run the same command again to process the remaining objects.")
        assert isinstance(stopped.value.__cause__, KeyboardInterrupt)
        assert (stopped.value.facts["objects"], stopped.value.facts["healed"]) == (2, 2)
        assert runs.shown == []
        assert (runs.lines.content, runs.lines.is_open) == (b"", False)

    def test_refused(self, runs: Runs) -> None:
        world = World("a", "b")
        runs.leave_open(world, key("b"), is_at_rest=False)
        world.quarantine("a")

        def refuse(_: Sequence[Key]) -> None:
            raise OtherError("the table refuses.", hint="look at it")

        world.reconciled = refuse

        with pytest.raises(OtherError) as refused:
            runs.redrive(world)

        assert refused.value.fact == "the table refuses; 0 of 1 objects were repaired and moved to done/."
        assert refused.value.hint == "look at it"
        assert isinstance(refused.value.__cause__, OtherError)
        expected = Redriven(in_doubt=1, in_doubt_seconds=1800)
        assert refused.value.facts == report.document(expected)

    def test_large_numbers_are_readable(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        world = World()
        runs.redrive(world)
        work = job._Work(None, runs.recording.interrupt, runs.recording.driver)
        redriven = Redriven()
        redriven.counts[ObjectOutcome.RECONCILED] = 1234

        error = work._ended(redriven, 5678, TaskError("no X.", hint="hint"))

        assert error.fact == "no X; 1,234 of 5,678 objects were repaired and moved to done/."


class OtherError(TaskError):
    """A subclass of TaskError."""


class TestDryRun:
    def test_nothing_changes(self, runs: Runs) -> None:
        world = World("a")
        world.quarantine("a")
        world.discard("b")
        before = world.s3.names

        redriven = runs.preview(world)

        assert redriven.counts == {ObjectOutcome.DUE: 2}
        assert (redriven.keys, redriven.in_doubt) == (0, 0)
        assert runs.shown == [redriven]
        assert runs.recording.notes == []
        assert runs.recording.steps == [("redriving", 2, [2])]
        assert not runs.recording.is_interruptible
        assert (world.s3.names, world.replica.items, runs.lines.content) == (before, {}, b"")

    def test_the_options_apply(self, runs: Runs) -> None:
        world = World()
        world.ground = Preflight(None, ONLY_B, is_archive=False)
        for name, age in (("a", 10.0), ("b", 10.0), ("c", 9.0), ("d", 10.0)):
            world.quarantine(name, age=age)

        redriven = runs.preview(
            world, quarantine_bucket=NAME, older_than=10.0, limit=2, archive=True, without_mapping=True
        )

        assert outcomes(redriven) == {"a.json": ObjectOutcome.OUTSIDE, "b.json": ObjectOutcome.DUE}
        assert (world.asked["without_mapping"], world.asked["archive"]) == (True, True)
        assert world.asked["note"] == runs.recording.driver.note
        assert runs.recording.notes == [
            "Note: discarded batches are not processed; to include them, add --on-failure-bucket."
        ]

    def test_records_of_another_table(self, runs: Runs) -> None:
        world = World()
        world.tables = described("other"), described("copy")
        world.quarantine("a")

        assert outcomes(runs.preview(world)) == {"a.json": ObjectOutcome.FOREIGN}

    def test_a_fast_clock_and_writes_that_may_land_are_noted(self, runs: Runs) -> None:
        world = World()
        world.clock.ahead_by = 301.0
        world.clock.respond()
        with FileJournal.at(Path("logfile-copy.redrive"), command="redrive", clock=world.clock).kept():
            pass
        journal = FileJournal.at(Path("logfile-copy.redrive"), command="redrive", clock=world.clock)
        journal.resume(identity(*world.tables))
        journal.intend([key("a")])
        journal.close()

        runs.preview(world)

        clock, state = runs.recording.notes
        assert clock.startswith("Note: the local clock is 301 seconds ahead of AWS's clock.")
        assert state.startswith("Note: logfile-copy.redrive is the state file of a `ddbreplica redrive` ")

    def test_interrupted(self, runs: Runs) -> None:
        world = World()
        world.quarantine("a")
        world.s3.before = lambda _operation, _name: runs.recording.interrupt.set()

        with pytest.raises(
            StoppedError, match=r"^interrupted; 0 of 1 objects were repaired and moved to done/\.$"
        ):
            runs.preview(world)

        assert runs.shown == []


def test_no_test_here_waits(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    world = World("a")
    world.quarantine("a")

    runs.redrive(world, rate=1.0, read_rate=1.0)

    assert slept == []
