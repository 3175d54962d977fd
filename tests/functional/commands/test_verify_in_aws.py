"""`ddbreplica verify --in-aws`: the same result as locally, from a job that others may follow and resume."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import Result

from ddbreplica.driver import Interrupt
from ddbreplica.errors import TaskError
from ddbreplica.jobs import plan
from ddbreplica.jobs.verify import report
from ddbreplica_cli.terminal import minute_lines
from tests.support.cli import (
    REPLICA,
    SOURCE,
    Misbehaviour,
    Tables,
    lines,
    press_ctrl_c,
    refusal,
    run,
)
from tests.support.job_machine import STACK, JobMachine, answer_stack
from tests.support.kept_records import QUARANTINE, answer_mapping, recreate_source

IN_AWS = ("verify", "--in-aws", "--grace", "0")


def put_differences(tables: Tables) -> None:
    for number in range(30):
        tables.put_both(f"same{number}", v={"N": "1"})
    tables.put(SOURCE, "missing")
    tables.put(REPLICA, "extra")
    tables.put(SOURCE, "different", v={"N": "1"})
    tables.put(REPLICA, "different", v={"N": "2"})


def job_of(result: Result) -> str:
    """Return the job that the first line of stderr names."""
    return lines(result.stderr)[0].partition(" job ")[2].split()[0].strip(",.")


def without_times(document: Any) -> Any:
    differences = sorted(json.dumps(each, sort_keys=True) for each in document["differences"])
    return {**document, "began": None, "seconds": None, "differences": differences}


def test_a_job_prints_what_the_command_prints(tables: Tables, job_machine: JobMachine) -> None:
    put_differences(tables)

    here, there = run("verify", "--grace", "0", "--json"), run(*IN_AWS, "--json")

    assert here.exit_code == there.exit_code == 1
    assert without_times(json.loads(there.stdout)) == without_times(json.loads(here.stdout))
    assert json.loads(there.stdout)["missing"] == 1


def test_a_job_shows_what_the_command_shows(tables: Tables, job_machine: JobMachine) -> None:
    tables.put_both("same")
    tables.put(SOURCE, "missing")

    here, there = run("verify", "--grace", "0"), run(*IN_AWS)

    assert here.exit_code == there.exit_code == 1
    assert [line for line in lines(there.stdout) if "seconds" not in line] == [
        line for line in lines(here.stdout) if "seconds" not in line
    ]
    started, *rest = lines(there.stderr)
    assert started.startswith("Started the job verify-2")
    assert rest == ["Try: run the same command with --repair."]


def test_equal_tables_are_equal(tables: Tables, job_machine: JobMachine) -> None:
    tables.put_both("same")

    result = run(*IN_AWS)

    assert (result.exit_code, lines(result.stdout)[-1]) == (0, "equal")


def test_the_execution_gets_the_job_and_its_options(tables: Tables, job_machine: JobMachine) -> None:
    result = run(*IN_AWS, "--read-rate", "50", "--eventually-consistent")

    (execution,) = job_machine.runs.values()
    assert execution.name == f"{job_of(result)}_1"
    assert execution.given["job"] == job_of(result)
    assert execution.given["what"] == "verify"
    assert execution.given["options"] == {
        "eventually_consistent": True,
        "grace": 0.0,
        "rounds": 3,
        "read_rate": 50.0,
        "limit": 10,
        "no_values": False,
        "without_mapping": False,
        "archive": False,
        "repair": False,
        "rate": None,
    }


def test_a_command_that_does_not_follow_exits_with_0_and_another_one_follows(
    tables: Tables, job_machine: JobMachine
) -> None:
    tables.put(SOURCE, "missing")

    started = run(*IN_AWS, "--no-follow", "--json")
    followed = run(*IN_AWS)

    document = json.loads(started.stdout)
    job = document["job"]
    assert started.exit_code == 0
    assert document == {"job": job, "attempt": f"{job}_1", "resumed": False}
    assert lines(started.stderr) == [f"Try: `ddbreplica jobs show {job}` shows how far it has come."]
    assert lines(followed.stderr)[0].startswith(f"The job {job} has been running since 2")
    assert (followed.exit_code, lines(followed.stdout)[-1]) == (1, "NOT EQUAL")
    assert len(job_machine.runs) == 1


def test_ctrl_c_ends_the_command_and_not_the_job(
    tables: Tables, job_machine: JobMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.put_both("same")
    monkeypatch.setattr(Interrupt, "sleep", lambda *_: press_ctrl_c())

    left = run(*IN_AWS, "--json", "--source", SOURCE)
    monkeypatch.setattr(Interrupt, "sleep", lambda *_: None)
    back = run(*IN_AWS, "--source", SOURCE)

    job = job_of(left)
    assert left.exit_code == 130
    assert lines(left.stderr)[1:] == [
        f"Error: the job {job} runs on in AWS.",
        f"Try: run the same command again to follow it, or `ddbreplica jobs stop {job} --source logfile` to stop it.",
    ]
    assert json.loads(left.stdout)["job"] == job
    assert back.exit_code == 0
    assert [execution.status for execution in job_machine.runs.values()] == ["SUCCEEDED"]


def fail_work(times: int) -> Callable[[dict[str, Any]], None]:
    left = [times]

    def fail(payload: dict[str, Any]) -> None:
        if payload["action"] == "work" and left[0]:
            left[0] -= 1
            raise TaskError("the source burns.", hint="leave.")

    return fail


def test_a_job_that_failed_says_why_and_is_resumed(tables: Tables, job_machine: JobMachine) -> None:
    tables.put_both("same")
    job_machine.before_invocation = fail_work(5)

    failed = run(*IN_AWS)
    resumed = run(*IN_AWS)

    job = job_of(failed)
    assert failed.exit_code == 2
    assert lines(failed.stderr)[1:] == [
        "Error: segments were not compared: 0.",
        f"Try: fix the cause, and run the same command again; `ddbreplica jobs show {job}` shows the job.",
    ]
    assert resumed.exit_code == 0
    assert lines(resumed.stderr)[0].startswith(f"Resumed the job {job}, which was planned at ")
    assert list(job_machine.runs) == [f"{job}_1", f"{job}_2"]


@pytest.mark.parametrize("arguments", [("--read-rate", "5"), ("--new-job",)], ids=" ".join)
def test_other_options_or_a_request_start_a_new_job(
    arguments: tuple[str, ...], tables: Tables, job_machine: JobMachine
) -> None:
    job_machine.before_invocation = fail_work(5)
    failed = run(*IN_AWS)

    again = run(*IN_AWS, *arguments)

    assert again.exit_code == 0
    assert lines(again.stderr)[0].startswith("Started the job ")
    assert job_of(again) != job_of(failed)


def test_a_job_of_tables_that_were_recreated_is_not_resumed(tables: Tables, job_machine: JobMachine) -> None:
    job_machine.before_invocation = fail_work(5)
    failed = run(*IN_AWS)
    recreate_source(datetime(2026, 10, 2, tzinfo=UTC))

    again = run(*IN_AWS)

    assert again.exit_code == 0
    assert job_of(again) != job_of(failed)


def test_a_job_that_has_ended_is_not_resumed(tables: Tables, job_machine: JobMachine) -> None:
    assert job_of(run(*IN_AWS)) != job_of(run(*IN_AWS))


def test_a_table_that_is_recreated_meanwhile_ends_the_job(tables: Tables, job_machine: JobMachine) -> None:
    def recreate(payload: dict[str, Any]) -> None:
        if payload["action"] == "work":
            recreate_source(datetime(2026, 10, 2, tzinfo=UTC))

    job_machine.before_invocation = recreate

    result = run(*IN_AWS)

    assert result.exit_code == 2
    assert "segments were not compared: 0" in result.stderr


def test_a_plan_that_is_refused_ends_the_command_with_its_message(
    tables: Tables, job_machine: JobMachine
) -> None:
    holder = run(*IN_AWS, "--no-follow", "--json")
    job_machine.runs[json.loads(holder.stdout)["attempt"]].step()

    result = run(*IN_AWS, "--read-rate", "5")

    job = json.loads(holder.stdout)["job"]
    assert result.exit_code == 2
    assert f"Error: the job {job} of the stack {STACK} runs." in lines(result.stderr)


def test_a_job_that_is_stopped_meanwhile_ends_the_command(tables: Tables, job_machine: JobMachine) -> None:
    def stop(payload: dict[str, Any]) -> None:
        if payload["action"] == "work":
            job_machine.runs[payload["attempt"]].status = "ABORTED"

    job_machine.before_invocation = stop

    result = run(*IN_AWS)

    assert result.exit_code == 2
    assert f"Error: the job {job_of(result)} was stopped." in lines(result.stderr)


def test_a_job_without_a_report_is_an_error(
    tables: Tables, job_machine: JobMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "report", lambda *_: None)

    result = run(*IN_AWS)

    assert result.exit_code == 2
    assert lines(result.stderr)[1] == f"Error: the job {job_of(result)} ended without a report."


def test_progress_has_the_segments(
    tables: Tables, job_machine: JobMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "ITEMS_OF_A_SEGMENT", 10)
    for number in range(20):
        tables.put_both(f"same{number}")
    shown: list[str] = []

    class Step(minute_lines.Step):
        def advance(self, items: int) -> None:
            super().advance(items)
            shown.append(self.text())

    monkeypatch.setattr(minute_lines, "Step", Step)

    assert run(*IN_AWS).exit_code == 0
    assert len(shown) == 2
    assert shown[0].startswith("comparing in AWS: ")
    assert shown[0].endswith("1 of 2 segments done")
    assert shown[1].endswith("2 of 2 segments done")
    assert shown[1].startswith("comparing in AWS: 40, ")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--sample", "0.5"), "--sample"),
        (("--segments", "4"), "--segments"),
        (("--dry-run",), "--dry-run"),
        (("--report", "x.jsonl", "--state", "x"), "--report, --state"),
    ],
)
def test_an_option_that_a_job_does_not_have_is_refused_by_name(
    arguments: tuple[str, ...], named: str, tables: Tables
) -> None:
    result = run(*IN_AWS, *arguments)

    assert result.exit_code == 2
    assert lines(result.stderr)[-1] == (
        f"Error: a verification that runs in AWS does not have {named}."
        " Try: leave it out, or run the command without --in-aws."
    )


@pytest.mark.parametrize("option", ["--new-job", "--no-follow"])
def test_an_option_of_a_job_requires_one(option: str, tables: Tables) -> None:
    result = run("verify", option)

    assert result.exit_code == 2
    assert lines(result.stderr)[-1] == f"Error: {option} requires --in-aws."


def test_a_limit_that_a_job_does_not_have_is_refused(tables: Tables, job_machine: JobMachine) -> None:
    result = run(*IN_AWS, "--limit", "101")

    assert result.exit_code == 2
    assert lines(result.stderr)[0] == "Error: the option limit of the verification is 101."


def test_a_stack_without_workers_is_an_error(
    tables: Tables, job_machine: JobMachine, aws: Misbehaviour
) -> None:
    aws.on("before-call.cloudformation.DescribeStackResource", lambda **_: refusal("ValidationError"))

    result = run(*IN_AWS)

    assert result.exit_code == 2
    assert lines(result.stderr) == [
        "Error: the stack mine has no workers.",
        "Try: deploy the stack with the parameter Workers=true (docs/deployment.md).",
    ]


def test_a_function_that_no_stack_has_made_is_an_error(
    tables: Tables, job_machine: JobMachine, aws: Misbehaviour
) -> None:
    answer = SimpleNamespace(status_code=200), {"Tags": {"ddbreplica": REPLICA}}
    aws.on("before-call.lambda.ListTags", lambda **_: answer)

    result = run(*IN_AWS)

    assert result.exit_code == 2
    assert lines(result.stderr)[0] == "Error: the function ddbreplica belongs to no CloudFormation stack."


def test_a_pair_without_a_mapping_is_an_error(
    tables: Tables, job_machine: JobMachine, aws: Misbehaviour
) -> None:
    answer_mapping(tables, aws, mapped=False)

    result = run(*IN_AWS)

    assert result.exit_code == 2
    assert lines(result.stderr)[0] == (
        "Error: no event source mapping of a function with the tag ddbreplica replicates the source to the replica."
    )


def test_a_bucket_that_is_gone_is_named(tables: Tables, job_machine: JobMachine, aws: Misbehaviour) -> None:
    answer_mapping(tables, aws, QUARANTINE_BUCKET="gone")
    answer_stack(aws)

    result = run(*IN_AWS)

    assert result.exit_code == 2
    assert lines(result.stderr)[0] == "Error: the bucket gone does not exist."


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        ("StartExecution", "cannot be started: AccessDeniedException: why"),
        ("DescribeExecution", "cannot be described: AccessDeniedException: why"),
    ],
)
def test_a_refusal_of_step_functions_is_shown(
    operation: str, said: str, tables: Tables, job_machine: JobMachine, aws: Misbehaviour
) -> None:
    aws.on(f"before-call.sfn.{operation}", lambda **_: refusal("AccessDeniedException"))

    result = run(*IN_AWS)

    assert result.exit_code == 2
    assert said in result.stderr


def test_the_objects_of_a_job_are_in_the_folder_of_the_stack(
    tables: Tables, job_machine: JobMachine, kept_records: Any
) -> None:
    result = run(*IN_AWS)

    names = [name for name in kept_records.names(QUARANTINE) if name.startswith(f"jobs/{STACK}/")]
    assert f"jobs/{STACK}/{job_of(result)}/report.json" in names
