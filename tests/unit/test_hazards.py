"""Ways in which a replicator goes wrong, each as a story that must end well.

`pytest -m "hazard(number=4)"` runs one hazard's, wherever they stand; `test_rules.py` shows that each can fail.
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
from tests.support.wire import FOREIGN, Wire, described, error

HAZARDS: Mapping[int, str] = {
    1: "Poison is in quarantine too early: a redrive heals its key, and then this invocation writes an older image.",
    2: "Two objects in quarantine have one name: a redrive at work on the first removes the second with it.",
    3: "A good image is swallowed by the poison one that supersedes it.",
    4: "A whole stream goes into quarantine, though not one record is at fault.",
    5: "Quarantine is broken, and records are dropped for it.",
    6: "Two spellings of one key are taken for two keys.",
    7: "An answer that says nothing is taken for success.",
    8: "A write that nobody waits for any more lands late, over a newer one.",
    9: "A request outlives the invocation, and writes an old image in a later one.",
    10: "What can never succeed is tried for ever.",
    11: "A healer leaves an old state, or brings back what is gone.",
    12: "What is copied is right, and what changes afterwards never arrives.",
    13: "Lag is taken for a difference.",
    14: "An archive loses what has expired, or keeps what was deleted.",
    15: "A filter drops deletes, or a healer does not go by it: stale items stay, or unwanted ones come.",
    17: "The replica is its own source, and every write makes another.",
    18: "A response that does not come from AWS is taken for the end of a request, which lands after the next one.",
    19: "A process is killed, and its write lands after the next one has found everything equal.",
    22: "The source was restored under its name, and a record of the table before deletes the replica's only copy.",
    23: "A table that takes writes is waited for, and one poison record blocks its shard for hours.",
    24: "An archive of a global table deletes what expired in another Region, and nobody is warned.",
    25: "Telemetry fails after the writes, and what is applied is never checkpointed; or alarms are blind to metrics.",
}

BAD = {"N": "5"}
MALFORMED = {"X": "?"}
NOTHING_LEFT: tuple[int, Any] = (200, {"UnprocessedItems": {}})


def with_poison(**options: Any) -> FakeReplica:
    return FakeReplica(poison=lambda item: item.get("v") == BAD, **options)


def over_the_wire(*answers: Any, always: tuple[int, Any] = NOTHING_LEFT) -> Function[DynamoDBReplica]:
    """The function with the real adapter, whose requests get these answers."""
    client = boto3.client("dynamodb", region_name="us-east-1", config=CLIENT_CONFIG)
    Wire(client, answers=[*answers], always=always)
    return Function(DynamoDBReplica(client, "copy"))


def one_attempt() -> Context:
    return Context(seconds_left=REQUEST_SECONDS)


@pytest.mark.hazard(number=1)
def test_quarantine_is_not_visible_before_every_write_has_ended() -> None:
    # A redrive that saw A2 now would heal A, and then this invocation would write A1 over it.
    function = Function(with_poison())
    seen: list[int] = []
    function.bucket.before_put = lambda: seen.append(
        len(function.replica.requests) * 100 + function.replica.in_flight
    )

    function.invoke(
        batch(put(1, "a"), put(2, "a", v=BAD), put(3, "b", v=MALFORMED), put(4, "a", v=MALFORMED))
    )

    # One request together, two alone, and nothing under way or to come: the fallback was the last of them.
    total = len(function.replica.requests) * 100
    assert seen == [total, total, total]


@pytest.mark.hazard(number=1)
def test_quarantine_is_not_visible_behind_the_reported_record() -> None:
    # What comes again will be written again: A2 must not be healed before A1 has been written.
    replica = with_poison(
        script=lambda request: THROTTLED if request[0].change.sequence_number == "1" else ()
    )
    function = Function(replica)

    assert function.invoke(batch(put(1, "b"), put(2, "a", v=MALFORMED)), one_attempt()) == ["1"]

    assert function.bucket.objects == {}


@pytest.mark.hazard(number=2)
def test_a_repeated_batch_never_overwrites_what_it_quarantined_before() -> None:
    # Lambda keeps the request id; a redrive at work on the first object would remove the second with it.
    function = Function(with_poison())
    event = batch(put(1, "a", v=BAD), {"dynamodb": {}}, {"dynamodb": {}})

    for _ in range(3):
        function.invoke(event, Context("the same request"))

    assert len(function.bucket.objects) == 9


@pytest.mark.hazard(number=3)
@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_good_image_is_not_swallowed_by_a_poison_one_wherever_the_batch_is_cut(cut: int) -> None:
    records = [put(1, "a"), put(2, "a", v={"N": "2"}), put(3, "a", v=BAD)]
    function = Function(with_poison())

    function.invoke(batch(*records[:cut]))
    function.invoke(batch(*records[cut:]))

    assert list(function.replica.items.values()) == [{"PK": {"S": "a"}, "v": {"N": "2"}}]
    assert function.bucket.sequence_numbers == ["3"]


@pytest.mark.hazard(number=3)
def test_a_good_image_is_not_swallowed_when_its_poison_successor_first_fails_for_a_passing_reason() -> None:
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
def test_a_whole_stream_is_not_quarantined_for_a_table_that_was_replaced_under_the_container() -> None:
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
def test_deletes_do_not_hide_that_a_whole_stream_is_refused() -> None:
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
def test_what_is_refused_together_with_poison_is_not_poison() -> None:
    function = Function(with_poison())

    assert function.invoke(batch(put(1, "a"), put(2, "b", v=BAD), put(3, "c"))) == []

    assert function.bucket.sequence_numbers == ["2"]
    assert len(function.replica.items) == 2


@pytest.mark.hazard(number=5)
@pytest.mark.parametrize("code", ["NoSuchBucket", "AccessDenied", "KMS.DisabledException"])
def test_a_broken_quarantine_never_lets_a_record_go(code: str) -> None:
    with pytest.raises(QuarantineError):
        Function(with_poison(), FakeBucket(s3_error(code))).invoke(batch(put(1, "a", v=BAD)))


@pytest.mark.hazard(number=5)
def test_a_quarantine_that_fails_for_now_never_lets_a_record_go() -> None:
    function = Function(with_poison(), FakeBucket(*[s3_error("SlowDown")] * 99))

    assert function.invoke(batch(put(1, "b"), put(2, "a", v=BAD))) == ["2"]


@pytest.mark.hazard(number=5)
def test_there_is_no_function_without_a_quarantine() -> None:
    with pytest.raises(SettingsError, match="QUARANTINE_BUCKET"):
        Settings.from_env({"REPLICA_TABLE_NAME": "copy"})


@pytest.mark.hazard(number=5)
def test_what_lambda_gives_up_does_not_go_where_poison_goes() -> None:
    # With one bucket for both, what breaks it blocks the stream for a day, and then drops what had to wait.
    function = template.load()["Resources"]["ReplicatorFunction"]["Properties"]
    (stream,) = function["Events"].values()

    assert function["Environment"]["Variables"]["QUARANTINE_BUCKET"] == {"Ref": "QuarantineBucket"}
    discarded = stream["Properties"]["DestinationConfig"]["OnFailure"]["Destination"]
    assert discarded == {"Fn::GetAtt": ["OnFailureBucket", "Arn"]}


@pytest.mark.hazard(number=6)
def test_keys_that_look_different_and_are_one_are_never_in_one_request() -> None:
    def numbered(number: int, text: str) -> dict[str, Any]:
        keys = {"id": {"N": text}}
        return record(number, "MODIFY", keys, {**keys, "v": {"N": str(number)}})

    function = Function(FakeReplica(key_schema={"id": "N"}))

    # The fake refuses one key twice in a request, as the engine does.
    assert (
        function.invoke(batch(numbered(1, "1"), numbered(2, "10"), numbered(3, "1.0"), numbered(4, "1E1")))
        == []
    )

    assert [item["v"]["N"] for item in function.replica.items.values()] == ["3", "4"]


@pytest.mark.hazard(number=6)
def test_a_key_is_one_whatever_the_order_of_its_parts() -> None:
    one = {"PK": {"S": "a"}, "SK": {"N": "1"}}
    other = {"SK": {"N": "1"}, "PK": {"S": "a"}}
    function = Function(FakeReplica(key_schema={"PK": "S", "SK": "N"}))

    assert function.invoke(batch(record(1, "INSERT", one, one), record(2, "REMOVE", other))) == []

    (request,) = function.replica.requests
    assert [write.change.sequence_number for write in request] == ["2"]


@pytest.mark.hazard(number=6)
def test_a_binary_key_has_one_text() -> None:
    # Both are the byte 0x61 to a decoder that does not look at the last bits.
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
def test_an_answer_that_says_nothing_is_no_success(answer: Any) -> None:
    function = over_the_wire(described({"PK": "S"}), always=(200, answer))

    assert function.invoke(batch(put(1, "a")), one_attempt()) == ["1"]


@pytest.mark.hazard(number=7)
def test_a_bucket_s_answer_that_says_nothing_is_no_success() -> None:
    class Proxy(FakeBucket):
        def put_object(self, **_: Any) -> dict[str, Any]:
            return {"ResponseMetadata": METADATA}

    assert Function(with_poison(), Proxy()).invoke(batch(put(1, "a", v=BAD))) == ["1"]


@pytest.mark.hazard(number=8)
def test_a_write_that_was_not_answered_is_remembered_whatever_became_of_it() -> None:
    applied = Function(FakeReplica(script=in_turn(TIMED_OUT)))
    failed = Function(FakeReplica(script=lambda _: TIMED_OUT))

    assert applied.invoke(batch(put(1, "a"))) == []
    assert failed.invoke(batch(put(1, "a")), one_attempt()) == ["1"]

    for function in (applied, failed):
        assert [kept["error_code"] for kept in function.bucket.kept] == ["SuspectWrite"]


@pytest.mark.hazard(number=18)
@pytest.mark.parametrize("status", [200, 403, 504])
def test_a_gateway_s_page_ends_no_write_and_the_record_is_remembered(status: int) -> None:
    # The gateway has passed the request on: it lands after v2 was written, and nobody would know.
    page = b"<html><h1>504 Gateway Time-out</h1></html>"
    function = over_the_wire(described({"PK": "S"}), (status, page, FOREIGN))

    assert function.invoke(batch(put(1, "a", v={"N": "1"}))) == []
    assert function.invoke(batch(put(2, "a", v={"N": "2"}))) == []

    assert [kept["error_code"] for kept in function.bucket.kept] == ["SuspectWrite"]
    assert function.bucket.sequence_numbers == ["1"]


@pytest.mark.hazard(number=18)
def test_what_is_in_doubt_is_remembered_although_the_invocation_fails() -> None:
    function = Function(FakeReplica(script=in_turn(TIMED_OUT, DENIED)))

    with pytest.raises(ReplicaError, match="AccessDeniedException"):
        function.invoke(
            batch(*(put(number, f"key-{number}") for number in range(1, 51)), put(51, "x", v=MALFORMED))
        )

    # The malformed record comes again with the batch; the writes in doubt may succeed then, and nobody would know.
    assert {kept["error_code"] for kept in function.bucket.kept} == {"SuspectWrite"}
    assert set(function.bucket.sequence_numbers) == {str(number) for number in range(1, 26)}


@pytest.mark.hazard(number=23)
def test_poison_does_not_block_a_table_to_which_an_index_is_being_added() -> None:
    function = Function(with_poison(status="UPDATING"))

    assert function.invoke(batch(put(1, "a"), put(2, "b", v=BAD), put(3, "c"))) == []

    assert function.bucket.sequence_numbers == ["2"]
    assert len(function.replica.items) == 2


@pytest.mark.hazard(number=8)
def test_a_write_behind_the_reported_record_is_remembered_too() -> None:
    replica = FakeReplica(script=lambda request: THROTTLED if len(request) == 25 else TIMED_OUT)
    function = Function(replica)

    assert function.invoke(batch(*(put(n, f"key-{n}") for n in range(26))), one_attempt()) == ["0"]

    assert function.bucket.sequence_numbers == ["25"]


@pytest.mark.hazard(number=8)
def test_a_read_time_out_is_a_write_that_was_not_answered() -> None:
    function = over_the_wire(described({"PK": "S"}), ReadTimeoutError(endpoint_url="https://x"))

    assert function.invoke(batch(put(1, "a"))) == []

    assert [kept["error_code"] for kept in function.bucket.kept] == ["SuspectWrite"]


@pytest.mark.hazard(number=8)
def test_every_write_that_was_never_answered_is_remembered_although_time_ran_out() -> None:
    context = Context()

    def unanswered(_: Request) -> Refusal:
        context.seconds_left -= 8  # a request's worst
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
def test_what_cannot_be_sent_is_not_tried_for_ever(value: Any) -> None:
    function = Function(FakeReplica())

    assert function.invoke(batch(put(1, "a", v=value), put(2, "b"))) == []

    assert function.bucket.sequence_numbers == ["1"]
    assert len(function.replica.items) == 1


@pytest.mark.hazard(number=10)
def test_a_record_that_breaks_the_reader_is_not_tried_for_ever() -> None:
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
def test_an_error_that_nobody_knows_is_reported_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    unknown = error("BrandNewException")
    function = over_the_wire(described({"PK": "S"}), unknown, unknown, described({"PK": "S"}), always=unknown)

    assert function.invoke(batch(put(1, "a")), one_attempt()) == ["1"]

    assert function.bucket.objects == {}
    assert '"refusals":{"BrandNewException":1}' in capsys.readouterr().out


@pytest.mark.hazard(number=14)
def test_what_expires_in_the_batch_that_brought_it_stays_in_an_archive() -> None:
    # Left out after the batch was reduced to one write a key, it would take the item before it along.
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
def test_a_batch_that_was_applied_is_reported_although_nothing_can_be_logged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    function = Function(FakeReplica())
    monkeypatch.setattr("sys.stdout", None)
    monkeypatch.setattr("ddbreplica.replicate.telemetry.EphemeralMetrics", None)

    assert function.invoke(batch(put(1, "a"))) == []

    assert len(function.replica.items) == 1


@pytest.mark.hazard(number=25)
def test_what_telemetry_could_not_go_by_is_refused_before_anything_is_written() -> None:
    env = {
        "REPLICA_TABLE_NAME": "copy",
        "QUARANTINE_BUCKET": "bucket",
        "POWERTOOLS_METRICS_DISABLED": "maybe",
    }

    with pytest.raises(SettingsError, match="POWERTOOLS_METRICS_DISABLED is 'maybe'"):
        Settings.from_env(env)


@pytest.mark.hazard(number=25)
def test_the_functions_log_level_lets_its_metrics_pass() -> None:
    function = template.load()["Resources"]["ReplicatorFunction"]["Properties"]

    assert function["LoggingConfig"]["LogFormat"] == "JSON"
    assert function["LoggingConfig"]["ApplicationLogLevel"] in ("TRACE", "DEBUG", "INFO")
