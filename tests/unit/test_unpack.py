"""unpack: what an object keeps, or why it is none of ours."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddbreplica_cli.key_filter import KeyFilter
from ddbreplica_cli.unpack import ForeignError, UnreadableError, given_up, quarantined, within
from tests.support.on_failure import FUNCTION_ARN, GivenUp, on_failure_object
from tests.support.records import batch, put

SOURCE = "arn:aws:dynamodb:us-east-1:123456789012:table/logfile"
A = (("PK", "S", "a"),)
B = (("PK", "S", "b"),)

kept = quarantined(SOURCE)
lost = given_up(SOURCE, function=FUNCTION_ARN)

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def body(record: Any, **more: Any) -> bytes:
    return json.dumps({"schema": 1, "record": record, "reason": "why", "error_code": "E", **more}).encode()


def given_up_body(*records: Any, **more: Any) -> bytes:
    given_up = GivenUp([put(1, "a")], "shardId-1", "RecordAgeExceeded", "r", 1, None)
    _, text = on_failure_object(given_up, now=0, name="n")
    return json.dumps(json.loads(text) | {"payload": json.dumps(batch(*records))} | more).encode()


def test_one_record() -> None:
    unpacked = kept(body(put(1, "a")))

    assert (unpacked.keys, unpacked.keyless, unpacked.why, unpacked.may_land) == ((A,), 0, "why", False)


def test_a_suspect_may_land() -> None:
    assert kept(body(put(1, "a"), error_code="SuspectWrite")).may_land


def test_a_batch_has_each_key_once_in_order() -> None:
    unpacked = lost(given_up_body(put(1, "b"), put(2, "a"), put(3, "b"), "broken"))

    assert (unpacked.keys, unpacked.keyless, unpacked.why) == ((B, A), 1, "RecordAgeExceeded")
    assert unpacked.may_land


def test_keys_that_a_filter_leaves_out_are_told_apart() -> None:
    only_a = KeyFilter.of(['{"dynamodb": {"Keys": {"PK": {"S": ["a"]}}}}'])

    unpacked = within(only_a, lost)(given_up_body(put(1, "b"), put(2, "a"), "broken"))

    assert (unpacked.keys, unpacked.outside, unpacked.keyless) == ((A,), (B,), 1)
    assert (unpacked.why, unpacked.may_land) == ("RecordAgeExceeded", True)


def test_one_key_in_two_spellings_is_one() -> None:
    def with_number(number: str) -> Any:
        return put(1, "a") | {"dynamodb": {"Keys": {"PK": {"N": number}}}}

    assert lost(given_up_body(with_number("1"), with_number("1.0"))).keys == ((("PK", "N", "1"),),)


def test_a_record_that_names_no_table_is_the_sources() -> None:
    record = put(1, "a")
    del record["eventSourceARN"]

    assert kept(body(record)).keys == (A,)


@pytest.mark.parametrize(
    "arn", [SOURCE.replace("logfile", "other"), SOURCE + "2", SOURCE.replace("us-east-1", "eu")]
)
def test_another_table(arn: str) -> None:
    with pytest.raises(ForeignError, match="keeps records of arn:"):
        kept(body(put(1, "a") | {"eventSourceARN": f"{arn}/stream/2026"}))


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_anything_at_all_is_told_apart(content: bytes) -> None:
    for unpack in (kept, lost):
        with pytest.raises(UnreadableError):
            unpack(content)


@given(st.sampled_from(["DDBStreamBatchInfo", "requestContext", "payload"]), JSON)
def test_a_broken_batch_is_told_apart(member: str, value: Any) -> None:
    with pytest.raises((UnreadableError, ForeignError)):
        lost(given_up_body(put(1, "a"), **{member: value}))


@given(JSON)
def test_any_record_is_with_or_without_a_key(record: Any) -> None:
    unpacked = kept(body(record))

    assert len(unpacked.keys) + unpacked.keyless == 1
