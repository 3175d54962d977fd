"""handler: a whole invocation, with a replica and a bucket in memory."""

import json
import logging
from typing import TYPE_CHECKING, cast

import pytest

from ddbreplica import handler
from ddbreplica.deadline import LONGEST_DELAY
from ddbreplica.dynamodb.send import REQUEST_SECONDS
from ddbreplica.dynamodb.table import DynamoDBReplica
from ddbreplica.errors import (
    QuarantineError,
    ReplicaError,
    SettingsError,
    StreamViewTypeError,
    UnreportableError,
)
from tests.support.fake_bucket import FakeBucket, s3_error
from tests.support.fake_replica import DENIED, THROTTLED, TIMED_OUT, FakeReplica, in_turn
from tests.support.function import Context, Function
from tests.support.records import batch, delete, put, record, ttl_delete

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

BAD = {"N": "5"}
MALFORMED = {"X": "?"}


def replica_with_poison() -> FakeReplica:
    return FakeReplica(poison=lambda item: item.get("v") == BAD)


def test_a_batch_is_applied_and_checkpointed() -> None:
    function = Function(FakeReplica())

    assert function.invoke(batch(put(1, "a"), put(2, "b"), delete(3, "a"))) == []
    assert list(function.replica.items.values()) == [{"PK": {"S": "b"}}]


def test_the_first_record_that_was_not_applied_is_reported() -> None:
    replica = FakeReplica(script=lambda _: THROTTLED)

    # There is time for one attempt only.
    context = Context(seconds_left=REQUEST_SECONDS)

    assert Function(replica).invoke(batch(delete(9, "gone"), put(3, "a"), put(4, "b")), context) == ["9"]


def test_poison_is_quarantined_and_the_batch_is_checkpointed() -> None:
    function = Function(replica_with_poison())

    assert (
        function.invoke(batch(put(1, "a"), put(2, "b", v=BAD), put(3, "c", v=MALFORMED), put(4, "d"))) == []
    )
    assert function.bucket.sequence_numbers == ["2", "3"]
    assert len(function.replica.items) == 2


def test_ttl_deletes_are_replicated_by_default() -> None:
    function = Function(FakeReplica())
    archive = Function(FakeReplica(), replicate_ttl_deletes=False)

    for one in (function, archive):
        assert one.invoke(batch(put(1, "a"), ttl_delete(2, "a"))) == []

    assert (len(function.replica.items), len(archive.replica.items)) == (0, 1)


def test_a_record_without_sequence_number_is_quarantined_under_its_event_id() -> None:
    function = Function(FakeReplica())
    one = put(1, "a")
    del one["dynamodb"]["SequenceNumber"]

    assert function.invoke(batch(one, put(2, "b"))) == []
    assert "/event-1-" in next(iter(function.bucket.objects))
    assert len(function.replica.items) == 1


def test_a_record_without_sequence_number_that_cannot_be_kept_fails_the_invocation() -> None:
    one = put(1, "a")
    del one["dynamodb"]["SequenceNumber"]

    with pytest.raises(UnreportableError):
        Function(FakeReplica(), FakeBucket(*[s3_error("SlowDown")] * 9)).invoke(batch(one, put(2, "b")))


def test_a_passing_error_of_the_bucket_counts_as_not_applied() -> None:
    function = Function(replica_with_poison(), FakeBucket(None, *[s3_error("SlowDown")] * 9))

    assert function.invoke(
        batch(put(1, "a", v=BAD), put(2, "b"), put(3, "c", v=BAD), put(4, "d", v=BAD))
    ) == ["3"]
    assert function.bucket.sequence_numbers == ["1"]


def test_a_missing_bucket_fails_the_invocation() -> None:
    with pytest.raises(QuarantineError, match="NoSuchBucket"):
        Function(replica_with_poison(), FakeBucket(s3_error("NoSuchBucket"))).invoke(
            batch(put(1, "a", v=BAD))
        )


@pytest.mark.parametrize("replica", [FakeReplica(table=DENIED), FakeReplica(script=lambda _: DENIED)])
def test_a_fault_of_the_deployment_quarantines_nothing(replica: FakeReplica) -> None:
    function = Function(replica)

    with pytest.raises(ReplicaError):
        function.invoke(batch(put(1, "a", v=MALFORMED), put(2, "b")))

    assert function.bucket.objects == {}


def test_a_stream_without_images_quarantines_nothing() -> None:
    function = Function(FakeReplica())
    one = record(2, "INSERT", {"PK": {"S": "a"}})
    one["dynamodb"]["StreamViewType"] = "KEYS_ONLY"

    with pytest.raises(StreamViewTypeError, match="StreamViewType"):
        function.invoke(batch(put(1, "a", v=MALFORMED), one))

    assert function.bucket.objects == {}


def test_an_in_doubt_write_is_kept_although_its_repetition_was_applied() -> None:
    function = Function(FakeReplica(script=in_turn(TIMED_OUT)))

    assert function.invoke(batch(put(1, "a"))) == []
    assert [kept["error_code"] for kept in function.bucket.kept] == ["SuspectWrite"]


def test_lasting_throttling_is_reported_before_the_timeout() -> None:
    context = Context(seconds_left=30)

    assert Function(FakeReplica(script=lambda _: THROTTLED)).invoke(batch(put(1, "a")), context) == ["1"]
    assert REQUEST_SECONDS <= context.seconds_left < REQUEST_SECONDS + LONGEST_DELAY


def test_settings_are_read_at_the_first_invocation_and_errors_are_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handler.replicator.cache_clear()
    monkeypatch.delenv("REPLICA_TABLE_NAME", raising=False)
    for _ in range(2):
        with pytest.raises(SettingsError, match="REPLICA_TABLE_NAME is not set"):
            handler.replicator()

    monkeypatch.setenv("REPLICA_TABLE_NAME", "arn:aws:dynamodb:eu-west-1:123456789012:table/copy")
    monkeypatch.setenv("QUARANTINE_BUCKET", "bucket")
    one = handler.replicator()

    assert one is handler.replicator()
    assert one.settings.table == "copy"
    assert isinstance(one.replica, DynamoDBReplica)
    assert one.deadline(cast("LambdaContext", Context(seconds_left=7))).allows(7)
    handler.replicator.cache_clear()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POWERTOOLS_METRICS_DISABLED", "maybe"),
        ("POWERTOOLS_DEV", "maybe"),
        ("POWERTOOLS_DEBUG", "maybe"),
        ("POWERTOOLS_LOG_LEVEL", "loud"),
        ("POWERTOOLS_LOGGER_SAMPLE_RATE", "often"),
    ],
)
def test_a_wrong_variable_of_telemetry_is_refused_before_any_write(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler.replicator.cache_clear()
    monkeypatch.setenv("REPLICA_TABLE_NAME", "copy")
    monkeypatch.setenv("QUARANTINE_BUCKET", "bucket")
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(handler, "replicate", pytest.fail)

    with pytest.raises(SettingsError, match=f"{name} is '{value}'. Allowed: "):
        handler.lambda_handler(batch(put(1, "a")), cast("LambdaContext", Context()))


def test_the_metrics_are_the_functions_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    handler.replicator.cache_clear()
    monkeypatch.setenv("REPLICA_TABLE_NAME", "arn:aws:dynamodb:eu-west-1:123456789012:table/copy")
    monkeypatch.setenv("QUARANTINE_BUCKET", "bucket")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "replicator-of-orders")
    logging.root.manager.loggerDict.pop("ddbreplica", None)  # of the stdout of an earlier test
    made = handler.replicator()

    replicate = handler.replicate(batch(), cast("LambdaContext", Context()), made)

    metrics = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert replicate == {"batchItemFailures": []}
    assert (metrics["FunctionName"], metrics["ReplicaTable"]) == ("replicator-of-orders", "copy")
    handler.replicator.cache_clear()
