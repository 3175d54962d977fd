"""The state file of `backfill`, `redrive` and `verify --repair`: its path and its owner."""

from collections.abc import Sequence
from contextlib import closing
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from ddbreplica.aws.clock import Clock
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.journal_format import BACKFILL, COMMANDS, REDRIVE, VERIFY
from tests.support.cli import REPLICA, SOURCE, Misbehaviour, Tables, lines, run
from tests.support.kept_records import KeptRecords
from tests.support.killed import Killed
from tests.support.records import put

ARGS = {
    BACKFILL: ("backfill", "--without-mapping", "--transform", "none"),
    REDRIVE: ("redrive", "--without-mapping", "--transform", "none"),
    VERIFY: ("verify", "--repair", "--without-mapping", "--transform", "none", "--grace", "0"),
}


@pytest.fixture(autouse=True)
def _apart(tables: Tables, kept_records: KeptRecords) -> None:
    """One item that the replica does not have, and its quarantined record."""
    tables.put(SOURCE, "a")
    kept_records.quarantine(put(1, "a"))


@pytest.mark.parametrize("args", ARGS.values(), ids=ARGS)
@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("nowhere/state", "nowhere/state cannot be written: No such file or directory."),
        ("/dev/full", "/dev/full is not a regular file."),
        ("/proc/self/state", "/proc/self/state cannot be written: "),
        ("other.csv", "other.csv:1: this line was not written by ddbreplica, or is damaged."),
    ],
)
def test_an_unusable_path_is_an_error_before_the_first_request(
    aws: Misbehaviour, args: Sequence[str], path: str, why: str
) -> None:
    Path("other.csv").write_text("PK,host")

    def fail(**_: Any) -> None:
        raise AssertionError

    aws.on("before-send", fail)

    result = run(*args, "--state", path)

    assert result.exit_code == 2
    assert lines(result.stderr)[0].startswith(f"Error: {why}")
    assert len(lines(result.stderr)) == 2
    assert Path("other.csv").read_text() == "PK,host"


@pytest.mark.parametrize("args", ARGS.values(), ids=ARGS)
def test_a_finished_run_removes_the_file(tables: Tables, args: Sequence[str]) -> None:
    assert run(*args).exit_code == 0

    assert tables.items(REPLICA) == tables.items(SOURCE)
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("args", ARGS.values(), ids=ARGS)
def test_an_error_before_the_work_leaves_no_file(args: Sequence[str]) -> None:
    assert run(*args, "--replica", "nowhere").exit_code == 2

    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(("command", "other"), [*permutations(COMMANDS, 2)])
def test_a_state_of_another_command_is_refused(tables: Tables, command: str, other: str) -> None:
    Killed(other, tables, "a")
    path = f"{SOURCE}-{REPLICA}.{other}"
    before = Path(path).read_bytes()

    result = run(*ARGS[command], "--state", path)

    assert result.exit_code == 2
    assert lines(result.stderr) == [
        f"Error: {path} is the state file of `ddbreplica {other}`, not of `ddbreplica {command}`.",
        "Try: name another file with --state.",
    ]
    assert Path(path).read_bytes() == before


@pytest.mark.parametrize("command", COMMANDS)
def test_a_state_file_that_another_run_uses_is_refused(command: str) -> None:
    path = Path(f"{SOURCE}-{REPLICA}.{command}")
    with closing(FileJournal.at(path, command=command, clock=Clock())):
        result = run(*ARGS[command])

    assert result.exit_code == 2
    assert lines(result.stderr) == [
        f"Error: {path} is in use by another command.",
        "Try: wait until that command ends, or name another file with --state.",
    ]


@pytest.mark.parametrize("command", [REDRIVE, VERIFY])
def test_another_file_can_be_selected(tables: Tables, command: str) -> None:
    Killed(command, tables, "a")

    assert run(*ARGS[command], "--state", "other").exit_code == 0
    assert not Path("other").exists()
    assert Path(f"{SOURCE}-{REPLICA}.{command}").exists()
