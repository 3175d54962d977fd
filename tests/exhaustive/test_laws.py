"""The guarantees for all values, all histories and all patterns of failures."""

import random
from collections.abc import Sequence
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any, cast

import boto3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddbreplica.deadline import MOST_ATTEMPTS
from ddbreplica.dynamodb.send import REQUEST_SECONDS
from ddbreplica.dynamodb.table import CLIENT_CONFIG, DynamoDBReplica
from ddbreplica.handler import replicate
from ddbreplica.model import Refusal, RefusalKind, Write
from ddbreplica.records.decode import MalformedError, key_of
from tests.support.fake_bucket import FakeBucket, s3_error
from tests.support.fake_replica import THROTTLED, TIMED_OUT, FakeReplica, Request
from tests.support.function import Context, Function
from tests.support.mapping import Mapping, MappingSettings, NotInvokedError, Shard
from tests.support.records import batch, record
from tests.support.strategies import POISON, attribute_value, histories, key_value
from tests.support.stream import state_after
from tests.support.transforms import Document, expected, transform_of
from tests.support.wire import Wire

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

KEY = ("PK",)
FAILED_AFTER = Refusal(RefusalKind.TRANSIENT, "InternalServerError", "applied nevertheless")


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
def test_each_value_is_sent_unchanged(keys: Any, attributes: Any, is_delete: bool) -> None:
    client = boto3.client("dynamodb", region_name="us-east-1", config=CLIENT_CONFIG)
    wire = Wire(client, answers=[description(keys)], always=(200, {"UnprocessedItems": {}}))
    image = None if is_delete else {**attributes, **keys}

    event = batch(record(1, "REMOVE" if is_delete else "INSERT", keys, image))
    assert Function(DynamoDBReplica(client, "copy")).invoke(event) == []

    expected = {"DeleteRequest": {"Key": keys}} if is_delete else {"PutRequest": {"Item": image}}
    assert wire.bodies("BatchWriteItem") == [{"RequestItems": {"copy": [expected]}}]


class Killed(Exception):  # noqa: N818  what happens to a sandbox is no error of the code
    """The function was killed between two requests."""


class Trouble:
    """Applies the next failure of a list to each request, and none after the end of the list."""

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
# A temporary error of the bucket has an effect only if it lasts for all attempts of an invocation.
BUCKET_TROUBLES = st.lists(
    st.sampled_from([(None,), ("SlowDown",) * MOST_ATTEMPTS, ("NoSuchBucket",)]), max_size=6
)
DOCUMENTS: Sequence[Document] = (
    {},
    {"hash": ["number"], "concat": {"joined": ["n#", {"attribute": "number"}, {"attribute": "PK"}]}},
    {"concat": {"joined": [{"attribute": "number"}]}, "drop": ["number"], "set": {"copied": {"BOOL": True}}},
    {"keep": ["v", "number"], "rename": {"number": "n"}},
)
# Time for one attempt, for a few, or for all.
SECONDS = st.lists(st.sampled_from([REQUEST_SECONDS, REQUEST_SECONDS + 1, 60.0]), max_size=20)


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[Any], list[Shard]]:
    """Generate a history of a few keys, and its shards. Each key has a shard, which may split in two."""
    history = draw(histories())
    gaps = draw(st.lists(st.sampled_from((0, 0, 0, 0, 0, 3)), min_size=len(history), max_size=len(history)))
    homes = draw(st.fixed_dictionaries({key: st.sampled_from("12") for key in "abcd"}))
    split = draw(st.integers(0, 2 * len(history)))
    shards: dict[str, Shard] = {}
    for place, (one, later) in enumerate(zip(history, accumulate(gaps), strict=True)):
        one["dynamodb"]["ApproximateCreationDateTime"] += later
        key = one["dynamodb"]["Keys"]["PK"]["S"]
        home = homes[key]
        child = Shard(f"{home}-{'left' if key in 'ac' else 'right'}", [], parent=home)
        shard = Shard(home, []) if place < split else child
        shards.setdefault(shard.id, shard).records.append(one)
    return history, [*shards.values()]


mapping_settings = st.builds(
    MappingSettings,
    batch_size=st.integers(1, 30),
    maximum_batching_window_in_seconds=st.sampled_from([0, 2]),
    parallelization_factor=st.integers(1, 3),
    bisect_batch_on_function_error=st.booleans(),
)


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    stream=streams(),
    mapping_settings=mapping_settings,
    not_invoked=st.lists(st.booleans(), max_size=6),
    crashes=st.lists(st.booleans(), max_size=12),
    troubles=st.lists(st.sampled_from(TROUBLES), max_size=25),
    bucket_troubles=BUCKET_TROUBLES,
    seconds=SECONDS,
    document=st.sampled_from(DOCUMENTS),
    seed=st.integers(0, 1000),
)
def test_any_history_converges_despite_any_failures(
    stream: tuple[list[Any], list[Shard]],
    mapping_settings: MappingSettings,
    not_invoked: list[bool],
    crashes: list[bool],
    troubles: Any,
    bucket_troubles: Any,
    seconds: Any,
    document: Document,
    seed: int,
) -> None:
    history, shards = stream
    trouble = Trouble(troubles, seed)
    bucket = FakeBucket(*(s3_error(code) if code else None for code in chain(*bucket_troubles)))
    container = Function(trouble.replica, bucket, transform=transform_of(document))
    discarded: dict[str, str] = {}

    def invoke(event: Any, request_id: str) -> Any:
        if not_invoked and not_invoked.pop():
            raise NotInvokedError
        context = Context(request_id, seconds_left=seconds.pop() if seconds else 60.0)
        return replicate(event, cast("LambdaContext", context), container.replicator)

    mapping = Mapping(
        shards, invoke, mapping_settings, destination=discarded.__setitem__, chance=trouble.random
    )
    while mapping.step():
        if crashes and crashes.pop():
            mapping.crash(lambda done: trouble.random.randint(0, done))
            container = Function(trouble.replica, bucket, transform=transform_of(document))

    quarantined = {
        kept["record"]["dynamodb"]["SequenceNumber"]
        for kept in bucket.kept
        if kept["error_code"] != "SuspectWrite"
    }
    # The replica is { k: f(source[k]) }.
    source = state_after(history, without=quarantined)
    assert container.replica.items == {key: expected(document, item, KEY) for key, item in source.items()}
    bad = malformed_in(history) | untransformable_in(history, document)
    assert bad <= quarantined
    # No valid record is quarantined, and nothing is discarded while retries are unlimited.
    assert quarantined <= bad | poison_in(history)
    assert (discarded, mapping.expired) == ({}, 0)


def malformed_in(history: Sequence[Any]) -> set[str]:
    return {one["dynamodb"]["SequenceNumber"] for one in history if value_of(one) == {"X": "?"}}


def poison_in(history: Sequence[Any]) -> set[str]:
    return {one["dynamodb"]["SequenceNumber"] for one in history if value_of(one) == POISON}


def untransformable_in(history: Sequence[Any], document: Document) -> set[str]:
    images = {one["dynamodb"]["SequenceNumber"]: one["dynamodb"].get("NewImage") for one in history}
    return {
        number for number, image in images.items() if image and expected(document, image, KEY) is None
    } - malformed_in(history)


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
def test_any_value_in_place_of_a_key_is_malformed_or_a_key(nonsense: Any) -> None:
    try:
        key = key_of(nonsense)
    except MalformedError:
        return
    assert key
    assert all(isinstance(part, str) for parts in key for part in parts)
