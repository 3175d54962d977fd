"""Processes that a signal ends: their last lines, their state files and their exit statuses."""

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from contextlib import closing
from pathlib import Path

import pytest

from ddbreplica.reconcile.journal import FileJournal
from tests.support.kept_records import ON_FAILURE, QUARANTINE
from tests.support.memory_state import ManualClock
from tests.support.modules import ROOT
from tests.support.on_moto import Process, running

EXIT_STATUS = {signal.SIGHUP: 129, signal.SIGINT: 130, signal.SIGTERM: 143}
BACKFILL = ("backfill", "--without-mapping", "--transform", "none", "--segments", "1")
VERIFY = ("verify", "--without-mapping", "--transform", "none", "--segments", "1", "--grace", "0")
STATE = "logfile-logfile_replica.backfill"
AGAIN = ["Error: interrupted.", "Try: run the same command again."]

# The arguments of a command, the call during which the signal arrives, and how the last two lines begin.
LONG = {
    "load": (
        ("load", "--generate", "5000"),
        "before-send.dynamodb.BatchWriteItem",
        ["Error: interrupted; ", "Try: run the same command again."],
    ),
    "redrive": (
        (
            "redrive",
            "--without-mapping",
            "--transform",
            "none",
            "--quarantine-bucket",
            QUARANTINE,
            "--on-failure-bucket",
            ON_FAILURE,
        ),
        "before-send.dynamodb.BatchGetItem",
        [
            "Error: interrupted; 0 of 1 objects were repaired and moved to done/.",
            "Try: run the same command again to process the remaining objects.",
        ],
    ),
    "status": (("status", "--watch", "1"), "before-call.lambda.ListEventSourceMappings", []),
    "tail": (
        ("tail", "--since", "1h"),
        "before-call.dynamodb-streams.GetRecords",
        ["Reading arn:aws:", "Interrupted. To resume: ddbreplica tail --since "],
    ),
    "transform": (
        ("transform", "check", str(ROOT / "tests" / "support" / "rules.json"), "--source", "logfile"),
        "before-send.dynamodb.Scan",
        AGAIN,
    ),
    "verify": (
        VERIFY,
        "before-send.dynamodb.Scan",
        [
            "Error: interrupted; 0 items of the source and 0 of the replica were compared; suspected differences: 0.",
            "Try: run the same command again.",
        ],
    ),
}


@pytest.fixture(autouse=True)
def _no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    # moto does not respond to endpoints whose name contains the account ID.
    monkeypatch.setenv("AWS_ACCOUNT_ID_ENDPOINT_MODE", "disabled")


def ended_by(process: Process, *numbers: signal.Signals) -> tuple[int, str, list[str]]:
    """Send signals during a call, let the call finish, and return how the process ends."""
    process.wait_until_stalled()
    for number in numbers:
        process.send(number)
    time.sleep(0.3)
    process.let_go()
    status, stdout, stderr = process.end()
    return status, stdout, stderr.splitlines()


def is_at_rest(state: Path) -> bool:
    """Return whether the next run may resume at once, although keys are open."""
    with closing(FileJournal.at(state, command=BACKFILL[0], clock=ManualClock())) as journal:
        return bool(journal.open_keys()) and journal.held() == (0, 0.0)


@pytest.mark.parametrize("number", EXIT_STATUS)
def test_each_signal_ends_a_backfill_as_ctrl_c_does(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path, *BACKFILL, at="before-send.dynamodb.BatchWriteItem", call=3) as process:
        status, stdout, stderr = ended_by(process, number)

    assert (status, stdout) == (EXIT_STATUS[number], "")
    assert stderr == [
        "Error: interrupted; 0 items were processed.",
        f"Try: run the same command again; it resumes from {STATE}.",
    ]
    assert (tmp_path / STATE).read_text().splitlines()[-1] == '{"rest":true}'
    assert is_at_rest(tmp_path / STATE)


@pytest.mark.parametrize(
    "args",
    [BACKFILL, LONG["redrive"][0], (*VERIFY, "--repair")],
    ids=["backfill", "redrive", "verify --repair"],
)
def test_keys_that_a_killed_command_was_writing_are_held_for_the_next_run(
    tmp_path: Path, args: tuple[str, ...]
) -> None:
    with running(tmp_path, *args, at="before-send.dynamodb.BatchWriteItem") as process:
        process.wait_until_stalled()
        process.send(signal.SIGKILL)
        status, _, _ = process.end()
    path = tmp_path / f"logfile-logfile_replica.{args[0]}"

    assert status == -signal.SIGKILL
    with closing(FileJournal.at(path, command=args[0], clock=ManualClock())) as journal:
        keys = journal.open_keys()
        assert journal.held()[0] == len(keys) > 0
        assert journal.intend(keys) == []


@pytest.mark.parametrize("name", LONG)
def test_sigterm_ends_each_long_command_in_order(tmp_path: Path, name: str) -> None:
    args, call, last = LONG[name]
    with running(tmp_path, *args, at=call) as process:
        status, _, stderr = ended_by(process, signal.SIGTERM)

    assert status == 143
    assert len(stderr) == len(last), stderr
    assert [line for line, begins in zip(stderr, last, strict=True) if not line.startswith(begins)] == []


def test_sigterm_ends_a_command_before_its_work_begins(tmp_path: Path) -> None:
    with running(tmp_path, *BACKFILL, at="before-send.dynamodb.DescribeTable") as process:
        process.wait_until_stalled()
        process.send(signal.SIGTERM)
        status, _, stderr = process.end()

    assert (status, stderr.splitlines()) == (143, AGAIN)


@pytest.mark.skipif(sys.platform != "linux", reason="nowhere else has a pipe a size")
def test_sigterm_ends_a_command_that_cannot_print_its_result(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    with running(tmp_path, *VERIFY, "--json", "--limit", "250", stdout=writing) as process:
        os.close(writing)
        while int.from_bytes(fcntl.ioctl(reading, termios.FIONREAD, bytes(4)), "little") < 4096:
            time.sleep(0.01)
        process.send(signal.SIGTERM)
        time.sleep(0.3)
        shown = os.read(reading, 4096)  # now the pipe has room for the JSON document
        os.close(reading)
        status, _, stderr = process.end()

    assert shown.startswith(b'{\n  "verdict": "not equal"')
    assert (status, stderr.splitlines()) == (143, AGAIN)


@pytest.mark.parametrize("more", [(), ("--json",)], ids=["text", "json"])
def test_sigterm_ends_a_command_in_order_without_a_reader(tmp_path: Path, more: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with running(tmp_path, *VERIFY, *more, at="before-send.dynamodb.Scan", stdout=writing) as process:
        os.close(writing)
        status, _, stderr = ended_by(process, signal.SIGTERM)

    assert status == 143
    assert len(stderr) == 2
    assert stderr[1] == "Try: run the same command again."


def test_a_closed_pipe_ends_a_command_without_a_message(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with running(tmp_path, "tail", "--since", "1h", stdout=writing) as process:
        os.close(writing)
        status, _, stderr = process.end()

    assert status == 2
    assert [line.partition(" ")[0] for line in stderr.splitlines()] == ["Reading"]


def test_closing_the_terminal_ends_a_backfill_in_order(tmp_path: Path) -> None:
    terminal, slave = pty.openpty()
    at = "before-send.dynamodb.BatchWriteItem"
    with running(tmp_path, *BACKFILL, at=at, call=3, terminal=slave) as process:
        os.close(slave)
        process.wait_until_stalled()
        os.close(terminal)
        time.sleep(0.5)
        process.let_go()
        status, _, _ = process.end()

    assert status == 129
    assert (tmp_path / STATE).read_text().splitlines()[-1] == '{"rest":true}'


def test_with_nohup_a_command_continues_after_a_hangup(tmp_path: Path) -> None:
    with running(tmp_path, *VERIFY, "--json", at="before-send.dynamodb.Scan", before=["nohup"]) as process:
        status, stdout, _ = ended_by(process, signal.SIGHUP)

    assert status == 1
    assert json.loads(stdout)["verdict"] == "not equal"


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_second_signal_ends_at_once(tmp_path: Path, second: signal.Signals) -> None:
    with running(tmp_path, *BACKFILL, at="before-send.dynamodb.BatchWriteItem", call=3) as process:
        process.wait_until_stalled()
        process.send(signal.SIGTERM)
        time.sleep(1)  # within this time the same signal would count as a repetition
        assert process.process.poll() is None
        process.send(second)
        status, _, stderr = process.end()  # the call never gets a response

    assert status == EXIT_STATUS[second]
    assert stderr.splitlines() == [
        "Error: a second signal ended the command at once; a request may still be in progress.",
        "Try: run the same command again.",
    ]
    assert '"rest"' not in (tmp_path / STATE).read_text().splitlines()[-1]


def test_a_repeated_hangup_counts_once(tmp_path: Path) -> None:
    with running(tmp_path, *BACKFILL, at="before-send.dynamodb.BatchWriteItem", call=3) as process:
        process.wait_until_stalled()
        process.send(signal.SIGHUP)
        time.sleep(0.2)
        status, _, stderr = ended_by(process, signal.SIGHUP)

    assert status == 129
    assert stderr[0] == "Error: interrupted; 0 items were processed."


START = """
import signal, sys, types
app = types.ModuleType("ddbreplica_cli.app")
def main(**_):
    raise {raised}
app.main = main
sys.modules["ddbreplica_cli.app"] = app
from ddbreplica_cli.__main__ import start
start()
"""


@pytest.mark.parametrize(
    ("raised", "status", "last"),
    [
        ("KeyboardInterrupt", 130, "Try: run the same command again."),
        ("KeyError('a bug')", 2, "KeyError: 'a bug'"),
    ],
)
def test_errors_outside_a_command_have_an_exit_status(raised: str, status: int, last: str) -> None:
    ended = subprocess.run(  # noqa: S603  our own
        [sys.executable, "-c", START.format(raised=raised)], capture_output=True, text=True, check=False
    )

    assert ended.returncode == status
    assert ended.stderr.splitlines()[-1] == last


@pytest.mark.parametrize("closed", ["1", "2"])
def test_a_command_with_a_closed_output_has_the_same_exit_status(tmp_path: Path, closed: str) -> None:
    before = ["sh", "-c", f'exec "$@" {closed}>&-', "sh"]
    with running(tmp_path, *VERIFY, "--limit", "0", before=before) as process:
        status, stdout, stderr = process.end()

    assert status == 1
    assert (stdout == "", stderr == "") == (closed == "1", closed == "2")


def test_a_closed_standard_input_has_no_keys(tmp_path: Path) -> None:
    before = ["sh", "-c", 'exec "$@" <&-', "sh"]
    with running(tmp_path, *VERIFY, "--keys-from", "-", before=before) as process:
        status, _, stderr = process.end()

    assert status == 2
    assert stderr.splitlines()[0] == "Error: standard input contains no keys."


def test_a_usage_error_is_never_printed_to_standard_output(tmp_path: Path) -> None:
    before = ["sh", "-c", 'exec "$@" 2>&-', "sh"]
    with running(tmp_path, "verify", "--sample", "9", before=before) as process:
        status, stdout, _ = process.end()

    assert (status, stdout) == (2, "")
