"""send: writes are sent in requests, and repeated until they are applied or the time is up."""

from collections.abc import Sequence

import pytest

from ddbreplica.deadline import LONGEST_DELAY
from ddbreplica.dynamodb.send import IN_FLIGHT, MAX_BYTES, REQUEST_SECONDS, SendResult, chunks, send
from ddbreplica.model import Change, Pending, Refusal, RefusalKind, Write
from ddbreplica.records.decode import decode
from ddbreplica.records.plan import plan
from tests.support.clock import Clock
from tests.support.fake_replica import DENIED, INVALID, THROTTLED, TIMED_OUT, FakeReplica, Request, in_turn
from tests.support.records import batch, delete, put

MISSING = Refusal(RefusalKind.FAULT, "ResourceNotFoundException", "no such table")


def writes(*records: object) -> tuple[Write, ...]:
    return plan(decode(batch(*records), replicate_ttl_deletes=True).changes)


def puts(count: int) -> tuple[Write, ...]:
    return writes(*(put(n, f"key-{n}") for n in range(count)))


def numbers(some: Sequence[Write] | Sequence[tuple[Write, Refusal]]) -> list[str]:
    return [(one[0] if isinstance(one, tuple) else one).change.sequence_number for one in some]


def sent(some: Sequence[Write], replica: FakeReplica, clock: Clock | None = None) -> SendResult:
    tally = send(some, replica=replica, deadline=(clock or Clock()).deadline())
    assert replica.in_flight == 0
    return tally


def test_puts_and_deletes_go_in_requests_of_25() -> None:
    replica = FakeReplica()

    tally = sent((*puts(59), *writes(delete(60, "gone"))), replica)

    assert sorted(len(request) for request in replica.requests) == [10, 25, 25]
    assert len(tally.applied) == 60
    assert len(replica.items) == 59
    assert (tally.failed, tally.rejected, tally.in_doubt, tally.fault, tally.retried) == ([], [], {}, None, 0)


def write_of(size: int) -> Write:
    change = Change(0, "1", (("PK", "S", str(size)),), {}, {}, None, {})
    return Write(change, "x" * size)


def test_a_request_never_exceeds_a_megabyte() -> None:
    half = MAX_BYTES // 2

    assert [len(chunk) for chunk in chunks([write_of(half)] * 3)] == [1, 1, 1]
    assert [len(chunk) for chunk in chunks([write_of(half - 2000)] * 3)] == [2, 1]


def test_a_megabyte_is_counted_to_the_byte_with_the_text_around_the_items() -> None:
    # Two items that fill it: 1,048,576 bytes less 2,048 for the table's name, and 64 around each item.
    assert [len(chunk) for chunk in chunks([write_of(523_200), write_of(523_200)])] == [2]
    assert [len(chunk) for chunk in chunks([write_of(523_200), write_of(523_201)])] == [1, 1]


def test_writes_keep_their_order_over_requests() -> None:
    assert numbers([write for chunk in chunks(puts(60)) for write in chunk]) == [str(n) for n in range(60)]


def test_without_writes_no_request_is_sent() -> None:
    assert list(chunks(())) == []


def test_several_requests_are_under_way_up_to_the_limit() -> None:
    replica = FakeReplica()

    sent(puts(150), replica)

    assert replica.most_in_flight == IN_FLIGHT


def test_only_unprocessed_writes_are_sent_again() -> None:
    all_writes = puts(5)
    replica = FakeReplica(script=in_turn(all_writes[1:3]))
    clock = Clock()

    tally = sent(all_writes, replica, clock)

    assert [numbers(request) for request in replica.requests] == [["0", "1", "2", "3", "4"], ["1", "2"]]
    assert numbers(tally.applied) == ["0", "3", "4", "1", "2"]
    assert (tally.retried, clock.sleeps) == (2, [0.1])


def test_a_throttled_request_is_sent_again_after_growing_pauses() -> None:
    replica = FakeReplica(script=in_turn(THROTTLED, THROTTLED, THROTTLED))
    clock = Clock()

    tally = sent(puts(2), replica, clock)

    assert (len(tally.applied), tally.retried, clock.sleeps) == (2, 6, [0.1, 0.2, 0.4])


def test_lasting_throttling_fails_before_the_timeout() -> None:
    replica = FakeReplica(script=lambda _: THROTTLED)
    clock = Clock(60)

    tally = sent(puts(2), replica, clock)

    assert tally.failed == [(write, THROTTLED) for write in puts(2)]
    assert REQUEST_SECONDS <= clock.left < REQUEST_SECONDS + LONGEST_DELAY


def test_the_unprocessed_writes_of_every_request_are_sent_again() -> None:
    replica = FakeReplica(script=in_turn(THROTTLED, THROTTLED))

    tally = sent(puts(200), replica)

    assert [len(request) for request in replica.requests] == [25] * 10
    assert (len(tally.applied), len(replica.items), tally.retried) == (200, 200, 50)


def test_every_request_that_was_never_tried_is_a_failure() -> None:
    clock = Clock(REQUEST_SECONDS + 3.5)

    def slow(_: Request) -> Sequence[Write]:
        clock.pass_by(1)
        return ()

    tally = sent(puts(150), FakeReplica(script=slow), clock)

    assert numbers(tally.applied) == [str(n) for n in range(100)]
    assert numbers(tally.failed) == [str(n) for n in range(100, 150)]


def test_each_failure_has_the_refusal_of_its_own_request() -> None:
    all_writes = puts(100)
    script = in_turn(all_writes[:25], THROTTLED, all_writes[50:75], TIMED_OUT)

    # There is time for one attempt only.
    tally = sent(all_writes, FakeReplica(script=script), Clock(REQUEST_SECONDS))

    codes = ["UnprocessedItems", "ThrottlingException", "UnprocessedItems", "ReadTimeoutError"]
    assert [refusal.code for _, refusal in tally.failed] == [code for code in codes for _ in range(25)]


def test_writes_that_were_never_sent_fail_with_that_reason() -> None:
    clock = Clock(REQUEST_SECONDS + 1)

    def slow(_: Request) -> Sequence[Write]:
        clock.pass_by(3)
        return ()

    tally = sent(puts(50), FakeReplica(script=slow), clock)

    assert numbers(tally.applied) == [str(n) for n in range(25)]
    assert {refusal.code for _, refusal in tally.failed} == {"OutOfTime"}
    assert len(tally.failed) == 25


def test_a_write_without_time_for_a_repetition_fails_with_its_last_refusal() -> None:
    clock = Clock(REQUEST_SECONDS + 1)
    refusals: list[Sequence[Write] | Refusal] = [THROTTLED, (), ()]

    def slower(_: Request) -> Sequence[Write] | Refusal:
        if len(refusals) < 3:
            clock.pass_by(3)
        return refusals.pop(0)

    tally = sent(puts(50), FakeReplica(script=slower), clock)

    assert {refusal.code for _, refusal in tally.failed} == {"ThrottlingException"}
    assert numbers(tally.failed) == [str(n) for n in range(25)]


def test_the_unprocessed_writes_of_several_requests_go_into_one() -> None:
    all_writes = puts(50)
    replica = FakeReplica(script=in_turn(all_writes[20:25], all_writes[25:30]))

    tally = sent(all_writes, replica)

    assert [len(request) for request in replica.requests] == [25, 25, 10]
    assert (len(tally.applied), tally.retried) == (50, 10)


def test_a_rejected_request_is_sent_item_by_item() -> None:
    replica = FakeReplica(poison=lambda item: item["PK"]["S"] == "key-3")

    tally = sent(puts(25), replica)

    assert [len(request) for request in replica.requests] == [25] + [1] * 25
    assert tally.rejected == [(puts(4)[3], INVALID)]
    assert len(tally.applied) == len(replica.items) == 24


def test_an_item_sent_alone_is_retried_too() -> None:
    replica = FakeReplica(script=in_turn(INVALID, THROTTLED))

    tally = sent(puts(1), replica)

    assert [len(request) for request in replica.requests] == [1, 1, 1]
    assert len(tally.applied) == 1


def test_a_request_that_timed_out_is_sent_again_and_its_writes_are_in_doubt() -> None:
    all_writes = puts(2)
    tally = sent(all_writes, FakeReplica(script=in_turn(TIMED_OUT)))

    assert len(tally.applied) == 2
    assert tally.in_doubt == {"0": (all_writes[0].change, TIMED_OUT), "1": (all_writes[1].change, TIMED_OUT)}


def test_the_writes_of_every_request_that_timed_out_are_in_doubt() -> None:
    tally = sent(puts(50), FakeReplica(script=in_turn(TIMED_OUT, TIMED_OUT)))

    assert sorted(tally.in_doubt, key=int) == [str(n) for n in range(50)]


def test_a_fault_ends_all_requests() -> None:
    replica = FakeReplica(script=in_turn((), DENIED))

    tally = sent(puts(1000), replica)

    assert tally.fault == DENIED
    # Only the requests that were under way when the fault was received.
    assert len(replica.requests) == 1 + IN_FLIGHT


def test_after_a_fault_no_other_request_is_repeated() -> None:
    replica = FakeReplica(script=in_turn(THROTTLED, DENIED))
    clock = Clock()

    tally = sent(puts(50), replica, clock)

    assert (tally.fault, len(replica.requests), clock.sleeps) == (DENIED, 2, [])


def test_the_first_of_two_faults_is_returned() -> None:
    assert sent(puts(50), FakeReplica(script=in_turn(DENIED, MISSING))).fault == DENIED


def test_a_bug_is_raised_when_no_request_is_under_way() -> None:
    def explode(request: Request) -> Sequence[Write]:
        if request[0].change.sequence_number == "75":
            raise ZeroDivisionError
        return ()

    replica, tally = FakeReplica(script=explode), SendResult()
    with pytest.raises(ZeroDivisionError):
        send(puts(1000), replica=replica, deadline=Clock().deadline(), tally=tally)

    assert (replica.most_in_flight, replica.in_flight) == (3, 0)
    assert len(replica.requests) == 4
    # Three requests had a response. It is unknown whether the fourth one was sent.
    assert sorted(numbers(tally.applied), key=int) == [str(n) for n in range(75)]
    assert sorted(tally.in_doubt, key=int) == [str(n) for n in range(75, 100)]


def test_an_exception_while_a_response_is_awaited_leaves_no_request_under_way() -> None:
    replica = FakeReplica()

    class Broken:
        def start_batch(self, writes: Sequence[Write]) -> Pending:
            pending = replica.start_batch(writes)

            def broken() -> Sequence[Write]:
                pending()
                raise ZeroDivisionError

            return broken

        describe = replica.describe
        start_one = replica.start_one

    tally = SendResult()
    with pytest.raises(ZeroDivisionError):
        send(puts(1000), replica=Broken(), deadline=Clock().deadline(), tally=tally)

    assert (replica.most_in_flight, replica.in_flight) == (4, 0)
    assert sorted(tally.in_doubt, key=int) == [str(n) for n in range(100)]
    assert {why.code for _, why in tally.in_doubt.values()} == {"Interrupted"}
    assert tally.in_doubt["0"][1].message == "the request was interrupted by the function: ZeroDivisionError"


def test_writes_that_were_in_doubt_before_an_interruption_are_still_known() -> None:
    def interrupted(request: Request) -> Sequence[Write] | Refusal:
        if request[0].change.sequence_number == "25":
            raise KeyboardInterrupt
        return TIMED_OUT

    tally = SendResult()
    with pytest.raises(KeyboardInterrupt):
        send(puts(75), replica=FakeReplica(script=interrupted), deadline=Clock().deadline(), tally=tally)

    assert sorted(tally.in_doubt, key=int) == [str(n) for n in range(50)]


def test_a_tally_adds_everything_of_another_one() -> None:
    one, two = puts(2)
    total = SendResult(
        applied=[one],
        failed=[(one, THROTTLED)],
        rejected=[(one, INVALID)],
        in_doubt={"0": (one.change, TIMED_OUT)},
        retried=1,
    )

    total.add(
        SendResult(
            applied=[two],
            failed=[(two, THROTTLED)],
            rejected=[(two, INVALID)],
            in_doubt={"1": (two.change, TIMED_OUT)},
            fault=DENIED,
            retried=2,
        )
    )

    assert total == SendResult(
        applied=[one, two],
        failed=[(one, THROTTLED), (two, THROTTLED)],
        rejected=[(one, INVALID), (two, INVALID)],
        in_doubt={"0": (one.change, TIMED_OUT), "1": (two.change, TIMED_OUT)},
        fault=DENIED,
        retried=3,
    )


def test_unknown_kinds_of_refusal_are_not_possible() -> None:
    assert {kind.name for kind in RefusalKind} == {"TRANSIENT", "REJECTED", "FAULT"}
