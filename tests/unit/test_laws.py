"""The laws: what holds for every value, every history and every pattern of trouble."""

import random
from collections.abc import Sequence
from typing import Any

import boto3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddbreplica.decode import MalformedError, key_of
from ddbreplica.dynamodb import CLIENT_CONFIG, DynamoDBReplica
from ddbreplica.model import Key, Kind, Refusal, Write
from tests.support.fake_bucket import FakeBucket, s3_error
from tests.support.fake_replica import THROTTLED, TIMED_OUT, FakeReplica, Request
from tests.support.function import Context, Function
from tests.support.mapping import deliver
from tests.support.records import batch, record
from tests.support.strategies import POISON, attribute_value, histories, key_value
from tests.support.wire import Wire

FAILED_AFTER = Refusal(Kind.TRANSIENT, "InternalServerError", "applied nevertheless")


def description(keys: dict[str, dict[str, Any]]) -> tuple[int, Any]:
    tags = {name: next(iter(value)) for name, value in keys.items()}
    return 200, {
        "Table": {
            "TableArn": "arn:copy",
            "TableStatus": "ACTIVE",
            "KeySchema": [{"AttributeName": name, "KeyType": "HASH"} for name in tags],
            "AttributeDefinitions": [{"AttributeName": n, "AttributeType": tag} for n, tag in tags.items()],
        }
    }


@settings(max_examples=150, deadline=None)
@given(
    keys=st.dictionaries(st.sampled_from(["PK", "SK"]), key_value, min_size=1, max_size=2),
    attributes=st.dictionaries(
        st.text(min_size=1, max_size=5, alphabet='abc é🙂"'), attribute_value, max_size=4
    ),
    is_delete=st.booleans(),
)
def test_every_value_goes_out_byte_for_byte(keys: Any, attributes: Any, is_delete: bool) -> None:
    client = boto3.client("dynamodb", region_name="us-east-1", config=CLIENT_CONFIG)
    wire = Wire(client, answers=[description(keys)], always=(200, {"UnprocessedItems": {}}))
    image = None if is_delete else {**attributes, **keys}

    event = batch(record(1, "REMOVE" if is_delete else "INSERT", keys, image))
    assert Function(DynamoDBReplica(client, "copy")).invoke(event) == []

    expected = {"DeleteRequest": {"Key": keys}} if is_delete else {"PutRequest": {"Item": image}}
    assert wire.bodies("BatchWriteItem") == [{"RequestItems": {"copy": [expected]}}]


class Killed(Exception):  # noqa: N818  what happens to a sandbox is no error of the code
    """The function was ended between two requests."""


class Trouble:
    """Does to each request what comes next in the list, and nothing any more at the end of it."""

    def __init__(self, kinds: Sequence[str], seed: int) -> None:
        self.kinds = list(kinds)
        self.random = random.Random(seed)  # noqa: S311
        self.replica = FakeReplica(script=self.script, poison=lambda item: item.get("v") == POISON)

    def script(self, request: Request) -> Sequence[Write] | Refusal:
        match self.kinds.pop(0) if self.kinds else "none":
            case "throttled":
                return THROTTLED
            case "unprocessed":
                return [write for write in request if self.random.random() < 0.5]
            case "lost":
                return TIMED_OUT
            case "applied and lost" | "applied and failed" as kind if not self.has_poison(request):
                for write in request:
                    self.replica.apply(write)
                return FAILED_AFTER if kind == "applied and failed" else TIMED_OUT
            case "killed":
                for write in request if not self.has_poison(request) else ():
                    self.replica.apply(write)
                raise Killed
            case _:
                return ()

    def has_poison(self, request: Request) -> bool:
        return any(
            write.change.image is not None and write.change.image.get("v") == POISON for write in request
        )


TROUBLES = ("none", "throttled", "unprocessed", "lost", "applied and lost", "applied and failed", "killed")
BUCKET_TROUBLES = st.lists(st.sampled_from([None, "SlowDown", "NoSuchBucket"]), max_size=6)


def state_after(history: Sequence[Any], without: set[str]) -> dict[Key, Any]:
    """The table that the history leaves, had the quarantined records never been."""
    state: dict[Key, Any] = {}
    for one in history:
        data = one["dynamodb"]
        if data["SequenceNumber"] not in without:
            state[key_of(data["Keys"])] = data.get("NewImage")
    return {key: image for key, image in state.items() if image is not None}


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    history=histories(),
    troubles=st.lists(st.sampled_from(TROUBLES), max_size=25),
    bucket_troubles=BUCKET_TROUBLES,
    cuts=st.lists(st.integers(1, 30), max_size=20),
    seconds=st.lists(st.floats(20.0, 60.0), max_size=20),
    seed=st.integers(0, 1000),
)
def test_any_history_converges_under_any_trouble(
    history: Any, troubles: Any, bucket_troubles: Any, cuts: Any, seconds: Any, seed: int
) -> None:
    trouble = Trouble(troubles, seed)
    bucket = FakeBucket(*(s3_error(code) if code else None for code in bucket_troubles))
    function = Function(trouble.replica, bucket)

    def invoke(event: Any) -> list[str]:
        return function.invoke(event, Context(seconds_left=seconds.pop() if seconds else 60.0))

    deliver(history, invoke, cuts=lambda left: cuts.pop() if cuts else left)

    quarantined = {
        kept["record"]["dynamodb"]["SequenceNumber"]
        for kept in bucket.kept
        if kept["error_code"] != "SuspectWrite"
    }
    assert function.replica.items == state_after(history, without=quarantined)
    assert malformed_in(history) <= quarantined
    # Nothing is quarantined that could have been written.
    assert quarantined <= malformed_in(history) | poison_in(history)


def malformed_in(history: Sequence[Any]) -> set[str]:
    return {one["dynamodb"]["SequenceNumber"] for one in history if value_of(one) == {"X": "?"}}


def poison_in(history: Sequence[Any]) -> set[str]:
    return {one["dynamodb"]["SequenceNumber"] for one in history if value_of(one) == POISON}


def value_of(one: Any) -> Any:
    return one["dynamodb"].get("NewImage", {}).get("v")


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text()),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.sampled_from(["S", "N", "B", "M", "L", "PK", "X"]), inner, max_size=3),
        ),
    )
)
def test_any_nonsense_in_the_place_of_a_key_is_malformed_or_a_key(nonsense: Any) -> None:
    try:
        key = key_of(nonsense)
    except MalformedError:
        return
    assert key
    assert all(isinstance(part, str) for parts in key for part in parts)
