"""read: keys → their states at the source, each asked for until it is answered or time is out."""

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


def test_nothing_to_read_is_no_request() -> None:
    source = FakeSource()

    assert asked(0, source) == Readings()
    assert source.requests == []


def test_what_an_answer_had_no_room_for_is_asked_for_at_once() -> None:
    source = FakeSource(script=in_turn(keys(3)[1:], keys(3)[2:]))
    clock = Clock()

    readings = asked(3, source, clock)

    assert source.requests == [tuple(keys(3)), tuple(keys(3)[1:]), tuple(keys(3)[2:])]
    assert list(readings.states) == keys(3)
    assert clock.sleeps == []


def test_what_was_left_unprocessed_entirely_is_asked_for_after_longer_and_longer_pauses() -> None:
    source = FakeSource(script=in_turn(keys(2), keys(2), keys(2)[1:], keys(2)[1:]))
    clock = Clock()

    readings = asked(2, source, clock)

    assert list(readings.states) == keys(2)
    assert clock.sleeps == [0.1, 0.2, 0.1]


def test_a_throttled_request_is_repeated_after_longer_and_longer_pauses() -> None:
    clock = Clock()

    readings = asked(2, FakeSource(script=in_turn(THROTTLED, THROTTLED)), clock)

    assert list(readings.states) == keys(2)
    assert clock.sleeps == [0.1, 0.2]


def test_throttling_that_outlasts_the_deadline_fails_in_time() -> None:
    clock = Clock(60)

    readings = asked(2, FakeSource(script=lambda _: THROTTLED), clock)

    assert readings == Readings(failed=[(key, THROTTLED) for key in keys(2)])
    assert REQUEST_SECONDS <= clock.left < REQUEST_SECONDS + LONGEST_DELAY


def test_every_key_that_fails_is_told_whatever_request_it_was_in() -> None:
    readings = asked(101, FakeSource(script=lambda _: THROTTLED), Clock(60))

    assert readings.failed == [(key, THROTTLED) for key in keys(101)]


def test_what_is_left_unprocessed_for_too_long_says_so() -> None:
    readings = asked(2, FakeSource(script=lambda _: keys(2)[1:]))

    assert list(readings.states) == keys(1)
    assert readings.failed == [(keys(2)[1], UNPROCESSED)]


def test_what_was_never_asked_says_so() -> None:
    source = FakeSource()

    assert asked(2, source, Clock(REQUEST_SECONDS - 1)).failed == [(key, OUT_OF_TIME) for key in keys(2)]
    assert source.requests == []


def test_a_key_that_the_source_rejects_takes_no_other_with_it() -> None:
    source = FakeSource(rejects=lambda key: key == keys(4)[2])

    readings = asked(4, source)

    assert [len(request) for request in source.requests] == [4, 1, 1, 1, 1]
    assert list(readings.states) == [*keys(2), keys(4)[3]]
    assert readings.rejected == [(keys(4)[2], INVALID_KEY)]
    assert readings.failed == []


def test_every_key_that_the_source_rejects_is_told() -> None:
    source = FakeSource(rejects=lambda key: key in keys(2))

    assert asked(3, source).rejected == [(key, INVALID_KEY) for key in keys(2)]


def test_a_fault_ends_everything() -> None:
    source = FakeSource(script=in_turn((), DENIED))

    readings = asked(300, source)

    assert readings.fault == DENIED
    assert len(source.requests) == 2


def test_a_fault_while_keys_are_asked_for_alone_ends_everything_too() -> None:
    def script(request: Request) -> Sequence[Key] | Refusal:
        return DENIED if len(request) == 1 else INVALID_KEY

    source = FakeSource(script=script)

    assert asked(3, source).fault == DENIED
    assert [len(request) for request in source.requests] == [3, 1]
