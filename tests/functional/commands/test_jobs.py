"""`ddbreplica jobs`: lists jobs, shows one with the reason why it failed, and stops one."""

import json
import signal
from datetime import UTC, datetime
from typing import Any

import pytest

from ddbreplica.driver import Interrupt
from ddbreplica.errors import TaskError
from ddbreplica.jobs import plan
from ddbreplica.jobs.control.stop import STOP_SECONDS
from ddbreplica.jobs.objects import document_bytes
from tests.support.cli import REPLICA, SOURCE, Misbehaviour, Tables, lines, refusal, run
from tests.support.job_machine import STACK, JobMachine
from tests.support.kept_records import QUARANTINE, KeptRecords, recreate_source
from tests.support.left_open import leave_open

NONE_OPEN = {"keys_left_open": 0, "left_open_until": None}
IN_AWS = ("verify", "--in-aws", "--grace", "0")


def start(*arguments: str) -> str:
    """Start a job without running it, and return its name."""
    result = run(*IN_AWS, "--new-job", "--no-follow", "--json", *arguments)
    return str(json.loads(result.stdout)["job"])


def listed() -> dict[str, Any]:
    document = json.loads(run("jobs", "show", "--json").stdout)
    assert document["stack"] == STACK
    return {each["job"]: each for each in document["jobs"]}


def shown(job: str) -> Any:
    return json.loads(run("jobs", "show", job, "--json").stdout)


def test_a_stack_without_jobs(tables: Tables, job_machine: JobMachine) -> None:
    result = run("jobs", "show")

    assert (result.exit_code, result.stdout) == (0, "The stack mine has no jobs.\n")


def test_the_list_has_each_job_with_its_state(tables: Tables, job_machine: JobMachine) -> None:
    tables.put_both("same")
    job_machine.run_to_the_end()
    equal = start()
    tables.put(SOURCE, "missing")
    different = start()
    job_machine.before_invocation = fail
    failed = start()
    job_machine.before_invocation = lambda _: None
    job_machine.runs_at_once = False
    running = start()
    job_machine.runs[f"{running}_1"].step()

    found = listed()

    assert {job: each["state"] for job, each in found.items()} == {
        equal: "equal",
        different: "not equal",
        failed: "failed",
        running: "running",
    }
    assert (found[equal]["items"], found[different]["items"], found[running]["items"]) == (2, 3, 0)
    head, *rows = lines(run("jobs", "show").stdout)
    assert head.split() == ["job", "what", "state", "began", "items"]
    (row,) = (row for row in rows if row.startswith(running))
    assert row.startswith(f"{running}  verify  running    2")
    assert row.endswith("UTC  0 of about 3 compared")


def fail(payload: dict[str, Any]) -> None:
    if payload["action"] == "work":
        raise TaskError("the source burns.", hint="leave.")


def test_the_newest_jobs_are_listed_first(
    tables: Tables, job_machine: JobMachine, kept_records: KeptRecords
) -> None:
    job_machine.run_to_the_end()
    first = start()
    name = f"jobs/{STACK}/{first}/plan.json"
    planned = json.loads(kept_records.body(QUARANTINE, name))
    earlier = {**planned, "began": "2026-11-01T00:00:00.000000+00:00"}
    kept_records.put(QUARANTINE, name, document_bytes(earlier))
    last = start()

    document = json.loads(run("jobs", "show", "--limit", "1", "--json").stdout)

    assert list(listed()) == [last, first]
    assert [each["job"] for each in document["jobs"]] == [last]


def test_a_job_that_failed_before_it_was_planned_is_listed_and_repeats_its_cause(
    tables: Tables, job_machine: JobMachine
) -> None:
    job_machine.run_to_the_end()
    job_machine.start("8c4b", {"what": "erase", "options": {}})

    assert listed()["8c4b"]["state"] == "failed"
    assert listed()["8c4b"]["what"] == "erase"
    found = shown("8c4b")
    assert (found["state"], found["cause"]) == ("failed", "'erase' is no kind of job.")
    assert found["plan"] is None
    text = run("jobs", "show", "8c4b")
    assert "cause       'erase' is no kind of job." in lines(text.stdout)
    assert lines(text.stderr) == [
        "Try: fix the cause, and run the command that has started the job again to resume it."
    ]


@pytest.mark.parametrize(("what", "state"), [("redrive", "done"), ("verify", "skipped")])
def test_an_execution_that_succeeded_without_a_plan(
    what: str, state: str, tables: Tables, job_machine: JobMachine
) -> None:
    execution = job_machine.start("8c4b", {"what": what, "options": {}})
    execution.status, execution.ended = "SUCCEEDED", datetime.now(UTC)

    assert (shown("8c4b")["state"], shown("8c4b")["what"]) == (state, what)


def test_a_job_in_detail(tables: Tables, job_machine: JobMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "ITEMS_OF_A_SEGMENT", 2)
    for name in ("a", "b", "c"):
        tables.put_both(name)
    tables.put(SOURCE, "missing")
    job_machine.run_to_the_end()
    job = start("--read-rate", "5")

    found = shown(job)

    assert (found["state"], found["what"], found["cause"]) == ("not equal", "verify", None)
    assert found["segments"] == {
        "done": 2,
        "of": 2,
        "items": 7,
        "excluded": 0,
        "about_items": 7,
        "failures": {},
        **NONE_OPEN,
    }
    assert found["pieces"] == {
        "done": 1,
        "of": 1,
        "items": 1,
        "excluded": 0,
        "about_items": 1,
        "failures": {},
        **NONE_OPEN,
    }
    assert found["report"]["missing"] == 1
    assert found["plan"]["read_rates"] == [5.0, 5.0]
    (attempt,) = found["attempts"]
    assert (attempt["name"], attempt["status"], attempt["cause"]) == (f"{job}_1", "SUCCEEDED", None)
    text = lines(run("jobs", "show", job).stdout)
    assert text[:3] == [f"job         {job}", "state       not equal", "what        verify"]
    assert "options     grace=0.0, limit=10, read_rate=5.0, rounds=3" in text
    assert "read rate   5 and 5 units per second" in text
    assert "items       7 of about 7 compared in both tables" in text
    assert "progress    2 of 2 segments done" in text
    assert text[-1] == "NOT EQUAL"


def test_a_job_that_failed_shows_the_segments_and_each_attempt(
    tables: Tables, job_machine: JobMachine, aws: Misbehaviour
) -> None:
    tables.put_both("same")
    job_machine.before_invocation = fail
    run(*IN_AWS)
    run(*IN_AWS)
    (job,) = listed()

    found = shown(job)

    assert (found["state"], found["cause"]) == ("failed", "segments were not compared: 0.")
    assert [each["cause"] for each in found["attempts"]] == ["segments were not compared: 0."] * 2
    assert found["segments"] == {
        "done": 0,
        "of": 1,
        "items": 0,
        "excluded": 0,
        "about_items": 2,
        "failures": {},
        **NONE_OPEN,
    }


def test_a_job_of_tables_that_were_recreated_repeats_the_message(
    tables: Tables, job_machine: JobMachine
) -> None:
    def recreate(payload: dict[str, Any]) -> None:
        if payload["action"] == "gather":
            recreate_source(datetime(2026, 10, 2, tzinfo=UTC))

    job_machine.before_invocation = recreate
    job_machine.run_to_the_end()
    job = start()

    assert "the source was recreated since the job was planned, or is another table" in shown(job)["cause"]
    assert "table/logfile, created at 2026-10-01 12:00:00 UTC, and is arn:" in shown(job)["cause"]
    source = next(line for line in lines(run("jobs", "show", job).stdout) if line.startswith("source "))
    assert source.endswith("table/logfile, created at 2026-10-01 12:00:00 UTC")


def test_a_scheduled_job_has_the_name_of_its_execution(tables: Tables, job_machine: JobMachine) -> None:
    job_machine.run_to_the_end()
    job_machine.start("5f3c-11", {"what": "verify", "options": {}})

    assert listed()["5f3c-11"]["state"] == "equal"
    assert [each["name"] for each in shown("5f3c-11")["attempts"]] == ["5f3c-11"]


def test_a_scheduled_job_that_failed_is_resumed_under_its_name(
    tables: Tables, job_machine: JobMachine
) -> None:
    job_machine.run_to_the_end()
    job_machine.before_invocation = fail
    job_machine.start("5f3c-11", {"what": "verify", "options": {}})
    job_machine.before_invocation = lambda _: None

    result = run("verify", "--in-aws", "--json")

    assert lines(result.stderr)[0].startswith("Resumed the job 5f3c-11, ")
    assert list(job_machine.runs) == ["5f3c-11", "5f3c-11_2"]


@pytest.mark.parametrize("command", ["show", "stop"])
@pytest.mark.parametrize("job", ["none", "../../lease", "x" * 90])
def test_a_job_that_does_not_exist_is_named(
    command: str, job: str, tables: Tables, job_machine: JobMachine
) -> None:
    result = run("jobs", command, job)

    assert result.exit_code == 2
    assert lines(result.stderr) == [
        f"Error: the job {job} does not exist in the stack mine.",
        "Try: `ddbreplica jobs show --stack-name mine` lists the jobs of the last 30 days.",
    ]


def test_a_job_of_another_function_is_refused(
    tables: Tables, job_machine: JobMachine, kept_records: KeptRecords
) -> None:
    job_machine.run_to_the_end()
    job = start()
    name = f"jobs/{STACK}/{job}/plan.json"
    body = kept_records.body(QUARANTINE, name).replace(b'"function":"ddbreplica"', b'"function":"other"')
    kept_records.put(QUARANTINE, name, body)

    result = run("jobs", "show", job)

    assert result.exit_code == 2
    assert lines(result.stderr)[0] == (
        "Error: the job is a verify of the function other, and not a verify of ddbreplica."
    )


def test_a_plan_of_another_version_is_named_and_does_not_hide_other_jobs(
    tables: Tables, job_machine: JobMachine, kept_records: KeptRecords
) -> None:
    job_machine.run_to_the_end()
    job = start()
    kept_records.put(QUARANTINE, f"jobs/{STACK}/later/plan.json", b'{"schema": 2}')

    assert list(listed()) == [job]
    result = run("jobs", "show", "later")
    assert result.exit_code == 2
    assert "the plan of the job was not written by this version" in result.stderr


def test_a_job_without_a_known_execution_is_unfinished(tables: Tables, job_machine: JobMachine) -> None:
    job = start()
    job_machine.runs[f"{job}_1"].step()
    job_machine.end()
    job_machine.runs.clear()
    unfinished = start()
    job_machine.runs[f"{unfinished}_1"].step()
    left = job_machine.runs.pop(f"{unfinished}_1")

    assert {each: listed()[each]["state"] for each in (job, unfinished)} == {
        job: "equal",
        unfinished: "unfinished",
    }
    while not left.is_over:
        left.step()


def test_stop_ends_the_execution_and_its_workers_and_lets_another_job_run(
    tables: Tables, job_machine: JobMachine
) -> None:
    tables.put_both("same")
    job_machine.advances = False
    job = start()
    execution = job_machine.runs[f"{job}_1"]
    execution.step()

    result = run("jobs", "stop", job)
    execution.step()
    job_machine.advances = True
    again = run(*IN_AWS, "--read-rate", "5")

    assert (result.exit_code, result.stdout) == (0, f"Stopped the job {job}.\n")
    assert lines(result.stderr) == ["Try: run the command that has started the job again to resume it."]
    assert listed()[job]["state"] == "stopped"
    assert shown(job)["segments"]["done"] == 0
    assert shown(job)["cause"] == "stopped by an operator"
    assert again.exit_code == 0


@pytest.mark.parametrize("more", [("--new-job",), ("--read-rate", "5")])
def test_another_job_is_not_started_while_one_runs(
    tables: Tables, job_machine: JobMachine, more: tuple[str, ...]
) -> None:
    """Its execution would fail, and set off the alarm of failed jobs."""
    job_machine.advances = False
    job = start()

    result = run(*IN_AWS, "--no-follow", *more)

    assert result.exit_code == 2
    assert lines(result.stderr) == [
        f"Error: the job {job} of the stack {STACK} runs.",
        f"Try: wait until it has ended, or stop it with `ddbreplica jobs stop --stack-name {STACK} {job}`.",
    ]
    assert [*job_machine.runs] == [f"{job}_1"]


def test_a_job_is_started_while_a_redrive_runs(tables: Tables, job_machine: JobMachine) -> None:
    tables.put_both("same")
    job_machine.advances = False
    run("redrive", "--in-aws", "--no-follow")
    job_machine.advances = True

    assert run(*IN_AWS).exit_code == 0


def test_a_job_that_was_stopped_is_resumed(tables: Tables, job_machine: JobMachine) -> None:
    tables.put_both("same")
    job = start()
    job_machine.runs[f"{job}_1"].step()
    run("jobs", "stop", job)

    result = run(*IN_AWS)

    assert result.exit_code == 0
    assert lines(result.stderr)[0].startswith(f"Resumed the job {job}, ")
    assert [each["status"] for each in shown(job)["attempts"]] == ["ABORTED", "SUCCEEDED"]


def stopped_backfill(job_machine: JobMachine) -> str:
    job_machine.advances = False
    job = str(json.loads(run("backfill", "--in-aws", "--no-follow", "--json").stdout)["job"])
    job_machine.runs[f"{job}_1"].step()
    return job


def test_the_keys_that_a_killed_worker_left_open_are_quarantined(
    tables: Tables, job_machine: JobMachine, kept_records: KeptRecords
) -> None:
    job = stopped_backfill(job_machine)
    leave_open(kept_records, job, hours_ago=2)

    result = run("jobs", "stop", job, "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "job": job,
        "attempt": f"{job}_1",
        "keys_quarantined": 1,
        "keys_left_open": 0,
        "left_open_until": None,
    }
    assert "Waiting 15 seconds for the workers to end." in result.stderr
    (name,) = (name for name in kept_records.names(QUARANTINE) if name.startswith("quarantine/"))
    assert json.loads(kept_records.body(QUARANTINE, name))["record"]["dynamodb"]["Keys"] == {
        "PK": {"S": "open"}
    }


def test_the_items_that_were_handed_over_are_not_counted_as_copied(
    tables: Tables, job_machine: JobMachine, kept_records: KeptRecords
) -> None:
    tables.put(SOURCE, "item")
    job = stopped_backfill(job_machine)
    leave_open(kept_records, job, hours_ago=2)
    run("jobs", "stop", job)
    job_machine.advances = True

    result = run("backfill", "--in-aws")

    assert result.exit_code == 0
    assert lines(result.stderr)[0].startswith(f"Resumed the job {job}, ")
    assert result.stdout.startswith("1 items copied in ")
    assert result.stdout.endswith(
        " 1 were put into the quarantine bucket when the job was stopped; a redrive copies them.\n"
    )
    assert listed()[job]["items"] == 1


def test_keys_whose_writes_may_still_land_wait_and_a_later_stop_hands_them_over(
    tables: Tables, job_machine: JobMachine, kept_records: KeptRecords
) -> None:
    job = stopped_backfill(job_machine)
    leave_open(kept_records, job, hours_ago=0)

    result = run("jobs", "stop", job)

    assert result.exit_code == 1
    assert "1 keys, whose writes may land until 2" in run("jobs", "show", job).stdout
    assert shown(job)["segments"]["keys_left_open"] == 1
    assert result.stdout == f"Stopped the job {job}.\n"
    assert "Error: in-doubt writes may still change 1 items until 2" in result.stderr
    again = run("jobs", "stop", job, "--json")
    assert again.exit_code == 1
    document = json.loads(again.stdout)
    assert (document["attempt"], document["keys_left_open"]) == (None, 1)
    assert not [name for name in kept_records.names(QUARANTINE) if name.startswith("quarantine/")]


def test_stop_lets_another_job_run_if_the_execution_was_ended_by_another_tool(
    tables: Tables, job_machine: JobMachine
) -> None:
    tables.put_both("same")
    job = stopped_backfill(job_machine)
    execution = job_machine.runs[f"{job}_1"]
    execution.status, execution.ended = "ABORTED", datetime.now(UTC)
    job_machine.advances = True
    refused = run(*IN_AWS)

    result = run("jobs", "stop", job)

    assert refused.exit_code == 2
    assert result.stdout == f"The job {job} does not run.\n"
    assert run(*IN_AWS).exit_code == 0


def test_the_keys_that_a_killed_worker_has_opened_are_shown_until_its_writes_have_landed(
    tables: Tables, job_machine: JobMachine, kept_records: KeptRecords
) -> None:
    job = stopped_backfill(job_machine)
    leave_open(kept_records, job, hours_ago=0)
    execution = job_machine.runs[f"{job}_1"]
    running = shown(job)["segments"]
    execution.status, execution.ended = "TIMED_OUT", datetime.now(UTC)

    found = shown(job)["segments"]

    assert (running["keys_left_open"], found["keys_left_open"]) == (0, 1)
    (row,) = (row for row in lines(run("jobs", "show", job).stdout) if row.startswith("waiting"))
    assert row.startswith("waiting     1 keys, whose writes may land until 2")
    assert row.endswith(" UTC")
    assert "items       0 of about 0 copied" in lines(run("jobs", "show", job).stdout)


def test_the_keys_of_tables_that_were_recreated_are_not_handed_over(
    tables: Tables, job_machine: JobMachine, kept_records: KeptRecords
) -> None:
    job = stopped_backfill(job_machine)
    leave_open(kept_records, job, hours_ago=2)
    recreate_source(datetime(2026, 10, 2, tzinfo=UTC))

    result = run("jobs", "stop", job)

    assert result.exit_code == 2
    assert f"Error: the job {job} is of other tables" in result.stderr
    assert listed()[job]["state"] == "stopped"


def test_a_stop_that_was_interrupted_waits_as_well_before_it_takes_the_states(
    tables: Tables, job_machine: JobMachine, kept_records: KeptRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that still copies a page loses its state, and its keys would have to wait for half an hour."""
    job = stopped_backfill(job_machine)
    leave_open(kept_records, job, hours_ago=2)
    monkeypatch.setattr(Interrupt, "sleep", lambda *_: signal.raise_signal(signal.SIGINT))
    interrupted = run("jobs", "stop", job)
    slept: list[float] = []
    monkeypatch.setattr(Interrupt, "sleep", lambda _, seconds: slept.append(seconds))

    result = run("jobs", "stop", job, "--json")

    assert interrupted.exit_code == 130
    assert result.exit_code == 0
    assert json.loads(result.stdout)["keys_quarantined"] == 1
    (seconds,) = slept
    assert 0 < seconds <= STOP_SECONDS
    assert lines(result.stderr)[0].startswith("Waiting ")


def test_a_job_that_was_stopped_some_time_ago_is_not_waited_for(
    tables: Tables, job_machine: JobMachine, kept_records: KeptRecords
) -> None:
    job = stopped_backfill(job_machine)
    run("jobs", "stop", job)
    kept_records.make_older(QUARANTINE, f"jobs/{STACK}/{job}/stop-{job}_1", 60)

    result = run("jobs", "stop", job)

    assert (result.exit_code, result.stdout) == (0, f"The job {job} does not run.\n")
    assert "Waiting" not in result.stderr


@pytest.mark.parametrize("command", [("verify", "--grace", "0"), ("backfill",)])
def test_a_job_that_has_ended_is_not_stopped(
    command: tuple[str, ...], tables: Tables, job_machine: JobMachine
) -> None:
    job_machine.run_to_the_end()
    job = str(json.loads(run(*command, "--in-aws", "--no-follow", "--json").stdout)["job"])

    result = run("jobs", "stop", job)

    assert result.exit_code == 2
    assert lines(result.stderr) == [
        f"Error: the job {job} has ended, and there is nothing to stop.",
        f"Try: `ddbreplica jobs show {job}` shows its result.",
    ]


def test_the_keys_of_a_job_that_has_ended_are_handed_over(
    tables: Tables, job_machine: JobMachine, kept_records: KeptRecords
) -> None:
    job = stopped_backfill(job_machine)
    leave_open(kept_records, job, hours_ago=2)
    execution = job_machine.runs[f"{job}_1"]
    execution.status, execution.ended = "SUCCEEDED", datetime.now(UTC)

    result = run("jobs", "stop", job)

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"The job {job} has ended. 1 keys are in the quarantine bucket now.\n"


@pytest.mark.parametrize(
    ("operation", "command", "said"),
    [
        ("ListExecutions", "show", "the executions of the state machine cannot be listed"),
        ("StopExecution", "stop", "_1 cannot be stopped"),
    ],
)
def test_a_refusal_of_step_functions_is_shown(
    operation: str, command: str, said: str, tables: Tables, job_machine: JobMachine, aws: Misbehaviour
) -> None:
    job = start()
    aws.on(f"before-call.sfn.{operation}", lambda **_: refusal("AccessDeniedException"))

    result = run("jobs", command, *((job,) if command == "stop" else ()))

    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize("command", [("jobs", "show"), ("verify", "--in-aws"), ("backfill", "--in-aws")])
def test_a_quarantine_bucket_that_was_deleted_is_named(
    command: tuple[str, ...], tables: Tables, job_machine: JobMachine, kept_records: KeptRecords
) -> None:
    kept_records.client.delete_bucket(Bucket=QUARANTINE)

    result = run(*command)

    assert result.exit_code == 2
    assert lines(result.stderr) == [
        f"Error: the bucket {QUARANTINE} does not exist.",
        (
            "Try: check --stack-name, --profile and --endpoint-url; if it was deleted, create it again as template.yaml"
            " does."
        ),
    ]


def test_the_replica_is_not_read(tables: Tables, job_machine: JobMachine) -> None:
    tables.client.delete_table(TableName=REPLICA)

    assert run("jobs", "show").exit_code == 0
