"""The end of a run on the embedded AWS: signals, a closed terminal, a kill, and `--remove` afterwards."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path
from secrets import token_hex
from termios import TIOCSCTTY
from typing import Any

import pytest

from demo.embedded import ROOT, EmbeddedAws, embedded_aws
from tests.e2e.names import Names

pytestmark = pytest.mark.loopback

ACCOUNT = "000000000000"
REMOVING = b"Delete everything that the run created"
SECONDS = 60


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    with embedded_aws() as running:
        yield running


@dataclass
class Started:
    """A started run, a file descriptor for its output, and the directory of its report."""

    aws: EmbeddedAws
    suffix: str
    process: "subprocess.Popen[bytes]"
    output: int
    reports: Path
    seen: bytes = b""

    def wait_for(self, text: bytes) -> None:
        while text not in self.seen:
            more = os.read(self.output, 1000)
            assert more, self.seen
            self.seen += more

    def hang_up(self) -> None:
        os.close(self.output)
        self.output = -1

    def ended(self) -> int:
        """Wait for the end, read the output if it is still open, and return the exit status."""
        with suppress(OSError):
            while more := os.read(self.output, 1000):
                self.seen += more
        return self.process.wait(SECONDS)

    def report(self) -> Any:
        return json.loads((self.reports / self.suffix / "report.json").read_text())

    def left(self) -> list[str]:
        return left(self.aws, self.suffix)


def left(aws: EmbeddedAws, suffix: str) -> list[str]:
    """Return the account's resources with the suffix."""
    stacks = aws.cloudformation.list_stacks()["StackSummaries"]
    names = [each["StackName"] for each in stacks if each["StackStatus"] != "DELETE_COMPLETE"]
    names += [bucket["Name"] for bucket in aws.s3.list_buckets()["Buckets"]]
    names += aws.dynamodb.list_tables()["TableNames"]
    return [name for name in names if suffix in name]


def environment(aws: EmbeddedAws) -> dict[str, str]:
    return {**aws.env, "AWS_ENDPOINT_URL": aws.endpoint_url}


@pytest.fixture
def start(aws: EmbeddedAws, tmp_path: Path) -> Iterator[Callable[..., Started]]:
    """Start a run on a pseudo-terminal or on a pipe."""
    started: list[Started] = []

    def start_run(*options: str, on_terminal: bool = True) -> Started:
        suffix = token_hex(4)
        command = [sys.executable, "-m", "tests.support.short_run", suffix, str(tmp_path), *options]
        ours, theirs = os.openpty() if on_terminal else os.pipe()
        process = subprocess.Popen(  # noqa: S603
            command,
            cwd=ROOT,
            env=environment(aws),
            stdin=theirs if on_terminal else subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=(lambda: ioctl(0, TIOCSCTTY, 0)) if on_terminal else None,  # noqa: PLW1509
        )
        os.close(theirs)
        started.append(Started(aws, suffix, process, ours, tmp_path))
        return started[-1]

    yield start_run
    for each in started:
        each.process.kill()
        each.process.wait()
        with suppress(OSError):
            os.close(each.output)


def test_a_run_whose_terminal_is_closed_during_the_steps_removes_everything(
    start: Callable[..., Started],
) -> None:
    run = start("--keep")
    run.wait_for(b"Working")

    run.hang_up()

    assert run.ended() == 128 + signal.SIGHUP
    assert run.left() == []
    assert run.report()["ended"] == "The run was interrupted by SIGHUP."
    assert run.report()["claims"]["removed"]["outcome"] == "confirmed"


def test_a_terminal_that_is_closed_during_the_removal_does_not_stop_it(start: Callable[..., Started]) -> None:
    run = start("--ends")
    run.wait_for(REMOVING)

    run.hang_up()

    assert run.ended() == 1  # a table was left by its stack
    assert run.left() == []
    assert run.report()["ended"] == "The run completed."
    assert run.report()["left_behind"] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_the_removal_is_reported_once(start: Callable[..., Started], number: int) -> None:
    run = start("--ends")
    run.wait_for(REMOVING)

    for each in (number, number, signal.SIGTERM):
        run.process.send_signal(each)

    assert run.ended() == 1
    assert run.left() == []
    assert run.seen.count(b": the removal continues; to stop it, run kill -KILL ") == 1
    assert f"{signal.Signals(number).name}: the removal".encode() in run.seen


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_steps_and_a_second_one_does_not_stop_the_removal(
    start: Callable[..., Started], number: signal.Signals
) -> None:
    run = start("--keep")
    run.wait_for(b"Working")

    run.process.send_signal(number)
    run.wait_for(REMOVING)
    run.process.send_signal(signal.SIGINT)

    assert run.ended() == 128 + number
    assert run.left() == []
    assert run.report()["ended"] == f"The run was interrupted by {number.name}."


def test_a_closed_pipe_ends_nothing_and_ctrl_c_removes_everything(
    start: Callable[..., Started],
) -> None:
    run = start("--keep", on_terminal=False)
    run.wait_for(b"Working")
    run.hang_up()  # as `| tee` does on Ctrl-C
    with pytest.raises(subprocess.TimeoutExpired):
        run.process.wait(1)

    run.process.send_signal(signal.SIGINT)

    assert run.ended() == 128 + signal.SIGINT
    assert run.left() == []


def remove(
    aws: EmbeddedAws, suffix: str, *options: str, stdin: int = subprocess.DEVNULL
) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.e2e", "--remove", suffix, *options]
    return subprocess.run(  # noqa: S603
        command,
        cwd=ROOT,
        env=environment(aws),
        stdin=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


def test_the_resources_of_a_killed_run_are_listed_and_removed(
    aws: EmbeddedAws, start: Callable[..., Started]
) -> None:
    run = start()
    run.wait_for(b"Working")
    run.process.kill()
    run.process.wait()
    others = f"{Names(run.suffix).code_buckets}z"  # no run has this name: a nonce is hexadecimal
    aws.s3.create_bucket(Bucket=others)

    asked = remove(aws, run.suffix)
    assert asked.returncode == 2
    assert f"stack/ddbreplica-e2e-{run.suffix}/" in asked.stdout
    assert others not in asked.stdout
    assert len(run.left()) == 4
    assert remove(aws, run.suffix, "--account", "111122223333").returncode == 2
    assert len(run.left()) == 4
    removed = remove(aws, run.suffix, "--account", ACCOUNT)

    assert removed.returncode == 1  # because of the bucket with a similar name
    assert f"Left behind: bucket {others} (not touched: it does not have this run's tag)" in removed.stdout
    assert run.left() == [others]
    aws.s3.delete_bucket(Bucket=others)
    again = remove(aws, run.suffix, "--account", ACCOUNT)
    assert (again.returncode, again.stdout.splitlines()[-1]) == (
        0,
        "  No resource has the tag of such a run.",
    )


def test_a_table_left_by_a_stack_that_another_program_deleted_is_removed(
    aws: EmbeddedAws, start: Callable[..., Started]
) -> None:
    run = start()
    run.wait_for(b"Working")
    run.process.kill()
    run.process.wait()
    aws.cloudformation.delete_stack(StackName=f"ddbreplica-e2e-{run.suffix}")
    aws.cloudformation.get_waiter("stack_delete_complete").wait(
        StackName=f"ddbreplica-e2e-{run.suffix}", WaiterConfig={"Delay": 1}
    )
    assert f"ddbreplica-e2e-{run.suffix}-source" in run.left()

    removed = remove(aws, run.suffix, "--account", ACCOUNT)

    assert (removed.returncode, run.left()) == (0, [])
