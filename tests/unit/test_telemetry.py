"""telemetry: what an invocation did → one log line and one set of metrics."""

import json
from typing import Any

import pytest

from ddbreplica.send import REQUEST_SECONDS
from tests.support.fake_replica import THROTTLED, FakeReplica, in_turn
from tests.support.function import Context, Function
from tests.support.records import batch, delete, put, ttl_delete

BAD = {"N": "5"}
EVENT = batch(
    put(1, "a"),
    put(2, "a", v={"S": "top secret"}),
    put(3, "b", v=BAD),
    delete(4, "c"),
    ttl_delete(5, "d"),
    put(6, "e", v={"X": "top secret"}),
)


def lines(
    function: Function[FakeReplica], event: Any, capsys: pytest.CaptureFixture[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    function.invoke(event, Context("request-7"))
    log, metrics = capsys.readouterr().out.splitlines()
    return json.loads(log), json.loads(metrics)


def troubled() -> Function[FakeReplica]:
    replica = FakeReplica(poison=lambda item: item.get("v") == BAD, script=in_turn(THROTTLED))
    return Function(replica, replicate_ttl_deletes=False)


def test_a_batch_is_one_line_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    log, _ = lines(Function(FakeReplica()), batch(put(1, "a"), delete(2, "b")), capsys)

    assert log["lag_seconds"] > 0
    assert {name: log[name] for name in log if name not in ("timestamp", "location", "lag_seconds")} == {
        "level": "INFO",
        "message": "batch applied",
        "service": "ddbreplica",
        "function_request_id": "request-7",
        "replica_table": "logfile_replica",
        "refusals": {},
        "RecordsReceived": 2,
        "RecordsCoalesced": 0,
        "WritesApplied": 1,
        "DeletesApplied": 1,
        "WritesRetried": 0,
        "WritesFailed": 0,
        "WritesSuspect": 0,
        "RecordsQuarantined": 0,
        "TtlDeletesSkipped": 0,
    }


def test_trouble_is_counted_and_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    log, _ = lines(troubled(), EVENT, capsys)

    assert log["level"] == "WARNING"
    assert log["refusals"] == {"MalformedRecord": 1, "ValidationException": 1}
    counts = ("RecordsReceived", "RecordsCoalesced", "WritesApplied", "DeletesApplied", "WritesRetried")
    assert [log[name] for name in counts] == [6, 1, 1, 1, 3]
    assert (log["RecordsQuarantined"], log["TtlDeletesSkipped"]) == (2, 1)


def test_the_reported_record_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    function = Function(FakeReplica(script=lambda _: THROTTLED))
    # Time for one attempt, and none for another.
    function.invoke(batch(put(1, "a"), put(2, "b")), Context(seconds_left=REQUEST_SECONDS))

    log = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (log["message"], log["reported_sequence_number"]) == ("batch applied up to a failure", "1")
    assert (log["WritesFailed"], log["refusals"]) == (2, {"ThrottlingException": 2})
    assert "lag_seconds" not in log


def test_metrics_carry_the_replica_and_the_service(capsys: pytest.CaptureFixture[str]) -> None:
    _, metrics = lines(Function(FakeReplica()), batch(put(1, "a"), delete(2, "b")), capsys)

    (directive,) = metrics["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "ddbreplica"
    assert [sorted(dimensions) for dimensions in directive["Dimensions"]] == [["ReplicaTable", "service"]]
    assert (metrics["ReplicaTable"], metrics["service"]) == ("logfile_replica", "ddbreplica")
    assert {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]} == {
        "RecordsReceived": "Count",
        "RecordsCoalesced": "Count",
        "WritesApplied": "Count",
        "DeletesApplied": "Count",
        "WritesRetried": "Count",
        "WritesFailed": "Count",
        "WritesSuspect": "Count",
        "RecordsQuarantined": "Count",
        "TtlDeletesSkipped": "Count",
        "ReplicationLag": "Milliseconds",
    }
    assert metrics["RecordsReceived"] == [2]


def test_the_lag_is_the_age_of_the_oldest_record_in_milliseconds(capsys: pytest.CaptureFixture[str]) -> None:
    log, metrics = lines(Function(FakeReplica()), batch(put(1, "a")), capsys)

    assert metrics["ReplicationLag"] == [pytest.approx(log["lag_seconds"] * 1000)]


def test_a_source_with_a_clock_ahead_has_no_negative_lag(capsys: pytest.CaptureFixture[str]) -> None:
    one = put(1, "a")
    one["dynamodb"]["ApproximateCreationDateTime"] = 9e9

    log, _ = lines(Function(FakeReplica()), batch(one), capsys)

    assert log["lag_seconds"] == 0


def test_no_items_content_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    troubled().invoke(EVENT)

    captured = capsys.readouterr()
    assert "secret" not in captured.out + captured.err
