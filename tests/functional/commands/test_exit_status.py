"""The table of exit statuses in docs/commands.md, with a test for each cell."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from click.testing import Result

from tests.support.account import UUID
from tests.support.cli import REPLICA, SOURCE, Misbehaviour, Tables, refusal, run
from tests.support.fleet import Account, polled
from tests.support.kept_records import CREATED, ON_FAILURE, QUARANTINE, KeptRecords, recreate_source
from tests.support.left_open import leave_open
from tests.support.modules import ROOT
from tests.support.records import put
from tests.support.wire import error, response

if TYPE_CHECKING:
    from tests.support.job_machine import JobMachine

PAGE = ROOT / "docs" / "commands.md"
NOWHERE = ("--source", "nowhere")
GRACE = ("--grace", "0")
NAMED = ("--quarantine-bucket", QUARANTINE, "--on-failure-bucket", ON_FAILURE)
BUCKETS = ("--without-mapping", "--transform", "none", *NAMED)


@dataclass(frozen=True)
class World:
    """Two tables on moto, a working directory, and the simulated errors of AWS."""

    tables: Tables
    aws: Misbehaviour
    directory: Path
    request: pytest.FixtureRequest

    @property
    def machine(self) -> "JobMachine":
        """The state machine of a stack with workers."""
        machine: JobMachine = self.request.getfixturevalue("job_machine")
        return machine

    def job(self, command: str) -> str:
        """Start a job, whose workers have done one task, and return its name."""
        machine = self.machine
        machine.advances = False
        job = str(json.loads(run(command, "--in-aws", "--no-follow", "--json").stdout)["job"])
        machine.runs[f"{job}_1"].step()
        return job

    def rows(self, *rows: str) -> str:
        """Write a file with these rows, and return its path."""
        file = self.directory / "rows.csv"
        file.write_text("".join(row + "\n" for row in rows))
        return str(file)

    def rules_file(self, **members: object) -> str:
        """Write a file with a transform, and return its path."""
        file = self.directory / "rules.json"
        file.write_text(json.dumps(members))
        return str(file)

    def refuse(self, key: str) -> None:
        """Make the replica refuse this item."""

        def refuse(request: Any, **_: Any) -> Any:
            is_refused = f'"{key}"'.encode() in request.body
            return response(request.url, *error("ValidationException")) if is_refused else None

        for operation in ("BatchWriteItem", "PutItem"):
            self.aws.on(f"before-send.dynamodb.{operation}", refuse)

    def keep_moving(self) -> None:
        """Change an item at each read."""
        numbers = iter(range(1000))
        self.aws.on(
            "before-send.dynamodb.BatchGetItem",
            lambda **_: self.tables.put(SOURCE, "busy", n={"N": str(next(numbers))}),
        )
        self.tables.put(SOURCE, "busy")

    def quarantine(self) -> KeptRecords:
        recreate_source(CREATED)
        kept_records = KeptRecords()
        kept_records.quarantine(put(1, "a"))
        return kept_records


@pytest.fixture
def world(
    tables: Tables,
    aws: Misbehaviour,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> World:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ACCOUNT_ID_ENDPOINT_MODE", "disabled")
    return World(tables, aws, tmp_path, request)


GOOD = "1,h,2026-01-01,1,0,GET,/,200,5,agent"
BAD = "x,h,2026-01-01,1,0,GET,/,200,5,agent"


def load(world: World) -> Result:
    return run("load", world.rows(GOOD))


def load_refused(world: World) -> Result:
    world.refuse("request#1")
    return run("load", world.rows(GOOD))


def load_failed(world: World) -> Result:
    return run("load", world.rows(GOOD, BAD))


def dry_load(world: World) -> Result:
    return run("load", "--dry-run", world.rows(GOOD))


def dry_load_of_bad_rows(world: World) -> Result:
    return run("load", "--dry-run", world.rows(GOOD, BAD))


def dry_load_failed(world: World) -> Result:
    return run("load", "--dry-run", "nowhere.csv")


def backfill(world: World) -> Result:
    world.tables.put(SOURCE, "a")
    return run("backfill", "--without-mapping", "--transform", "none")


def backfill_refused(world: World) -> Result:
    world.tables.put(SOURCE, "a")
    world.refuse("a")
    return run("backfill", "--without-mapping", "--transform", "none")


def backfill_failed(world: World) -> Result:
    return run("backfill")


def dry_backfill(world: World) -> Result:
    return run("backfill", "--without-mapping", "--transform", "none", "--dry-run")


def dry_backfill_failed(world: World) -> Result:
    return run("backfill", "--dry-run", *NOWHERE)


def verify(world: World) -> Result:
    return run("verify", *GRACE)


def verify_different(world: World) -> Result:
    world.tables.put(SOURCE, "a")
    world.keep_moving()  # 1 goes before 3
    return run("verify", *GRACE)


def verify_failed(world: World) -> Result:
    return run("verify", *NOWHERE)


def dry_verify(world: World) -> Result:
    return run("verify", "--dry-run")


def dry_verify_failed(world: World) -> Result:
    return run("verify", "--dry-run", *NOWHERE)


def verify_inconclusive(world: World) -> Result:
    world.keep_moving()
    return run("verify", *GRACE)


IN_AWS = ("verify", "--in-aws", *GRACE)


def in_aws(world: World) -> Result:
    assert world.machine.advances
    return run(*IN_AWS)


def in_aws_different(world: World) -> Result:
    world.tables.put(SOURCE, "a")
    return in_aws(world)


def in_aws_failed(world: World) -> Result:
    assert world.machine.advances
    world.tables.client.delete_table(TableName=REPLICA)
    return run(*IN_AWS)


def in_aws_inconclusive(world: World) -> Result:
    machine = world.machine
    world.keep_moving()
    machine.renew()  # the workers read what keeps moving
    return run(*IN_AWS)


def started(world: World) -> Result:
    assert world.machine.advances
    world.tables.put(SOURCE, "a")
    return run(*IN_AWS, "--no-follow")


def not_started(world: World) -> Result:
    return run(*IN_AWS, "--no-follow", *NOWHERE)


def jobs(world: World) -> Result:
    world.job("verify")
    return run("jobs", "show")


def jobs_failed(world: World) -> Result:
    assert world.machine.advances
    return run("jobs", "show", "no-such-job")


def job_stopped(world: World) -> Result:
    return run("jobs", "stop", world.job("verify"))


def job_stopped_while_it_writes(world: World) -> Result:
    kept_records = world.request.getfixturevalue("kept_records")
    job = world.job("backfill")
    leave_open(kept_records, job, hours_ago=0)
    return run("jobs", "stop", job)


def job_not_stopped(world: World) -> Result:
    assert world.machine.advances
    return run("jobs", "stop", "no-such-job")


def repair(world: World) -> Result:
    world.tables.put(SOURCE, "a")
    return run("verify", "--repair", "--without-mapping", "--transform", "none", *GRACE)


def repair_refused(world: World) -> Result:
    world.tables.put(SOURCE, "a")
    world.refuse("a")
    return run("verify", "--repair", "--without-mapping", "--transform", "none", *GRACE)


def repair_failed(world: World) -> Result:
    world.tables.put(SOURCE, "a")  # 2 goes before 1
    world.aws.refuse("BatchWriteItem", "AccessDeniedException")
    return run("verify", "--repair", "--without-mapping", "--transform", "none", *GRACE)


def repair_inconclusive(world: World) -> Result:
    world.keep_moving()
    return run("verify", "--repair", "--without-mapping", "--transform", "none", *GRACE)


def redrive(world: World) -> Result:
    world.quarantine()
    return run("redrive", *BUCKETS)


def redrive_refused(world: World) -> Result:
    world.quarantine()
    world.tables.put(SOURCE, "a")
    world.refuse("a")
    return run("redrive", *BUCKETS)


def redrive_failed(world: World) -> Result:
    return run("redrive", *BUCKETS)


def dry_redrive(world: World) -> Result:
    world.quarantine()
    return run("redrive", "--dry-run", *BUCKETS)


def dry_redrive_failed(world: World) -> Result:
    return run("redrive", "--dry-run", *BUCKETS)


KEY = '{"PK": {"S": "a"}}'


def find(world: World) -> Result:
    world.quarantine()
    return run("redrive", "--find", '{"PK": {"S": "b"}}', *NAMED)


def find_found(world: World) -> Result:
    world.quarantine()
    return run("redrive", "--find", KEY, *NAMED)


def find_failed(world: World) -> Result:
    world.quarantine()
    return run("redrive", "--find", "a", *NAMED)


def find_unseen(world: World) -> Result:
    world.quarantine()
    world.aws.on("before-call.s3.ListObjectVersions", lambda **_: refusal("AccessDenied", "not you"))
    return run("redrive", "--find", '{"PK": {"S": "b"}}', *NAMED)


def purge(world: World) -> Result:
    world.quarantine()
    return run("redrive", "--purge-done", "--yes", *NAMED)


def purge_left(world: World) -> Result:
    world.quarantine().put(QUARANTINE, f"done/quarantine/{REPLICA}/x.json", b"[")
    return run("redrive", "--purge-done", "--find", KEY, "--yes", *NAMED)


def purge_unconfirmed(world: World) -> Result:
    world.quarantine()
    return run("redrive", "--purge-done", *NAMED)


def status(world: World) -> Result:
    Account(world.tables, world.aws)
    polled(UUID)
    return run("status")


def status_bad(world: World) -> Result:
    made = Account(world.tables, world.aws)
    made.tell([made.mappings()[0] | {"State": "Disabled"}])
    return run("status")


def status_failed(world: World) -> Result:
    return run("status", *NOWHERE)


def fleet(world: World) -> Result:
    Account(world.tables, world.aws)
    polled(UUID, "22-33")
    return run("status", "--all")


def fleet_bad(world: World) -> Result:
    made = Account(world.tables, world.aws)
    made.tell(made.mappings(State="Disabled"))
    return run("status", "--all")


def fleet_failed(world: World) -> Result:
    return run("status", "--all", "--region", "x y")


def fleet_unknown(world: World) -> Result:
    Account(world.tables, world.aws)
    denied = refusal("AccessDeniedException", "not you")
    world.aws.on("before-call.lambda.ListEventSourceMappings", lambda **_: denied)
    return run("status", "--all")


def tail(world: World) -> Result:
    stream: Any = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    world.tables.client.update_table(TableName=SOURCE, StreamSpecification=stream)
    world.tables.put(SOURCE, "a")
    return run("tail", "--since", "1h", "--limit", "1")


def tail_failed(world: World) -> Result:
    return run("tail", *NOWHERE)


def transform(world: World) -> Result:
    return run("transform", "check", world.rules_file(hash=["v"]), "--source", SOURCE)


def transform_untransformable(world: World) -> Result:
    world.tables.put(SOURCE, "a", v={"BOOL": True})
    return transform(world)


def transform_not_valid(world: World) -> Result:
    return run("transform", "check", world.rules_file(mask=["v"]))


Ends: TypeAlias = Mapping[int, Callable[[World], Result]]

ENDS: Mapping[str, Ends] = {
    "load": {0: load, 1: load_refused, 2: load_failed},
    "load --dry-run": {0: dry_load, 1: dry_load_of_bad_rows, 2: dry_load_failed},
    "backfill": {0: backfill, 1: backfill_refused, 2: backfill_failed},
    "backfill --dry-run": {0: dry_backfill, 2: dry_backfill_failed},
    "verify": {0: verify, 1: verify_different, 2: verify_failed, 3: verify_inconclusive},
    "verify --dry-run": {0: dry_verify, 2: dry_verify_failed},
    "… --in-aws": {0: in_aws, 1: in_aws_different, 2: in_aws_failed, 3: in_aws_inconclusive},
    "… --in-aws --no-follow": {0: started, 2: not_started},
    "verify --repair": {0: repair, 1: repair_refused, 2: repair_failed, 3: repair_inconclusive},
    "redrive": {0: redrive, 1: redrive_refused, 2: redrive_failed},
    "redrive --dry-run": {0: dry_redrive, 2: dry_redrive_failed},
    "redrive --find": {0: find, 1: find_found, 2: find_failed, 3: find_unseen},
    "redrive --purge-done": {0: purge, 1: purge_left, 2: purge_unconfirmed},
    "jobs show": {0: jobs, 2: jobs_failed},
    "jobs stop": {0: job_stopped, 1: job_stopped_while_it_writes, 2: job_not_stopped},
    "status": {0: status, 1: status_bad, 2: status_failed},
    "status --all": {0: fleet, 1: fleet_bad, 2: fleet_failed, 3: fleet_unknown},
    "tail": {0: tail, 2: tail_failed},
    "transform check": {0: transform, 1: transform_untransformable, 2: transform_not_valid},
}


def test_each_cell_of_the_table_has_a_test() -> None:
    table = PAGE.read_text().partition("\n## Exit status\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| `")]

    assert {
        name.strip("`"): [end for end, cell in enumerate(cells) if cell != "–"] for name, *cells in rows
    } == {name: list(ends) for name, ends in ENDS.items()}


@pytest.mark.parametrize(
    ("command", "status"), [(command, status) for command, ends in ENDS.items() for status in ends]
)
def test_a_command_exits_with_the_status_in_the_table(world: World, command: str, status: int) -> None:
    result = ENDS[command][status](world)

    assert result.exit_code == status, result.output
    assert ("Error: " in result.stderr) <= (status in (1, 2))
