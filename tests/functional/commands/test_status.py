"""`ddbreplica status` on moto, with simulated responses of Lambda."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from ddbreplica.bucket.verification_record import time_text
from tests.support.account import FUNCTION, UUID, answer_lambda, function, mapping
from tests.support.cli import (
    REPLICA,
    Misbehaviour,
    Tables,
    lines,
    press_ctrl_c,
    refusal,
    run,
)
from tests.support.verified import verify_before

Deploy = Callable[..., str]
OWN = {"service": "ddbreplica", "ReplicaTable": "logfile_replica"}


@pytest.fixture
def deploy(tables: Tables, aws: Misbehaviour) -> Deploy:
    """Create the resources of the template, with these changes to the mapping."""

    def deployed(**changes: Any) -> str:
        streamed = tables.client.update_table(
            TableName="logfile", StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
        )
        for bucket in ("kept", "given-up"):
            boto3.client("s3").create_bucket(Bucket=bucket)
        stream: str = streamed["TableDescription"]["LatestStreamArn"]
        answer_lambda(aws, [mapping(stream, **changes)])
        return stream

    return deployed


def measure(namespace: str, name: str, value: float, *, minutes_ago: float, **dimensions: str) -> None:
    boto3.client("cloudwatch").put_metric_data(
        Namespace=namespace,
        MetricData=[
            {
                "MetricName": name,
                "Dimensions": [{"Name": key, "Value": of} for key, of in dimensions.items()],
                "Timestamp": datetime.now(UTC) - timedelta(minutes=minutes_ago),
                "Value": value,
            }
        ],
    )


def poll() -> None:
    measure("AWS/Lambda", "PolledEventCount", 3, minutes_ago=2, EventSourceMappingUUID=UUID)


def test_a_healthy_replication(deploy: Deploy) -> None:
    stream = deploy()
    poll()
    measure("AWS/Lambda", "IteratorAge", 400, minutes_ago=2, FunctionName="replicator")
    measure("ddbreplica", "WritesApplied", 12, minutes_ago=2, **OWN, FunctionName="replicator")

    result = run("status")

    assert result.exit_code == 0
    shown = lines(result.stdout)
    assert re.fullmatch(r"metrics     from \d\d:\d\d to \d\d:\d\d UTC, latest at \d\d:\d\d", shown.pop(4))
    assert shown == [
        "source      logfile, ACTIVE, about 0 items, on-demand capacity, index GSI_1 ACTIVE",
        "replica     logfile_replica, ACTIVE, about 0 items, on-demand capacity, index GSI_1 ACTIVE",
        f"stream      NEW_IMAGE, created at {stream.rpartition('/')[2]}",
        f"mapping     {UUID}, Enabled, function replicator, last result: OK",
        "lag         0.4 s, trend unknown; maximum in the last hour: 0.4 s",
        "last hour   12 writes and 0 deletes applied; 0 records retried",
        "            records quarantined: 0, sent to the on-failure bucket: 0, dropped: 0",
        "            in-doubt writes: 0, failed invocations: 0",
        "throttled   no writes in the last hour",
        "verified    never: there is no record of a complete verification",
        "quarantine  0 objects, s3://kept/quarantine/logfile_replica/",
        f"on failure  0 objects, s3://given-up/aws/lambda/{UUID}/",
        (
            "settings    BatchSize 100, MaximumRetryAttempts -1, FunctionResponseTypes ReportBatchItemFailures,"
            " Timeout 60, MemorySize 256, Runtime python3.13"
        ),
        "            REPLICATE_TTL_DELETES true",
        "",
        "replicating",
    ]
    assert lines(result.stderr) == ["Try: `ddbreplica verify` compares the tables."]


def test_the_metrics_of_mapping_function_replica_and_table_are_read(deploy: Deploy) -> None:
    deploy()
    own = {**OWN, "FunctionName": "replicator"}
    index = {"TableName": "logfile_replica", "GlobalSecondaryIndexName": "GSI_1"}
    poll()
    measure("AWS/Lambda", "FailedInvokeEventCount", 7, minutes_ago=30, EventSourceMappingUUID=UUID)
    measure("AWS/Lambda", "Errors", 2, minutes_ago=30, FunctionName="replicator")
    measure("ddbreplica", "WritesApplied", 11, minutes_ago=30, **own)
    measure("ddbreplica", "WritesApplied", 1000, minutes_ago=70, **own)
    measure("AWS/DynamoDB", "WriteThrottleEvents", 5, minutes_ago=30, TableName="logfile_replica")
    measure("AWS/DynamoDB", "WriteThrottleEvents", 4, minutes_ago=30, **index)

    document = json.loads(run("status", "--json").stdout)

    hour = document["last_hour"]
    assert (hour["writes_applied"], hour["records_failed"], hour["function_errors"]) == (11, 7, 2)
    assert hour["throttled"] == {"WriteThrottleEvents": 5, "WriteThrottleEvents GSI_1": 4}
    assert document["verdict"] == "replicating"


def test_metrics_of_another_replica_with_the_same_name_do_not_count(deploy: Deploy) -> None:
    deploy()
    poll()
    for function_name, writes in (("replicator", 11), ("replicator-into-another-region", 1000)):
        own = {**OWN, "FunctionName": function_name}
        measure("ddbreplica", "WritesApplied", writes, minutes_ago=30, **own)

    assert json.loads(run("status", "--json").stdout)["last_hour"]["writes_applied"] == 11


def test_metrics_with_the_dimensions_of_an_earlier_version_are_unknown(deploy: Deploy) -> None:
    deploy()
    poll()
    measure("AWS/Lambda", "IteratorAge", 400, minutes_ago=30, FunctionName="replicator")
    measure("ddbreplica", "WritesApplied", 11, minutes_ago=30, **OWN)

    document = json.loads(run("status", "--json").stdout)

    assert document["last_hour"]["writes_applied"] is None
    assert document["figures"]["counts_from"] is None
    assert document["verdict"] == "replicating"


@pytest.mark.parametrize(
    ("logging", "facts"),
    [
        (
            {"LogFormat": "JSON", "ApplicationLogLevel": "WARN"},
            [
                (
                    "the application log level of the function replicator is WARN, so Lambda drops the"
                    " function's metrics; the alarm RecordsQuarantined cannot go off"
                )
            ],
        ),
        ({"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG"}, []),
        ({"LogFormat": "JSON"}, []),
        ({"LogFormat": "Text"}, []),
    ],
)
def test_a_log_level_that_drops_the_metrics_needs_attention(
    deploy: Deploy, aws: Misbehaviour, logging: dict[str, str], facts: list[str]
) -> None:
    stream = deploy()
    poll()
    described = {**function(), "LoggingConfig": {"LogGroup": "/log", **logging}}
    answer_lambda(aws, [mapping(stream)], {FUNCTION: described})

    document = json.loads(run("status", "--json").stdout)

    assert [finding["fact"] for finding in document["findings"]] == facts
    assert document["verdict"] == ("needs attention" if facts else "replicating")


def test_a_problem_exits_with_1_and_shows_what_to_run(deploy: Deploy) -> None:
    deploy(State="Disabled")

    result = run("status", "--region", "us-east-1")

    assert result.exit_code == 1
    assert result.stderr == ""
    assert lines(result.stdout)[-4:] == [
        "problem: the event source mapping is Disabled (USER_INITIATED).",
        (
            f"  Try: `aws lambda update-event-source-mapping --uuid {UUID} --enabled --region us-east-1`; if it was"
            " stopped for more than 24 hours, then `ddbreplica verify --region us-east-1 --repair`."
        ),
        "",
        "NOT REPLICATING",
    ]


def test_a_replica_that_expires_items_needs_attention(deploy: Deploy, tables: Tables) -> None:
    deploy()
    poll()
    tables.client.update_time_to_live(
        TableName="logfile_replica", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )

    result = run("status", "--json")

    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["verdict"] == "needs attention"
    assert document["replica"]["ttl"] == "expires"
    assert [finding["fact"] for finding in document["findings"]] == [
        "the replica logfile_replica has TTL enabled on the attribute expires, so it deletes items that the source has"
    ]


def test_objects_in_the_buckets_are_counted(deploy: Deploy) -> None:
    deploy()
    poll()
    s3 = boto3.client("s3")
    for name in ("quarantine/logfile_replica/x/1", "quarantine/logfile_replica/x/2", "quarantine/other/x/3"):
        s3.put_object(Bucket="kept", Key=name, Body=b"{}")
    s3.put_object(Bucket="given-up", Key=f"aws/lambda/{UUID}/shard/1", Body=b"{}")
    s3.put_object(Bucket="given-up", Key=f"done/aws/lambda/{UUID}/shard/2", Body=b"{}")

    document = json.loads(run("status", "--json").stdout)

    assert document["quarantine"]["objects"] == 2
    assert document["on_failure"]["objects"] == 1
    assert document["verdict"] == "needs attention"


def test_without_a_mapping_the_rest_is_unknown(deploy: Deploy, aws: Misbehaviour) -> None:
    deploy()
    answer_lambda(aws, [])

    result = run("status")

    assert result.exit_code == 1
    assert "mapping     none" in lines(result.stdout)
    assert "lag         unknown: no event source mapping was found" in lines(result.stdout)
    assert lines(result.stdout)[-1] == "NOT REPLICATING"


def test_a_mapping_without_metrics_is_not_stalled(deploy: Deploy) -> None:
    deploy()

    result = run("status")

    assert result.exit_code == 0
    assert "lag         unknown: CloudWatch has no metrics of this event source mapping" in lines(
        result.stdout
    )
    assert lines(result.stdout)[-1] == "replicating, as far as can be seen"


def test_a_mapping_whose_metrics_stopped_is_stalled(deploy: Deploy) -> None:
    deploy()
    measure("AWS/Lambda", "PolledEventCount", 3, minutes_ago=120, EventSourceMappingUUID=UUID)

    result = run("status")

    assert result.exit_code == 1
    assert "problem: the event source mapping has not polled the stream for 15 minutes." in lines(
        result.stdout
    )


@pytest.mark.parametrize(
    ("call", "what"),
    [
        ("lambda.ListEventSourceMappings", "the mapping"),
        ("lambda.GetFunctionConfiguration", "the mapping"),
        ("cloudwatch.GetMetricData", "CloudWatch's metrics"),
        ("s3.ListObjectsV2", "the quarantine"),
        ("s3.ListObjectsV2", "the last verification"),
        ("dynamodb.DescribeTimeToLive", "the replica's time to live"),
    ],
)
def test_a_denied_value_is_unknown(deploy: Deploy, aws: Misbehaviour, call: str, what: str) -> None:
    deploy()
    poll()
    aws.on(f"before-call.{call}", lambda **_: refusal("AccessDeniedException", "not you"))

    result = run("status", "--json")

    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["verdict"] == "replicating, as far as can be seen"
    assert document["unknown"][what].endswith("AccessDeniedException: not you")


@pytest.mark.parametrize(
    ("environment", "on_failure", "unknown"),
    [
        (
            {"QUARANTINE_BUCKET": ""},
            "arn:aws:s3:::given-up",
            dict.fromkeys(
                ("the quarantine", "the last verification"),
                "the function has no environment variable QUARANTINE_BUCKET",
            ),
        ),
        (
            {},
            "arn:aws:sqs:us-east-1:1:queue",
            {"what Lambda gave up": "the on-failure destination of the event source mapping is not a bucket"},
        ),
    ],
)
def test_a_bucket_that_is_not_configured_is_unknown(
    deploy: Deploy, aws: Misbehaviour, environment: dict[str, str], on_failure: str, unknown: dict[str, str]
) -> None:
    stream = deploy()
    poll()
    destination = {"OnFailure": {"Destination": on_failure}}
    answer_lambda(aws, [mapping(stream, DestinationConfig=destination)], {FUNCTION: function(**environment)})

    assert json.loads(run("status", "--json").stdout)["unknown"] == unknown


def write_units(units: float, *, minutes_ago: float) -> None:
    """Let CloudWatch have the capacity units of writes, and of the verification's reads."""
    for kind, consumed in (("Write", units), ("Read", 0.5)):
        name = f"Consumed{kind}CapacityUnits"
        measure("AWS/DynamoDB", name, consumed, minutes_ago=minutes_ago, TableName="logfile")


def test_the_last_verification_and_what_was_written_since(deploy: Deploy, tables: Tables) -> None:
    deploy()
    poll()
    verify_before(tables.client, minutes=600, verdict="not equal")
    last = verify_before(tables.client, minutes=30)
    for minutes_ago, units in ((40, 1000), (20, 30.5), (2, 4)):
        write_units(units, minutes_ago=minutes_ago)

    result = run("status")

    assert result.exit_code == 0
    (row,) = [line for line in lines(result.stdout) if line.startswith("verified")]
    assert row.startswith(
        f"verified    equal 30 min ago, from {last.began:%Y-%m-%d %H:%M} to {last.ended:%H:%M} UTC;"
    )
    assert (
        "            written to the source since: 34 write capacity units (ConsumedWriteCapacityUnits)"
        in lines(result.stdout)
    )
    document = json.loads(run("status", "--json").stdout)["last_verification"]
    assert document["object"] == f"s3://kept/{last.name}"
    assert (document["verdict"], document["source_items"], document["recreated"]) == ("equal", 2000, [])
    assert document["written_since"]["write_capacity_units"] == 34


def test_right_after_a_verification_cloudwatch_does_not_know_what_was_written(
    deploy: Deploy, tables: Tables
) -> None:
    deploy()
    poll()
    verify_before(tables.client, minutes=0)

    document = json.loads(run("status", "--json").stdout)

    assert document["last_verification"]["written_since"]["write_capacity_units"] is None
    assert document["unknown"] == {
        "what was written since the last verification": (
            "CloudWatch has no metrics of the table logfile since the verification began."
        )
    }


def test_a_last_verification_that_found_differences_exits_with_1(deploy: Deploy, tables: Tables) -> None:
    deploy()
    poll()
    last = verify_before(tables.client, minutes=30, verdict="not equal", differences={"missing": 2})

    result = run("status")

    assert result.exit_code == 1
    assert lines(result.stdout)[-4:] == [
        (
            f"problem: the last verification, which began at {last.began:%Y-%m-%d %H:%M} UTC, found differences: 2"
            " missing."
        ),
        "  Try: `ddbreplica verify`; if they differ, `ddbreplica verify --repair`.",
        "",
        "NEEDS ATTENTION",
    ]


def test_a_verification_of_a_table_that_was_recreated_is_of_an_earlier_table(
    deploy: Deploy, tables: Tables
) -> None:
    deploy()
    poll()
    last = verify_before(tables.client, minutes=30, verdict="not equal")
    tables.client.delete_table(TableName=REPLICA)
    tables.create(REPLICA, {"PK": "S"})

    result = run("status")

    assert result.exit_code == 0
    assert "            of an earlier table of the name logfile_replica" in lines(result.stdout)
    assert lines(result.stdout)[-4:] == [
        (
            f"note: the last verification, which began at {last.began:%Y-%m-%d %H:%M} UTC, was of an earlier table of"
            " the name logfile_replica."
        ),
        "  Try: `ddbreplica verify`; if they differ, `ddbreplica verify --repair`.",
        "",
        "replicating",
    ]


def test_an_inconclusive_verification_does_not_hide_that_the_one_before_found_differences(
    deploy: Deploy, tables: Tables
) -> None:
    deploy()
    poll()
    earlier = verify_before(tables.client, minutes=90, verdict="not equal", differences={"missing": 2})
    verify_before(tables.client, minutes=30, verdict="inconclusive")

    result = run("status", "--json")

    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["last_verification"]["verdict"] == "inconclusive"
    assert document["last_verification"]["last_conclusive"] == {
        "verdict": "not equal",
        "began": time_text(earlier.began),
    }


def test_differences_of_an_earlier_table_are_not_those_of_an_inconclusive_verification(
    deploy: Deploy, tables: Tables
) -> None:
    deploy()
    poll()
    verify_before(tables.client, minutes=90, verdict="not equal")
    tables.client.delete_table(TableName=REPLICA)
    tables.create(REPLICA, {"PK": "S"})
    verify_before(tables.client, minutes=30, verdict="inconclusive")

    result = run("status", "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout)["last_verification"]["last_conclusive"] is None


@pytest.mark.parametrize(
    ("call", "unknown"),
    [
        ("s3.GetObject", "the last verification"),
        ("cloudwatch.GetMetricData", "what was written since the last verification"),
    ],
)
def test_a_verification_that_may_not_be_read_is_unknown(
    deploy: Deploy, tables: Tables, aws: Misbehaviour, call: str, unknown: str
) -> None:
    deploy()
    poll()
    verify_before(tables.client, minutes=30)
    aws.on(f"before-call.{call}", lambda **_: refusal("AccessDenied", "not you"))

    result = run("status", "--json")

    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["unknown"][unknown].endswith("AccessDenied: not you")
    assert document["verdict"] == "replicating, as far as can be seen"


def test_an_object_that_is_no_record_leaves_the_verification_unknown(deploy: Deploy, tables: Tables) -> None:
    deploy()
    poll()
    verify_before(tables.client, minutes=30)
    name = f"verifications/logfile_replica/{time_text(datetime.now(UTC))}.json"
    boto3.client("s3").put_object(Bucket="kept", Key=name, Body=b"[" * 100_000)

    document = json.loads(run("status", "--json").stdout)

    assert document["last_verification"] is None
    assert document["unknown"] == {"the last verification": f"the object s3://kept/{name} is not JSON."}


class PressAt:
    """A hook that presses Ctrl-C at one of the calls."""

    def __init__(self, call: int) -> None:
        self._calls = iter(range(1, 100))
        self._call = call

    def __call__(self, **_: Any) -> None:
        if next(self._calls) == self._call:
            press_ctrl_c()


def test_watch_repeats_until_ctrl_c(deploy: Deploy, aws: Misbehaviour) -> None:
    deploy()
    poll()
    aws.on("before-call.lambda.ListEventSourceMappings", PressAt(2))

    result = run("status", "--watch", "1")

    assert result.exit_code == 130
    assert result.stderr == ""
    assert len([line for line in lines(result.stdout) if line.startswith("replicating, at ")]) == 2


def test_watch_with_json_prints_one_line_each(deploy: Deploy, aws: Misbehaviour) -> None:
    deploy()
    poll()
    aws.on("before-call.lambda.ListEventSourceMappings", PressAt(1))

    result = run("status", "--watch", "--json")

    assert result.exit_code == 130
    assert json.loads(result.stdout)["verdict"] == "replicating"
    assert len(lines(result.stdout)) == 1
