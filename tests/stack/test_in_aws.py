"""The commands of jobs on the embedded AWS: start, follow, detach, resume, stop, and what `status` shows of them."""

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import Result

from demo.command import Command, started
from demo.deploy import Package
from demo.embedded import EmbeddedAws, embedded_aws
from demo.pair import wait_until
from tests.support.cli import invoke
from tests.support.workers import Deployed, item, key, package

ITEMS = 2_000
SEGMENTS = 8


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    with embedded_aws() as aws:
        yield aws


@pytest.fixture(scope="module")
def packaged(aws: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Package:
    return package(aws, tmp_path_factory.mktemp("code"), items_of_a_segment=ITEMS // SEGMENTS)


@pytest.fixture(scope="module")
def stack(aws: EmbeddedAws, packaged: Package) -> Deployed:
    """A stack with workers and a schedule that does not fire, and a replicated table."""
    one = Deployed.by(
        aws,
        "jobs",
        packaged,
        WorkerConcurrency=str(SEGMENTS),
        VerifyScheduleExpression="rate(1 day)",
        RedriveScheduleExpression="rate(1 hour)",
    )
    one.fill(range(ITEMS))
    return one


@pytest.fixture(autouse=True)
def _environment(aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in aws.env.items():
        monkeypatch.setenv(name, value)


def ran(stack: Deployed, *arguments: str) -> Result:
    where = ("--stack-name", stack.stack.name, "--endpoint-url", stack.aws.endpoint_url)
    return invoke(*arguments, *where)


def jobs(stack: Deployed) -> list[Any]:
    found: list[Any] = json.loads(ran(stack, "jobs", "show", "--json").stdout)["jobs"]
    return found


def test_a_verification_in_aws_has_the_verdict_of_the_local_one(stack: Deployed) -> None:
    stack.aws.dynamodb.delete_item(TableName=stack.pair.replica, Key={"PK": {"S": key(1)}})

    here = ran(stack, "verify", "--grace", "0", "--read-rate", "1000", "--json")
    there = ran(stack, "verify", "--grace", "0", "--in-aws", "--json")
    repaired = ran(stack, "verify", "--grace", "0", "--in-aws", "--repair")

    assert (here.exit_code, there.exit_code, repaired.exit_code) == (1, 1, 0), repaired.output
    names = ("verdict", "missing", "different", "extra", "source_items", "replica_items", "looked_at")
    assert [json.loads(there.stdout)[name] for name in names] == [
        json.loads(here.stdout)[name] for name in names
    ]
    assert stack.pair.item(stack.pair.replica, key(1)) == item(1)
    assert [each["state"] for each in jobs(stack)] == ["repaired", "not equal"]


def test_a_job_is_stopped_shown_and_resumed(stack: Deployed) -> None:
    job = json.loads(ran(stack, "verify", "--read-rate", "5", "--in-aws", "--no-follow", "--json").stdout)[
        "job"
    ]
    wait_until(lambda: stack.names(f"jobs/{stack.stack.name}/{job}/states/") != [], "A worker is running")
    status = json.loads(ran(stack, "status", "--json").stdout)

    stopped = ran(stack, "jobs", "stop", job)
    shown = json.loads(ran(stack, "jobs", "show", job, "--json").stdout)

    assert job in [each["job"] for each in status["jobs"]["running"]]
    assert status["jobs"]["next_verification"]["schedule"] == "rate(1 day)"
    assert stopped.exit_code == 0, stopped.output
    assert (shown["state"], shown["cause"]) == ("stopped", "stopped by an operator")
    resumed = ran(stack, "verify", "--read-rate", "5", "--in-aws", "--no-follow", "--json")
    assert json.loads(resumed.stdout) == {"job": job, "attempt": f"{job}_2", "resumed": True}
    assert ran(stack, "jobs", "stop", job).exit_code == 0


def test_an_execution_that_is_started_by_hand_has_default_options_or_fails_at_once(stack: Deployed) -> None:
    """On AWS a missing member fails an execution; the embedded AWS would let it run for ever."""

    def ended(name: str, given: Any) -> Any:
        started = stack.aws.stepfunctions.start_execution(
            stateMachineArn=stack.machine, name=name, input=json.dumps(given)
        )
        return stack.ended(started["executionArn"])

    assert ended("by-hand", {"what": "verify"})["status"] == "SUCCEEDED"
    assert json.loads(ran(stack, "jobs", "show", "by-hand", "--json").stdout)["state"] == "equal"
    refused = ended("by-mistake", {})
    assert (refused["status"], refused["cause"]) == ("FAILED", "'' is no kind of job.")


def test_ctrl_c_leaves_the_job_and_another_command_follows_it(stack: Deployed) -> None:
    verify = ("verify", "--in-aws", "--grace", "2")
    with started(stack.aws, *verify, "--stack-name", stack.stack.name) as command:
        wait_until(lambda: b"Started the job" in shown(command), "The job is started")
        command.process.send_signal(signal.SIGINT)
        left = command.finish()

    assert left.exit_code == 130, left.output
    assert "runs on in AWS." in left.output
    followed = ran(stack, *verify)
    assert followed.exit_code == 0, followed.output
    job = left.output.split()[3].strip(".")
    assert next(each["state"] for each in jobs(stack) if each["job"] == job) == "equal"


def shown(command: Command) -> bytes:
    """Return what a command has written so far."""
    return os.pread(command.written.fileno(), 10_000, 0)


def test_a_backfill_and_a_redrive_in_aws(stack: Deployed) -> None:
    stack.aws.dynamodb.delete_item(TableName=stack.pair.replica, Key={"PK": {"S": key(5)}})

    copied = ran(stack, "backfill", "--in-aws", "--json")
    redriven = ran(stack, "redrive", "--in-aws")

    assert (copied.exit_code, redriven.exit_code) == (0, 0), copied.output + redriven.output
    assert json.loads(copied.stdout)["items"] == ITEMS
    stack.pair.wait_until_equal()
