"""Ways in which a replicator goes wrong, each as a story that must end well."""

import threading
from typing import Any

import pytest

from ddbreplica import quarantine
from ddbreplica.errors import KeySchemaError, QuarantineError, ReplicaError
from ddbreplica.model import Refusal
from ddbreplica.send import REQUEST_SECONDS
from ddbreplica.settings import Settings
from tests.support.fake_bucket import FakeBucket, s3_error
from tests.support.fake_replica import INVALID, THROTTLED, TIMED_OUT, FakeReplica, Request, in_turn
from tests.support.function import Context, Function
from tests.support.records import batch, delete, put, record

BAD = {"N": "5"}
MALFORMED = {"X": "?"}
ONE_ATTEMPT = Context(seconds_left=REQUEST_SECONDS)


def with_poison(**options: Any) -> FakeReplica:
    return FakeReplica(poison=lambda item: item.get("v") == BAD, **options)


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


def test_quarantine_is_not_visible_behind_the_reported_record() -> None:
    # What comes again will be written again: A2 must not be healed before A1 has been written.
    replica = with_poison(
        script=lambda request: THROTTLED if request[0].change.sequence_number == "1" else ()
    )
    function = Function(replica)

    assert function.invoke(batch(put(1, "b"), put(2, "a", v=MALFORMED)), ONE_ATTEMPT) == ["1"]

    assert function.bucket.objects == {}


def test_a_repeated_batch_never_overwrites_what_it_quarantined_before() -> None:
    # Lambda keeps the request id; a redrive at work on the first object would remove the second with it.
    function = Function(with_poison())
    event = batch(put(1, "a", v=BAD), {"dynamodb": {}}, {"dynamodb": {}})

    for _ in range(3):
        function.invoke(event, Context("the same request"))

    assert len(function.bucket.objects) == 9


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_good_image_is_not_swallowed_by_a_poison_one_wherever_the_batch_is_cut(cut: int) -> None:
    records = [put(1, "a"), put(2, "a", v={"N": "2"}), put(3, "a", v=BAD)]
    function = Function(with_poison())

    function.invoke(batch(*records[:cut]))
    function.invoke(batch(*records[cut:]))

    assert list(function.replica.items.values()) == [{"PK": {"S": "a"}, "v": {"N": "2"}}]
    assert function.bucket.sequence_numbers == ["3"]


def test_a_good_image_is_not_swallowed_when_its_poison_successor_first_fails_for_a_passing_reason() -> None:
    function = Function(with_poison(script=in_turn(THROTTLED)))
    records = [put(1, "a", v={"N": "1"}), put(2, "b"), put(3, "a", v=BAD)]

    (reported,) = function.invoke(batch(*records), ONE_ATTEMPT)
    left = [r for r in records if int(r["dynamodb"]["SequenceNumber"]) >= int(reported)]
    assert function.invoke(batch(*left)) == []

    assert {"PK": {"S": "a"}, "v": {"N": "1"}} in function.replica.items.values()


def test_a_whole_stream_is_not_quarantined_for_a_wrong_table() -> None:
    function = Function(FakeReplica(key_schema={"id": "N"}, script=lambda _: INVALID))

    with pytest.raises(KeySchemaError):
        function.invoke(batch(put(1, "a")))

    assert function.bucket.objects == {}


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


def test_deletes_do_not_hide_that_a_whole_stream_is_refused() -> None:
    function = Function(FakeReplica(poison=lambda _: True))

    for number in range(quarantine.MAX_IN_A_ROW):
        function.invoke(batch(put(number, f"key-{number}"), delete(number + 1, "gone")))
    with pytest.raises(QuarantineError):
        function.invoke(batch(put(500, "one more"), delete(501, "gone")))

    assert len(function.bucket.objects) == quarantine.MAX_IN_A_ROW


def test_nothing_is_poison_while_the_table_is_not_active() -> None:
    function = Function(with_poison(is_active=False))

    assert function.invoke(batch(put(1, "a", v=BAD))) == ["1"]
    assert function.bucket.objects == {}


def test_a_broken_quarantine_never_lets_a_record_go() -> None:
    for fault in (s3_error("NoSuchBucket"), s3_error("AccessDenied"), s3_error("KMS.DisabledException")):
        with pytest.raises(QuarantineError):
            Function(with_poison(), FakeBucket(fault)).invoke(batch(put(1, "a", v=BAD)))
    with pytest.raises(Exception, match="QUARANTINE_BUCKET"):
        Settings.from_env({"REPLICA_TABLE_NAME": "copy"})


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


def test_an_answer_that_says_nothing_is_no_success() -> None:
    # The adapter turns an answer that it cannot match into a refusal of the whole request (test_dynamodb).
    from ddbreplica.dynamodb import _UNMATCHED, _UNSAID  # noqa: PLC0415

    for answer in (_UNMATCHED, _UNSAID):
        function = Function(FakeReplica(script=in_turn(*[answer] * 99)))
        assert function.invoke(batch(put(1, "a")), ONE_ATTEMPT) == ["1"]


def test_a_write_that_was_not_answered_is_remembered_whatever_became_of_it() -> None:
    applied = Function(FakeReplica(script=in_turn(TIMED_OUT)))
    failed = Function(FakeReplica(script=lambda _: TIMED_OUT))

    assert applied.invoke(batch(put(1, "a"))) == []
    assert failed.invoke(batch(put(1, "a")), ONE_ATTEMPT) == ["1"]

    for function in (applied, failed):
        assert [kept["error_code"] for kept in function.bucket.kept] == ["SuspectWrite"]


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


def test_what_cannot_be_sent_is_not_retried_for_ever() -> None:
    function = Function(FakeReplica())

    assert (
        function.invoke(batch(put(1, "a", v={"B": "bad base64"}), put(2, "b", v={"S": 5}), put(3, "c"))) == []
    )

    assert function.bucket.sequence_numbers == ["1", "2"]
    assert len(function.replica.items) == 1


def test_the_replica_is_never_its_own_source() -> None:
    source = FakeReplica()
    one = put(1, "a") | {"eventSourceARN": f"{source.table.arn}/stream/2026-11-01T12:00:00.000"}  # type: ignore[union-attr]

    with pytest.raises(ReplicaError, match="is the source"):
        Function(source).invoke(batch(one))
