"""object_format: the keys in an object, or the reason why it is not read."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ddbreplica.bucket import object_format as module
from ddbreplica.bucket.object_format import (
    ForeignError,
    Unpacked,
    UnreadableError,
    discarded,
    quarantined,
    with_filter,
)
from ddbreplica.mapping.key_filter import KeyFilter
from tests.support.on_failure import FUNCTION_ARN, DiscardedBatch, on_failure_object
from tests.support.records import batch, put

SOURCE = "arn:aws:dynamodb:us-east-1:123456789012:table/logfile"
A = (("PK", "S", "a"),)
B = (("PK", "S", "b"),)

CREATED = datetime(2026, 11, 1, 11, 59, 59, tzinfo=UTC)
"""A second before the stream of `records`."""
LATER = CREATED + timedelta(days=1)


def kept(content: bytes | memoryview, stored_at: datetime = LATER) -> Unpacked:
    return quarantined(SOURCE, created_at=CREATED)(content, stored_at)


def lost(content: bytes | memoryview, stored_at: datetime = LATER) -> Unpacked:
    return discarded(SOURCE, created_at=CREATED, function=FUNCTION_ARN)(content, stored_at)


def body(record: Any, **more: Any) -> bytes:
    return json.dumps({"schema": 1, "record": record, "reason": "why", "error_code": "E", **more}).encode()


def discarded_body(*records: Any, **more: Any) -> bytes:
    discarded = DiscardedBatch([put(1, "a")], "shardId-1", "RecordAgeExceeded", "r", 1, None)
    _, text = on_failure_object(discarded, now=0, name="n")
    return json.dumps(json.loads(text) | {"payload": json.dumps(batch(*records))} | more).encode()


def test_one_record() -> None:
    unpacked = kept(body(put(1, "a")))

    assert (unpacked.keys, unpacked.keyless, unpacked.why, unpacked.hold_seconds) == ((A,), 0, "why", 0)


@pytest.mark.parametrize(
    ("more", "seconds"),
    [
        ({}, 1800),
        ({"clock_ahead_seconds": None}, 1800),
        ({"clock_ahead_seconds": 0}, 930),
        ({"clock_ahead_seconds": 12.5}, 942.5),
        ({"clock_ahead_seconds": -3}, 930),
        ({"clock_ahead_seconds": -1799}, 930),
        ({"clock_ahead_seconds": -1800}, 1800),
        ({"clock_ahead_seconds": 880}, 1800),
        ({"clock_ahead_seconds": 10**400}, 1800),
        ({"clock_ahead_seconds": float("nan")}, 1800),
        ({"clock_ahead_seconds": "5"}, 1800),
    ],
)
def test_an_in_doubt_write_is_held_by_the_clock_of_its_writer(more: dict[str, Any], seconds: float) -> None:
    assert kept(body(put(1, "a"), error_code="SuspectWrite", **more)).hold_seconds == seconds
    assert kept(body(put(1, "a"), **more)).hold_seconds == 0


def test_a_batch_has_each_key_once_in_order() -> None:
    unpacked = lost(discarded_body(put(1, "b"), put(2, "a"), put(3, "b"), "broken"))

    assert (unpacked.keys, unpacked.keyless, unpacked.why) == ((B, A), 1, "RecordAgeExceeded")
    assert unpacked.hold_seconds == 1800


def test_keys_that_a_filter_excludes_are_separate() -> None:
    only_a = KeyFilter.of(['{"dynamodb": {"Keys": {"PK": {"S": ["a"]}}}}'])

    unpacked = with_filter(only_a, lost)(discarded_body(put(1, "b"), put(2, "a"), "broken"), LATER)

    assert (unpacked.keys, unpacked.outside, unpacked.keyless) == ((A,), (B,), 1)
    assert (unpacked.why, unpacked.hold_seconds) == ("RecordAgeExceeded", 1800)


def test_a_key_in_two_forms_is_one_key() -> None:
    def with_number(number: str) -> Any:
        return put(1, "a") | {"dynamodb": {"Keys": {"PK": {"N": number}}}}

    assert lost(discarded_body(with_number("1"), with_number("1.0"))).keys == ((("PK", "N", "1"),),)


def test_a_record_without_a_table_is_one_of_the_source() -> None:
    record = put(1, "a")
    del record["eventSourceARN"]

    assert kept(body(record)).keys == (A,)


@pytest.mark.parametrize(
    "arn", [SOURCE.replace("logfile", "other"), SOURCE + "2", SOURCE.replace("us-east-1", "eu")]
)
def test_another_table(arn: str) -> None:
    with pytest.raises(ForeignError, match="contains records of arn:"):
        kept(body(put(1, "a") | {"eventSourceARN": f"{arn}/stream/2026"}))


def test_a_batch_of_another_tables_stream_is_foreign() -> None:
    batch_info = {"streamArn": f"{SOURCE}2/stream/2026-11-01T12:00:00.000"}

    with pytest.raises(ForeignError) as refused:
        lost(discarded_body(put(1, "a"), DDBStreamBatchInfo=batch_info))

    assert str(refused.value) == f"contains records of {SOURCE}2"


def of_stream(number: int, pk: str, label: str) -> Any:
    return put(number, pk) | {"eventSourceARN": f"{SOURCE}/stream/{label}"}


@pytest.mark.hazard(number=22)
def test_a_record_of_an_earlier_table_is_not_reconciled() -> None:
    unpacked = kept(body(of_stream(1, "a", "2026-10-31T23:00:00.000")))

    assert (unpacked.keys, unpacked.earlier) == ((), (A,))


@pytest.mark.hazard(number=22)
def test_a_command_s_record_is_as_old_as_its_object() -> None:
    without_label = put(1, "a") | {"eventSourceARN": SOURCE}

    assert kept(body(without_label), CREATED - timedelta(seconds=3)).earlier == (A,)
    assert kept(body(without_label), CREATED + timedelta(seconds=3)).keys == (A,)


class TestEarlierTable:
    """A table that was deleted and restored keeps its name, but its earlier records do not concern the new table."""

    @pytest.mark.parametrize(
        ("label", "is_earlier"),
        [
            ("2026-11-01T11:59:58.000", False),  # the clocks of two services
            ("2026-11-01T11:59:56.999", True),
            ("2026-11-01T11:59:59.000", False),
            ("2026-11-27T00:00:00.000", False),  # the stream was turned off and on
            ("2026-11-01T11:59:56.999999", True),
            ("2026-11-01T11:59:56", True),
            ("2026-11-01T11:59:56Z", True),
            ("2026-11-01T12:59:56+01:00", True),
            ("2026-11-01T12:59:59+01:00", False),
            ("2026-11-01T10:59:59-01:00", False),
            ("2026-11-01 11:59:56.000", True),
        ],
    )
    def test_a_label_is_a_time_in_utc(self, label: str, is_earlier: bool) -> None:
        for unpacked in (
            kept(body(of_stream(1, "a", label))),
            lost(discarded_body(of_stream(1, "a", label))),
        ):
            assert unpacked.earlier == ((A,) if is_earlier else ())
            assert unpacked.keys == (() if is_earlier else (A,))

    @pytest.mark.parametrize("arn", [None, SOURCE, f"{SOURCE}/stream/", f"{SOURCE}/stream/latest"])
    @pytest.mark.parametrize(
        ("seconds", "is_earlier"), [(-2.001, True), (-2, False), (0, False), (60, False)]
    )
    def test_a_record_without_a_label_is_as_old_as_its_object(
        self, arn: str | None, seconds: float, is_earlier: bool
    ) -> None:
        record = put(1, "a") | {"eventSourceARN": arn}

        unpacked = kept(body(record), CREATED + timedelta(seconds=seconds))

        assert unpacked.earlier == ((A,) if is_earlier else ())

    def test_a_record_with_a_label_is_not_as_old_as_its_object(self) -> None:
        # The date of an object is when it was stored. A copy has a later date, although its record is the same.
        unpacked = kept(body(of_stream(1, "a", "2026-11-01T12:00:00.000")), CREATED - timedelta(days=1))

        assert unpacked.keys == (A,)

    def test_the_keys_of_a_batch_of_two_tables_are_separate(self) -> None:
        unpacked = lost(discarded_body(of_stream(1, "a", "2026-10-31T23:00:00.000"), put(2, "b"), "broken"))

        assert (unpacked.keys, unpacked.earlier, unpacked.keyless) == ((B,), (A,), 1)

    def test_a_record_without_a_stream_belongs_to_that_of_its_batch(self) -> None:
        record = put(1, "a")
        del record["eventSourceARN"]
        batch_info = {"streamArn": f"{SOURCE}/stream/2026-10-31T23:00:00.000"}

        assert lost(discarded_body(record)).keys == (A,)
        assert lost(discarded_body(record, DDBStreamBatchInfo=batch_info)).earlier == (A,)

    def test_a_key_of_both_tables_is_reconciled_and_listed_as_earlier(self) -> None:
        unpacked = lost(discarded_body(of_stream(1, "a", "2026-10-31T23:00:00.000"), put(2, "a")))

        assert (unpacked.keys, unpacked.earlier) == ((A,), (A,))

    def test_a_filter_keeps_the_earlier_keys(self) -> None:
        only_b = KeyFilter.of(['{"dynamodb": {"Keys": {"PK": {"S": ["b"]}}}}'])
        content = discarded_body(of_stream(1, "a", "2026-10-31T23:00:00.000"), put(2, "b"))

        unpacked = with_filter(only_b, lost)(content, LATER)

        assert (unpacked.keys, unpacked.earlier, unpacked.outside) == ((B,), (A,), ())

    def test_a_batch_of_a_stream_without_a_label_is_as_old_as_its_object(self) -> None:
        record = put(1, "a")
        del record["eventSourceARN"]
        content = discarded_body(record, DDBStreamBatchInfo={"streamArn": SOURCE})
        every = with_filter(KeyFilter.of(['{"dynamodb": {"Keys": {"PK": {"S": ["a"]}}}}']), lost)

        for unpack in (lost, every):
            assert unpack(content, CREATED - timedelta(seconds=3)).earlier == (A,)
            assert unpack(content, LATER).keys == (A,)


class TestUnreadable:
    """An object is refused with a reason that completes the sentence `it is left, since it …`."""

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"{", "is not JSON"),
            (b"[]", "is not a JSON object"),
            (json.dumps({str(number): 0 for number in range(1001)}).encode(), "has more than 1,000 members"),
        ],
    )
    def test_it_is_neither_kind_of_object(self, content: bytes, reason: str) -> None:
        for unpack in (kept, lost):
            with pytest.raises(UnreadableError) as refused:
                unpack(content)
            assert str(refused.value) == reason

    @pytest.mark.parametrize("content", [{"schema": 1}, {"schema": 2, "record": {}}, {"record": {}}, {}])
    def test_it_is_not_a_quarantined_record(self, content: Any) -> None:
        with pytest.raises(UnreadableError) as refused:
            kept(json.dumps(content).encode())

        assert str(refused.value) == "is not a quarantined record of schema 1"

    @pytest.mark.parametrize(
        "content",
        [
            b"{}",
            discarded_body(),
            discarded_body(payload="{}"),
            discarded_body(payload=json.dumps({"Others": [put(1, "a")]})),
        ],
    )
    def test_it_is_not_a_batch(self, content: bytes) -> None:
        with pytest.raises(UnreadableError) as refused:
            lost(content)

        assert str(refused.value) == "is not a batch that Lambda discarded"

    def test_its_payload_is_too_large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_PAYLOAD", 1000)

        with pytest.raises(UnreadableError) as refused:
            lost(discarded_body(payload="x" * 1001))

        assert str(refused.value) == "has a batch of more than 1,000 bytes, which exceeds any event"

    def test_it_has_too_many_records(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_RECORDS", 2)

        assert lost(discarded_body(put(1, "a"), put(2, "b"))).keys == (A, B)
        with pytest.raises(UnreadableError) as refused:
            lost(discarded_body(put(1, "a"), put(2, "b"), put(3, "c")))

        assert str(refused.value) == "has more than 2 records, which exceeds any batch"


def test_all_records_without_a_key_are_counted() -> None:
    assert lost(discarded_body("broken", put(1, "a"), "broken")).keyless == 2


class TestFunction:
    def given(self, to: str, function: str) -> Unpacked:
        context = {"functionArn": to, "condition": "RecordAgeExceeded"}
        unpack = discarded(SOURCE, created_at=CREATED, function=function)
        return unpack(discarded_body(put(1, "a"), requestContext=context), LATER)

    def test_its_versions_and_aliases_are_one_function(self) -> None:
        assert self.given(f"{FUNCTION_ARN}:7", f"{FUNCTION_ARN}:live").keys == (A,)

    def test_another_function_is_shown_without_its_version(self) -> None:
        with pytest.raises(ForeignError) as refused:
            self.given(f"{FUNCTION_ARN}2:7", FUNCTION_ARN)

        assert str(refused.value) == f"was sent to the function {FUNCTION_ARN}2"
