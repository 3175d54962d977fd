"""Run `ddbreplica` as a process with moto inside, which stalls at one call until the test releases it.

The tables `logfile` and `logfile_replica` differ in 250 items; a record of one is in quarantine. A verification
watches them without pauses.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import handlers
from moto import mock_aws

from tests.support.kept_records import CREATED, KeptRecords, recreate_source
from tests.support.records import put
from tests.support.short_watches import let_streams_be_read, watch_without_pauses

ITEMS = 250
FOREIGN = "x\x1b[2J\x9b1m\u202e\u2028\U000e0001[red]å→🍓\nFORGED: in a line of its own"
"""The key of an additional item and its record, if a test requests it."""

_ROOT = Path(__file__).parents[2]
_SECONDS = 180.0


class Process:
    """A run of the command. `directory` is its working directory."""

    def __init__(self, process: "subprocess.Popen[str]", directory: Path) -> None:
        self.process = process
        self._directory = directory

    def wait_until_stalled(self) -> None:
        """Wait until it stalls at the call."""
        give_up_at = time.monotonic() + _SECONDS
        while not (self._directory / "stalled").exists():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < give_up_at, "the process did not reach the call"
            time.sleep(0.01)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def let_go(self) -> None:
        (self._directory / "go").touch()

    def end(self) -> tuple[int, str, str]:
        """Wait for its end, and return its exit status, stdout and stderr."""
        stdout, stderr = self.process.communicate(timeout=_SECONDS)
        return self.process.returncode, stdout, stderr


@contextmanager
def running(
    directory: Path,
    *args: str,
    at: str = "",
    call: int = 1,
    before: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    stdout: int = subprocess.PIPE,
    terminal: int | None = None,
    foreign: bool = False,
) -> Iterator[Process]:
    """Start `ddbreplica` with these arguments. It stalls at the given occurrence of a botocore event.

    `before` is a command that starts it, such as `nohup`. `terminal` is its pseudo-terminal for input and output.
    """
    plan = json.dumps(
        {"at": at, "call": call, "args": args, "has_terminal": terminal is not None, "foreign": foreign}
    )
    process = subprocess.Popen(  # noqa: S603
        [*before, sys.executable, "-m", "tests.support.on_moto", plan],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": _python_path(), "PYTHONWARNINGS": "ignore", **(environment or {})},
        stdin=subprocess.DEVNULL if terminal is None else terminal,
        stdout=stdout if terminal is None else terminal,
        stderr=subprocess.PIPE if terminal is None else terminal,
        start_new_session=terminal is not None,
        text=True,
    )
    try:
        yield Process(process, directory)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _python_path() -> str:
    return os.pathsep.join(map(str, (_ROOT / "src", _ROOT / "cli", _ROOT)))


def _stall_at(event: str, call: int) -> None:
    calls = iter(range(1, sys.maxsize))

    def stall(**_: Any) -> None:
        if next(calls) == call:
            Path("stalled").touch()
            give_up_at = time.monotonic() + _SECONDS
            while not Path("go").exists() and time.monotonic() < give_up_at:
                time.sleep(0.01)

    patched: Any = handlers
    patched.BUILTIN_HANDLERS = [(event, stall), *handlers.BUILTIN_HANDLERS]


def _create_all(*more: str) -> None:
    tables: Any = boto3.client("dynamodb")
    for name in ("logfile", "logfile_replica"):
        tables.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        )
    items = [{"PutRequest": {"Item": {"PK": {"S": f"item{number:03}"}}}} for number in range(ITEMS)]
    items += [{"PutRequest": {"Item": {"PK": {"S": key}}}} for key in more]
    for start in range(0, len(items), 25):
        tables.batch_write_item(RequestItems={"logfile": items[start : start + 25]})
    recreate_source(CREATED)
    kept_records = KeptRecords()
    for number, key in enumerate(("item000", *more), 1):
        kept_records.quarantine(put(number, key))


if __name__ == "__main__":
    todo = json.loads(sys.argv[1])
    if todo["has_terminal"]:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    with mock_aws():
        _create_all(*([FOREIGN] if todo["foreign"] else []))
        _stall_at(todo["at"], todo["call"])
        let_streams_be_read(pytest.MonkeyPatch())
        watch_without_pauses(pytest.MonkeyPatch())
        # SIGINT may be ignored in the test's process, but is not in a terminal's command.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from ddbreplica_cli.__main__ import start

        sys.argv = ["ddbreplica", *todo["args"]]
        start()
