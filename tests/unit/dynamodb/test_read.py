"""read: the source's states of keys; requests are repeated until the time is up."""

from collections.abc import Iterator, Sequence

from ddbreplica.deadline import LONGEST_DELAY
from ddbreplica.dynamodb.read import Readings, read
from ddbreplica.dynamodb.send import OUT_OF_TIME, REQUEST_SECONDS
from ddbreplica.model import Key, Refusal, RefusalKind
from tests.support.clock import Clock
from tests.support.fake_replica import DENIED, THROTTLED
from tests.support.fake_source import INVALID_KEY, FakeSource, Request, Script

UNPROCESSED = Refusal(RefusalKind.TRANSIENT, "UnprocessedKeys", "the source left the key unprocessed")


def keys(count: int) -> list[Key]:
    return [(("PK", "S", f"key-{number}"),) for number in range(count)]


def in_turn(*answers: Sequence[Key] | Refusal) -> Script:
    left: Iterator[Sequence[Key] | Refusal] = iter(answers)
    return lambda _request: next(left, ())


def asked(count: int, source: FakeSource, clock: Clock | None = None) -> Readings:
    return read(keys(count), source=source, deadline=(clock or Clock()).deadline())


def test_items_and_their_absence_are_read() -> None:
    readings = asked(2, FakeSource({"PK": {"S": "key-1"}}))

    assert readings == Readings(states={keys(1)[0]: None, keys(2)[1]: {"PK": {"S": "key-1"}}})


def test_keys_go_in_requests_of_100() -> None:
    source = FakeSource()

    readings = asked(201, source)

    assert [len(request) for request in source.requests] == [100, 100, 1]
    assert list(readings.states) == keys(201)


def test_without_keys_no_request_is_sent() -> None:
    source = FakeSource()

    assert asked(0, source) == Readings()
    assert source.requests == []


def test_keys_that_a_full_response_leaves_are_requested_at_once() -> None:
    source = FakeSource(script=in_turn(keys(3)[1:], keys(3)[2:]))
    clock = Clock()

    readings = asked(3, source, clock)

    assert source.requests == [tuple(keys(3)), tuple(keys(3)[1:]), tuple(keys(3)[2:])]
    assert list(readings.states) == keys(3)
    assert clock.sleeps == []


def test_requests_of_which_all_keys_are_left_are_repeated_after_growing_pauses() -> None:
    source = FakeSource(script=in_turn(keys(2), keys(2), keys(2)[1:], keys(2)[1:]))
    clock = Clock()

    readings = asked(2, source, clock)

    assert list(readings.states) == keys(2)
    assert clock.sleeps == [0.1, 0.2, 0.1]


def test_a_throttled_request_is_repeated_after_growing_pauses() -> None:
    clock = Clock()

    readings = asked(2, FakeSource(script=in_turn(THROTTLED, THROTTLED)), clock)

    assert list(readings.states) == keys(2)
    assert clock.sleeps == [0.1, 0.2]


def test_lasting_throttling_fails_before_the_deadline() -> None:
    clock = Clock(60)

    readings = asked(2, FakeSource(script=lambda _: THROTTLED), clock)

    assert readings == Readings(failed=[(key, THROTTLED) for key in keys(2)])
    assert REQUEST_SECONDS <= clock.left < REQUEST_SECONDS + LONGEST_DELAY


def test_every_failed_key_of_every_request_is_returned() -> None:
    readings = asked(101, FakeSource(script=lambda _: THROTTLED), Clock(60))

    assert readings.failed == [(key, THROTTLED) for key in keys(101)]


def test_keys_that_stay_unprocessed_fail_with_that_reason() -> None:
    readings = asked(2, FakeSource(script=lambda _: keys(2)[1:]))

    assert list(readings.states) == keys(1)
    assert readings.failed == [(keys(2)[1], UNPROCESSED)]


def test_keys_that_were_never_requested_fail_with_that_reason() -> None:
    source = FakeSource()

    assert asked(2, source, Clock(REQUEST_SECONDS - 1)).failed == [(key, OUT_OF_TIME) for key in keys(2)]
    assert source.requests == []


def test_a_rejected_key_does_not_fail_the_others_of_its_request() -> None:
    source = FakeSource(rejects=lambda key: key == keys(4)[2])

    readings = asked(4, source)

    assert [len(request) for request in source.requests] == [4, 1, 1, 1, 1]
    assert list(readings.states) == [*keys(2), keys(4)[3]]
    assert readings.rejected == [(keys(4)[2], INVALID_KEY)]
    assert readings.failed == []


def test_every_rejected_key_is_returned() -> None:
    source = FakeSource(rejects=lambda key: key in keys(2))

    assert asked(3, source).rejected == [(key, INVALID_KEY) for key in keys(2)]


def test_a_fault_ends_all_requests() -> None:
    source = FakeSource(script=in_turn((), DENIED))

    readings = asked(300, source)

    assert readings.fault == DENIED
    assert len(source.requests) == 2


def test_a_fault_of_a_request_for_one_key_ends_all_requests_too() -> None:
    def script(request: Request) -> Sequence[Key] | Refusal:
        return DENIED if len(request) == 1 else INVALID_KEY

    source = FakeSource(script=script)

    assert asked(3, source).fault == DENIED
    assert [len(request) for request in source.requests] == [3, 1]
