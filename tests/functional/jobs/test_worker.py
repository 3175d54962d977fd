"""worker: jobs on emulated tables and an emulated bucket, with the function's configuration as Lambda has it."""

import json
from collections.abc import Mapping
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest

from ddbreplica import worker
from ddbreplica.errors import TaskError
from ddbreplica.jobs import pair
from ddbreplica.jobs.pair import FunctionPair
from ddbreplica.jobs.payload import Payload
from ddbreplica.model import INTERRUPTED
from ddbreplica.transform.parse import parse
from tests.support.cli import REPLICA, SOURCE, Misbehaviour, Tables
from tests.support.cli import run as cli
from tests.support.function import Context
from tests.support.kept_records import QUARANTINE, KeptRecords, answer_mapping
from tests.support.on_failure import MAPPING
from tests.support.records import put
from tests.support.redriven import mapping

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

NAMES = {"function": "ddbreplica", "stack": "orders", "job": "job-1", "attempt": "job-1-1"}
PLAN: dict[str, Any] = {
    "what": "verify",
    "options": {"grace": 0},
    "scheduled": False,
    "concurrency": 10,
    "max_units": 0,
}


@pytest.fixture
def mapped(kept_records: KeptRecords, aws: Misbehaviour) -> KeptRecords:
    answer_concurrency(aws)
    return kept_records


def answer_concurrency(aws: Misbehaviour, unreserved: int = 1000) -> None:
    answer = {"AccountLimit": {"UnreservedConcurrentExecutions": unreserved}}
    aws.on("before-call.lambda.GetAccountSettings", lambda **_: (SimpleNamespace(status_code=200), answer))


def invoke(action: str, *, seconds: float = 900, **members: Any) -> Any:
    context = cast("LambdaContext", Context(seconds_left=seconds))
    return worker.lambda_handler({"action": action, **NAMES, **members}, context)


def run(kept: KeptRecords, plan: Mapping[str, Any] = PLAN) -> Any:
    """Run a job as the state machine does, and return its report."""
    assert invoke("plan", **plan) == {"skipped": False, "failed": ""}
    for line in lines(kept, "segments"):
        assert invoke("work", line=line) == {"done": True, "wait_seconds": 0, "failed": ""}
    gathered = invoke("gather")
    assert gathered["failed"] == ""
    for line in lines(kept, "pieces") if gathered["pieces"] else ():
        assert invoke("confirm", line=line) == {"done": True, "wait_seconds": 0, "failed": ""}
    assert invoke("report") == {"failed": ""}
    return json.loads(kept.body(QUARANTINE, "jobs/orders/job-1/report.json"))


def lines(kept: KeptRecords, what: str) -> list[Any]:
    return [
        json.loads(line) for line in kept.body(QUARANTINE, f"jobs/orders/job-1/{what}.jsonl").splitlines()
    ]


def test_a_job_finds_what_the_command_finds(tables: Tables, mapped: KeptRecords) -> None:
    for number in range(30):
        tables.put_both(f"same{number}", v={"N": "1"})
    tables.put(SOURCE, "missing")
    tables.put(REPLICA, "extra")
    tables.put(SOURCE, "different", v={"N": "1"})
    tables.put(REPLICA, "different", v={"N": "2"})

    found = run(mapped)

    command = json.loads(cli("verify", "--grace", "0", "--json").stdout)
    changing = dict.fromkeys(("began", "seconds", "differences"))
    assert {**found, **changing} == {**command, **changing}
    assert found["verdict"] == "not equal"
    assert in_order(found["differences"]) == in_order(command["differences"])
    (record,) = (
        each["Key"]
        for each in boto3.client("s3").list_objects_v2(Bucket=QUARANTINE, Prefix="verifications/")["Contents"]
        if found["began"][:23] in each["Key"]
    )
    assert json.loads(mapped.body(QUARANTINE, record))["verdict"] == "not equal"


def test_the_report_and_the_record_of_a_job_have_the_transform(
    tables: Tables, mapped: KeptRecords, aws: Misbehaviour
) -> None:
    answer_mapping(tables, aws, TRANSFORM='{"drop":["other"]}')
    tables.put(SOURCE, "a", other={"S": "x"})
    tables.put(REPLICA, "a")

    found = run(mapped)

    listed = boto3.client("s3").list_objects_v2(Bucket=QUARANTINE, Prefix="verifications/")["Contents"]
    (name,) = (each["Key"] for each in listed)
    digest = parse('{"drop":["other"]}').digest(None)
    assert (found["verdict"], found["transform"]) == ("equal", digest)
    assert json.loads(mapped.body(QUARANTINE, name))["transform"] == digest


BACKFILL = {**PLAN, "what": "backfill", "options": {}}


def test_a_backfill_copies_what_the_command_copies(tables: Tables, mapped: KeptRecords) -> None:
    for number in range(250):
        tables.put(SOURCE, f"item{number}", v={"N": f"{number}"})
    tables.put(REPLICA, "item7", v={"N": "0"})

    copied = run(mapped, BACKFILL)

    assert (copied["items"], copied["left"], copied["attention"]) == (250, 0, [])
    assert json.loads(cli("verify", "--grace", "0", "--json").stdout)["verdict"] == "equal"
    assert not [name for name in mapped.names(QUARANTINE) if name.startswith("quarantine/")]


def test_a_repair_repairs_what_the_command_repairs(tables: Tables, mapped: KeptRecords) -> None:
    tables.put(SOURCE, "missing")
    tables.put(REPLICA, "extra")
    tables.put(SOURCE, "different", v={"N": "1"})
    tables.put(REPLICA, "different", v={"N": "2"})

    found = run(mapped, {**PLAN, "options": {"grace": 0, "repair": True}})

    assert (found["verdict"], found["repaired"], found["attention"]) == ("repaired", 3, [])
    assert json.loads(cli("verify", "--grace", "0", "--json").stdout)["verdict"] == "equal"


def test_a_repair_is_refused_if_the_mapping_reads_another_stream(tables: Tables, mapped: KeptRecords) -> None:
    with pytest.raises(TaskError, match="no event source mapping"):
        FunctionPair.of("ddbreplica").refuse_unrepairable(None)


def test_a_backfill_is_refused_while_the_mapping_is_disabled(
    tables: Tables, mapped: KeptRecords, aws: Misbehaviour
) -> None:
    answer_mapping(tables, aws, state="Disabled")

    assert invoke("plan", **BACKFILL)["failed"] == (
        f"the mapping {MAPPING} is Disabled; later changes would be missed."
    )
    assert invoke("plan", **{**BACKFILL, "options": {"without_mapping": True}})["failed"] == ""


def test_a_backfill_is_refused_if_the_mapping_reads_another_stream(
    tables: Tables, mapped: KeptRecords
) -> None:
    with pytest.raises(TaskError, match="no event source mapping"):
        FunctionPair.of("ddbreplica").refuse_unsafe(
            "arn:aws:dynamodb:us-east-1:123456789012:table/x/stream/2"
        )


@pytest.mark.parametrize(("values", "is_throttled"), [([], False), ([0.0], False), ([0.0, 3.0], True)])
def test_throttles_of_the_function_are_read_from_its_metrics(
    values: list[float], is_throttled: bool, tables: Tables, mapped: KeptRecords, aws: Misbehaviour
) -> None:
    found = FunctionPair.of("ddbreplica")
    found.describe()
    for value in values:
        boto3.client("cloudwatch").put_metric_data(
            Namespace="AWS/Lambda",
            MetricData=[
                {
                    "MetricName": "Throttles",
                    "Dimensions": [{"Name": "FunctionName", "Value": "ddbreplica"}],
                    "Timestamp": found.clock.moment - timedelta(seconds=90),
                    "Value": value,
                }
            ],
        )

    assert found.is_function_throttled() is is_throttled


def test_throttles_that_cannot_be_read_are_none(
    tables: Tables, mapped: KeptRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise TaskError("the metrics cannot be read.", hint="allow it.")

    monkeypatch.setattr(pair, "read_series", refuse)

    assert not FunctionPair.of("ddbreplica").is_function_throttled()


def test_a_redrive_reconciles_what_is_in_doubt_and_what_was_discarded(
    tables: Tables, mapped: KeptRecords, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("interrupted", "discarded", "poison"):
        tables.put(SOURCE, name)
    mapped.quarantine(put(1, "interrupted"), code=INTERRUPTED)
    mapped.quarantine(put(2, "poison"))
    mapped.discard(put(3, "discarded"), put(4, "deleted"))
    tables.put(REPLICA, "deleted")

    assert invoke("redrive") == {"failed": ""}

    assert sorted(tables.items(REPLICA)) == ["discarded", "interrupted"]
    waiting = [name for name in mapped.names(QUARANTINE) if name.startswith("quarantine/")]
    assert [json.loads(mapped.body(QUARANTINE, name))["error_code"] for name in waiting] == [
        "ValidationException"
    ]
    (metrics,) = (line for line in map(json.loads, capsys.readouterr().out.splitlines()) if "_aws" in line)
    assert metrics["HoursSinceVerification"] == [pytest.approx(0, abs=0.1)]


def test_equal_tables_are_equal(tables: Tables, mapped: KeptRecords) -> None:
    tables.put_both("same")

    assert run(mapped)["verdict"] == "equal"


def test_an_archive_and_a_filter_are_those_of_the_function(
    tables: Tables, mapped: KeptRecords, aws: Misbehaviour
) -> None:
    keys = {"dynamodb": {"Keys": {"PK": {"S": [{"prefix": "in"}]}}}}
    answer_mapping(tables, aws, patterns=[keys], REPLICATE_TTL_DELETES="false")
    tables.put(REPLICA, "in: expired")
    tables.put(REPLICA, "out")

    found = run(mapped)

    assert (found["verdict"], found["archived"], found["replica_outside"]) == ("equal", 1, 1)
    assert found["looked_at"] == "everything within the filter, as an archive"


def test_the_mapping_is_ignored_if_asked_for(tables: Tables, mapped: KeptRecords, aws: Misbehaviour) -> None:
    keys = {"dynamodb": {"Keys": {"PK": {"S": [{"prefix": "in"}]}}}}
    answer_mapping(tables, aws, patterns=[keys], REPLICATE_TTL_DELETES="false")

    preflight = FunctionPair.of("ddbreplica").preflight(without_mapping=True, archive=False)

    assert preflight.key_filter.patterns == ()
    assert preflight.is_archive


def test_settings_that_change_after_the_plan_end_the_job(
    tables: Tables, mapped: KeptRecords, aws: Misbehaviour
) -> None:
    invoke("plan", **PLAN)
    answer_mapping(tables, aws, REPLICATE_TTL_DELETES="false")

    pair._clients.cache_clear()
    response = invoke("work", line={"segments": [0]})

    assert "into an archive" in response["failed"]


def test_the_workers_environment_is_not_read(
    tables: Tables, mapped: KeptRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REPLICA_TABLE_NAME", "QUARANTINE_BUCKET", "REPLICA_REGION", "REPLICA_ROLE_ARN"):
        monkeypatch.setenv(name, "wrong")
    monkeypatch.setenv("REPLICATE_TTL_DELETES", "false")
    tables.put_both("same")

    assert run(mapped)["looked_at"] == "everything"


def test_a_replica_in_another_region_and_account_is_read_as_its_role(
    tables: Tables, mapped: KeptRecords, aws: Misbehaviour
) -> None:
    role = "arn:aws:iam::222222222222:role/replica-writer"
    answer_mapping(
        tables, aws, REPLICA_REGION="eu-west-1", REPLICA_ROLE_ARN=role, REPLICA_EXTERNAL_ID="secret"
    )

    connection = FunctionPair.of("ddbreplica").connection

    assert connection.replica.region == "eu-west-1"
    assert connection.functions.meta.region_name == "us-east-1"
    credentials: Any = connection._replica_clients._session.get_credentials()
    assert credentials._request == {
        "RoleArn": role,
        "RoleSessionName": "ddbreplica",
        "ExternalId": "secret",
    }
    assert connection.replica.dynamodb().meta.region_name == "eu-west-1"


def test_a_source_in_another_account_is_named_by_its_arn() -> None:
    table = "arn:aws:dynamodb:us-east-1:333333333333:table/orders"

    foreign = pair._location(
        mapping(stream_arn=f"{table}/stream/x", environment={"REPLICA_TABLE_NAME": "copy"})
    )

    assert (foreign.source, foreign.replica) == (table, "copy")


@pytest.mark.parametrize("missing", ["REPLICA_TABLE_NAME", "QUARANTINE_BUCKET"])
def test_a_function_of_another_project_is_refused(
    missing: str, tables: Tables, mapped: KeptRecords, aws: Misbehaviour
) -> None:
    variables: dict[str, Any] = {missing: ""}
    answer_mapping(tables, aws, **variables)

    assert "the function ddbreplica has no environment variable" in invoke("plan", **PLAN)["failed"]
    with pytest.raises(TaskError, match="has no environment variable"):
        invoke("work", line={"segments": [0]})


def test_a_function_without_a_mapping_is_refused(
    tables: Tables, mapped: KeptRecords, aws: Misbehaviour
) -> None:
    answer_mapping(tables, aws, mapped=False)

    failed = invoke("plan", **PLAN)["failed"]

    assert failed == "the function ddbreplica has 0 event source mappings of DynamoDB streams, and not one."


def test_the_mappings_of_the_function_alone_are_listed(mapped: KeptRecords, aws: Misbehaviour) -> None:
    asked: list[Any] = []
    aws.on(
        "before-call.lambda.ListEventSourceMappings", lambda params, **_: asked.append(params["query_string"])
    )

    found = FunctionPair.of("ddbreplica")

    assert [each["FunctionName"] for each in asked] == ["ddbreplica"]
    assert found.mapping.uuid == MAPPING


def test_a_plan_needs_the_accounts_concurrency(kept_records: KeptRecords, aws: Misbehaviour) -> None:
    denied = SimpleNamespace(status_code=403), {"Error": {"Code": "AccessDeniedException", "Message": "no"}}
    aws.on("before-call.lambda.GetAccountSettings", lambda **_: denied)

    assert invoke("plan", **PLAN)["failed"] == (
        "the account's concurrency cannot be read: AccessDeniedException: no"
    )


def test_a_bucket_that_is_gone_ends_the_job(tables: Tables, mapped: KeptRecords, aws: Misbehaviour) -> None:
    answer_mapping(tables, aws, QUARANTINE_BUCKET="gone")

    assert "the bucket gone does not exist" in invoke("plan", **PLAN)["failed"]


def test_each_invocation_logs_its_task(
    tables: Tables, mapped: KeptRecords, capsys: pytest.CaptureFixture[str]
) -> None:
    run(mapped)
    with pytest.raises(TaskError):
        invoke("work", line={"segments": [9]})

    written = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (metrics,) = (line for line in written if "_aws" in line)
    assert (metrics["FunctionName"], metrics["ReplicaTable"]) == ("ddbreplica", REPLICA)
    logged = [line for line in written if line is not metrics]
    assert logged.pop(0)["message"].startswith("The job takes about")
    assert [line["message"] for line in logged] == [
        "plan ended",
        "work ended",
        "gather ended",
        "report ended",
        "work failed",
    ]
    assert {line["level"] for line in logged[:-1]} == {"INFO"}
    assert logged[1] == {
        **logged[1],
        **{name: NAMES[name] for name in ("function", "job", "attempt")},
        "function_request_id": "request-1",
        "line": {"segments": [0]},
        "done": True,
    }
    assert (logged[-1]["level"], logged[-1]["error"]) == (
        "ERROR",
        "TaskError: the job has 1 segments, and no segment 9.",
    )


def test_a_failure_is_logged_as_an_error(mapped: KeptRecords, capsys: pytest.CaptureFixture[str]) -> None:
    invoke("gather")

    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert line["level"] == "ERROR"
    assert "does not exist" in line["failed"]


def test_a_note_is_a_line_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    worker._Log(Payload.read({"action": "gather", **NAMES}), "request-1").note("one", "two")

    logged = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["message"] for line in logged] == ["one", "two"]


@pytest.mark.parametrize(
    ("wrong", "named"), [({"action": "erase"}, "action is 'erase'"), ({"job": "../x"}, "job is '../x'")]
)
def test_a_payload_that_is_not_valid_fails_the_job_at_once(
    wrong: Any, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error would be tried again. The response has the members that any state reads."""
    response = worker.lambda_handler(
        {"action": "gather", **NAMES, **wrong}, cast("LambdaContext", Context(seconds_left=900))
    )

    assert response == {
        "done": False,
        "wait_seconds": 0,
        "skipped": False,
        "pieces": 0,
        "failed": f"the payload of the worker is not valid: {named}.",
    }
    logged = json.loads(capsys.readouterr().out)
    assert (logged["level"], logged["error"]) == ("ERROR", response["failed"])


def in_order(documents: list[Any]) -> list[str]:
    return sorted(json.dumps(each, sort_keys=True) for each in documents)
