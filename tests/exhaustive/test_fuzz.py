"""With any malformed event, each record is applied, reported or quarantined, and no item content is logged."""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddbreplica.bucket.quarantine import PUT_SECONDS
from ddbreplica.dynamodb.send import REQUEST_SECONDS
from ddbreplica.errors import EventError, ReplicatorError
from ddbreplica.model import SUSPECT, Key
from ddbreplica.records.decode import MalformedError, key_of
from tests.support.echoes import ECHOES
from tests.support.fake_bucket import FakeBucket, s3_error
from tests.support.fake_replica import DENIED, THROTTLED, TIMED_OUT, FakeReplica, in_turn
from tests.support.function import Context, Function
from tests.support.records import batch, delete, put, record, ttl_delete
from tests.support.transforms import Document, transform_of

CANARIES = ("canary", "Y2FuYXJ5", "7700770077")
"""The content of the items: text, base64 and a number. No output and no error may contain any of it."""

POISON = {"S": "canary of poison"}
NUMBERS = range(100, 108)
KEYS = ("canary a", "canary b", "canary c")
OLD_ITEMS = {key_of({"PK": {"S": key}}): {"PK": {"S": key}, "old": {"BOOL": True}} for key in KEYS}
"""The items of the replica at the start, so that a delete has an effect."""


def full_put(number: int, key: str) -> dict[str, Any]:
    return put(
        number,
        key,
        text={"S": f"canary {number}"},
        number={"N": f"7700770077{number}"},
        nested={"M": {"canary": {"L": [{"B": "Y2FuYXJ5"}, {"SS": ["canary"]}, {"NULL": True}]}}},
    )


def poison_put(number: int, key: str) -> dict[str, Any]:
    return put(number, key, poison=POISON)


def as_text(thing: Any) -> str:
    return json.dumps(thing, sort_keys=True)


SOUND = (full_put, delete, ttl_delete)
SOUND_TEXTS = {as_text(make(number, key)) for make in SOUND for number in NUMBERS for key in KEYS}

# Members that the function reads, so that a change has an effect.
of_a_record = (
    "dynamodb",
    "eventName",
    "eventSource",
    "EventSource",
    "eventSourceARN",
    "eventID",
    "userIdentity",
)
of_its_data = ("Keys", "NewImage", "SequenceNumber", "StreamViewType", "ApproximateCreationDateTime")
of_an_image = ("PK", "S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M")
names = st.sampled_from([*of_a_record, *of_its_data, *of_an_image]) | st.text(max_size=4)
words = st.sampled_from(
    [
        "",
        "INSERT",
        "MODIFY",
        "REMOVE",
        "KEYS_ONLY",
        "aws:sqs",
        "aws:dynamodb",
        "100",
        "1E5000",
        "\ud800",
        "\0\u2028🙂",
    ]
)
huge = st.sampled_from([10**400, -(10**400), 1e308, float("inf"), -0.0])
nonsense = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | huge
    | words
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)


def nested(value: Any, levels: int) -> Any:
    for _ in range(levels):
        value = {"L": [value]}
    return value


@st.composite
def changed(draw: st.DrawFn, whole: Any) -> Any:
    """Return the JSON with one part at any depth removed, renamed, repeated, replaced, wrapped or added."""
    if not isinstance(whole, dict | list) or not whole:
        return draw(replaced(whole))
    members = list(whole.items() if isinstance(whole, dict) else enumerate(whole))
    at = draw(st.integers(0, len(members) - 1))
    members[at : at + 1] = draw(changes_of_a_member(*members[at]))
    return dict(members) if isinstance(whole, dict) else [value for _, value in members]


def changes_of_a_member(name: Any, value: Any) -> st.SearchStrategy[list[tuple[Any, Any]]]:
    """Return replacements for a member: members of an object, or elements of a list, which have no names."""
    within = changed(value).map(lambda new: [(name, new)])
    others: list[st.SearchStrategy[list[tuple[Any, Any]]]] = [
        st.just([]),
        names.map(lambda new: [(new, value)]),
        st.just([(name, value), (name, value)]),
        replaced(value).map(lambda new: [(name, new)]),
        st.tuples(names, nonsense).map(lambda added: [(name, value), added]),
    ]
    return st.sampled_from([within] * 5 + others).flatmap(lambda change: change)


def replaced(value: Any) -> st.SearchStrategy[Any]:
    return nonsense | st.just([value]) | st.integers(0, 100).map(lambda levels: nested(value, levels))


@st.composite
def changed_at(draw: st.DrawFn, whole: Any, *path: str) -> Any:
    """Return the JSON with a change at the end of a path, or where the path ends early."""
    if path and isinstance(whole, dict) and path[0] in whole:
        return {**whole, path[0]: draw(changed_at(whole[path[0]], *path[1:]))}
    return draw(changed(whole))


PLACES = ((), ("dynamodb",), ("dynamodb", "Keys"), ("dynamodb", "NewImage"), ("userIdentity",))


@st.composite
def malformed_batches(draw: st.DrawFn) -> Any:
    """Generate puts, deletes, expiries and poison of a few keys, with a few malformed records."""
    makers = draw(st.lists(st.sampled_from([*SOUND, poison_put]), min_size=1, max_size=len(NUMBERS)))
    records: list[Any] = [
        make(number, draw(st.sampled_from(KEYS))) for number, make in zip(NUMBERS, makers, strict=False)
    ]
    for at in draw(st.lists(st.integers(0, len(records) - 1), min_size=1, max_size=4)):
        records[at] = draw(changed_at(records[at], *draw(st.sampled_from(PLACES))))
    return batch(*records)


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    event=malformed_batches(),
    answers=st.lists(st.sampled_from([(), THROTTLED, TIMED_OUT]), max_size=5) | st.just([(), DENIED]),
    faults=st.lists(st.sampled_from([None, "SlowDown"]), max_size=8) | st.just([None, "NoSuchBucket"]),
    seconds=st.sampled_from([60.0, REQUEST_SECONDS, 60.0, REQUEST_SECONDS, PUT_SECONDS - 1]),
    replicate_ttl_deletes=st.booleans(),
    echo=st.sampled_from([echo for echo, _ in ECHOES]),
)
def test_each_record_of_a_malformed_batch_is_written_reported_or_quarantined(
    event: Any, answers: Any, faults: Any, seconds: float, replicate_ttl_deletes: bool, echo: str
) -> None:
    bucket = FakeBucket(*(s3_error(code) if code else None for code in faults))

    invoke_and_account(event, replica(*answers, echo=echo), bucket, seconds, replicate_ttl_deletes)

    assert [kept for kept in kept_by(bucket) if kept in SOUND_TEXTS] == []


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    event=malformed_batches(),
    answers=st.lists(st.sampled_from([(), THROTTLED, TIMED_OUT]), max_size=5),
    document=st.sampled_from([{"hash": ["text", "number"], "drop": ["nested"]}, {"hash": ["nested"]}]),
    echo=st.sampled_from([echo for echo, _ in ECHOES]),
)
def test_with_a_transform_no_content_of_an_item_and_no_secret_is_output(
    event: Any, answers: Any, document: Document, echo: str
) -> None:
    invoke_and_account(event, replica(*answers, echo=echo), FakeBucket(), document=document)


@settings(deadline=None)
@given(
    malformed_batches().flatmap(changed)
    | st.lists(nonsense, max_size=3).map(lambda some: batch(*some))
    | nonsense
)
def test_an_event_of_any_structure_is_processed_or_refused(event: Any) -> None:
    invoke_and_account(event, replica(), FakeBucket())


def replica(*answers: Any, echo: str = "{}") -> FakeReplica:
    """Return a replica whose errors and throttling messages quote the item, as DynamoDB's may."""
    echoing = [
        replace(one, message=echo.replace("{}", "canary")) if one is THROTTLED else one for one in answers
    ]
    made = FakeReplica(
        script=in_turn(*echoing),
        poison=lambda item: item.get("poison") == POISON,
        words=lambda item: echo.replace("{}", as_text(item)),
    )
    made.items = {**OLD_ITEMS}
    return made


def invoke_and_account(
    event: Any,
    replica: FakeReplica,
    bucket: FakeBucket,
    seconds: float = 60.0,
    replicate_ttl_deletes: bool = True,
    document: Document | None = None,
) -> None:
    """Invoke the function as Lambda does. Check that it raises only its own errors, and outputs no item content."""
    event = json.loads(json.dumps(event))
    reported = None
    with everything_written() as written:
        function = Function(
            replica,
            bucket,
            replicate_ttl_deletes=replicate_ttl_deletes,
            transform=transform_of(document or {}),
        )
        try:
            reported = function.invoke(event, Context(seconds_left=seconds))
        except ReplicatorError:
            logging.getLogger("lambda").exception("the invocation failed")
    assert [canary for canary in CANARIES if canary in written.getvalue()] == []
    if reported is not None and not document:
        assert_accounted_for(event["Records"], reported, function)


@contextmanager
def everything_written() -> Iterator[StringIO]:
    """Yield buffers of everything written to stdout, stderr and to loggers above DEBUG."""
    written = StringIO()
    handler, level = logging.StreamHandler(written), logging.root.level
    logging.root.addHandler(handler)
    logging.root.setLevel(logging.INFO)
    try:
        with redirect_stdout(written), redirect_stderr(written):
            yield written
    finally:
        logging.root.setLevel(level)
        logging.root.removeHandler(handler)


def assert_accounted_for(
    records: Sequence[Any], reported: Sequence[str], function: Function[FakeReplica]
) -> None:
    """Check that each key has the image of its last unquarantined record before the checkpoint, or of a later one."""
    kept = kept_by(function.bucket)
    checkpoint = min(map([number_of(one) for one in records].index, reported), default=len(records))
    possible: dict[Key, list[Any]] = {}
    for position, one in enumerate(records):
        if as_text(one) in kept or (is_expiry(one) and not function.replicate_ttl_deletes):
            continue
        try:
            key, image = state_after(one)
        except (KeyError, TypeError, MalformedError):
            assert position >= checkpoint, "neither written, nor reported, nor kept"
        else:
            before = [] if position < checkpoint else possible.get(key, [OLD_ITEMS.get(key)])
            possible[key] = [*before, image]
    for key, images in possible.items():
        assert function.replica.items.get(key) in images


def kept_by(bucket: FakeBucket) -> list[str]:
    return [as_text(kept["record"]) for kept in bucket.kept if kept["error_code"] != SUSPECT]


def number_of(one: Any) -> Any:
    data = one.get("dynamodb") if isinstance(one, dict) else None
    return data.get("SequenceNumber") if isinstance(data, dict) else None


def is_expiry(one: Any) -> bool:
    match one:
        case {
            "eventName": "REMOVE",
            "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"},
        }:
            return True
    return False


def state_after(one: Any) -> tuple[Key, Any]:
    """Return the key and the image of a record. Raises an error if it is malformed."""
    member = {"INSERT": "NewImage", "MODIFY": "NewImage", "REMOVE": None}[one["eventName"]]
    return key_of(one["dynamodb"]["Keys"]), member and one["dynamodb"][member]


@pytest.mark.parametrize("source", [["canary"], {"PK": {"S": "canary"}}])
def test_a_source_arn_that_is_no_string_is_refused_without_its_content(source: Any) -> None:
    with pytest.raises(EventError) as caught:
        Function(FakeReplica()).invoke(batch(put(1, "a") | {"eventSource": source}))

    assert "canary" not in str(caught.value)


def test_a_number_with_a_huge_exponent_is_quarantined_and_the_others_are_applied() -> None:
    function = Function(FakeReplica(key_schema={"PK": "N"}))
    good, bad = {"PK": {"N": "1"}}, {"PK": {"N": "1" + "0" * 1_000_000}}

    assert function.invoke(batch(record(1, "REMOVE", bad), record(2, "INSERT", good, good))) == []

    assert function.bucket.sequence_numbers == ["1"]
    assert list(function.replica.items.values()) == [good]


@pytest.mark.parametrize("member", ["Keys", "NewImage", "SequenceNumber"])
def test_a_record_nested_too_deeply_is_quarantined_and_the_others_are_applied(member: str) -> None:
    function = Function(FakeReplica())
    deep = put(1, "a")
    deep["dynamodb"][member] = "DEEP"
    event = json.dumps(batch(deep, put(2, "b"))).replace('"DEEP"', '{"L":[' * 400 + "]}" * 400)

    assert function.invoke(json.loads(event)) == []

    assert len(function.bucket.kept) == 1
    assert list(function.replica.items.values()) == [{"PK": {"S": "b"}}]
