"""send: writes → requests, each repeated until it is settled or time is out."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from ddbreplica.deadline import LONGEST_DELAY
from ddbreplica.decode import decode
from ddbreplica.model import Change, Kind, Refusal, Write
from ddbreplica.plan import plan
from ddbreplica.send import MAX_BYTES, REQUEST_SECONDS, Tally, chunks, send
from tests.support.clock import Clock
from tests.support.fake_replica import DENIED, INVALID, THROTTLED, TIMED_OUT, FakeReplica, Request, in_turn
from tests.support.records import batch, delete, put

# Kept, as the function keeps its own: leaving a pool would wait for what `send` has to wait for itself.
POOLS = {number: ThreadPoolExecutor(number) for number in (1, 2, 3, 4)}


def writes(*records: object) -> tuple[Write, ...]:
    return plan(decode(batch(*records), replicate_ttl_deletes=True).changes)


def puts(count: int) -> tuple[Write, ...]:
    return writes(*(put(n, f"key-{n}") for n in range(count)))


def numbers(some: Sequence[Write] | Sequence[tuple[Write, Refusal]]) -> list[str]:
    return [(one[0] if isinstance(one, tuple) else one).change.sequence_number for one in some]


def sent(some: Sequence[Write], replica: FakeReplica, clock: Clock | None = None, workers: int = 4) -> Tally:
    tally = send(some, replica=replica, deadline=(clock or Clock()).deadline(), pool=POOLS[workers])
    assert replica.in_flight == 0
    return tally


def test_puts_and_deletes_go_in_requests_of_25() -> None:
    replica = FakeReplica()

    tally = sent((*puts(59), *writes(delete(60, "gone"))), replica)

    assert sorted(len(request) for request in replica.requests) == [10, 25, 25]
    assert len(tally.applied) == 60
    assert len(replica.items) == 59
    assert (tally.failed, tally.rejected, tally.suspects, tally.fault, tally.retried) == ([], [], {}, None, 0)


def write_of(size: int) -> Write:
    change = Change(0, "1", (("PK", "S", str(size)),), {}, {}, None, {})
    return Write(change, "x" * size)


def test_a_request_never_exceeds_a_megabyte() -> None:
    half = MAX_BYTES // 2

    assert [len(chunk) for chunk in chunks([write_of(half)] * 3)] == [1, 1, 1]
    assert [len(chunk) for chunk in chunks([write_of(half - 2000)] * 3)] == [2, 1]


def test_writes_keep_their_order_over_requests() -> None:
    assert numbers([write for chunk in chunks(puts(60)) for write in chunk]) == [str(n) for n in range(60)]


def test_nothing_to_write_is_no_request() -> None:
    assert list(chunks(())) == []


def test_requests_run_side_by_side_up_to_the_bound() -> None:
    together = threading.Barrier(3, timeout=5)

    def wait(_: Request) -> Sequence[Write]:
        together.wait()
        return ()

    replica = FakeReplica(script=wait)
    sent(puts(150), replica, workers=3)

    assert replica.most_in_flight == 3


def test_what_is_left_unprocessed_is_sent_again_and_nothing_else() -> None:
    all_writes = puts(5)
    replica = FakeReplica(script=in_turn(all_writes[1:3]))
    clock = Clock()

    tally = sent(all_writes, replica, clock)

    assert [numbers(request) for request in replica.requests] == [["0", "1", "2", "3", "4"], ["1", "2"]]
    assert numbers(tally.applied) == ["0", "3", "4", "1", "2"]
    assert (tally.retried, clock.sleeps) == (2, [0.1])


def test_a_throttled_request_is_sent_again_after_longer_and_longer_pauses() -> None:
    replica = FakeReplica(script=in_turn(THROTTLED, THROTTLED, THROTTLED))
    clock = Clock()

    tally = sent(puts(2), replica, clock)

    assert (len(tally.applied), tally.retried, clock.sleeps) == (2, 6, [0.1, 0.2, 0.4])


def test_throttling_that_outlasts_the_invocation_fails_in_time() -> None:
    replica = FakeReplica(script=lambda _: THROTTLED)
    clock = Clock(60)

    tally = sent(puts(2), replica, clock)

    assert tally.failed == [(write, THROTTLED) for write in puts(2)]
    assert REQUEST_SECONDS <= clock.left < REQUEST_SECONDS + LONGEST_DELAY


def test_what_was_never_tried_says_so() -> None:
    clock = Clock(REQUEST_SECONDS + 1)

    def slow(_: Request) -> Sequence[Write]:
        clock.pass_by(3)
        return ()

    tally = sent(puts(50), FakeReplica(script=slow), clock, workers=1)

    assert numbers(tally.applied) == [str(n) for n in range(25)]
    assert {refusal.code for _, refusal in tally.failed} == {"OutOfTime"}
    assert len(tally.failed) == 25


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


def test_a_request_that_timed_out_is_sent_again_and_its_writes_are_suspect() -> None:
    all_writes = puts(2)
    tally = sent(all_writes, FakeReplica(script=in_turn(TIMED_OUT)))

    assert len(tally.applied) == 2
    assert tally.suspects == {"0": (all_writes[0].change, TIMED_OUT), "1": (all_writes[1].change, TIMED_OUT)}


def test_a_fault_ends_everything() -> None:
    requests_before = 2
    replica = FakeReplica(script=in_turn((), DENIED))

    tally = sent(puts(1000), replica, workers=1)

    assert tally.fault == DENIED
    assert len(replica.requests) == requests_before


def test_a_fault_ends_the_waiting_of_others() -> None:
    throttled_once = threading.Event()

    def script(request: Request) -> Refusal:
        if request[0].change.sequence_number == "0":
            assert throttled_once.wait(5)
            return DENIED
        throttled_once.set()
        return THROTTLED

    replica = FakeReplica(script=script)
    clock = Clock(1e6)

    tally = sent(puts(50), replica, clock, workers=2)

    assert tally.fault == DENIED


def test_a_bug_in_one_worker_is_raised_when_all_have_ended() -> None:
    def explode(_: Request) -> Refusal:
        raise ZeroDivisionError

    replica = FakeReplica(script=explode)
    with pytest.raises(ZeroDivisionError):
        sent(puts(1000), replica, workers=2)

    assert replica.in_flight == 0
    assert len(replica.requests) <= 2
    assert POOLS[2].submit(lambda: "nothing is queued").result(timeout=5)
    assert len(replica.requests) <= 2


def test_unknown_kinds_of_refusal_are_not_possible() -> None:
    assert {kind.name for kind in Kind} == {"TRANSIENT", "REJECTED", "FAULT"}
