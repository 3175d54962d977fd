"""quarantine: records that can never be written are kept as objects in S3."""

import re
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError, InvalidRetryModeError, ReadTimeoutError

from ddbreplica.aws.clock import Skew
from ddbreplica.bucket import quarantine
from ddbreplica.bucket.quarantine import Quarantine, QuarantineResult
from ddbreplica.deadline import MOST_ATTEMPTS
from ddbreplica.errors import QuarantineError
from ddbreplica.model import SUSPECT, Failure, Quarantined, Refusal, RefusalKind
from ddbreplica.records.decode import key_of
from tests.support.clock import Clock
from tests.support.fake_bucket import METADATA, FakeBucket, s3_error
from tests.support.records import put

SLOW = Refusal(RefusalKind.TRANSIENT, "ThrottlingException", "")


def poison(position: int, **changed: Any) -> Quarantined:
    fields: dict[str, Any] = {
        "position": position,
        "sequence_number": str(position),
        "key": key_of({"PK": {"S": "a"}}),
        "record": put(position, "a"),
        "reason": "refused by the replica: why",
        "error_code": "ValidationException",
    }
    return Quarantined(**(fields | changed))


def keep(
    bucket: FakeBucket,
    *records: Quarantined,
    into: Quarantine | None = None,
    in_doubt: tuple[Quarantined, ...] = (),
    before: Failure | None = None,
    puts_applied: int = 1,
    seconds: float = 60,
) -> QuarantineResult:
    into = into or Quarantine("bucket", table="logfile_replica", connect=bucket.connect)
    return into.keep(
        records,
        in_doubt,
        before=before,
        puts_applied=puts_applied,
        request_id="req-1",
        deadline=Clock(seconds).deadline(),
    )


def test_an_object_has_the_whole_record_and_the_reason() -> None:
    bucket = FakeBucket()

    assert keep(bucket, poison(3)) == QuarantineResult(poison=1, in_doubt=0, failures=())

    ((name, _),) = bucket.objects.items()
    (kept,) = bucket.kept
    assert re.fullmatch(
        r"quarantine/logfile_replica/2026-11-01T12:00:00\.000/3-req-1-[0-9a-f]{16}\.json", name
    )
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT[\d:]{8}\.\d{3}\+00:00", kept.pop("quarantined_at"))
    assert kept == {
        "schema": 1,
        "record": put(3, "a"),
        "reason": "refused by the replica: why",
        "error_code": "ValidationException",
        "clock_ahead_seconds": None,
    }


def test_an_object_has_the_lead_of_its_writer_s_clock() -> None:
    bucket, skew = FakeBucket(), Skew()
    skew.observe("Sat, 28 Nov 2026 18:00:00 GMT", sent_at=1795888800.0 + 42.5)

    keep(bucket, poison(1), into=Quarantine("bucket", table="t", connect=bucket.connect, skew=skew))

    assert [kept["clock_ahead_seconds"] for kept in bucket.kept] == [42.5]


@pytest.mark.parametrize(
    ("record", "start"),
    [
        ({"eventID": "e/1"}, "none/e_1-"),
        ({}, "none/none-"),
        ({"eventSourceARN": "arn:table/logfile"}, "none/none-"),
        (42, "none/none-"),
        ({"eventID": "x" * 500}, f"none/{'x' * 128}-"),
    ],
)
def test_a_record_without_sequence_number_is_stored_under_its_event_id(record: Any, start: str) -> None:
    bucket = FakeBucket()

    keep(bucket, poison(0, sequence_number=None, key=None, record=record))

    (name,) = bucket.objects
    assert name.startswith(f"quarantine/logfile_replica/{start}req-1-")


def test_a_name_contains_nothing_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name does not have its hash either: all six-digit numbers can be hashed in a second."""
    monkeypatch.setattr("ddbreplica.bucket.quarantine.secrets.token_hex", lambda size: "0" * 2 * size)
    first, second = FakeBucket(), FakeBucket()

    keep(first, poison(1, key=key_of({"k": {"N": "123456"}})))
    keep(second, poison(1, key=key_of({"k": {"N": "654321"}})))

    assert first.objects.keys() == second.objects.keys()


def test_an_existing_object_is_never_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    nonces = iter(["taken", "taken", "free"])
    monkeypatch.setattr("ddbreplica.bucket.quarantine.secrets.token_hex", lambda _: next(nonces))
    bucket = FakeBucket()

    keep(bucket, poison(1))
    kept = keep(bucket, poison(1, reason="refused again"))

    assert kept == QuarantineResult(poison=1, in_doubt=0, failures=())
    assert [each["reason"] for each in bucket.kept] == ["refused by the replica: why", "refused again"]
    assert [name.rpartition("-")[2] for name in bucket.objects] == ["taken.json", "free.json"]


@pytest.mark.parametrize("code", ["PreconditionFailed", "ConditionalRequestConflict"])
def test_a_record_whose_name_is_refused_every_time_is_not_reported_as_kept(code: str) -> None:
    bucket = FakeBucket(*[s3_error(code)] * MOST_ATTEMPTS)

    kept = keep(bucket, poison(1))

    assert (bucket.calls, bucket.objects, kept.poison) == (MOST_ATTEMPTS, {}, 0)
    assert [failure.refusal.code for failure in kept.failures] == [code]


def test_a_conflict_with_another_request_is_tried_again() -> None:
    bucket = FakeBucket(s3_error("ConditionalRequestConflict"))

    assert keep(bucket, poison(1)) == QuarantineResult(poison=1, in_doubt=0, failures=())
    assert len(bucket.objects) == 1


def test_an_object_is_json_in_the_given_bucket() -> None:
    calls: list[dict[str, Any]] = []

    class Recorder(FakeBucket):
        def put_object(self, *, Key: str, Body: bytes, **other: Any) -> dict[str, Any]:  # noqa: N803
            calls.append(other)
            return super().put_object(Key=Key, Body=Body, **other)

    keep(Recorder(), poison(1))

    assert calls == [{"Bucket": "bucket", "ContentType": "application/json", "IfNoneMatch": "*"}]


def test_objects_are_written_in_the_order_of_the_batch() -> None:
    bucket = FakeBucket()

    keep(bucket, poison(5), poison(1), poison(3))

    assert bucket.sequence_numbers == ["1", "3", "5"]


def test_records_after_a_failure_are_not_kept_yet() -> None:
    bucket = FakeBucket()

    kept = keep(bucket, poison(1), poison(2), poison(7), before=Failure(2, "2", SLOW))

    assert (bucket.sequence_numbers, kept.poison) == (["1"], 1)


def test_a_transient_error_is_a_failure_and_later_records_are_not_kept() -> None:
    bucket = FakeBucket(None, *[s3_error("SlowDown")] * 9)

    kept = keep(bucket, poison(1), poison(2), poison(3))

    assert bucket.sequence_numbers == ["1"]
    assert (kept.poison, [f.position for f in kept.failures]) == (1, [2])
    assert kept.failures[0].refusal.code == "SlowDown"


def test_after_a_transient_error_the_record_is_put_under_a_new_name() -> None:
    bucket = FakeBucket(s3_error("SlowDown"), s3_error("InternalError"))

    assert keep(bucket, poison(1)).failures == ()
    assert (bucket.calls, len(bucket.objects)) == (3, 1)


def test_a_put_without_a_response_is_a_failure() -> None:
    kept = keep(FakeBucket(*[ReadTimeoutError(endpoint_url="https://s3")] * 9), poison(1))

    assert [failure.sequence_number for failure in kept.failures] == ["1"]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        # what boto3 returns for a page of a proxy, and for an unreadable page of S3
        ({"ETag": '"1"', "ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {}}}, "ForeignResponse"),
        ({"ResponseMetadata": METADATA}, "MissingETag"),
        ({}, "UnreadableResponse"),
        (None, "UnreadableResponse"),
    ],
)
def test_a_response_that_s3_did_not_send_is_no_success(answer: Any, code: str) -> None:
    class Stranger(FakeBucket):
        def put_object(self, **_: Any) -> dict[str, Any]:
            response: dict[str, Any] = answer
            return response

    kept = keep(Stranger(), poison(1))

    assert [failure.refusal.code for failure in kept.failures] == [code]
    assert kept.poison == 0


def test_a_record_is_not_kept_when_the_time_is_up() -> None:
    bucket = FakeBucket()

    kept = keep(bucket, poison(1), seconds=7.9)

    assert (bucket.objects, kept.failures[0].refusal.code) == ({}, "OutOfTime")


@pytest.mark.parametrize("code", ["NoSuchBucket", "AccessDenied", "KMS.DisabledException"])
def test_a_missing_or_denied_bucket_is_a_fault(code: str) -> None:
    with pytest.raises(QuarantineError) as caught:
        keep(FakeBucket(s3_error(code)), poison(1))

    assert str(caught.value) == (
        f"The quarantine bucket bucket refuses the record: {code}: no."
        " Check QUARANTINE_BUCKET and the role's permission s3:PutObject; no record of the batch was checkpointed."
    )
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("code", "is_in_doubt"),
    [("SuspectWrite", True), ("InterruptedWrite", True), ("ValidationException", False)],
)
def test_the_name_of_a_record_shows_whether_it_is_in_doubt(code: str, is_in_doubt: bool) -> None:
    bucket = FakeBucket()

    keep(bucket, in_doubt=(replace(poison(8), error_code=code),))

    (name,) = bucket.objects
    assert name.endswith("-in-doubt.json") is is_in_doubt


def test_in_doubt_records_are_kept_even_after_a_failure() -> None:
    bucket = FakeBucket()

    kept = keep(bucket, in_doubt=(poison(8),), before=Failure(2, "2", SLOW))

    assert (bucket.sequence_numbers, kept) == (["8"], QuarantineResult(poison=0, in_doubt=1, failures=()))
    assert "-req-1-" in next(iter(bucket.objects))


def test_poison_after_an_in_doubt_record_that_could_not_be_kept_is_not_kept() -> None:
    bucket = FakeBucket(*[s3_error("SlowDown")] * MOST_ATTEMPTS)

    kept = keep(bucket, poison(1), poison(9), in_doubt=(poison(5),))

    assert bucket.sequence_numbers == ["1"]
    assert [failure.position for failure in kept.failures] == [5]


def test_the_error_of_a_denied_bucket_counts_the_in_doubt_records_that_were_not_kept() -> None:
    suspects = tuple(replace(poison(position), error_code=SUSPECT) for position in (2, 4, 6))
    bucket = FakeBucket(None, s3_error("AccessDenied"))

    with pytest.raises(QuarantineError) as caught:
        keep(bucket, poison(5), in_doubt=suspects)

    assert bucket.sequence_numbers == ["2"]
    assert caught.value.in_doubt_lost == 2


def test_a_whole_stream_is_never_quarantined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "MAX_IN_A_ROW", 3)
    bucket = FakeBucket()
    one = Quarantine("bucket", table="logfile_replica", connect=bucket.connect)

    for position in range(3):
        keep(bucket, poison(position), into=one, puts_applied=0)
    with pytest.raises(QuarantineError) as caught:
        keep(bucket, poison(4), into=one, puts_applied=0)

    assert str(caught.value) == (
        "4 records in a row could not be applied, and no item between them was put."
        " Compare the types of the replica's key and indexes, and the rules of a transform, with the source's items; no"
        " record of the batch was checkpointed."
        " If the items themselves are wrong, change the function's configuration in any way: the count then restarts."
    )
    assert len(bucket.objects) == 3


def test_a_record_that_is_delivered_again_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "MAX_IN_A_ROW", 3)
    bucket = FakeBucket()
    one = Quarantine("bucket", table="logfile_replica", connect=bucket.connect)
    numberless = poison(8, sequence_number=None, record={"eventID": "e-1"})
    nameless = poison(9, sequence_number=None, record={"dynamodb": {}})

    for _ in range(3):
        keep(bucket, poison(1), numberless, nameless, into=one, puts_applied=0)
    with pytest.raises(QuarantineError, match="4 records in a row"):
        keep(bucket, poison(2), into=one, puts_applied=0)

    assert len(bucket.objects) == 9


def test_records_of_two_streams_with_the_same_number_are_different(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "MAX_IN_A_ROW", 1)
    bucket = FakeBucket()
    one = Quarantine("bucket", table="logfile_replica", connect=bucket.connect)
    record = {**put(1, "a"), "eventSourceARN": "arn:aws:dynamodb:eu-west-1:1:table/logfile/stream/2026-12-01"}

    keep(bucket, poison(1), into=one, puts_applied=0)
    with pytest.raises(QuarantineError):
        keep(bucket, poison(1, record=record), into=one, puts_applied=0)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"eventID": "1"}, {"eventID": "2"}),
        ({"dynamodb": 1}, {"dynamodb": 2}),
        (1, 2),
    ],
    ids=["event ids", "contents", "anything"],
)
def test_records_without_a_sequence_number_are_identified_by_event_id_or_content(
    first: Any, second: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "MAX_IN_A_ROW", 1)
    bucket = FakeBucket()
    one = Quarantine("bucket", table="logfile_replica", connect=bucket.connect)

    for _ in range(2):  # the second record is the first one, delivered again
        keep(bucket, poison(1, record=first, sequence_number=None), into=one, puts_applied=0)
    with pytest.raises(QuarantineError):
        keep(bucket, poison(1, record=second, sequence_number=None), into=one, puts_applied=0)


def test_an_event_id_identifies_a_record_whatever_else_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "MAX_IN_A_ROW", 1)
    bucket = FakeBucket()
    one = Quarantine("bucket", table="logfile_replica", connect=bucket.connect)

    for record in ({"eventID": "1", "dynamodb": 1}, {"eventID": "1", "dynamodb": 2}):
        keep(bucket, poison(1, record=record, sequence_number=None), into=one, puts_applied=0)

    assert len(bucket.objects) == 2


def test_a_sequence_number_identifies_a_record_before_an_event_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "MAX_IN_A_ROW", 1)
    bucket = FakeBucket()
    one = Quarantine("bucket", table="logfile_replica", connect=bucket.connect)

    keep(bucket, poison(1, record={"eventID": "1"}), into=one, puts_applied=0)
    with pytest.raises(QuarantineError):
        keep(bucket, poison(2, record={"eventID": "1"}), into=one, puts_applied=0)


def test_a_page_instead_of_s3_s_response_is_reported_with_its_status() -> None:
    class Gateway(FakeBucket):
        def put_object(self, **_: Any) -> dict[str, Any]:
            return {"ETag": '"1"', "ResponseMetadata": {"HTTPStatusCode": 203, "HTTPHeaders": {}}}

    (failure,) = keep(Gateway(), poison(1)).failures

    assert "(HTTP 203)" in failure.refusal.message


def test_a_client_that_cannot_be_created_is_a_fault_with_the_reason() -> None:
    def connect() -> Any:
        raise InvalidRetryModeError(provided_retry_mode="often", valid_modes="standard")

    with pytest.raises(QuarantineError, match='Invalid value provided to "mode": "often"'):
        Quarantine("bucket", table="t", connect=connect).keep(
            (poison(1),), (), before=None, puts_applied=0, request_id="r", deadline=Clock().deadline()
        )


@pytest.mark.parametrize("again", [(), (1,), (1, 5)])
def test_no_batch_is_refused_for_the_records_of_an_earlier_one(
    again: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "MAX_IN_A_ROW", 3)
    bucket = FakeBucket()
    one = Quarantine("bucket", table="logfile_replica", connect=bucket.connect)

    keep(bucket, *map(poison, range(6)), into=one, puts_applied=1)
    kept = keep(
        bucket, *map(poison, again), into=one, puts_applied=0
    )  # deletes, and half of the batch a second time

    assert kept.poison == len(again)
    with pytest.raises(QuarantineError, match="7 records in a row"):
        keep(bucket, poison(6), into=one, puts_applied=0)


def test_a_client_that_cannot_be_created_is_not_a_refusal() -> None:
    def connect() -> Any:
        raise ValueError("Invalid endpoint: https://a..b")

    with pytest.raises(QuarantineError, match=r"ValueError: Invalid endpoint: https://a\.\.b\. Check"):
        Quarantine("bucket", table="t", connect=connect).keep(
            (poison(1),), (), before=None, puts_applied=0, request_id="r", deadline=Clock().deadline()
        )


def test_a_put_in_between_restarts_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "MAX_IN_A_ROW", 3)
    bucket = FakeBucket()
    one = Quarantine("bucket", table="logfile_replica", connect=bucket.connect)

    for position, puts_applied in enumerate((0, 0, 1, 0, 0)):
        keep(bucket, poison(position), into=one, puts_applied=puts_applied)
    with pytest.raises(QuarantineError):
        keep(bucket, poison(5), into=one, puts_applied=0)

    assert bucket.sequence_numbers == ["0", "1", "2", "3", "4"]


def test_no_client_is_created_before_the_first_record() -> None:
    def never() -> Any:
        raise AssertionError

    assert Quarantine("bucket", table="t", connect=never).keep(
        (), (), before=None, puts_applied=0, request_id="r", deadline=Clock().deadline()
    ) == QuarantineResult(0, 0, ())


def test_the_client_has_short_timeouts() -> None:
    config: Any = quarantine.connect().meta.config

    assert (config.connect_timeout, config.read_timeout) == (1, 3)
    assert config.connect_timeout + config.read_timeout < quarantine.PUT_SECONDS


def test_a_client_never_sends_head_bucket() -> None:
    """After a redirect by a gateway that has no Region, botocore would send hundreds."""
    with pytest.raises(ClientError) as refused:
        quarantine.connect().head_bucket(Bucket="bucket")

    assert refused.value.response["Error"]["Code"] == "404"
    assert refused.value.response["ResponseMetadata"]["HTTPHeaders"] == {}
