"""journal: keys that are being healed → what is still open, after any kill."""

import json
from pathlib import Path
from typing import Any

import pytest

from ddbreplica.reconcile import LATE_SECONDS
from ddbreplica_cli import journal as journals
from ddbreplica_cli.errors import CommandError
from ddbreplica_cli.journal import FileJournal, MemoryJournal
from tests.support.journal_contract import A, B, C, JournalContract


class _Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class TestInAFile(JournalContract):
    @pytest.fixture(autouse=True)
    def _in(self, tmp_path: Path) -> None:
        self.path = tmp_path / "state"
        self.clock = _Clock()
        self.latest: FileJournal | None = None

    def journal(self) -> FileJournal:
        if self.latest is not None:
            self.latest.close()  # as a kill does
        self.latest = FileJournal(self.path, clock=self.clock)
        return self.latest

    def pass_by(self, seconds: float) -> None:
        self.clock.now += seconds

    def test_what_is_open_was_on_disk_before_it_may_be_written(self) -> None:
        self.journal().intend([A])

        assert json.loads(self.path.read_bytes().splitlines()[-1]) == {"open": [{"PK": {"S": "a"}}]}

    def test_a_run_that_came_to_rest_leaves_only_its_suspects_held_back(self) -> None:
        journal = self.journal()
        journal.intend([A, B, C])
        journal.suspect([B])
        journal.rest()

        journal = self.journal()

        assert journal.intend([A, B, C]) == [A, C]
        assert journal.open_keys() == (A, B, C)

    def test_a_run_that_was_killed_before_it_began_leaves_all_as_it_was(self) -> None:
        journal = self.journal()
        journal.intend([A])
        journal.rest()
        self.journal()

        assert self.journal().intend([A]) == [A]

    def test_what_was_begun_after_a_rest_is_held_back(self) -> None:
        journal = self.journal()
        journal.rest()
        journal.intend([A])

        assert self.journal().intend([A]) == []

    def test_opening_the_file_again_holds_nothing_back_anew(self) -> None:
        self.journal().intend([A])
        self.journal()
        self.pass_by(LATE_SECONDS - 1)

        assert self.journal().held() == (1, 1.0)
        self.pass_by(1)
        assert self.journal().intend([A]) == [A]

    def test_a_key_written_again_after_it_was_held_back_is_held_back_anew(self) -> None:
        self.journal().intend([A])
        journal = self.journal()
        self.pass_by(LATE_SECONDS)
        journal.intend([A])

        assert self.journal().intend([A]) == []

    def test_a_clock_that_was_set_back_holds_nothing_back_for_longer(self) -> None:
        journal = self.journal()
        journal.intend([A])
        journal.suspect([A])
        self.pass_by(-1_000_000)

        assert self.journal().held() == (1, LATE_SECONDS)

    def test_notes_are_the_last_of_their_name(self) -> None:
        journal = self.journal()
        journal.note("one", 1)
        journal.note("two", {"S": "é"})
        journal.note("one", None)

        assert journal.notes == {"one": None, "two": {"S": "é"}}
        assert self.journal().notes == {"one": None, "two": {"S": "é"}}

    @pytest.mark.parametrize("left", [1, 10, 26])
    def test_a_torn_last_line_was_never_written(self, left: int) -> None:
        journal = self.journal()
        journal.note("cursor", 1)
        whole = self.path.read_bytes()
        journal.note("cursor", 2)
        self.path.write_bytes(self.path.read_bytes()[: len(whole) + left])

        journal = self.journal()
        journal.note("other", 3)

        assert self.journal().notes == {"cursor": 1, "other": 3}

    def test_the_file_stays_small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(journals, "GROWN", 10_000)
        journal = self.journal()
        journal.note("cursor", 1)
        journal.intend([C])
        for _ in range(1000):
            journal.intend([A, B])
            journal.confirm([A, B])

        assert self.path.stat().st_size < 11_000
        again = self.journal()
        assert again.notes == {"cursor": 1}
        assert again.open_keys() == (C,)
        assert again.intend([C]) == []

    def test_one_process_at_a_time(self) -> None:
        self.journal().note("one", 1)

        with pytest.raises(CommandError, match="state is in use by another command"):
            FileJournal(self.path)

    def test_a_file_that_another_process_writes_anew_meanwhile_is_its(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between opening the file and locking it the other replaces it, and ends: what is locked is gone."""
        self.journal().note("one", 1)

        def replaced(*_: Any) -> None:
            self.path.unlink()
            self.path.touch()

        monkeypatch.setattr("fcntl.flock", replaced)

        with pytest.raises(CommandError, match="state is in use by another command"):
            FileJournal(self.path)

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
            ('{"ddbreplica":"journal","version":2}\n', 1),
            ('{"ddbreplica":"journal","version":1}\n{"open":[]\n{"rest":true}\n', 2),
            ('{"ddbreplica":"journal","version":1}\n{"open":[{}]}\n', 2),
            ('{"ddbreplica":"journal","version":1}\n{"open":7}\n', 2),
            ('{"ddbreplica":"journal","version":1}\n7\n', 2),
            ('{"ddbreplica":"journal","version":1}\n{"close":[{"PK":{"BOOL":true}}]}\n', 2),
        ],
    )
    def test_a_file_of_something_else_is_left_alone(self, content: str, line: int) -> None:
        self.path.write_text(content)

        with pytest.raises(CommandError, match=rf"line {line}, is none that this command has written"):
            self.journal()

        assert self.path.read_text() == content

    def test_a_place_that_cannot_be_written_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match="cannot be written: No such file or directory"):
            FileJournal(tmp_path / "nowhere" / "state")

    def test_nothing_follows_half_a_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        journal = self.journal()

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr("ddbreplica_cli.journal.os.fsync", full)
            with pytest.raises(CommandError, match="state cannot be written: No space left on device"):
                journal.intend([A])

        with pytest.raises(CommandError, match="No space left on device"):
            journal.confirm([A])


class TestInMemory:
    @pytest.fixture(autouse=True)
    def _begin(self) -> None:
        self.clock = _Clock()
        self.journal = MemoryJournal(clock=self.clock)

    def test_new_keys_and_open_ones_may_be_written(self) -> None:
        assert self.journal.intend([A, B]) == [A, B]
        assert self.journal.intend([A, B, C]) == [A, B, C]

    def test_suspects_are_held_back_until_nothing_of_theirs_can_land_any_more(self) -> None:
        self.journal.intend([A, B])
        self.journal.suspect([B])

        self.clock.now += LATE_SECONDS - 1
        assert self.journal.intend([A, B]) == [A]
        self.clock.now += 1
        assert self.journal.intend([A, B]) == [A, B]

    def test_nothing_is_kept_of_what_was_confirmed(self) -> None:
        self.journal.intend([A, B])
        self.journal.suspect([A])
        self.journal.confirm([A, B])

        assert self.journal.intend([A, B]) == [A, B]

    def test_what_is_held_back_is_counted_for_as_long_as_it_is(self) -> None:
        self.journal.suspect([A])
        self.clock.now += 100
        self.journal.suspect([B])

        assert self.journal.held() == (2, LATE_SECONDS)
        self.clock.now += LATE_SECONDS - 100
        assert self.journal.held() == (1, 100)
        self.clock.now += 100
        assert self.journal.held() == (0, 0)
