"""docs/permissions.md lists what the commands' calls need, and nothing else. That it is all, `run` holds everywhere."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError

from ddbreplica.bucket.verification_record import time_text
from ddbreplica.jobs.control import follow
from ddbreplica.jobs.control import stop as jobs_stop
from ddbreplica.verify.confirm import plan
from ddbreplica_cli.app import main
from tests.support.account import answer_tags
from tests.support.cli import REPLICA, SOURCE, Misbehaviour, Tables, run
from tests.support.job_machine import SCHEDULE, STATE_MACHINE, JobMachine, answer_stack
from tests.support.kept_records import ON_FAILURE, QUARANTINE, KeptRecords
from tests.support.left_open import leave_open
from tests.support.on_failure import FUNCTION_ARN
from tests.support.permissions import Permission, listed, recorded, sections
from tests.support.records import delete, put

NAMES = {
    "SOURCE": SOURCE,
    "REPLICA": REPLICA,
    "FUNCTION": "ddbreplica",
    "STACK": "mine",
    "STATE_MACHINE": STATE_MACHINE,
    "VERIFY_SCHEDULE": SCHEDULE,
    "QUARANTINE_BUCKET": QUARANTINE,
    "ON_FAILURE_BUCKET": ON_FAILURE,
    "EXPORT_BUCKET": "exports",
}
IN_AWS = {"backfill", "redrive", "verify"}
EXPORT = "s3://exports/AWSDynamoDB/01234-abc"


def documented(*arguments: str) -> set[Permission]:
    """What is listed for a command line, with the names that tables and buckets have here."""
    return {Permission(action, named(resource)) for action, resource in listed(arguments)}


def named(resource: str) -> str:
    for placeholder in sorted(NAMES, key=len, reverse=True):
        resource = resource.replace(placeholder, NAMES[placeholder])
    return resource


def covers(granted: Permission, needed: Permission) -> bool:
    return granted.action == needed.action and fnmatchcase(needed.resource, granted.resource)


@dataclass(frozen=True, slots=True)
class World:
    """One item to be put and one to be deleted, known to the quarantine, Lambda and an export; a stack names it all.

    Batches of writes are refused, so that each write is tried alone as well.
    """

    tables: Tables
    kept_records: KeptRecords
    aws: Misbehaviour
    machine: JobMachine


@pytest.fixture
def silence() -> None:
    """Read the streams of moto, since the page lists the permissions for it."""


@pytest.fixture
def world(
    tables: Tables,
    kept_records: KeptRecords,
    aws: Misbehaviour,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ACCOUNT_ID_ENDPOINT_MODE", "disabled")  # moto answers for no such endpoint
    monkeypatch.setattr(plan, "DEFAULT_GRACE", 0.0)
    monkeypatch.setattr(jobs_stop, "STOP_SECONDS", 0.0)
    monkeypatch.setattr(follow, "LONGEST_PAUSE_SECONDS", 0.0)
    tables.put(SOURCE, "put")
    tables.put(REPLICA, "deleted")
    kept_records.quarantine(put(1, "put"))
    kept_records.discard(delete(2, "deleted"))
    export(boto3.client("s3"), "put", "deleted")
    machine = JobMachine(aws)
    names = {"SourceTableName": SOURCE, "ReplicaTableName": REPLICA}
    aws.answer_stack({"Outputs": [{"OutputKey": key, "OutputValue": name} for key, name in names.items()]})
    aws.refuse("BatchWriteItem", "ValidationException")
    yield World(tables, kept_records, aws, machine)
    machine.close()


def export(client: Any, *keys: str) -> None:
    """An export of the source that has these keys."""
    items = "".join(json.dumps({"Item": {"PK": {"S": key}}}) + "\n" for key in keys)
    data = {"itemCount": len(keys), "dataFileS3Key": "AWSDynamoDB/01234-abc/data/0.json.gz"}
    summary = {
        "tableArn": "arn:aws:dynamodb:us-east-1:123456789012:table/logfile",
        "exportTime": "2099-11-22T12:00:00.000Z",
        "outputFormat": "DYNAMODB_JSON",
        "itemCount": len(keys),
    }
    client.create_bucket(Bucket="exports")
    for name, body in {
        "data/0.json.gz": gzip.compress(items.encode()),
        "manifest-files.json": json.dumps(data).encode(),
        "manifest-summary.json": json.dumps(summary).encode(),
    }.items():
        client.put_object(Bucket="exports", Key=f"AWSDynamoDB/01234-abc/{name}", Body=body)


def ddbreplica(*arguments: str, exit_code: int = 0) -> None:
    result = run(*arguments, "--stack-name", "mine")
    assert result.exit_code == exit_code, result.output


def backfill(_: World) -> None:
    ddbreplica("backfill", "--from-export", EXPORT)
    ddbreplica("backfill")
    ddbreplica("backfill", "--in-aws")


def jobs(world: World) -> None:
    world.machine.start("job_1", {"job": "job", "what": "verify", "options": {}})
    ddbreplica("jobs", "show")
    ddbreplica("jobs", "show", "job")
    ddbreplica("jobs", "stop", "job")
    backfill = world.machine.start("copy_1", {"job": "copy", "what": "backfill", "options": {}})
    backfill.step()
    leave_open(world.kept_records, "copy", hours_ago=2)
    world.machine.advances = False
    ddbreplica("jobs", "stop", "copy")


def load(_: World) -> None:
    ddbreplica("load", "--generate", "1")


def redrive(world: World) -> None:
    ddbreplica("redrive")
    ddbreplica("redrive", "--in-aws")
    world.kept_records.quarantine(put(3, "put"))
    time_out_once(world.aws)
    ddbreplica("redrive", exit_code=1)
    key = '{"PK": {"S": "put"}}'
    ddbreplica("redrive", "--find", key, exit_code=1)
    ddbreplica("redrive", "--find", key, "--purge-done", "--yes")
    ddbreplica("redrive", "--purge-done", "--yes")


def status(world: World) -> None:
    name = f"verifications/{REPLICA}/{time_text(datetime.now(UTC))}.json"
    boto3.client("s3").put_object(Bucket=QUARANTINE, Key=name, Body=b"{}")
    world.machine.start("job_1", {"job": "job", "what": "verify", "options": {}})
    answer_stack(world.aws, schedule="rate(1 day)")
    ddbreplica("status", exit_code=1)
    answer_tags(world.aws, {FUNCTION_ARN: REPLICA})
    assert run("status", "--all").exit_code == 1


def tail(_: World) -> None:
    ddbreplica("tail", "--since", "1h", "--limit", "1")


def transform(world: World) -> None:
    file = Path("rules.json")
    file.write_text('{"hash": ["a"]}')
    ddbreplica("transform", "check", str(file))


def verify(world: World) -> None:
    ddbreplica("verify", exit_code=1)
    ddbreplica("verify", "--repair", "--grace", "0")
    world.tables.put(SOURCE, "new")
    time_out_once(world.aws)
    ddbreplica("verify", "--repair", "--grace", "0", exit_code=1)
    ddbreplica("verify", "--in-aws", "--grace", "0")


def time_out_once(aws: Misbehaviour) -> None:
    """Let the next write not be answered."""
    faults = [ReadTimeoutError(endpoint_url="x")]

    def time_out(**_: Any) -> None:
        if faults:
            raise faults.pop()

    aws.on("before-send.dynamodb.PutItem", time_out)


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (backfill, jobs, load, redrive, status, tail, transform, verify)
}


@pytest.mark.parametrize("command", sorted(main.commands))
def test_a_command_needs_what_is_listed_and_nothing_else(command: str, world: World) -> None:
    granted = documented(
        *(command, "check", "show", "stop"),
        *("--all", "--find", "--from-export", "--purge-done", "--repair", "--stack-name"),
        *(("--in-aws",) if command in IN_AWS else ()),
    )

    with recorded() as needed:
        SCENARIOS[command](world)

    assert {need for need in needed if not any(covers(grant, need) for grant in granted)} == set()
    assert {grant for grant in granted if not any(covers(grant, need) for need in needed)} == set()


def test_every_statement_says_what_it_is_for() -> None:
    statements = [statement for policy in sections().values() for statement in policy["Statement"]]

    assert all(statement.keys() == {"Sid", "Effect", "Action", "Resource"} for statement in statements)
    assert {statement["Effect"] for statement in statements} == {"Allow"}
    assert {s["Sid"] for s in statements if s["Resource"] == "*"} == {
        "FindFunctionsByTheirTagWhichHasNoResource",
        "FindMappingsWhichHaveNoResource",
        "ReadMetricsWhichHaveNoResource",
    }


def test_a_call_that_is_not_listed_fails_every_test_that_makes_it(
    monkeypatch: pytest.MonkeyPatch, tables: Tables
) -> None:
    monkeypatch.setattr("tests.support.cli.listed", lambda _: set())

    with pytest.raises(
        AssertionError, match=r"does not list \['dynamodb:BatchWriteItem', 'dynamodb:DescribeTable'\]"
    ):
        run("load", "--generate", "1")
