"""A failure of any record is reported at this record or before it, and the redelivered batch is applied.

These tests are not random: each fault occurs at each record of a batch, in each request that contains the record.
"""

import json
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError, ReadTimeoutError

from ddbreplica.aws.refusal import refusal_of
from ddbreplica.dynamodb.send import REQUEST_SECONDS
from ddbreplica.errors import QuarantineError, ReplicaError
from ddbreplica.model import Refusal, Write
from tests.support.fake_bucket import FakeBucket, s3_error
from tests.support.fake_replica import FakeReplica, Request
from tests.support.function import Context, Function
from tests.support.records import batch, delete, put
from tests.support.strategies import MALFORMED, POISON
from tests.support.stream import state_after

PLACES = range(60)
POISON_AT = (11, 15, 38, 52, 57)
"""At least one in each of three requests, which are then split. 15 is superseded; 52 supersedes valid records."""
KEPT = (11, 38, 52, 57)
"""The poison records that no later record supersedes."""
LAST_OF_THEIR_KEY = [place for place in PLACES if place not in (0, 15, 30, 7, 22, 37)]


def key_at(place: int) -> str:
    return {0: "hot", 7: "hotter"}.get(place % 15, f"key-{place}")


def number_at(place: int) -> str:
    # Their length grows, so that the last ones would be first if sorted as text.
    return str(970 + place)


def record_at(place: int, *, poison_at: Collection[int]) -> Any:
    if place in poison_at:
        return put(number_at(place), key_at(place), v=POISON)
    if place % 9 == 4:
        return delete(number_at(place), key_at(place))
    return put(number_at(place), key_at(place), v={"N": str(place)})


GOOD = [record_at(place, poison_at=()) for place in PLACES]
WITH_POISON = [record_at(place, poison_at=POISON_AT) for place in PLACES]


class Killed(Exception):  # noqa: N818  what happens to a sandbox is no error of the code
    """The function was killed during a request."""


def is_poison(item: Mapping[str, Any]) -> bool:
    return item.get("v") == POISON


def aws_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "why"}}, "BatchWriteItem")


NO_ANSWER = ReadTimeoutError(endpoint_url="https://x")
DROPPED = ConnectionClosedError(endpoint_url="https://x")


@dataclass
class Trouble:
    """A replica with a fault at each request that contains a record, or at each that contains only this record.

    If the fault is None, the record stays unprocessed.
    """

    place: int
    fault: ClientError | BotoCoreError | Killed | None
    is_carried_out: bool = False
    is_only_alone: bool = False
    left: int = sys.maxsize
    met: int = 0

    def __post_init__(self) -> None:
        self.replica = FakeReplica(script=self.script, poison=is_poison)

    def script(self, request: Request) -> Sequence[Write] | Refusal:
        holding = [write for write in request if self.place in places(write)]
        if not holding or not self.left or (self.is_only_alone and len(request) > 1):
            return ()
        self.left -= 1
        self.met += 1
        if self.is_carried_out and not any(is_poison(json.loads(write.text)) for write in request):
            for write in request:
                self.replica.apply(write)
        if isinstance(self.fault, Killed):
            raise self.fault
        return refusal_of(self.fault) if self.fault else holding

    def end(self) -> None:
        self.left = 0


def places(write: Write) -> list[int]:
    return [change.position for change in (*write.earlier, write.change)]


class RefusingBucket(FakeBucket):
    """A bucket that rejects the object of one record until the failure is fixed."""

    def __init__(self, place: int, fault: Exception) -> None:
        super().__init__()
        self.refused = 0
        self.is_mended = False
        self._number = number_at(place)
        self._fault = fault

    def put_object(self, *, Key: str, Body: bytes, **more: Any) -> dict[str, Any]:  # noqa: N803  boto3's spelling
        if not self.is_mended and json.loads(Body)["record"]["dynamodb"]["SequenceNumber"] == self._number:
            self.refused += 1
            raise self._fault
        return super().put_object(Key=Key, Body=Body, **more)


def reported(function: Function[FakeReplica], history: Sequence[Any]) -> int | None:
    """Invoke the function, and return the index of the record that it reports."""
    # The time is enough for some attempts only.
    identifiers = function.invoke(batch(*history), Context(seconds_left=REQUEST_SECONDS + 2))
    numbers = [record["dynamodb"]["SequenceNumber"] for record in history]
    return numbers.index(identifiers[0]) if identifiers else None


def check_the_end(
    replica: FakeReplica, bucket: FakeBucket, history: Sequence[Any], poison: Collection[int], *, start: int
) -> None:
    """Deliver the rest to a new execution environment, and check the table and the quarantine."""
    assert reported(Function(replica, bucket), history[start:]) is None

    assert replica.items == state_after(history, without={number_at(place) for place in poison})
    kept = [json.loads(body) for body in bucket.objects.values()]
    assert {
        one["record"]["dynamodb"]["SequenceNumber"] for one in kept if one["error_code"] != "SuspectWrite"
    } == {number_at(place) for place in poison}


PASSING = [
    pytest.param(aws_error("ThrottlingException"), False, id="throttled"),
    pytest.param(aws_error("InternalServerError"), False, id="failed"),
    pytest.param(aws_error("InternalServerError"), True, id="failed-and-carried-out"),
    pytest.param(NO_ANSWER, False, id="no-answer"),
    pytest.param(NO_ANSWER, True, id="no-answer-and-carried-out"),
    pytest.param(DROPPED, False, id="dropped"),
    pytest.param(DROPPED, True, id="dropped-and-carried-out"),
]
ENDING = [
    pytest.param(Killed(), False, id="killed"),
    pytest.param(Killed(), True, id="killed-when-carried-out"),
    pytest.param(aws_error("AccessDeniedException"), False, id="denied"),
]
together_and_alone = pytest.mark.parametrize(
    ("history", "is_only_alone", "poison"),
    [pytest.param(GOOD, False, (), id="together"), pytest.param(WITH_POISON, True, KEPT, id="alone")],
)


@together_and_alone
@pytest.mark.parametrize(("fault", "is_carried_out"), PASSING)
def test_a_failed_write_is_reported_at_its_record_or_before(
    fault: Any, is_carried_out: bool, history: list[Any], is_only_alone: bool, poison: Collection[int]
) -> None:
    for place in PLACES:
        trouble = Trouble(place, fault, is_carried_out=is_carried_out, is_only_alone=is_only_alone)
        bucket = FakeBucket()

        start = reported(Function(trouble.replica, bucket), history)

        assert trouble.met > 0
        assert start is not None
        assert start <= place
        trouble.end()
        check_the_end(trouble.replica, bucket, history, poison, start=start)


@together_and_alone
@pytest.mark.parametrize(("fault", "is_carried_out"), ENDING)
def test_an_invocation_that_fails_at_a_record_checkpoints_none(
    fault: Any, is_carried_out: bool, history: list[Any], is_only_alone: bool, poison: Collection[int]
) -> None:
    for place in PLACES:
        trouble = Trouble(place, fault, is_carried_out=is_carried_out, is_only_alone=is_only_alone)
        bucket = FakeBucket()

        with pytest.raises((Killed, ReplicaError)):
            reported(Function(trouble.replica, bucket), history)

        # The result of a request that was aborted on this side is unknown.
        assert {kept["error_code"] for kept in bucket.kept} <= {"SuspectWrite"}
        trouble.end()
        check_the_end(trouble.replica, bucket, history, poison, start=0)


def test_an_unprocessed_record_is_reported_at_the_oldest_record_of_its_key() -> None:
    for place in PLACES:
        trouble = Trouble(place, None)

        start = reported(Function(trouble.replica), GOOD)

        assert start == min(other for other in PLACES if key_at(other) == key_at(place))
        trouble.end()
        check_the_end(trouble.replica, FakeBucket(), GOOD, (), start=start)


def with_value(place: int, value: Any) -> list[Any]:
    return [*WITH_POISON[:place], put(number_at(place), key_at(place), v=value), *WITH_POISON[place + 1 :]]


@pytest.mark.parametrize(
    ("value", "at"), [(MALFORMED, PLACES), (POISON, LAST_OF_THEIR_KEY)], ids=["malformed", "poison"]
)
@pytest.mark.parametrize("fault", [s3_error("SlowDown"), NO_ANSWER], ids=["slow-down", "no-answer"])
def test_a_record_that_cannot_be_quarantined_is_reported(
    value: Any, at: Sequence[int], fault: Exception
) -> None:
    for place in at:
        bucket = RefusingBucket(place, fault)
        replica = FakeReplica(poison=is_poison)
        history = with_value(place, value)

        start = reported(Function(replica, bucket), history)

        assert (start, bucket.refused > 0) == (place, True)
        bucket.is_mended = True
        check_the_end(replica, bucket, history, {*KEPT, place}, start=place)


@pytest.mark.parametrize(
    ("value", "at"), [(MALFORMED, PLACES), (POISON, LAST_OF_THEIR_KEY)], ids=["malformed", "poison"]
)
def test_a_record_that_can_never_be_quarantined_fails_the_invocation(value: Any, at: Sequence[int]) -> None:
    for place in at:
        bucket = RefusingBucket(place, s3_error("NoSuchBucket"))
        replica = FakeReplica(poison=is_poison)
        history = with_value(place, value)

        with pytest.raises(QuarantineError):
            reported(Function(replica, bucket), history)

        bucket.is_mended = True
        check_the_end(replica, bucket, history, {*KEPT, place}, start=0)


@pytest.mark.parametrize("is_carried_out", [False, True])
def test_an_in_doubt_record_that_cannot_be_quarantined_is_reported(is_carried_out: bool) -> None:
    for place in LAST_OF_THEIR_KEY:
        trouble = Trouble(place, NO_ANSWER, is_carried_out=is_carried_out, left=1)
        bucket = RefusingBucket(place, s3_error("SlowDown"))

        start = reported(Function(trouble.replica, bucket), GOOD)

        assert (start, trouble.met) == (place, 1)
        bucket.is_mended = True
        check_the_end(trouble.replica, bucket, GOOD, (), start=place)
