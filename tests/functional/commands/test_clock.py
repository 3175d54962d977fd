"""The commands on a machine whose clock is ahead of AWS: if it is far ahead, they repair nothing."""

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from ddbreplica.aws.clock import Clock
from ddbreplica.driver import Interrupt, Patience
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described, describe
from ddbreplica.dynamodb.scan import TableReader
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.journal_format import BACKFILL, REDRIVE, VERIFY
from ddbreplica_cli.terminal.options import Options
from tests.support.cli import REPLICA, SOURCE, Misbehaviour, Tables, lines, run
from tests.support.kept_records import KeptRecords
from tests.support.machine import Machine
from tests.support.records import put

REPAIRS = [
    (BACKFILL, "--without-mapping", "--transform", "none", "--segments", "1"),
    (REDRIVE, "--without-mapping", "--transform", "none"),
    (VERIFY, "--repair", "--without-mapping", "--transform", "none", "--grace", "0"),
]


@pytest.fixture
def apart(tables: Tables, kept_records: KeptRecords) -> Tables:
    """A source, an empty replica, and a quarantined record of each item."""
    for number in range(60):
        tables.put(SOURCE, f"item{number:02}")
    kept_records.discard(*(put(number, f"item{number:02}") for number in range(60)))
    return tables


def is_fast(stderr: str) -> bool:
    error, hint = lines(stderr)[-2:]
    description = "seconds ahead of AWS's clock, and no repair runs if it is more than 300 seconds ahead"
    return description in error and hint.startswith("Try: set the clock")


@pytest.mark.parametrize("command", REPAIRS, ids=lambda command: command[0])
def test_a_clock_that_is_far_ahead_prevents_a_repair(
    apart: Tables, machine: Machine, command: Sequence[str]
) -> None:
    machine.ahead = 303.0

    result = run(*command)

    assert result.exit_code == 2
    assert len(lines(result.stderr)) == 2
    assert is_fast(result.stderr)
    assert apart.items(REPLICA) == {}
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("command", REPAIRS, ids=lambda command: command[0])
def test_a_clock_that_is_slightly_ahead_allows_a_repair(
    apart: Tables, machine: Machine, command: Sequence[str]
) -> None:
    machine.ahead = 290.0

    assert run(*command).exit_code == 0
    assert apart.items(REPLICA) == apart.items(SOURCE)


@pytest.mark.parametrize("command", REPAIRS, ids=lambda command: command[0])
def test_setting_the_clock_far_ahead_ends_a_repair(
    apart: Tables,
    machine: Machine,
    aws: Misbehaviour,
    command: Sequence[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("backfill.listing.PAGE", "redrive.objects.MAX_KEYS", "verify.repair.PIECE"):
        monkeypatch.setattr(f"ddbreplica.{name}", 20)
    monkeypatch.setattr("ddbreplica.redrive.objects.WORKERS", 1)
    writes: list[Any] = []

    def step(request: Any, **_: Any) -> None:
        writes.append(request)
        machine.ahead = 400.0

    aws.on("before-send.dynamodb.BatchWriteItem", step)
    one_thread = ("--segments", "1") if command[0] == VERIFY else ()

    result = run(*command, *one_thread)

    assert result.exit_code == 2
    assert is_fast(result.stderr)
    assert len(writes) == 1
    assert len(apart.items(REPLICA)) == 20


@pytest.mark.parametrize(
    "command",
    [(*command, "--dry-run") for command in REPAIRS] + [(VERIFY, "--grace", "0")],
    ids=lambda command: " ".join([command[0], command[-1]]),
)
def test_commands_that_write_nothing_continue_with_a_note(
    apart: Tables, machine: Machine, command: Sequence[str]
) -> None:
    machine.ahead = 303.0

    result = run(*command)

    assert result.exit_code == (1 if command[0] == VERIFY else 0)
    assert lines(result.stderr)[0].startswith("Note: the local clock is 30")
    assert lines(result.stderr)[0].endswith(
        " seconds ahead of AWS's clock. Set the clock before you repair anything."
    )


@pytest.mark.parametrize("command", REPAIRS, ids=lambda command: command[0])
def test_an_in_doubt_write_is_held_longer_if_the_clock_is_ahead(
    apart: Tables, machine: Machine, aws: Misbehaviour, command: Sequence[str]
) -> None:
    machine.ahead = 200.0
    calls = iter(range(1, 10_000))

    def fail_once(request: Any, **_: Any) -> None:
        if next(calls) == 1:
            raise ReadTimeoutError(endpoint_url=request.url)

    aws.on("before-send.dynamodb.BatchWriteItem", fail_once)

    assert run(*command, *(["--no-wait"] if command[0] == BACKFILL else [])).exit_code == 1

    clock = Clock()
    path = Path(f"{SOURCE}-{REPLICA}.{command[0]}")
    with closing(FileJournal.at(path, command=command[0], clock=clock)) as left:
        clock.ahead = 0.0
        keys, seconds = left.held()
    assert keys == 25
    assert seconds == pytest.approx(900 + 200 + 30, abs=5)


def test_each_request_to_a_table_measures_the_clock(tables: Tables, machine: Machine) -> None:
    silent: Any = dict.fromkeys(Options.__dataclass_fields__)
    connection = Connection(Options(**{**silent, "as_json": False}))
    steps: Sequence[Callable[[], Any]] = (
        lambda: described.append(describe(connection.replica)),
        lambda: readers.append(
            TableReader.of(
                described[0].side, described[0].table, Patience(Interrupt()), threads=1, read_rate=None
            )
        ),
        lambda: readers[0].scan_page(0, of=1, after=None, consistent=True),
        lambda: readers[0].get([(("PK", "S", "a"),)]),
    )
    described: list[Described] = []
    readers: list[TableReader] = []

    for number, step in enumerate(steps, 1):
        machine.ahead = number * 20.0
        step()
        assert connection.clock.ahead == pytest.approx(number * 20, abs=5)
