"""`ddbreplica backfill --in-aws` and `redrive --in-aws`: the workers write, and the command shows what is left."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from tests.support.cli import REPLICA, SOURCE, Misbehaviour, Tables, lines, run
from tests.support.job_machine import JobMachine, answer_stack
from tests.support.kept_records import QUARANTINE, KeptRecords, answer_mapping

BACKFILL = ("backfill", "--in-aws")


def job_of(text: str) -> str:
    return lines(text)[0].partition(" job ")[2].split()[0].strip(",.")


def test_a_backfill_copies_the_items(tables: Tables, job_machine: JobMachine) -> None:
    for number in range(30):
        tables.put(SOURCE, f"item{number}", v={"N": "1"})

    result = run(*BACKFILL)

    assert result.exit_code == 0
    assert lines(result.stdout)[0].startswith("30 items copied in ")
    assert tables.items(REPLICA) == tables.items(SOURCE)
    (execution,) = job_machine.runs.values()
    assert execution.given == {
        "job": job_of(result.stderr),
        "what": "backfill",
        "options": {"rate": None, "read_rate": None, "without_mapping": False, "archive": False},
    }


def test_a_backfill_after_an_update_of_the_function_says_that_it_waits(
    tables: Tables, job_machine: JobMachine, aws: Misbehaviour
) -> None:
    tables.put(SOURCE, "item")
    answer_mapping(tables, aws, updated_at=datetime.now(UTC) - timedelta(seconds=118))
    answer_stack(aws)
    job_machine.renew()

    result = run(*BACKFILL)

    assert result.exit_code == 0
    assert lines(result.stderr)[0].startswith(
        "The function was updated, so that a new job begins to copy after "
    )
    assert tables.items(REPLICA) == tables.items(SOURCE)


def test_the_document_of_a_backfill_is_its_report(tables: Tables, job_machine: JobMachine) -> None:
    tables.put(SOURCE, "item")

    document = json.loads(run(*BACKFILL, "--rate", "5", "--json").stdout)

    assert (document["items"], document["left"], document["attention"]) == (1, 0, [])


def test_an_item_that_is_refused_is_listed_and_requires_attention(
    tables: Tables, job_machine: JobMachine, aws: Misbehaviour
) -> None:
    tables.put(SOURCE, "bad")
    aws.refuse("BatchWriteItem", "ValidationException")
    aws.refuse("PutItem", "ValidationException")
    job_machine.renew()

    result = run(*BACKFILL)

    assert result.exit_code == 1
    assert lines(result.stdout)[0].startswith("0 items copied in ")
    assert any(line.startswith('  PK={"S": "bad"}: ') for line in lines(result.stderr))
    assert "Error: 1 items were not copied" in result.stderr


def test_a_backfill_that_is_refused_says_why(
    tables: Tables, job_machine: JobMachine, aws: Misbehaviour
) -> None:
    answer_mapping(tables, aws, state="Disabled")
    answer_stack(aws)
    job_machine.renew()

    result = run(*BACKFILL)

    assert result.exit_code == 2
    assert "is Disabled; later changes would be missed." in lines(result.stderr)[1]


def test_jobs_show_lists_a_backfill(tables: Tables, job_machine: JobMachine) -> None:
    tables.put(SOURCE, "item")
    job = job_of(run(*BACKFILL).stderr)

    (listed,) = json.loads(run("jobs", "show", "--json").stdout)["jobs"]
    shown = lines(run("jobs", "show", job).stdout)

    assert (listed["job"], listed["what"], listed["state"], listed["items"]) == (job, "backfill", "done", 1)
    assert "state       done" in shown
    assert "items       1 of about 1 copied" in shown
    assert lines(run("jobs", "show").stdout)[1].endswith(" UTC  1 copied")
    assert "progress    1 of 1 segments done" in shown
    assert any(line.startswith("write rate  ") for line in shown)


def test_a_redrive_is_always_a_new_job(tables: Tables) -> None:
    result = run("redrive", "--in-aws", "--new-job")

    assert result.exit_code == 2
    assert "No such option" in result.stderr
    assert "--new-job" not in run("redrive", "--help").stdout


@pytest.mark.parametrize(
    ("command", "has_one"), [("backfill", True), ("verify", True), ("redrive", False), ("load", False)]
)
def test_the_help_of_a_rate_has_the_default_of_a_job_where_it_has_one(command: str, has_one: bool) -> None:
    # Without spaces, since the help wraps at hyphens too.
    text = "".join(run(command, "--help").stdout.split())

    for option in ("--rateUNITS", *(() if command == "load" else ("--read-rateUNITS",))):
        default = text.partition(option)[2].partition("[default:")[2].partition("]")[0]
        assert default.endswith(";with--in-aws25%oftheprovisioned,maximumorwarmthroughput") == has_one


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (
            ("backfill", "--from-export", "s3://a/b"),
            "a backfill that runs in AWS does not have --from-export",
        ),
        (("backfill", "--segments", "2"), "a backfill that runs in AWS does not have --segments"),
        (("redrive", "--find", "{}"), "a redrive that runs in AWS does not have --find"),
        (("redrive", "--limit", "2"), "a redrive that runs in AWS does not have --limit"),
    ],
)
def test_an_option_that_a_job_does_not_have_is_refused(
    command: tuple[str, ...], named: str, tables: Tables
) -> None:
    result = run(*command, "--in-aws")

    assert result.exit_code == 2
    assert named in result.stderr


def test_a_repair_makes_the_tables_equal(tables: Tables, job_machine: JobMachine) -> None:
    tables.put(SOURCE, "missing")
    tables.put(REPLICA, "extra")

    compared = run("verify", "--in-aws", "--grace", "0")
    repaired = run("verify", "--in-aws", "--grace", "0", "--repair", "--rate", "50")

    assert (compared.exit_code, repaired.exit_code) == (1, 0)
    assert job_of(repaired.stderr) != job_of(compared.stderr)
    assert lines(repaired.stdout)[-1] == "repaired"
    assert tables.items(REPLICA) == tables.items(SOURCE)


def test_a_rate_requires_a_repair(tables: Tables) -> None:
    result = run("verify", "--in-aws", "--rate", "5")

    assert result.exit_code == 2
    assert lines(result.stderr)[-1] == "Error: --rate requires --repair."


def test_a_redrive_reconciles_what_is_in_doubt(
    tables: Tables, job_machine: JobMachine, kept_records: KeptRecords
) -> None:
    tables.put(SOURCE, "in doubt")
    record: Any = {
        "eventSourceARN": tables.client.describe_table(TableName=SOURCE)["Table"]["LatestStreamArn"],
        "dynamodb": {"Keys": {"PK": {"S": "in doubt"}}, "SequenceNumber": "1"},
        "eventName": "INSERT",
    }
    name = kept_records.quarantine(record, code="SuspectWrite", age=7200)

    result = run("redrive", "--in-aws")

    assert result.exit_code == 0
    assert result.stdout == "The redrive has ended.\n"
    assert lines(result.stderr)[0].startswith("Started the job redrive-2")
    assert lines(result.stderr)[1:] == ["Try: `ddbreplica status` shows the objects that stay."]
    assert "in doubt" in tables.items(REPLICA)
    assert f"done/{name}" in kept_records.names(QUARANTINE)


def test_a_redrive_that_fails_says_why(tables: Tables, job_machine: JobMachine, aws: Misbehaviour) -> None:
    def fail(payload: dict[str, Any]) -> None:
        raise ReadTimeoutError(endpoint_url="x")

    job_machine.before_invocation = fail

    result = run("redrive", "--in-aws")

    assert result.exit_code == 2
    assert "ReadTimeoutError" in lines(result.stderr)[1]
