"""`ddbreplica status` of a stack with workers: the jobs that run, and the next verification."""

import json
from datetime import UTC, datetime
from typing import Any

from tests.support.account import answer_tags
from tests.support.cli import REPLICA, Misbehaviour, Tables, lines, refusal, run
from tests.support.job_machine import JobMachine, answer_stack
from tests.support.kept_records import QUARANTINE, KeptRecords
from tests.support.on_failure import FUNCTION_ARN


def jobs() -> Any:
    return json.loads(run("status", "--json").stdout)["jobs"]


def rows() -> list[str]:
    return [line for line in lines(run("status").stdout) if line.startswith(("jobs", "next verify"))]


def test_a_stack_without_workers_has_no_rows(tables: Tables, kept_records: KeptRecords) -> None:
    assert jobs() is None
    assert rows() == []


def test_a_stack_with_workers_and_nothing_to_do(tables: Tables, job_machine: JobMachine) -> None:
    assert jobs() == {"running": [], "next_verification": None, "skipped": None}
    assert rows() == ["jobs        none is running", "next verify not scheduled"]


def test_the_jobs_that_run(tables: Tables, job_machine: JobMachine) -> None:
    job_machine.advances = False
    run("verify", "--in-aws", "--no-follow")
    (name,) = job_machine.runs

    (running,) = jobs()["running"]
    assert (running["job"], running["what"]) == (name.removesuffix("_1"), "verify")
    assert rows()[0].startswith(f"jobs        {running['job']} (verify) has been running since 2")


def test_the_next_verification_and_its_cost(
    tables: Tables, job_machine: JobMachine, aws: Misbehaviour
) -> None:
    answer_stack(aws, schedule="rate(1 day)")

    found = jobs()["next_verification"]

    assert (found["schedule"], found["enabled"], found["dollars_a_month"]) == ("rate(1 day)", True, 0.0)
    assert datetime.fromisoformat(found["at"]) > datetime.now(UTC)
    assert rows()[1].endswith("by the schedule rate(1 day); about $0.00 a month for read units")


def test_a_schedule_of_another_kind_is_shown_as_it_is(
    tables: Tables, job_machine: JobMachine, aws: Misbehaviour
) -> None:
    answer_stack(aws, schedule="cron(0 3 * * ? *)")

    assert rows()[1] == (
        "next verify cron(0 3 * * ? *), whose times are not computed; about $0.00 for the read units of each"
    )
    assert jobs()["next_verification"]["dollars"] == 0.0


def test_a_scheduled_verification_that_was_skipped_is_shown_until_another_one_has_ended(
    tables: Tables, job_machine: JobMachine
) -> None:
    job_machine.advances = False
    run("backfill", "--in-aws", "--no-follow")
    (running,) = job_machine.runs
    job_machine.runs[running].step()
    scheduled = job_machine.start("5f3c-11", {"what": "verify", "options": {}})
    scheduled.step()

    skipped = jobs()["skipped"]
    text = run("status").stdout

    assert (skipped["job"], skipped["other"]) == ("5f3c-11", running.removesuffix("_1"))
    sentence = f" was skipped, since the job {skipped['other']} ran\n"
    assert "            the scheduled one of 2" in text
    assert sentence in text
    shown = lines(run("jobs", "show", "5f3c-11").stdout)
    assert shown[1:3] == ["state       skipped", f"since       the job {skipped['other']} ran"]
    job_machine.end()
    run("verify", "--in-aws", "--grace", "0", "--no-follow")
    job_machine.end()
    assert jobs()["skipped"] is None


def test_a_damaged_note_of_a_skipped_verification_is_ignored(
    tables: Tables, job_machine: JobMachine, kept_records: KeptRecords
) -> None:
    kept_records.put(QUARANTINE, "jobs/mine/skipped.json", b"[]")

    assert jobs()["skipped"] is None


def test_the_fleet_has_the_jobs_of_each_pair(
    tables: Tables, job_machine: JobMachine, aws: Misbehaviour
) -> None:
    answer_stack(aws, schedule="rate(1 day)")
    answer_tags(aws, {FUNCTION_ARN: REPLICA})
    job_machine.advances = False
    job_machine.start("job_1", {"job": "job", "what": "verify", "options": {}})

    (pair,) = json.loads(run("status", "--all", "--json").stdout)["pairs"]
    text = lines(run("status", "--all").stdout)

    assert [each["job"] for each in pair["jobs"]["running"]] == ["job"]
    assert pair["jobs"]["next_verification"]["schedule"] == "rate(1 day)"
    assert "    running: job (verify)" in text
    assert any(line.startswith("    next verification: about 2") for line in text)


def test_what_cannot_be_read_is_unknown_with_the_reason(
    tables: Tables, job_machine: JobMachine, aws: Misbehaviour
) -> None:
    aws.on("before-call.sfn.ListExecutions", lambda **_: refusal("AccessDeniedException"))

    document = json.loads(run("status", "--json").stdout)

    assert document["jobs"]["running"] is None
    assert document["unknown"]["the jobs that run"].endswith("AccessDeniedException: why")
    aws.on("before-call.cloudformation.DescribeStackResource", lambda **_: refusal("AccessDenied"))
    document = json.loads(run("status", "--json").stdout)
    assert document["jobs"] is None
    assert "cannot be described: AccessDenied: why" in document["unknown"]["the jobs"]
    answer_tags(aws, {FUNCTION_ARN: REPLICA})
    assert any(
        line.startswith("    unknown: the jobs (the resources of the stack mine cannot be described")
        for line in lines(run("status", "--all").stdout)
    )
    assert rows()[0].startswith("jobs        unknown: the resources of the stack mine cannot be described")
