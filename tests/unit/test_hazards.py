"""The hazards of a replicator, by number: each test shows that the function prevents one of them.

`pytest -m "hazard(number=4)"` runs all tests of one hazard. `test_rules.py` shows that each of them can fail.
"""

import threading
from collections.abc import Mapping
from typing import Any

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError

from ddbreplica.bucket import quarantine
from ddbreplica.dynamodb.send import REQUEST_SECONDS
from ddbreplica.dynamodb.table import CLIENT_CONFIG, DynamoDBReplica
from ddbreplica.errors import KeySchemaError, QuarantineError, ReplicaError, SettingsError
from ddbreplica.model import Refusal
from ddbreplica.settings import Settings
from tests.support import template
from tests.support.fake_bucket import METADATA, FakeBucket, s3_error
from tests.support.fake_replica import DENIED, INVALID, THROTTLED, TIMED_OUT, FakeReplica, Request, in_turn
from tests.support.function import Context, Function
from tests.support.records import batch, delete, put, record, ttl_delete
from tests.support.transforms import transform_of
from tests.support.wire import FOREIGN, Wire, described, error

HAZARDS: Mapping[int, str] = {
    1: "A record is quarantined too early: a redrive repairs its key, and then this invocation writes an older image.",
    2: "Two quarantined objects have the same name: a redrive that works on the first one removes the second one.",
    3: "A good image is lost because a poison image of the same key follows it.",
    4: "A whole stream is quarantined although no record is at fault.",
    5: "The quarantine bucket fails, and records are lost.",
    6: "Two forms of the same key are handled as two keys.",
    7: "A response without the expected content counts as success.",
    8: "A write without a response is applied late and replaces a newer image.",
    9: "A request is still under way when the invocation ends, and writes an old image during a later one.",
    10: "A record that can never succeed is tried for ever.",
    11: "A command leaves an old state in the replica, or restores a deleted item.",
    12: "A backfill copies all items, but later changes do not reach the replica.",
    13: "Lag is reported as a difference.",
    14: "An archive loses expired items, or keeps items that a user deleted.",
    15: "A filter drops deletes, or a command ignores the filter: stale items stay, or excluded ones are copied.",
    17: "The replica is its own source, and every write causes another one.",
    18: "A response that AWS did not send counts as the end of a request, which is applied after the next one.",
    19: "A process is killed, and its write is applied after the next run has found both tables equal.",
    20: "An item that flips between two states is reported as a difference, since it looks the same at two moments.",
    21: "A lag that is unknown, or that was measured at another time, counts as a short one.",
    22: "The source was restored, and a record of the earlier table deletes the only copy of an item in the replica.",
    23: "The function waits for a table that accepts writes, and one poison record blocks its shard for hours.",
    24: "An archive of a global table deletes items that expired in another Region, without a warning.",
    25: "Telemetry fails after the writes, and applied records are never checkpointed; or alarms miss their metrics.",
    26: "A value that the transform is to hide reaches the replica in the clear.",
}

BAD = {"N": "5"}
MALFORMED = {"X": "?"}
NOTHING_LEFT: tuple[int, Any] = (200, {"UnprocessedItems": {}})


def with_poison(**options: Any) -> FakeReplica:
    return FakeReplica(poison=lambda item: item.get("v") == BAD, **options)


def over_the_wire(*answers: Any, always: tuple[int, Any] = NOTHING_LEFT) -> Function[DynamoDBReplica]:
    """Return the function with the real adapter, whose requests get these responses."""
    client = boto3.client("dynamodb", region_name="us-east-1", config=CLIENT_CONFIG)
    Wire(client, answers=[*answers], always=always)
    return Function(DynamoDBReplica(client, "copy"))


def one_attempt() -> Context:
    return Context(seconds_left=REQUEST_SECONDS)


@pytest.mark.hazard(number=1)
def test_nothing_is_quarantined_before_every_write_has_ended() -> None:
    # A redrive that saw A2 now would repair A, and then this invocation would write A1 over it.
    function = Function(with_poison())
    seen: list[int] = []
    function.bucket.before_put = lambda: seen.append(
        len(function.replica.requests) * 100 + function.replica.in_flight
    )

    function.invoke(
        batch(put(1, "a"), put(2, "a", v=BAD), put(3, "b", v=MALFORMED), put(4, "a", v=MALFORMED))
    )

    # One request with all writes and two with one each; none is under way or follows, as the fallback was the last.
    total = len(function.replica.requests) * 100
    assert seen == [total, total, total]


@pytest.mark.hazard(number=1)
def test_nothing_is_quarantined_after_the_reported_record() -> None:
    # Lambda delivers A2 again, after A1. A redrive must not repair A before A1 has been written.
    replica = with_poison(
        script=lambda request: THROTTLED if request[0].change.sequence_number == "1" else ()
    )
    function = Function(replica)

    assert function.invoke(batch(put(1, "b"), put(2, "a", v=MALFORMED)), one_attempt()) == ["1"]

    assert function.bucket.objects == {}


@pytest.mark.hazard(number=2)
def test_a_repeated_batch_never_overwrites_what_it_quarantined_before() -> None:
    # Lambda keeps the request id. With the same name a redrive of the first object would remove the second one.
    function = Function(with_poison())
    event = batch(put(1, "a", v=BAD), {"dynamodb": {}}, {"dynamodb": {}})

    for _ in range(3):
        function.invoke(event, Context("the same request"))

    assert len(function.bucket.objects) == 9


@pytest.mark.hazard(number=3)
@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_good_image_is_not_lost_before_a_poison_one_wherever_the_batch_is_cut(cut: int) -> None:
    records = [put(1, "a"), put(2, "a", v={"N": "2"}), put(3, "a", v=BAD)]
    function = Function(with_poison())

    function.invoke(batch(*records[:cut]))
    function.invoke(batch(*records[cut:]))

    assert list(function.replica.items.values()) == [{"PK": {"S": "a"}, "v": {"N": "2"}}]
    assert function.bucket.sequence_numbers == ["3"]


@pytest.mark.hazard(number=3)
def test_a_good_image_is_not_lost_if_the_poison_one_after_it_first_fails_transiently() -> None:
    function = Function(with_poison(script=in_turn(THROTTLED)))
    records = [put(1, "a", v={"N": "1"}), put(2, "b"), put(3, "a", v=BAD)]

    (reported,) = function.invoke(batch(*records), one_attempt())
    left = [r for r in records if int(r["dynamodb"]["SequenceNumber"]) >= int(reported)]
    assert function.invoke(batch(*left)) == []

    assert {"PK": {"S": "a"}, "v": {"N": "1"}} in function.replica.items.values()


@pytest.mark.hazard(number=4)
def test_a_whole_stream_is_not_quarantined_for_a_wrong_table() -> None:
    function = Function(FakeReplica(key_schema={"id": "N"}, script=lambda _: INVALID))

    with pytest.raises(KeySchemaError):
        function.invoke(batch(put(1, "a")))

    assert function.bucket.objects == {}


@pytest.mark.hazard(number=4)
def test_a_whole_stream_is_not_quarantined_for_a_table_that_was_replaced() -> None:
    refused = error("ValidationException")
    function = over_the_wire(described({"PK": "S"}), NOTHING_LEFT, refused, refused, described({"id": "N"}))

    assert function.invoke(batch(put(1, "a"))) == []
    with pytest.raises(KeySchemaError):
        function.invoke(batch(put(2, "a")))

    assert function.bucket.objects == {}


@pytest.mark.hazard(number=4)
def test_a_whole_stream_is_not_quarantined_for_a_wrong_index_however_it_is_bisected() -> None:
    function = Function(FakeReplica(poison=lambda _: True))
    refused = 0

    for number in range(3 * quarantine.MAX_IN_A_ROW):
        try:
            function.invoke(batch(put(number, f"key-{number}")))
        except QuarantineError:
            refused += 1

    assert len(function.bucket.objects) == quarantine.MAX_IN_A_ROW
    assert refused == 2 * quarantine.MAX_IN_A_ROW


@pytest.mark.hazard(number=4)
def test_deletes_do_not_restart_the_count_of_refused_records() -> None:
    function = Function(FakeReplica(poison=lambda _: True))

    for number in range(quarantine.MAX_IN_A_ROW):
        function.invoke(batch(put(number, f"key-{number}"), delete(number + 1, "gone")))
    with pytest.raises(QuarantineError):
        function.invoke(batch(put(500, "one more"), delete(501, "gone")))

    assert len(function.bucket.objects) == quarantine.MAX_IN_A_ROW


@pytest.mark.hazard(number=4)
def test_nothing_is_poison_while_the_table_is_not_active() -> None:
    function = Function(with_poison(status="CREATING"))

    assert function.invoke(batch(put(1, "a", v=BAD))) == ["1"]
    assert function.bucket.objects == {}


@pytest.mark.hazard(number=4)
def test_an_item_that_is_refused_only_together_with_poison_is_not_poison() -> None:
    function = Function(with_poison())

    assert function.invoke(batch(put(1, "a"), put(2, "b", v=BAD), put(3, "c"))) == []

    assert function.bucket.sequence_numbers == ["2"]
    assert len(function.replica.items) == 2


@pytest.mark.hazard(number=5)
@pytest.mark.parametrize("code", ["NoSuchBucket", "AccessDenied", "KMS.DisabledException"])
def test_a_broken_quarantine_bucket_loses_no_record(code: str) -> None:
    with pytest.raises(QuarantineError):
        Function(with_poison(), FakeBucket(s3_error(code))).invoke(batch(put(1, "a", v=BAD)))


@pytest.mark.hazard(number=5)
def test_a_transient_failure_of_the_quarantine_bucket_loses_no_record() -> None:
    function = Function(with_poison(), FakeBucket(*[s3_error("SlowDown")] * 99))

    assert function.invoke(batch(put(1, "b"), put(2, "a", v=BAD))) == ["2"]


@pytest.mark.hazard(number=5)
def test_the_function_requires_a_quarantine_bucket() -> None:
    with pytest.raises(SettingsError, match="QUARANTINE_BUCKET"):
        Settings.from_env({"REPLICA_TABLE_NAME": "copy"})


@pytest.mark.hazard(number=5)
def test_discarded_batches_and_poison_go_to_different_buckets() -> None:
    # With one bucket for both, a failure of the bucket blocks the stream for a day, and then loses the waiting records.
    function = template.load()["Resources"]["ReplicatorFunction"]["Properties"]
    (stream,) = function["Events"].values()

    assert function["Environment"]["Variables"]["QUARANTINE_BUCKET"] == {"Ref": "QuarantineBucket"}
    discarded = stream["Properties"]["DestinationConfig"]["OnFailure"]["Destination"]
    assert discarded == {"Fn::GetAtt": ["OnFailureBucket", "Arn"]}


@pytest.mark.hazard(number=6)
def test_equal_keys_in_different_forms_are_never_in_one_request() -> None:
    def numbered(number: int, text: str) -> dict[str, Any]:
        keys = {"id": {"N": text}}
        return record(number, "MODIFY", keys, {**keys, "v": {"N": str(number)}})

    function = Function(FakeReplica(key_schema={"id": "N"}))

    # The fake refuses a request that contains a key twice, as DynamoDB does.
    assert (
        function.invoke(batch(numbered(1, "1"), numbered(2, "10"), numbered(3, "1.0"), numbered(4, "1E1")))
        == []
    )

    assert [item["v"]["N"] for item in function.replica.items.values()] == ["3", "4"]


@pytest.mark.hazard(number=6)
def test_a_key_is_the_same_in_any_order_of_its_parts() -> None:
    one = {"PK": {"S": "a"}, "SK": {"N": "1"}}
    other = {"SK": {"N": "1"}, "PK": {"S": "a"}}
    function = Function(FakeReplica(key_schema={"PK": "S", "SK": "N"}))

    assert function.invoke(batch(record(1, "INSERT", one, one), record(2, "REMOVE", other))) == []

    (request,) = function.replica.requests
    assert [write.change.sequence_number for write in request] == ["2"]


@pytest.mark.hazard(number=6)
def test_a_binary_key_has_one_canonical_text() -> None:
    # A decoder that ignores the last bits reads the byte 0x61 from both.
    keys = [{"id": {"B": "YQ=="}}, {"id": {"B": "YR=="}}]
    function = Function(FakeReplica(key_schema={"id": "B"}))

    assert function.invoke(batch(*(record(n, "INSERT", key, key) for n, key in enumerate(keys)))) == []

    assert list(function.replica.items.values()) == [{"id": {"B": "YQ=="}}]
    assert function.bucket.sequence_numbers == ["1"]


@pytest.mark.hazard(number=7)
@pytest.mark.parametrize(
    "answer",
    [
        {"UnprocessedItems": {"copy": [{"PutRequest": {"Item": {"PK": {"S": "another"}}}}]}},
        {"UnprocessedItems": {"copy": [{}]}},
        {},
    ],
    ids=["another key", "no key", "nothing"],
)
def test_a_response_without_the_expected_content_is_no_success(answer: Any) -> None:
    function = over_the_wire(described({"PK": "S"}), always=(200, answer))

    assert function.invoke(batch(put(1, "a")), one_attempt()) == ["1"]


@pytest.mark.hazard(number=7)
def test_a_bucket_s_response_without_an_etag_is_no_success() -> None:
    class Proxy(FakeBucket):
        def put_object(self, **_: Any) -> dict[str, Any]:
            return {"ResponseMetadata": METADATA}

    assert Function(with_poison(), Proxy()).invoke(batch(put(1, "a", v=BAD))) == ["1"]


@pytest.mark.hazard(number=8)
def test_a_write_without_response_is_kept_as_in_doubt_whatever_its_repetition_did() -> None:
    applied = Function(FakeReplica(script=in_turn(TIMED_OUT)))
    failed = Function(FakeReplica(script=lambda _: TIMED_OUT))

    assert applied.invoke(batch(put(1, "a"))) == []
    assert failed.invoke(batch(put(1, "a")), one_attempt()) == ["1"]

    for function in (applied, failed):
        assert [kept["error_code"] for kept in function.bucket.kept] == ["SuspectWrite"]


@pytest.mark.hazard(number=18)
@pytest.mark.parametrize("status", [200, 403, 504])
def test_a_write_with_a_gateway_s_page_as_response_is_in_doubt(status: int) -> None:
    # The gateway has passed the request on. AWS applies it after v2 was written, and no record would show it.
    page = b"<html><h1>504 Gateway Time-out</h1></html>"
    function = over_the_wire(described({"PK": "S"}), (status, page, FOREIGN))

    assert function.invoke(batch(put(1, "a", v={"N": "1"}))) == []
    assert function.invoke(batch(put(2, "a", v={"N": "2"}))) == []

    assert [kept["error_code"] for kept in function.bucket.kept] == ["SuspectWrite"]
    assert function.bucket.sequence_numbers == ["1"]


@pytest.mark.hazard(number=18)
def test_in_doubt_writes_are_kept_although_the_invocation_fails() -> None:
    function = Function(FakeReplica(script=in_turn(TIMED_OUT, DENIED)))

    with pytest.raises(ReplicaError, match="AccessDeniedException"):
        function.invoke(
            batch(*(put(number, f"key-{number}") for number in range(1, 51)), put(51, "x", v=MALFORMED))
        )

    # Lambda delivers the batch again. Then the in-doubt writes may succeed, and no record would show them.
    assert {kept["error_code"] for kept in function.bucket.kept} == {"SuspectWrite"}
    assert set(function.bucket.sequence_numbers) == {str(number) for number in range(1, 26)}


@pytest.mark.hazard(number=23)
def test_poison_does_not_block_a_table_to_which_an_index_is_being_added() -> None:
    function = Function(with_poison(status="UPDATING"))

    assert function.invoke(batch(put(1, "a"), put(2, "b", v=BAD), put(3, "c"))) == []

    assert function.bucket.sequence_numbers == ["2"]
    assert len(function.replica.items) == 2


@pytest.mark.hazard(number=8)
def test_an_in_doubt_write_after_the_reported_record_is_kept_too() -> None:
    replica = FakeReplica(script=lambda request: THROTTLED if len(request) == 25 else TIMED_OUT)
    function = Function(replica)

    assert function.invoke(batch(*(put(n, f"key-{n}") for n in range(26))), one_attempt()) == ["0"]

    assert function.bucket.sequence_numbers == ["25"]


@pytest.mark.hazard(number=8)
def test_a_write_that_times_out_is_in_doubt() -> None:
    function = over_the_wire(described({"PK": "S"}), ReadTimeoutError(endpoint_url="https://x"))

    assert function.invoke(batch(put(1, "a"))) == []

    assert [kept["error_code"] for kept in function.bucket.kept] == ["SuspectWrite"]


@pytest.mark.hazard(number=8)
def test_every_in_doubt_write_is_kept_although_the_time_is_up() -> None:
    context = Context()

    def unanswered(_: Request) -> Refusal:
        context.seconds_left -= 8  # the longest time of a request
        return TIMED_OUT

    function = Function(FakeReplica(script=unanswered))
    function.bucket.before_put = lambda: context.sleep(0.1)

    assert function.invoke(batch(*(put(number, f"key-{number}") for number in range(25))), context) == ["0"]

    assert len(function.bucket.objects) == 25
    assert context.seconds_left > 0


@pytest.mark.hazard(number=9)
@pytest.mark.parametrize("is_broken", [False, True])
def test_no_request_and_no_thread_outlives_the_invocation(is_broken: bool) -> None:
    def script(request: Request) -> tuple[()]:
        if is_broken and request[0].change.sequence_number == "75":
            raise ZeroDivisionError
        return ()

    function = Function(FakeReplica(script=script))
    many = batch(*(put(number, f"key-{number}") for number in range(100)))
    threads = threading.active_count()
    if is_broken:
        with pytest.raises(ZeroDivisionError):
            function.invoke(many)
    else:
        assert function.invoke(many) == []

    assert function.replica.most_in_flight == 3 + (not is_broken)
    assert function.replica.in_flight == 0
    assert threading.active_count() == threads


@pytest.mark.hazard(number=10)
@pytest.mark.parametrize("value", [{"B": "bad base64"}, {"S": 5}, {"X": "?"}])
def test_an_item_that_cannot_be_sent_is_not_tried_for_ever(value: Any) -> None:
    function = Function(FakeReplica())

    assert function.invoke(batch(put(1, "a", v=value), put(2, "b"))) == []

    assert function.bucket.sequence_numbers == ["1"]
    assert len(function.replica.items) == 1


@pytest.mark.hazard(number=10)
def test_a_record_that_cannot_be_decoded_is_not_tried_for_ever() -> None:
    strange = record(1, "INSERT", {"PK": {"S": "a"}})
    strange["dynamodb"]["StreamViewType"] = ["not", "hashable"]
    function = Function(FakeReplica())

    assert function.invoke(batch(strange, put(2, "b"))) == []

    assert function.bucket.sequence_numbers == ["1"]
    assert len(function.replica.items) == 1


@pytest.mark.hazard(number=10)
def test_an_item_collection_that_is_full_is_not_tried_for_ever() -> None:
    full = error("ItemCollectionSizeLimitExceededException")
    function = over_the_wire(described({"PK": "S"}), full, full, described({"PK": "S"}), always=full)

    assert function.invoke(batch(put(1, "a"))) == []

    assert function.bucket.sequence_numbers == ["1"]


@pytest.mark.hazard(number=10)
def test_an_unknown_error_is_reported_with_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    unknown = error("BrandNewException")
    function = over_the_wire(described({"PK": "S"}), unknown, unknown, described({"PK": "S"}), always=unknown)

    assert function.invoke(batch(put(1, "a")), one_attempt()) == ["1"]

    assert function.bucket.objects == {}
    assert '"refusals":{"BrandNewException":1}' in capsys.readouterr().out


@pytest.mark.hazard(number=14)
def test_an_item_that_expires_in_the_batch_of_its_put_stays_in_an_archive() -> None:
    # If the TTL delete were skipped after planning, the put before it would be lost as well.
    function = Function(FakeReplica(), replicate_ttl_deletes=False)

    assert function.invoke(batch(put(1, "a"), put(2, "b"), ttl_delete(3, "a"), delete(4, "b"))) == []

    assert list(function.replica.items.values()) == [{"PK": {"S": "a"}}]


@pytest.mark.hazard(number=17)
def test_the_replica_is_never_its_own_source() -> None:
    source = FakeReplica()
    one = put(1, "a") | {"eventSourceARN": f"{source.table.arn}/stream/2026-11-01T12:00:00.000"}  # type: ignore[union-attr]

    with pytest.raises(ReplicaError, match="is the source"):
        Function(source).invoke(batch(one))


@pytest.mark.hazard(number=25)
def test_an_applied_batch_is_reported_although_nothing_can_be_logged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    function = Function(FakeReplica())
    monkeypatch.setattr("sys.stdout", None)
    monkeypatch.setattr("ddbreplica.replicate.telemetry.EphemeralMetrics", None)

    assert function.invoke(batch(put(1, "a"))) == []

    assert len(function.replica.items) == 1


@pytest.mark.hazard(number=25)
def test_a_variable_that_telemetry_cannot_use_is_refused_before_any_write() -> None:
    env = {
        "REPLICA_TABLE_NAME": "copy",
        "QUARANTINE_BUCKET": "bucket",
        "POWERTOOLS_METRICS_DISABLED": "maybe",
    }

    with pytest.raises(SettingsError, match="POWERTOOLS_METRICS_DISABLED is 'maybe'"):
        Settings.from_env(env)


@pytest.mark.hazard(number=25)
def test_the_functions_log_level_does_not_drop_its_metrics() -> None:
    function = template.load()["Resources"]["ReplicatorFunction"]["Properties"]

    assert function["LoggingConfig"]["LogFormat"] == "JSON"
    assert function["LoggingConfig"]["ApplicationLogLevel"] in ("TRACE", "DEBUG", "INFO")


CLEAR = "canary"


def masked(replica: FakeReplica, *records: Any) -> str:
    """Return what the replica holds after a batch, by a function that hashes `mail` and makes an index key of it."""
    transform = transform_of({"hash": ["mail"], "concat": {"index": ["#", {"attribute": "mail"}]}})
    assert Function(replica, transform=transform).invoke(batch(*records)) == []
    return str(replica.items)


@pytest.mark.hazard(number=26)
def test_what_cannot_be_transformed_is_not_written_as_it_is() -> None:
    address = {"M": {"street": {"S": CLEAR}}}

    held = masked(FakeReplica(), put(1, "a", v={"S": "before"}), put(2, "a", mail=address))

    assert "before" in held
    assert CLEAR not in held


@pytest.mark.hazard(number=26)
def test_the_image_that_is_written_in_place_of_poison_is_transformed_too() -> None:
    held = masked(with_poison(), put(1, "a", mail={"S": CLEAR}), put(2, "a", mail={"S": CLEAR}, v=BAD))

    assert "mail" in held
    assert CLEAR not in held


@pytest.mark.hazard(number=26)
def test_a_hashed_value_is_in_no_computed_attribute() -> None:
    held = masked(FakeReplica(), put(1, "a", mail={"S": CLEAR}))

    assert "index" in held
    assert CLEAR not in held
