"""decode: the changes and the malformed records of a batch."""

from typing import Any

import pytest

from ddbreplica.errors import EventError, StreamViewTypeError
from ddbreplica.records.decode import MalformedError, decode, key_of
from tests.support.records import STREAM, batch, delete, put, record, ttl_delete

KEYS = {"PK": {"S": "a"}}


def decode_one(one: Any, *, replicate_ttl_deletes: bool = True) -> Any:
    return decode(batch(put(1, "first"), one), replicate_ttl_deletes=replicate_ttl_deletes)


def reason_for(one: Any) -> str:
    (malformed,) = decode_one(one).poison
    assert malformed.position == 1
    assert malformed.error_code == "MalformedRecord"
    assert malformed.record is one
    return str(malformed.reason)


def test_a_written_item_becomes_its_image() -> None:
    (change,) = decode(batch(put(7, "a", n={"N": "1"})), replicate_ttl_deletes=True).changes

    assert change.position == 0
    assert change.sequence_number == "7"
    assert change.key == (("PK", "S", "a"),)
    assert change.key_attributes == {"PK": {"S": "a"}}
    assert change.image == {"PK": {"S": "a"}, "n": {"N": "1"}}
    assert change.created_at == 1794096000.0


def test_a_removed_item_becomes_a_delete() -> None:
    (change,) = decode(batch(delete(7, "a")), replicate_ttl_deletes=True).changes

    assert change.image is None
    assert change.key_attributes == {"PK": {"S": "a"}}


def test_positions_count_records_and_not_changes() -> None:
    decoded = decode(batch(put(1, "a"), {"dynamodb": {}}, put(3, "b")), replicate_ttl_deletes=True)

    assert [change.position for change in decoded.changes] == [0, 2]
    assert [malformed.position for malformed in decoded.poison] == [1]
    assert decoded.received == 3


def test_an_empty_batch_has_no_changes() -> None:
    decoded = decode(batch(), replicate_ttl_deletes=True)

    assert (decoded.received, decoded.changes, decoded.oldest_created_at) == (0, (), None)


@pytest.mark.parametrize(
    ("event", "came"),
    [
        (None, "a NoneType"),
        ([], "a list"),
        ({}, "an object with the members []"),
        ({"foo": 1}, "an object with the members ['foo']"),
        (dict.fromkeys("gfedcba"), "an object with the members ['a', 'b', 'c', 'd', 'e']"),
        ({"Records": {}}, "Records of type dict"),
        ({"Records": [42]}, "Records without a dynamodb object"),
        ({"Records": [{"body": ""}]}, "Records without a dynamodb object"),
        ({"Records": [{"eventSource": "aws:sqs", "body": ""}]}, "records of aws:sqs"),
        ({"Records": [put(1, "a"), put(2, "b") | {"eventSource": "aws:kinesis"}]}, "records of aws:kinesis"),
        ({"Records": [{"EventSource": "aws:sns", "Sns": {}}]}, "records of aws:sns"),
        ({"Records": [{"eventSource": "b"}, {"eventSource": "a"}]}, "records of a, b"),
    ],
)
def test_an_event_that_is_not_of_a_stream_is_refused_with_its_outline(event: Any, came: str) -> None:
    with pytest.raises(EventError, match="DynamoDB stream") as caught:
        decode(event, replicate_ttl_deletes=True)

    assert caught.value.fact.endswith(f", and got {came}.")
    assert caught.value.hint in (
        "Invoke the function by an event source mapping on the source table's stream.",
        "Only the source table's stream may trigger this function.",
    )


@pytest.mark.parametrize("one", [{"eventSource": "aws:dynamodb"}, {"dynamodb": {}}])
def test_a_record_with_any_mark_of_a_stream_belongs_to_a_stream(one: Any) -> None:
    decoded = decode(batch(one), replicate_ttl_deletes=True)

    assert [malformed.record for malformed in decoded.poison] == [one]


@pytest.mark.parametrize("view", ["KEYS_ONLY", "OLD_IMAGE"])
def test_a_stream_without_new_images_is_refused_with_its_view_type(view: str) -> None:
    one = record(1, "INSERT", KEYS)
    one["dynamodb"]["StreamViewType"] = view

    with pytest.raises(StreamViewTypeError, match=f"StreamViewType is {view}") as caught:
        decode(batch(put(0, "b"), one), replicate_ttl_deletes=True)

    assert caught.value.hint == "Recreate the source table's stream with StreamViewType NEW_IMAGE."


def test_a_stream_with_old_images_too_is_accepted() -> None:
    one = put(1, "a")
    one["dynamodb"] |= {"StreamViewType": "NEW_AND_OLD_IMAGES", "OldImage": {"PK": {"S": "a"}}}

    assert decode_one(one).poison == ()


@pytest.mark.parametrize("created", [None, "soon", True, -1, 2**40, 10**400, float("nan"), float("inf")])
def test_an_invalid_creation_time_does_not_make_a_record_malformed(created: Any) -> None:
    one = put(1, "a")
    one["dynamodb"]["ApproximateCreationDateTime"] = created

    assert decode_one(one).changes[1].created_at is None


@pytest.mark.parametrize(("created", "read"), [(0, 0.0), (1794096000, 1794096000.0), (0.5, 0.5)])
def test_a_creation_time_is_seconds_since_the_epoch(created: float, read: float) -> None:
    one = put(1, "a")
    one["dynamodb"]["ApproximateCreationDateTime"] = created

    assert decode_one(one).changes[1].created_at == read


def test_a_missing_creation_time_does_not_make_a_record_malformed() -> None:
    one = put(1, "a")
    del one["dynamodb"]["ApproximateCreationDateTime"]

    decoded = decode(batch(one), replicate_ttl_deletes=True)

    assert (decoded.changes[0].created_at, decoded.oldest_created_at) == (None, None)


def test_the_oldest_record_gives_the_age_of_the_batch() -> None:
    young, old = put(1, "a"), put(2, "b")
    young["dynamodb"]["ApproximateCreationDateTime"] = 200
    old["dynamodb"]["ApproximateCreationDateTime"] = 100.5

    assert decode(batch(young, old), replicate_ttl_deletes=True).oldest_created_at == 100.5


@pytest.mark.parametrize("arn", [None, "not an arn", 5])
def test_a_source_that_is_not_an_arn_does_not_make_a_record_malformed(arn: Any) -> None:
    assert decode_one(put(1, "a") | {"eventSourceARN": arn}).poison == ()


def test_ttl_deletes_are_deletes() -> None:
    assert decode_one(ttl_delete(2, "a")).changes[1].image is None


def test_ttl_deletes_can_be_skipped() -> None:
    event = batch(ttl_delete(1, "a"), put(2, "a"), ttl_delete(3, "b"))
    decoded = decode(event, replicate_ttl_deletes=False)

    assert (len(decoded.changes), decoded.ttl_deletes_skipped) == (1, 2)


def test_a_ttl_delete_in_the_form_of_the_streams_api_is_recognised() -> None:
    one = delete(2, "a") | {"userIdentity": {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}}

    assert decode_one(one, replicate_ttl_deletes=False).ttl_deletes_skipped == 1


@pytest.mark.parametrize(
    "identity",
    [
        None,
        "x",
        {},
        {"type": "Service", "principalId": "replication.dynamodb.amazonaws.com"},
        {"type": "User"},
    ],
)
def test_a_users_delete_is_never_skipped(identity: Any) -> None:
    one = delete(2, "a") | {"userIdentity": identity}

    assert decode_one(one, replicate_ttl_deletes=False).changes[1].image is None


def test_a_put_with_the_ttl_identity_is_never_skipped() -> None:
    one = put(2, "a") | {"userIdentity": ttl_delete(1, "a")["userIdentity"]}

    assert decode_one(one, replicate_ttl_deletes=False).changes[1].image is not None


@pytest.mark.parametrize("name", ["UPSERT", "insert", None, 5, ["INSERT"]])
def test_an_unknown_event_name_is_malformed(name: Any) -> None:
    assert reason_for(put(2, "a") | {"eventName": name}) == (
        "malformed record: eventName is not INSERT, MODIFY or REMOVE"
    )


@pytest.mark.parametrize("number", [None, "", 5])
def test_a_missing_sequence_number_is_malformed(number: Any) -> None:
    one = put(2, "a")
    one["dynamodb"]["SequenceNumber"] = number

    assert reason_for(one) == "malformed record: SequenceNumber is missing"
    assert decode_one(one).poison[0].sequence_number is None


@pytest.mark.parametrize("keys", [None, {}, [], "PK"])
def test_missing_keys_are_malformed(keys: Any) -> None:
    one = put(2, "a")
    one["dynamodb"]["Keys"] = keys

    assert reason_for(one) == "malformed record: the key is missing or empty"
    assert decode_one(one).poison[0].key is None


@pytest.mark.parametrize("one", [{"eventSource": "aws:dynamodb"}, {"dynamodb": None}, 42, None, "text"])
def test_a_record_without_a_dynamodb_object_is_malformed(one: Any) -> None:
    assert reason_for(one) == "malformed record: the record has no dynamodb object"


@pytest.mark.parametrize("image", [None, [], "x"])
def test_a_missing_image_is_malformed(image: Any) -> None:
    one = put(2, "a")
    one["dynamodb"]["NewImage"] = image

    assert reason_for(one) == "malformed record: NewImage is missing"


@pytest.mark.parametrize("image", [{"x": {"S": "a"}}, {"PK": {"S": "b"}}, {"PK": {"N": "1"}}])
def test_an_image_of_another_key_is_malformed(image: Any) -> None:
    assert reason_for(record(2, "INSERT", KEYS, image)) == (
        "malformed record: NewImage does not contain the key of Keys"
    )


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"S": "a", "N": "1"},
        {"X": "a"},
        {"s": "a"},
        "a",
        None,
        ["S", "a"],
        {"S": 1},
        {"S": None},
        {"N": 1},
        {"BOOL": "true"},
        {"NULL": "true"},
        {"B": "a"},
        {"B": "!!!!"},
        {"B": "YQ"},
        {"B": "YR=="},
        {"B": "YQ==\n"},
        {"B": "é"},
        {"B": 5},
        {"SS": "a"},
        {"SS": ["a", 1]},
        {"NS": [1]},
        {"BS": ["YQ==", "?"]},
        {"L": {}},
        {"L": [{"S": "a"}, {"S": "a", "N": "1"}]},
        {"M": []},
        {"M": {"x": {"L": [{"M": {"y": {"B": "?"}}}]}}},
    ],
)
def test_a_malformed_value_is_found_at_any_depth(value: Any) -> None:
    assert "attribute 'v'" in reason_for(put(2, "a", v=value))
    assert "attribute 'v'" in reason_for(
        put(2, "a", v={"M": {"deep": {"L": [{"BOOL": True}]}}}) | put(2, "a", v=value)
    )


@pytest.mark.parametrize(
    "value",
    [
        {"S": ""},
        {"N": "-0.10E-5"},
        {"B": "AAH/"},
        {"B": ""},
        {"BOOL": False},
        {"NULL": True},
        {"SS": ["a", "é"]},
        {"NS": ["1", "2.5"]},
        {"BS": ["AA==", "/w=="]},
        {"L": []},
        {"L": [{"B": "/wA="}, {"N": "1"}]},
        {"M": {}},
        {"M": {"": {"BS": ["AQI="]}, "n": {"NULL": True}}},
    ],
)
def test_a_value_of_any_type_is_read_at_any_depth(value: Any) -> None:
    assert decode_one(put(2, "a", v=value, deep={"L": [{"M": {"v": value}}]})).poison == ()


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("a", "a value must be an object with exactly one type"),
        ({"X": "a"}, "a value has an unknown type"),
        ({"BOOL": "a"}, "a value is not valid for its type BOOL"),
    ],
)
def test_a_reason_has_the_attribute_and_the_error(value: Any, what: str) -> None:
    assert reason_for(put(2, "a", v=value)) == f"malformed record: attribute 'v': {what}"


def test_a_reason_never_contains_a_value() -> None:
    assert "secret" not in reason_for(put(2, "a", v={"B": "secret!"}))
    assert "secret" not in reason_for(put(2, "a", v={"secret": "x"}))


def test_a_record_that_raises_any_exception_is_malformed() -> None:
    class Surprise(dict[str, Any]):
        def items(self) -> Any:
            raise ZeroDivisionError("secret")

    assert reason_for(record(2, "INSERT", KEYS, KEYS) | {"dynamodb": _with_image(Surprise())}) == (
        "malformed record: ZeroDivisionError"
    )


def _with_image(image: Any) -> dict[str, Any]:
    return {**put(2, "a")["dynamodb"], "NewImage": image}


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {"S": "core"}
    for _ in range(levels):
        value = {"L": [value]}
    return value


@pytest.mark.parametrize("levels", [32, 64])
def test_the_deepest_item_of_dynamodb_is_read_and_twice_as_deep(levels: int) -> None:
    assert decode_one(put(2, "a", v=nested(levels))).poison == ()


@pytest.mark.parametrize("levels", [65, 5000])
def test_nesting_beyond_the_limit_is_malformed(levels: int) -> None:
    assert "nested more than 64 levels deep" in reason_for(put(2, "a", v=nested(levels)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "1.0"),
        ("1E1", "10"),
        ("10", "1e+1"),
        ("-0", "0"),
        ("0.10", ".1"),
        ("1" + "0" * 125, "1E125"),
        ("+1", "1"),
    ],
)
def test_equal_numbers_are_the_same_key(one: str, other: str) -> None:
    assert key_of({"k": {"N": one}}) == key_of({"k": {"N": other}})


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0", "0"),
        ("-0.00", "0"),
        ("0.10", "0.1"),
        ("1E2", "100"),
        ("-1.50e+1", "-15"),
        ("1E-130", "0." + "0" * 129 + "1"),
        ("1E130", "1" + "0" * 130),
        ("10E130", "1E+131"),
        ("1E-131", "1E-131"),
        ("1E9999", "1E+9999"),
    ],
)
def test_a_number_in_a_key_has_one_canonical_text(text: str, canonical: str) -> None:
    assert key_of({"k": {"N": text}}) == (("k", "N", canonical),)


@pytest.mark.parametrize(
    ("one", "other"), [("1", "-1"), ("9" * 38, "9" * 37 + "8"), ("1E-130", "0"), ("1E125", "1E124")]
)
def test_different_numbers_are_different_keys(one: str, other: str) -> None:
    assert key_of({"k": {"N": one}}) != key_of({"k": {"N": other}})


def test_the_order_of_a_keys_attributes_does_not_matter() -> None:
    assert key_of({"a": {"S": "1"}, "b": {"S": "2"}}) == key_of({"b": {"S": "2"}, "a": {"S": "1"}})


def test_keys_of_different_types_are_different() -> None:
    assert len({key_of({"k": {tag: "1111"}}) for tag in ("S", "N", "B")}) == 3


@pytest.mark.parametrize("text", ["", "x", "1_0", " 1", "NaN", "Infinity", "١", "1e99999", "0x1"])
def test_a_key_with_an_invalid_number_is_malformed(text: str) -> None:
    with pytest.raises(MalformedError, match=r"^a key attribute of type N is not a decimal number$"):
        key_of({"k": {"N": text}})


def test_the_reason_has_the_name_of_a_malformed_key_attribute() -> None:
    with pytest.raises(MalformedError, match="attribute 'k': a value has an unknown type"):
        key_of({"k": {"X": "a"}})


@pytest.mark.parametrize("value", [{"BOOL": True}, {"NULL": True}, {"L": []}, {"M": {}}, {"SS": ["a"]}])
def test_a_key_of_another_type_is_malformed(value: Any) -> None:
    with pytest.raises(MalformedError, match="a key is S, N or B"):
        key_of({"k": value})


def test_a_malformed_record_keeps_a_readable_key() -> None:
    (malformed,) = decode_one(put(2, "a", v={"B": "?"})).poison

    assert malformed.key == (("PK", "S", "a"),)
    assert malformed.sequence_number == "2"
    assert malformed.record["eventSourceARN"] == STREAM
