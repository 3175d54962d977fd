"""review_list: keys that need review are listed in a file until an operator removes it."""

import os
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from ddbreplica.driver import SILENT
from ddbreplica.errors import TaskError
from ddbreplica.model import Key, Table
from ddbreplica.reconcile.review_list import Undecided
from ddbreplica.verify import keys_file

A: Key = (("PK", "S", 'é "\n'), ("SK", "N", "-1500"))
B: Key = (("PK", "S", "b"), ("SK", "N", "1"))


def test_the_file_is_created_with_the_first_key(tmp_path: Path) -> None:
    undecided = Undecided(tmp_path / "file", note=SILENT.note)

    assert len(undecided) == 0
    assert undecided.facts() == {"undecided": 0, "undecided_file": None}
    assert list(tmp_path.iterdir()) == []


def test_every_run_adds_to_it_and_verify_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    Undecided(path, note=SILENT.note).add([A])
    Undecided(path, note=SILENT.note).add([B, A])

    assert Undecided(path, note=SILENT.note).facts() == {"undecided": 3, "undecided_file": str(path)}
    table = Table("arn", status="ACTIVE", key_schema=frozenset({("PK", "S"), ("SK", "N")}))
    assert list(keys_file.read(path.read_bytes().splitlines(), table, name="list")) == [A, B, A]


def test_it_is_in_the_directory_of_the_state_file(tmp_path: Path) -> None:
    notes: list[str] = []
    undecided = Undecided.beside(tmp_path / "orders.backfill", note=notes.append)
    undecided.path.touch(mode=0o644)
    undecided.path.chmod(0o644)

    undecided.add([A])

    path = tmp_path / "orders.backfill.undecided"
    assert undecided.path == path
    assert notes == [f"Note: the mode of {path} was 0644 and is now 0600: other users cannot read it."]


def test_one_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="nowhere/file cannot be written: No such file or directory"):
        Undecided(tmp_path / "nowhere" / "file", note=SILENT.note).add([A])


def test_one_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.mkdir()

    with pytest.raises(TaskError) as raised:
        len(Undecided(path, note=SILENT.note))

    assert raised.value.fact == f"{path} cannot be read: Is a directory."
    assert raised.value.hint == "name another file with --state."


@pytest.mark.parametrize("use", [len, lambda undecided: undecided.add([A])])
def test_a_link_in_its_place_is_not_followed(tmp_path: Path, use: Any) -> None:
    path = tmp_path / "file"
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(TaskError) as raised:
        use(Undecided(path, note=SILENT.note))

    assert raised.value.fact == f"{path} is a symbolic link, which is not followed."
    assert raised.value.hint == "name another file with --state, or remove this one."


class TestAFullDisk:
    @pytest.fixture(autouse=True)
    def _begin(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state = tmp_path / "orders.backfill"
        self.undecided = Undecided.beside(self.state, note=SILENT.note)
        self.undecided.add([A])
        self.before = self.undecided.path.read_bytes()
        monkeypatch.setattr("ddbreplica.reconcile.review_list.write_all", self.write)

    def write(self, file: FileIO, content: bytes) -> None:
        file.write(content[:7])
        raise OSError(28, "No space left on device")

    def test_leaves_no_incomplete_line(self) -> None:
        with pytest.raises(TaskError, match="cannot be written: No space left on device"):
            self.undecided.add([B])

        assert self.undecided.path.read_bytes() == self.before

    def test_is_reported_with_the_state_that_has_to_move_with_the_list(self) -> None:
        self.state.write_text("{}")

        with pytest.raises(TaskError) as raised:
            self.undecided.add([B])

        assert (
            raised.value.hint
            == f"free disk space, or move {self.state} to another disk and name it with --state."
        )

    def test_is_reported_even_if_the_incomplete_line_cannot_be_removed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def write(file: FileIO, _: bytes) -> None:
            read_only = os.open(self.undecided.path, os.O_RDONLY)
            os.dup2(read_only, file.fileno())
            os.close(read_only)
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("ddbreplica.reconcile.review_list.write_all", write)

        with pytest.raises(TaskError, match="cannot be written: No space left on device"):
            self.undecided.add([B])
