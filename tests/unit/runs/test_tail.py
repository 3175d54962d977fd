"""tail: the order of changes, and how long to wait for a stream that does not respond."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest

from ddbreplica.driver import Interrupt, Patience
from ddbreplica.errors import TaskError
from ddbreplica.model import Refusal, RefusalKind
from ddbreplica_cli.runs.tail import _changes


class Waiting(Interrupt):
    """A clock that advances only while something sleeps."""

    now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class ScriptedStream:
    """A stream that returns these rounds of pages, and then nothing, or an error each time."""

    def __init__(self, *rounds: Sequence[Sequence[Any]], refusal: Refusal | None = None) -> None:
        self.refusal: Refusal | None = None
        self._rounds = list(rounds)
        self._at_last = refusal

    def read(self) -> Any:
        if self._rounds:
            return self._rounds.pop(0)
        self.refusal = self._at_last
        return []


def record(number: int, second: int) -> dict[str, Any]:
    return {
        "eventName": "INSERT",
        "dynamodb": {
            "ApproximateCreationDateTime": datetime(2026, 1, 31, 12, 0, second, tzinfo=UTC),
            "Keys": {"PK": {"S": "a"}},
            "SequenceNumber": str(number),
        },
    }


def changes(stream: Any, waiting: Waiting, *, since: datetime | None = None, count: int) -> list[str]:
    patience = Patience(waiting, seconds=60, clock=lambda: waiting.now)
    return [change.sequence_number for change in islice(_changes(stream, patience, since), count)]


def test_the_shards_of_a_round_are_merged_by_time_and_each_keeps_its_order() -> None:
    stream = ScriptedStream([[record(1, 5), record(2, 3), record(3, 9)], [record(11, 4), record(12, 7)]])

    assert changes(stream, Waiting(), count=5) == ["11", "1", "2", "12", "3"]


def test_changes_before_a_time_are_omitted_but_not_those_of_its_second() -> None:
    stream = ScriptedStream([[record(1, 4), record(2, 5)]], [[record(3, 6)]])

    since = datetime(2026, 1, 31, 12, 0, 5, tzinfo=UTC)

    assert changes(stream, Waiting(), since=since, count=2) == ["2", "3"]


def test_a_change_without_a_time_follows_the_one_before_it_and_is_always_shown() -> None:
    timeless = record(2, 0)
    del timeless["dynamodb"]["ApproximateCreationDateTime"]
    pages = [[record(1, 5), timeless, record(3, 9)], [record(11, 4), record(12, 7)]]
    since = datetime(2026, 1, 31, 12, 0, 5, tzinfo=UTC)

    assert changes(ScriptedStream(pages), Waiting(), count=5) == ["11", "1", "2", "12", "3"]
    assert changes(ScriptedStream(pages), Waiting(), since=since, count=4) == ["1", "2", "12", "3"]


def test_an_idle_stream_is_read_twice_a_second() -> None:
    waiting = Waiting()

    assert changes(ScriptedStream([], [], [[record(1, 1)]]), waiting, count=1) == ["1"]
    assert waiting.now == 1.0


def test_a_stream_with_more_changes_is_read_again_immediately() -> None:
    waiting = Waiting()
    stream = ScriptedStream(*([[record(number, 1)]] for number in range(5)))

    assert changes(stream, waiting, count=5) == ["0", "1", "2", "3", "4"]
    assert waiting.now == 0


def test_tail_fails_if_the_stream_does_not_respond_for_a_minute() -> None:
    waiting = Waiting()
    throttled = Refusal(RefusalKind.TRANSIENT, "LimitExceededException", "too many readers")

    with pytest.raises(TaskError) as stopped:
        changes(ScriptedStream([[record(1, 1)]], refusal=throttled), waiting, count=2)

    assert stopped.value.fact == (
        "the stream has not responded for 60 seconds: LimitExceededException: too many readers"
    )


def test_a_stream_without_changes_is_read_without_end() -> None:
    waiting = Waiting()
    idle: list[Any] = [[]] * 500

    assert changes(ScriptedStream(*idle, [[record(1, 1)]]), waiting, count=1) == ["1"]
    assert waiting.now == 250
