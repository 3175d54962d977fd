"""undecided: keys that nobody can decide about → a file that lists them until somebody has looked."""

from pathlib import Path

import pytest

from ddbreplica.errors import TaskError
from ddbreplica.model import Key, Table
from ddbreplica.reconcile.review_list import Undecided
from ddbreplica.verify import keys_file
from ddbreplica_cli.terminal.output import print_note

A: Key = (("PK", "S", 'é "\n'), ("SK", "N", "-1500"))
B: Key = (("PK", "S", "b"), ("SK", "N", "1"))


def test_there_is_no_file_before_there_is_something_to_list(tmp_path: Path) -> None:
    undecided = Undecided(tmp_path / "file", note=print_note)

    assert len(undecided) == 0
    assert undecided.facts() == {"undecided": 0, "undecided_file": None}
    assert list(tmp_path.iterdir()) == []


def test_every_run_adds_to_it_and_verify_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    Undecided(path, note=print_note).add([A])
    Undecided(path, note=print_note).add([B, A])

    assert Undecided(path, note=print_note).facts() == {"undecided": 3, "undecided_file": str(path)}
    table = Table("arn", status="ACTIVE", key_schema=frozenset({("PK", "S"), ("SK", "N")}))
    assert list(keys_file.read(path.read_bytes().splitlines(), table)) == [A, B, A]


def test_one_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="nowhere/file cannot be written: No such file or directory"):
        Undecided(tmp_path / "nowhere" / "file", note=print_note).add([A])
