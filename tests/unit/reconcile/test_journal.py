"""journal: open keys stay known and held back after any kill, with any clock."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ddbreplica.aws.clock import MARGIN_SECONDS, UNKNOWN_HOLD_SECONDS, Clock
from ddbreplica.bucket.quarantine import Quarantine
from ddbreplica.errors import TaskError
from ddbreplica.model import Journal, Key, Table
from ddbreplica.reconcile import journal as journals
from ddbreplica.reconcile.in_doubt_quarantine import QuarantiningJournal
from ddbreplica.reconcile.journal import FileJournal, HeldKeys, left_in
from ddbreplica.reconcile.journal_format import BACKFILL, COMMANDS, REDRIVE, VERIFY
from tests.support.fake_bucket import FakeBucket
from tests.support.fake_journal import FakeJournal
from tests.support.journal_contract import A, B, C, JournalContract
from tests.support.memory_state import ManualClock, MemoryLines

V1 = '{"ddbreplica":"journal","version":1}\n'
V2 = '{"ddbreplica":"state","version":2,"command":"backfill"}\n'
HOLD = 900 + MARGIN_SECONDS
"""The time for which a key is held back, with a correct clock."""


class _Runs(JournalContract):
    """Runs that were killed, each with its own clock."""

    latest: FileJournal | None = None

    @pytest.fixture(autouse=True)
    def _begin(self, tmp_path: Path) -> Iterator[None]:
        self.path = tmp_path / "state"
        self.lines = MemoryLines()
        self.clock = ManualClock()
        yield
        if self.latest is not None:
            self.latest.close()

    def pass_by(self, seconds: float) -> None:
        self.clock.pass_by(seconds)

    def opened(self) -> FileJournal:
        if self.latest is not None:
            self.latest.close()  # as a kill does
            self.clock = self.clock.next_run()
        self.latest = self.open()
        return self.latest

    def open(self) -> FileJournal:
        return FileJournal(self.lines, command=REDRIVE, clock=self.clock)


class TestTheFake(JournalContract):
    @pytest.fixture(autouse=True)
    def _begin(self) -> None:
        self.now = 0.0
        self.latest = FakeJournal()

    def journal(self) -> Journal:
        self.latest = FakeJournal(lambda: self.now, self.latest.opened)
        return self.latest

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


class TestInMemory(_Runs):
    def journal(self) -> Journal:
        return self.opened()


class TestWithAQuarantine(_Runs):
    def journal(self) -> Journal:
        source = Table("arn:source", status="ACTIVE", key_schema=frozenset())
        return QuarantiningJournal(
            self.opened(),
            Quarantine("bucket", table="copy", connect=FakeBucket().connect),
            source=source,
            command="redrive",
        )


class TestInAFile(_Runs):
    def journal(self) -> FileJournal:
        return self.opened()

    def open(self) -> FileJournal:
        return FileJournal.at(self.path, command=BACKFILL, clock=self.clock)

    def respond(self) -> None:
        self.clock.respond()

    def test_the_first_line_identifies_the_file(self) -> None:
        self.journal()

        assert json.loads(self.path.read_bytes().splitlines()[0]) == {
            "ddbreplica": "state",
            "version": 2,
            "command": "backfill",
        }

    def test_keys_are_open_on_disk_before_they_may_be_written(self) -> None:
        self.journal().intend([A])

        assert json.loads(self.path.read_bytes().splitlines()[-1]) == {"open": [{"PK": {"S": "a"}}]}

    def test_a_run_that_came_to_rest_leaves_only_its_in_doubt_keys_held_back(self) -> None:
        journal = self.journal()
        journal.intend([A, B, C])
        journal.mark_in_doubt([B])
        journal.rest()

        journal = self.journal()

        assert journal.intend([A, B, C]) == [A, C]
        assert journal.open_keys() == (A, B, C)

    def test_a_run_that_was_killed_before_its_first_key_changes_nothing(self) -> None:
        journal = self.journal()
        journal.intend([A])
        journal.rest()
        self.journal().note("one", 1)

        assert self.journal().intend([A]) == [A]

    def test_keys_opened_after_a_rest_are_held_back(self) -> None:
        journal = self.journal()
        journal.rest()
        journal.intend([A])

        assert self.journal().intend([A]) == []

    def test_a_key_written_again_after_it_was_held_back_is_held_back_once_more(self) -> None:
        self.journal().intend([A])
        journal = self.journal()
        self.pass_by(UNKNOWN_HOLD_SECONDS)
        journal.intend([A])

        assert self.journal().intend([A]) == []

    def test_the_last_note_of_a_name_counts(self) -> None:
        journal = self.journal()
        journal.note("one", 1)
        journal.note("two", {"S": "é"})
        journal.note("one", None)

        assert journal.notes == {"one": None, "two": {"S": "é"}}
        assert self.journal().notes == {"one": None, "two": {"S": "é"}}

    @pytest.mark.parametrize("left", [1, 10, 26])
    def test_an_incomplete_last_line_is_ignored(self, left: int) -> None:
        journal = self.journal()
        journal.note("cursor", 1)
        whole = self.path.read_bytes()
        journal.note("cursor", 2)
        self.path.write_bytes(self.path.read_bytes()[: len(whole) + left])

        journal = self.journal()
        journal.note("other", 3)

        assert self.journal().notes == {"cursor": 1, "other": 3}

    def test_the_file_stays_small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(journals, "GROWN", 1_000)
        journal = self.journal()
        journal.note("cursor", 1)
        journal.intend([C])
        for _ in range(100):
            journal.intend([A, B])
            journal.confirm([A, B])

        assert self.path.stat().st_size < 2_000
        again = self.journal()
        assert again.notes == {"cursor": 1}
        assert again.open_keys() == (C,)
        assert again.intend([C]) == []

    def test_a_file_that_grows_loses_no_in_doubt_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(journals, "GROWN", 0)
        journal = self.journal()
        journal.intend([A, B])
        journal.mark_in_doubt([A])
        journal.confirm([B])
        journal.rest()

        assert self.journal().intend([A, B]) == [B]

    def test_one_process_at_a_time(self) -> None:
        self.journal().note("one", 1)

        with pytest.raises(TaskError, match="state is in use by another command"):
            self.open()

    def test_a_file_that_another_process_replaces_meanwhile_belongs_to_that_process(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between open and lock, the other process replaces the file and ends: the locked file is unlinked."""
        self.journal().note("one", 1)

        def replaced(*_: Any) -> None:
            self.path.unlink()
            self.path.touch()

        monkeypatch.setattr("fcntl.flock", replaced)

        with pytest.raises(TaskError, match="state is in use by another command"):
            self.open()

    def test_a_file_that_is_removed_is_forgotten(self) -> None:
        self.journal().note("one", 1)
        journal = self.journal()

        journal.remove()

        assert not self.path.exists()
        assert self.journal().notes == {}

    @pytest.mark.parametrize(
        ("content", "line"),
        [
            ("PK,host\n1,a\n", 1),
            ("a secret without an end of line", 1),
            ("x" * 10_000 + "\n", 1),
            ('{"ddbreplica":"state"}\n', 1),
            ("[" * 3000 + "\n", 1),
            (V2 + '{"open":[]\n{"rest":true}\n', 2),
            (V2 + '{"open":[{}]}\n', 2),
            (V2 + '{"open":7}\n', 2),
            (V2 + "7\n", 2),
            (V2 + '{"close":[{"PK":{"BOOL":true}}]}\n', 2),
            (V2 + '{"rest":true}\n{"hold":[],"seconds":"x","until":null}\n', 3),
            (V2 + '{"hold":[],"seconds":1,"until":NaN}\n', 2),
            (V1 + '{"hold":[]}\n', 2),
            (V2 + '{"note":"identity","value":5}\n', 2),
            (V1 + '{"note":"backfill","value":[]}\n', 2),
        ],
    )
    def test_a_file_of_something_else_is_left_alone(self, content: str, line: int) -> None:
        self.path.write_text(content)

        with pytest.raises(
            TaskError, match=rf":{line}: this line was not written by ddbreplica, or is damaged"
        ):
            self.journal()

        assert self.path.read_text() == content
        self.path.unlink()
        self.journal()  # it is not locked any more

    def test_the_hint_keeps_a_damaged_state_while_its_writes_may_land(self) -> None:
        self.path.write_text(V2 + "{}\n")

        with pytest.raises(TaskError) as raised:
            self.journal()

        assert raised.value.hint.startswith("wait until 30 minutes after its command ended")

    def test_a_state_of_another_version_is_refused_by_its_version(self) -> None:
        self.path.write_text('{"ddbreplica":"state","version":3,"command":"backfill"}\n')

        with pytest.raises(TaskError, match="a different version of ddbreplica: its format is version 3"):
            self.journal()

    @pytest.mark.parametrize("command", COMMANDS)
    @pytest.mark.parametrize("other", COMMANDS)
    def test_a_state_of_another_command_is_refused(self, command: str, other: str) -> None:
        FileJournal.at(self.path, command=command, clock=self.clock).close()
        if command == other:
            FileJournal.at(self.path, command=other, clock=self.clock).close()
            return

        with pytest.raises(
            TaskError, match=f"state is the state file of `ddbreplica {command}`, not of `ddbreplica {other}`"
        ):
            FileJournal.at(self.path, command=other, clock=self.clock)

    def test_a_state_of_another_task_is_refused_with_the_differences(self) -> None:
        assert not self.journal().resume({"source": "a of today", "replica": "b"})
        assert self.journal().resume({"source": "a of today", "replica": "b"})

        with pytest.raises(TaskError) as refused:
            self.journal().resume({"source": "a of tomorrow", "replica": "b"})

        assert refused.value.fact == (
            f"{self.path} is the state file of a backfill with other tables or options: its source is"
            " a of today, not a of tomorrow."
        )

    @pytest.mark.parametrize(
        ("path", "why"),
        [
            ("nowhere/state", "cannot be written: No such file or directory"),
            ("", "cannot be written: Is a directory"),
            ("/dev/full", "is not a regular file"),
            ("/dev/null", "is not a regular file"),
        ],
    )
    def test_a_place_that_cannot_be_written_is_reported(self, tmp_path: Path, path: str, why: str) -> None:
        with pytest.raises(TaskError, match=why):
            FileJournal.at(tmp_path / path, command=REDRIVE, clock=self.clock)

    @pytest.mark.parametrize("durably", [False, True])
    def test_nothing_is_appended_to_an_incomplete_line(
        self, monkeypatch: pytest.MonkeyPatch, durably: bool
    ) -> None:
        journal = self.journal()
        step = journal.intend if durably else journal.confirm

        def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(f"ddbreplica.reconcile.state_file.{'os.fsync' if durably else 'write_all'}", full)
            with pytest.raises(TaskError, match="state cannot be written: No space left on device"):
                step([A])

        with pytest.raises(TaskError, match="No space left on device"):
            journal.rest()

    def test_a_disk_that_is_full_leaves_the_file_as_it_was(self, monkeypatch: pytest.MonkeyPatch) -> None:
        journal = self.journal()
        journal.intend([A])
        before = self.path.read_bytes()
        journal.close()

        def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr("ddbreplica.reconcile.state_file.os.fsync", full)
            with pytest.raises(TaskError, match="No space left on device") as raised:
                self.open()

        # Another file would begin without the keys that this one holds.
        assert (
            raised.value.hint
            == f"free disk space, or move {self.path} to another disk and name it with --state."
        )
        assert self.path.read_bytes() == before
        assert list(self.path.parent.iterdir()) == [self.path]
        self.latest = self.open()

    def test_a_file_system_that_cannot_sync_a_directory_does(self, monkeypatch: pytest.MonkeyPatch) -> None:
        open_file = os.open

        def refuse(path: Any, flags: int, *mode: int) -> int:
            if Path(path).is_dir():
                raise OSError(22, "Invalid argument")
            return open_file(path, flags, *mode)

        monkeypatch.setattr("ddbreplica.reconcile.state_file.os.open", refuse)

        assert self.journal().intend([A]) == [A]


class TestLeaving:
    @pytest.fixture(autouse=True)
    def _begin(self, tmp_path: Path) -> None:
        self.path = tmp_path / "state"
        self.journal = FileJournal.at(self.path, command=REDRIVE, clock=ManualClock())

    def free(self) -> Sequence[Key]:
        """Return the keys that the next run may write at once."""
        with closing(FileJournal.at(self.path, command=REDRIVE, clock=ManualClock())) as journal:
            return journal.intend([A])

    def test_nothing_open_leaves_no_file(self) -> None:
        with self.journal.leaving(is_at_rest=lambda: True):
            self.journal.intend([A])
            self.journal.confirm([A])

        assert not self.path.exists()

    def test_open_keys_at_rest_may_be_written_by_the_next_run(self) -> None:
        with self.journal.leaving(is_at_rest=lambda: True):
            self.journal.intend([A])

        assert self.free() == [A]

    @pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, TaskError("x", hint="y")])
    def test_keys_with_a_request_under_way_are_held_back(self, error: Any) -> None:
        with pytest.raises(BaseException) as raised, self.journal.leaving(is_at_rest=lambda: False):  # noqa: PT011, PT012
            self.journal.intend([A])
            raise error

        assert raised.value is error or raised.type is error
        assert self.free() == []

    def test_a_full_disk_hides_no_other_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        with pytest.raises(RuntimeError), self.journal.leaving(is_at_rest=lambda: True):  # noqa: PT012
            self.journal.intend([A])
            monkeypatch.setattr("ddbreplica.reconcile.state_file.write_all", full)
            raise RuntimeError

        monkeypatch.undo()
        assert self.free() == []


class TestHolding:
    """The time for which a key is held back, by the clocks of this run and of earlier runs."""

    @pytest.fixture(autouse=True)
    def _begin(self) -> None:
        self.lines = MemoryLines()

    def run(self, clock: Clock) -> FileJournal:
        return FileJournal(self.lines, command=REDRIVE, clock=clock)

    def test_by_a_clock_that_is_right_for_15_minutes_and_the_margin(self) -> None:
        clock = ManualClock()
        clock.respond()
        journal = self.run(clock)
        journal.intend([A])
        journal.mark_in_doubt([A])

        assert journal.held() == (1, HOLD)
        clock.pass_by(HOLD - 0.01)
        assert journal.intend([A]) == []
        clock.pass_by(0.01)
        assert journal.intend([A]) == [A]

    def test_for_30_minutes_where_no_response_was_seen(self) -> None:
        journal = self.run(ManualClock())
        journal.mark_in_doubt([A])

        assert journal.held() == (1, 1800)

    def test_a_lead_that_shows_later_extends_earlier_holds(self) -> None:
        clock = ManualClock()
        clock.respond()
        journal = self.run(clock)
        journal.mark_in_doubt([A])
        clock.ahead_by = 250
        clock.respond()
        clock.ahead_by = 0
        clock.respond()

        assert journal.held() == (1, HOLD + 250)
        clock.pass_by(HOLD + 249)
        assert journal.intend([A]) == []

    @pytest.mark.parametrize("step", [-1_000_000, 1_000_000])
    def test_setting_the_clock_changes_nothing_within_a_run(self, step: float) -> None:
        clock = ManualClock()
        clock.respond()
        journal = self.run(clock)
        journal.mark_in_doubt([A])
        clock.ahead_by += step

        assert journal.held() == (1, HOLD)

    @pytest.mark.parametrize("step", [-1_000_000, -1200, 0, 1200, 1_000_000])
    def test_setting_the_clock_between_two_runs_shortens_nothing(self, step: float) -> None:
        clock = ManualClock()
        clock.respond()
        journal = self.run(clock)
        journal.intend([A])
        journal.mark_in_doubt([A])
        journal.rest()

        clock.pass_by(600)
        later = clock.next_run()
        later.ahead_by = step
        journal = self.run(later)
        later.respond()

        assert journal.held() == pytest.approx((1, HOLD - 600), abs=1)
        later.pass_by(HOLD - 602)
        assert journal.intend([A]) == []
        later.pass_by(4)
        assert journal.intend([A]) == [A]

    def test_a_hold_continues_after_a_restart_of_the_machine(self) -> None:
        clock = ManualClock()
        clock.respond()
        journal = self.run(clock)
        journal.mark_in_doubt([A])
        journal.rest()

        clock.pass_by(600)
        later = clock.next_run()
        later.monotonic = 3.0
        journal = self.run(later)
        later.respond()

        assert journal.held() == pytest.approx((1, HOLD - 600), abs=1)

    def test_while_the_time_of_aws_is_unknown_a_hold_starts_now(self) -> None:
        clock = ManualClock()
        clock.respond()
        journal = self.run(clock)
        journal.mark_in_doubt([A])
        journal.rest()
        clock.pass_by(HOLD)
        later = clock.next_run()

        journal = self.run(later)

        assert journal.held() == (1, 1800)
        later.respond()
        assert journal.held() == (0, 0)

    def test_after_a_run_without_a_response_a_hold_starts_with_the_next_run(self) -> None:
        clock = ManualClock()
        journal = self.run(clock)
        journal.mark_in_doubt([A])
        journal.rest()
        clock.pass_by(1000)
        later = clock.next_run()

        journal = self.run(later)
        later.respond()

        assert journal.held() == (1, 1800)

    def test_keys_of_a_killed_run_are_held_back_by_the_clock_of_that_run(self) -> None:
        clock = ManualClock(ahead_by=200)
        clock.respond()
        self.run(clock).intend([A])
        clock.ahead_by = 0
        later = clock.next_run()
        later.respond()

        assert self.run(later).held() == (1, HOLD + 200)

    def test_the_lead_that_a_killed_run_recorded_is_its_largest(self) -> None:
        clock = ManualClock(ahead_by=20)
        clock.respond()
        journal = self.run(clock)
        journal.intend([A])
        clock.ahead_by = 100
        clock.respond()
        journal.intend([B])
        clock.ahead_by = 0
        later = clock.next_run()
        later.respond()

        assert self.run(later).held() == (2, HOLD + 100)

    def test_a_killed_run_that_recorded_no_lead_is_held_back_for_30_minutes(self) -> None:
        clock = ManualClock()
        self.run(clock).intend([A])
        later = clock.next_run()
        later.respond()

        assert self.run(later).held() == (1, 1800)

    def test_a_hold_of_a_killed_run_starts_when_its_state_is_read_and_continues_in_orderly_runs(
        self,
    ) -> None:
        clock = ManualClock()
        clock.respond()
        self.run(clock).intend([A])
        clock.pass_by(5000)
        second = clock.next_run()
        journal = self.run(second)
        second.respond()
        second.pass_by(400)
        journal.rest()

        third = second.next_run()
        third.respond()
        journal = self.run(third)
        assert journal.held() == pytest.approx((1, HOLD - 400), abs=1)
        journal.rest()

        fourth = third.next_run()
        fourth.respond()
        assert self.run(fourth).held() == pytest.approx((1, HOLD - 400), abs=2)

    def test_nothing_is_held_back_for_more_than_a_hold(self) -> None:
        clock = ManualClock(aws=5e9)
        clock.respond()
        journal = self.run(clock)
        journal.mark_in_doubt([A])
        journal.rest()
        later = ManualClock()
        later.respond()

        assert self.run(later).held() == (1, HOLD)

    def test_an_absurd_number_in_a_state_holds_back_for_half_an_hour(self) -> None:
        self.lines.content = (
            b'{"ddbreplica":"state","version":2,"command":"redrive"}\n'
            b'{"hold":[{"PK":{"S":"a"}}],"seconds":1e99,"until":null}\n'
            b'{"rest":true}\n'
        )
        clock = ManualClock()
        clock.respond()

        assert self.run(clock).held() == (1, 1800)


class TestWriting:
    """The lines that are appended to a state, and which of them are durable before the next step."""

    @pytest.fixture(autouse=True)
    def _begin(self) -> None:
        self.lines = MemoryLines()
        self.clock = ManualClock(ahead_by=20)
        self.journal = FileJournal(self.lines, command=REDRIVE, clock=self.clock)

    def appended(self) -> Sequence[Any]:
        """Return the lines appended since the journal was opened."""
        return [json.loads(line) for line in self.lines.content.splitlines()][2:]

    def run(self) -> FileJournal:
        """Return the journal as the next run has it."""
        return FileJournal(self.lines, command=REDRIVE, clock=self.clock.next_run())

    def durable(self) -> Sequence[Any]:
        return [json.loads(line) for piece in self.lines.durable for line in piece.splitlines()]

    def test_keys_are_opened_durably_and_closed_when_there_is_time(self) -> None:
        self.journal.intend([A])
        self.journal.mark_in_doubt([A])
        self.journal.note("n", 1)
        self.journal.confirm([A])

        assert self.durable() == [{"open": [{"PK": {"S": "a"}}]}]
        assert self.appended() == [
            {"open": [{"PK": {"S": "a"}}]},
            {"hold": [{"PK": {"S": "a"}}], "seconds": 1800, "until": None},
            {"note": "n", "value": 1},
            {"close": [{"PK": {"S": "a"}}]},
        ]

    def test_the_end_of_all_requests_is_stored_with_the_keys_that_are_held_back(self) -> None:
        self.journal.mark_in_doubt([A])
        self.clock.respond()
        self.lines.content = b""
        self.journal.rest()

        lead, hold, rest = self.durable()
        assert (lead, rest) == ({"clock_ahead_seconds": 20}, {"rest": True})
        assert (hold["hold"], hold["seconds"]) == ([{"PK": {"S": "a"}}], 1800)
        assert hold["until"] == pytest.approx(self.clock.aws + 1800)

    def test_a_lead_of_the_clock_is_stored_with_the_keys_that_it_holds_back(self) -> None:
        self.clock.respond()
        self.journal.mark_in_doubt([A])

        assert self.appended() == [
            {"clock_ahead_seconds": 20},
            {"hold": [{"PK": {"S": "a"}}], "seconds": HOLD + 20, "until": None},
        ]

    def test_a_lead_is_recorded_again_when_it_has_grown_by_a_second(self) -> None:
        for ahead in (20, 20.5, 21, 21.5, 22):
            self.clock.ahead_by = ahead
            self.clock.respond()
            self.journal.intend([A])

        assert [line["clock_ahead_seconds"] for line in self.appended() if "clock_ahead_seconds" in line] == [
            20,
            21,
            22,
        ]

    def test_nothing_is_appended_for_no_keys(self) -> None:
        self.journal.mark_in_doubt([])
        self.journal.confirm([])
        self.journal.intend([])

        assert self.appended() == []

    def test_a_state_is_written_again_once_more_than_that_was_appended(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.journal.intend([A])
        monkeypatch.setattr(journals, "GROWN", self.lines.appended + len('{"close":[{"PK":{"S":"a"}}]}\n'))
        self.journal.confirm([A])
        appended = self.lines.appended
        self.journal.confirm([A])

        assert appended > 0
        assert self.lines.appended == 0
        assert self.appended() == []

    def test_other_work_is_refused_with_a_hint(self) -> None:
        self.journal.resume({"source": "a"})

        with pytest.raises(TaskError) as refused:
            self.journal.resume({"source": "b"})

        assert (
            refused.value.fact
            == "state is the state file of a redrive with other tables or options: its source is a, not b."
        )
        assert refused.value.hint == (
            "use the same tables and options to resume it, or name another file with --state."
        )

    def test_work_of_a_second_kind_is_resumed_under_its_own_name(self) -> None:
        self.journal.resume({"source": "a"})

        assert not self.journal.resume({"sample": 1}, under="options")
        assert self.journal.resume({"sample": 1}, under="options")
        with pytest.raises(TaskError, match=r"its sample is 1, not 0\.5"):
            self.journal.resume({"sample": 0.5}, under="options")

        assert self.journal.notes == {"identity": {"source": "a"}, "options": {"sample": 1}}

    def test_notes_are_stored_together_in_their_order(self) -> None:
        self.journal.note_all({"b": 1, "a": 2})

        assert self.appended() == [{"note": "b", "value": 1}, {"note": "a", "value": 2}]
        assert self.journal.notes == {"b": 1, "a": 2}

    def test_a_state_that_notes_have_grown_is_written_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(journals, "GROWN", 0)

        self.journal.note_all({"a": 1})

        assert self.lines.appended == 0
        assert self.run().notes == {"a": 1}

    def test_complete_work_leaves_only_the_notes_that_are_kept_and_the_open_keys(self) -> None:
        self.journal.note_all({"a": 1, "b": 2, "c": 3})
        self.journal.intend([A])

        self.journal.forget(keep=["b", "d"])

        for journal in (self.journal, self.run()):
            assert (journal.notes, journal.open_keys()) == ({"b": 2}, (A,))

    def test_complete_work_leaves_no_notes_if_none_is_kept(self) -> None:
        self.journal.note_all({"a": 1})

        self.journal.forget()

        assert (self.journal.notes, self.run().notes) == ({}, {})

    def test_a_key_that_is_only_held_back_is_so_in_the_next_run(self) -> None:
        self.journal.mark_in_doubt([A])

        assert self.run().intend([A, B]) == [B]


class TestVersion1:
    """A backfill's state as version 1 wrote it."""

    IDENTITY: ClassVar[Mapping[str, Any]] = {
        "source": "arn of 2026-11-28 20:05:19+01:00",
        "listing": "a scan in 4 segments",
        "filter": [],
    }

    def state(self, *more: Any) -> MemoryLines:
        lines = [{"note": "backfill", "value": self.IDENTITY}, *more]
        return MemoryLines((V1 + "".join(json.dumps(line) + "\n" for line in lines)).encode())

    def test_is_resumed_by_a_backfill(self) -> None:
        clock = ManualClock()
        clock.respond()
        lines = self.state({"note": "segment 0 of 4", "value": {"after": None}}, {"rest": True})

        journal = FileJournal(lines, command=BACKFILL, clock=clock)

        assert journal.resume({**self.IDENTITY, "source": "arn of 2026-11-28 19:05:19+00:00"})
        assert journal.notes["segment 0 of 4"] == {"after": None}
        assert lines.content.startswith(V2.encode())

    def test_is_not_resumed_between_other_tables(self) -> None:
        journal = FileJournal(self.state(), command=BACKFILL, clock=ManualClock())

        with pytest.raises(
            TaskError, match="its source is arn, created at 2026-11-28 19:05:19 UTC, not arn, created at"
        ):
            journal.resume({**self.IDENTITY, "source": "arn of 2026-11-29 19:05:19+00:00"})

    @pytest.mark.parametrize("command", [REDRIVE, VERIFY])
    def test_is_not_resumed_by_another_command(self, command: str) -> None:
        with pytest.raises(
            TaskError,
            match=f"state is the state file of `ddbreplica backfill`, not of `ddbreplica {command}`",
        ):
            FileJournal(self.state(), command=command, clock=ManualClock())

    @pytest.mark.parametrize(
        ("more", "free"),
        [
            ([{"open": [{"PK": {"S": "a"}}]}], False),
            ([{"open": [{"PK": {"S": "a"}}]}, {"rest": True}], True),
            (
                [
                    {"open": [{"PK": {"S": "a"}}]},
                    {"hold": [{"PK": {"S": "a"}}], "until": 1.0},
                    {"rest": True},
                ],
                False,
            ),
        ],
    )
    def test_in_doubt_keys_are_held_back_for_30_minutes(self, more: list[Any], free: bool) -> None:
        """It is unknown how far its writer's clock was ahead, and whether it was set since."""
        clock = ManualClock()
        clock.respond()

        journal = FileJournal(self.state(*more), command=BACKFILL, clock=clock)

        assert journal.held() == ((0, 0) if free else (1, 1800))
        assert journal.open_keys() == (A,)


class TestLookingAtAState:
    def test_a_state_that_another_run_has_locked_is_only_read(self, tmp_path: Path) -> None:
        clock = ManualClock()
        clock.respond()
        path = tmp_path / "state"
        with closing(FileJournal.at(path, command=REDRIVE, clock=clock)) as journal:
            journal.resume({"source": "a"})
            journal.intend([A, B])
            before = path.read_bytes()

            left = left_in(path, command=REDRIVE, clock=clock)

        assert (left.held, left.seconds, left.identity) == (2, HOLD, {"source": "a"})
        assert path.read_bytes() == before

    def test_one_without_an_identity(self, tmp_path: Path) -> None:
        path = tmp_path / "state"
        FileJournal.at(path, command=REDRIVE, clock=ManualClock()).close()

        assert left_in(path, command=REDRIVE, clock=ManualClock()) == HeldKeys(0, 0, 0.0, {})

    def test_one_of_another_command_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "state"
        FileJournal.at(path, command=VERIFY, clock=ManualClock()).close()

        with pytest.raises(TaskError) as refused:
            left_in(path, command=REDRIVE, clock=ManualClock())

        assert (
            refused.value.fact
            == f"{path} is the state file of `ddbreplica verify`, not of `ddbreplica redrive`."
        )

    @pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.write_text("x")])
    def test_one_that_cannot_be_read(self, tmp_path: Path, make: Callable[[Path], Any]) -> None:
        make(tmp_path / "state")

        with pytest.raises(TaskError):
            left_in(tmp_path / "state", command=REDRIVE, clock=ManualClock())


@pytest.mark.hazard(number=19)
def test_keys_that_a_killed_run_may_have_written_are_held_back_by_the_next_run() -> None:
    lines = MemoryLines()
    FileJournal(lines, command=VERIFY, clock=ManualClock()).intend([A])

    assert FileJournal(lines, command=VERIFY, clock=ManualClock()).intend([A, B]) == [B]
