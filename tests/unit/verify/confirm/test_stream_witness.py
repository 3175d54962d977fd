"""stream_witness: what changed since a moment, what did not for 24 hours, and each reason why that is not known."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError

from ddbreplica.aws.clock import Clock
from ddbreplica.aws.request import Unknown
from ddbreplica.driver import Interrupt
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described
from ddbreplica.dynamodb.location import Location
from ddbreplica.errors import TaskError
from ddbreplica.model import Key
from ddbreplica.verify.confirm import stream_witness
from ddbreplica.verify.confirm.stream_witness import StreamWitness
from ddbreplica.verify.confirm.witness import Witness
from tests.support.fake_streams import ARN, EARLIER, TABLE_ARN, refused
from tests.support.witnessed import MIDNIGHT, World, key, keys

EARLIEST = f"{TABLE_ARN}/stream/2026-09-01T00:00:00.000"


@pytest.fixture
def world() -> World:
    return World()


def why(answer: object) -> str:
    assert isinstance(answer, Unknown), answer
    return answer.why


# What has changed


def test_keys_with_a_record_since_begin_have_changed(world: World) -> None:
    world.witness.begin()
    world.write("a", 4)
    world.write("a", 5)
    world.write("a", 6)

    assert world.witness.changed(keys(1, 4, 6)) == keys(4, 6)


def test_begin_forgets_what_changed_before(world: World) -> None:
    world.witness.begin()
    world.write("a", 4)
    assert world.witness.changed(keys(4)) == keys(4)

    world.witness.begin()

    assert world.witness.changed(keys(4)) == frozenset()


def test_what_was_read_meanwhile_has_changed(world: World) -> None:
    world.witness.begin()
    world.write("a", 4)
    world.witness.keep_up(keys(4, 5))
    world.write("a", 5)
    world.witness.keep_up(keys(4, 5))

    assert world.witness.changed(keys(4, 5)) == keys(4, 5)
    # A key that is no longer watched is not asked for.
    assert world.witness.changed(keys(5)) == keys(5)


def test_a_key_counts_in_whatever_form_the_stream_has_it(world: World) -> None:
    number: Key = (("PK", "N", "1"),)
    binary: Key = (("PK", "B", "/w=="),)
    world.witness.begin()
    world.service.keys = {4: {"PK": {"N": "1.0"}}, 5: {"PK": {"B": b"\xff"}}}
    world.write("a", 4)
    world.write("a", 5)

    assert world.witness.changed({number, binary}) == frozenset({number, binary})


def test_a_record_that_arrives_a_second_after_its_write_is_waited_for(world: World) -> None:
    world.witness.begin()
    world.at(0.9, lambda: world.write("a", 4))

    assert world.witness.changed(keys(4)) == keys(4)


def test_a_shard_is_read_to_its_end_after_two_empty_pages_that_were_requested_a_second_later(
    world: World,
) -> None:
    world.witness.begin()

    assert world.witness.changed(keys(4)) == frozenset()
    # The first of the three pages was requested at once, and does not count.
    assert world.service.requests[2:] == ["DescribeStream", *["GetRecords"] * 3]
    assert world.slept == [1.0, 1.0]


def test_one_empty_page_between_two_records_is_not_the_end(world: World) -> None:
    world.witness.begin()
    world.at(1.5, lambda: world.write("a", 4))
    world.at(3.5, lambda: world.write("a", 5))

    assert world.witness.changed(keys(4, 5)) == keys(4, 5)


def test_a_busy_shard_is_read_until_a_record_is_certainly_later(world: World) -> None:
    world.witness.begin()
    for second in range(1, 40):
        world.at(second - 0.5, lambda number=100 + second: world.write("a", number))  # type: ignore[misc]

    assert world.witness.changed(keys(106, 107)) == keys(106)
    # By AWS's clock the call was at 0, which may be 5 seconds too early.
    assert sum(world.slept) == 6


def test_a_busy_shard_is_read_without_a_pause_while_records_are_waiting(world: World) -> None:
    world.witness.begin()
    world.pass_time(10)
    for number in range(4, 14):
        world.write("a", number, created=MIDNIGHT + 9)

    assert world.witness.changed(keys(13)) == keys(13)
    # Five full pages, then two empty ones in a row that count.
    assert world.slept == [1.0, 1.0]


def test_while_one_shard_has_records_waiting_another_is_no_reason_for_a_pause(world: World) -> None:
    world.service.shards = {"a": [], "b": []}
    world.witness.begin()
    world.pass_time(10)
    for number in range(10):
        world.write("a", 10 + number, created=MIDNIGHT + 9)
        world.write("b", 20 + number, created=MIDNIGHT + 11)

    assert world.witness.changed(keys(19)) == keys(19)
    assert world.slept == [1.0, 1.0]


def test_a_record_of_the_second_of_the_call_is_no_reason_to_hurry(world: World) -> None:
    world.witness.begin()
    world.pass_time(10)
    for number in range(4, 8):
        world.write("a", number, created=MIDNIGHT + 10)

    assert world.witness.changed(keys(7)) == keys(7)
    # Two pages with records, and two empty ones.
    assert world.slept == [1.0] * 3


def test_a_shard_that_is_past_the_call_is_not_read_again(world: World) -> None:
    world.service.shards = {"a": [], "b": []}
    world.witness.begin()
    world.write("a", 4, created=MIDNIGHT + 100)
    requests = len(world.service.requests)

    assert world.witness.changed(keys(4)) == keys(4)
    assert world.service.requests[requests:].count("GetRecords") == 4


def test_after_a_shard_that_ends_its_child_is_read_without_a_pause(world: World) -> None:
    world.witness.begin()
    for parent, child in ("ab", "bc", "cd", "de"):
        split(world, parent, child)
    # The last child is listed first, so that each round reads one shard to its end.
    world.service.shards = dict(reversed(world.service.shards.items()))

    assert world.witness.changed(keys(4)) == frozenset()
    assert world.slept == [1.0, 1.0]


def test_a_record_without_a_time_is_not_later(world: World) -> None:
    world.witness.begin()
    world.service.shards["a"] += [4]
    world.at(0.5, lambda: world.write("a", 5))

    assert world.witness.changed(keys(5)) == keys(5)


def test_without_the_time_of_aws_no_record_is_later(world: World) -> None:
    world.clock = Clock(ticks=lambda: world.service.now)
    world.witness = StreamWitness(world.service.client, world.described, clock=world.clock, interrupt=world)
    world.witness.begin()
    world.write("a", 4, created=MIDNIGHT + 1000)
    world.at(1.5, lambda: world.write("a", 5))

    assert world.witness.changed(keys(5)) == keys(5)


def test_every_open_shard_is_read_to_its_end(world: World) -> None:
    world.service.shards = {"a": [], "b": [], "c": []}
    world.witness.begin()
    world.at(0.5, lambda: world.write("c", 4))
    # Its page of later records is no reason to stop reading the others.
    world.write("a", 5, created=MIDNIGHT + 100)

    assert world.witness.changed(keys(4)) == keys(4)


# Shards that end


def split(world: World, parent: str, *children: str) -> None:
    world.service.ended.add(parent)
    world.service.shards |= {child: [] for child in children}
    world.service.parents |= dict.fromkeys(children, parent)


def test_records_of_shards_that_appear_later_count(world: World) -> None:
    world.witness.begin()
    split(world, "a", "b", "c")
    world.write("c", 4)

    assert world.witness.changed(keys(4)) == keys(4)


def test_a_shard_that_is_listed_as_closed_is_read_to_its_end(world: World) -> None:
    world.witness.begin()
    split(world, "a", "b")
    world.write("b", 4)
    # Empty pages may precede the end of a closed shard, and its child is read after it.
    world.service.blanks["a"] = 4

    assert world.witness.changed(keys(4)) == keys(4)


def test_an_empty_page_counts_only_after_the_shards_were_listed(world: World) -> None:
    world.witness.begin()
    split(world, "a", "b")
    world.write("b", 4)
    world.service.blanks["a"] = 6
    # Until the list is received, the closed shard is still taken for an open one.
    refuse(world, "DescribeStream", 3)

    assert world.witness.changed(keys(4)) == keys(4)


def test_a_shard_without_a_follower_is_no_end(world: World) -> None:
    world.witness.begin()
    world.service.ended.add("a")
    world.at(30, lambda: split(world, "a", "b"))
    world.at(30, lambda: world.write("b", 4))

    assert world.witness.changed(keys(4)) == keys(4)


def test_the_child_of_a_shard_that_was_closed_before_is_waited_for(world: World) -> None:
    split(world, "a", "b")
    world.service.hidden = {"b"}
    world.witness.begin()
    world.write("b", 4)
    world.at(15, world.service.hidden.clear)

    assert world.witness.changed(keys(4)) == keys(4)


def test_a_shard_whose_follower_never_appears_is_unknown(world: World) -> None:
    world.witness.begin()
    world.service.ended.add("a")

    assert (
        why(world.witness.changed(keys(4))) == "the stream cannot be read to its present end in 120 seconds"
    )
    assert world.service.now == 120


def refuse(world: World, request: str, times: int, code: str = "ThrottlingException") -> None:
    """Let the next requests of this name be refused."""
    left = [refused(code)] * times

    def refuse_once(name: str) -> None:
        if name == request and left:
            raise left.pop()

    world.service.hooks.append(refuse_once)


def test_shards_that_appear_during_a_long_watch_are_read_meanwhile(world: World) -> None:
    world.witness.begin()
    world.service.shards["new"] = []
    world.pass_time(10)

    assert world.witness.keep_up(keys(4)) is None
    assert ("new", "TRIM_HORIZON") in world.service.asked


# What the stream cannot witness


def test_without_begin_nothing_is_known(world: World) -> None:
    assert why(world.witness.keep_up(keys(1))) == "the stream is not being watched"
    assert why(world.witness.changed(keys(1))) == "the stream is not being watched"
    assert world.service.requests == []


def test_a_source_without_a_stream_is_unknown(world: World) -> None:
    world.stream = None
    world.witness.begin()

    assert why(world.witness.changed(keys(1))) == "the source has no enabled stream"


@pytest.mark.parametrize(
    ("status", "shown"), [("DISABLED", "DISABLED"), ("ENABLING", "ENABLING"), ("", "unknown")]
)
def test_a_stream_that_is_not_enabled_at_the_beginning_is_unknown(
    world: World, status: str | None, shown: str
) -> None:
    world.service.status = status
    world.witness.begin()

    assert why(world.witness.changed(keys(1))) == f"the status of the stream is {shown}"


def test_a_stream_that_is_disabled_meanwhile_is_unknown(world: World) -> None:
    world.witness.begin()
    world.service.status = "DISABLED"

    assert why(world.witness.changed(keys(1))) == "the status of the stream is DISABLED"


def test_a_missing_permission_is_unknown(world: World) -> None:
    refuse(world, "GetRecords", 1, "AccessDeniedException")
    world.witness.begin()

    denied = "the stream cannot be read: AccessDeniedException: why"
    assert why(world.witness.changed(keys(1))) == denied
    # It stays unknown, since the records of meanwhile were missed.
    assert why(world.witness.changed(keys(1))) == denied


@pytest.mark.parametrize("error", [TaskError("no table", hint=""), NoCredentialsError()])
def test_a_table_that_cannot_be_described_is_unknown(world: World, error: Exception) -> None:
    def fail() -> Described:
        raise error

    witness = StreamWitness(world.service.client, fail, clock=world.clock, interrupt=world)
    witness.begin()

    assert why(witness.changed(keys(1))) in {"no table", "NoCredentialsError: Unable to locate credentials"}
    assert why(witness.silent(keys(1))) in {"no table", "NoCredentialsError: Unable to locate credentials"}


def test_an_iterator_that_expired_is_a_gap(world: World) -> None:
    world.witness.begin()
    world.pass_time(901)
    world.witness.keep_up(keys(1))

    assert (
        why(world.witness.changed(keys(1)))
        == "changes may be missing: the shard a was not read for 15 minutes"
    )


def test_reading_meanwhile_keeps_the_iterator(world: World) -> None:
    world.witness.begin()
    for _ in range(10):
        world.pass_time(300)
        world.witness.keep_up(keys(4))
    world.write("a", 4)

    assert world.witness.changed(keys(4)) == keys(4)


def test_records_that_were_trimmed_are_a_gap(world: World) -> None:
    world.witness.begin()
    world.write("a", 4)
    world.write("a", 5)
    world.service.trimmed = {"a": 4}

    assert "were removed after 24 hours" in why(world.witness.changed(keys(5)))


def test_a_shard_that_was_removed_is_a_gap(world: World) -> None:
    world.witness.begin()
    refuse(world, "GetRecords", 1, "ResourceNotFoundException")

    assert "the shard a was removed" in why(world.witness.changed(keys(5)))


@pytest.mark.parametrize("broken", [{}, {"PK": {"N": "x"}}, {"PK": "text"}])
def test_a_record_whose_key_cannot_be_read_is_unknown(world: World, broken: Any) -> None:
    world.witness.begin()
    world.service.keys[4] = broken
    world.write("a", 4)

    assert why(world.witness.changed(keys(4))).startswith("a record of the stream cannot be read: ")


def test_a_time_that_cannot_be_read_is_unknown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.witness.begin()
    world.write("a", 4)
    record = world.service._record
    monkeypatch.setattr(
        world.service,
        "_record",
        lambda number: {"dynamodb": {**record(number)["dynamodb"], "ApproximateCreationDateTime": "noon"}},
    )

    assert why(world.witness.changed(keys(4))).startswith("a record of the stream cannot be read: ")


def test_a_stream_of_too_many_shards_is_unknown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_witness, "MAX_SHARDS", 2)
    world.service.shards = {"a": [], "b": [], "old": []}
    world.service.ended, world.service.parents = {"old"}, {"a": "old"}
    world.witness.begin()
    assert world.witness.changed(keys(1)) == frozenset()

    world.service.shards["c"] = []
    requests = len(world.service.requests)
    world.witness.begin()

    assert why(world.witness.changed(keys(1))) == "the stream has 3 open shards, more than 2"
    assert world.service.requests[requests:] == ["DescribeStream"] * 2


def test_too_many_requests_are_unknown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_witness, "MAX_REQUESTS", 5)
    world.witness.begin()
    for number in range(4, 30):
        world.write("a", number, created=MIDNIGHT - 1)
    requests = len(world.service.requests)

    assert why(world.witness.changed(keys(1))) == "reading the stream takes more than 5 requests"
    assert len(world.service.requests) - requests == 5


# Refusals for the moment


def test_transient_refusals_are_waited_for(world: World) -> None:
    refuse(world, "DescribeStream", 2)
    refuse(world, "GetShardIterator", 2)
    world.witness.begin()
    world.write("a", 4)
    refuse(world, "GetRecords", 2)

    assert world.witness.changed(keys(4)) == keys(4)


def test_a_page_that_is_refused_meanwhile_is_read_later(world: World) -> None:
    world.witness.begin()
    world.write("a", 4)
    refuse(world, "GetRecords", 1)
    world.witness.keep_up(keys(4))

    assert world.witness.changed(keys(4)) == keys(4)


@pytest.mark.parametrize("request_name", ["DescribeStream", "GetShardIterator", "GetRecords"])
def test_after_two_minutes_of_refusals_it_is_unknown(world: World, request_name: str) -> None:
    refuse(world, request_name, 1000)
    world.witness.begin()

    assert why(world.witness.changed(keys(4))) == (
        "the stream has not responded for 120 seconds: ThrottlingException: why"
    )
    assert world.service.now == 120


def test_records_without_an_end_are_unknown_after_two_minutes(world: World) -> None:
    world.witness.begin()
    numbers = iter(range(100, 10_000))

    def slow(_: str) -> None:
        world.pass_time(1)
        world.write("a", next(numbers), created=MIDNIGHT - 1)

    world.service.hooks.append(slow)

    assert (
        why(world.witness.changed(keys(1))) == "the stream cannot be read to its present end in 120 seconds"
    )
    assert world.slept == []


def test_a_broken_connection_passes(world: World) -> None:
    world.service.refusals = [EndpointConnectionError(endpoint_url="https://x")]
    world.witness.begin()

    assert world.witness.changed(keys(4)) == frozenset()


# Interruption


@pytest.mark.parametrize(
    "call",
    [
        lambda witness: witness.begin(),
        lambda witness: witness.keep_up(keys(1)),
        lambda witness: witness.changed(keys(1)),
        lambda witness: witness.silent(keys(1)),
    ],
)
def test_an_interrupted_task_ends(world: World, call: Callable[[Witness], object]) -> None:
    world.witness.begin()
    requests = len(world.service.requests)
    world.set()

    with pytest.raises(KeyboardInterrupt):
        call(world.witness)
    assert len(world.service.requests) == requests


def test_an_interruption_ends_a_wait(world: World) -> None:
    world.witness.begin()
    world.at(1, world.set)

    with pytest.raises(KeyboardInterrupt):
        world.witness.changed(keys(1))
    assert world.slept == [1.0]


@pytest.mark.parametrize("silent", [False, True])
def test_an_interruption_ends_the_reading_of_many_pages(world: World, silent: bool) -> None:
    world.service.shards = {"a": [], "b": []}
    world.witness.begin()
    requests = len(world.service.requests)

    def press(name: str) -> None:
        if name == "GetRecords":
            world.set()

    world.service.hooks.append(press)

    with pytest.raises(KeyboardInterrupt):
        world.witness.silent(keys(1)) if silent else world.witness.changed(keys(1))
    assert world.service.requests[requests:].count("GetRecords") == 1


# What has not changed for 24 hours


def test_keys_without_a_record_in_any_stream_are_silent(world: World) -> None:
    world.service.streams = [EARLIER, EARLIEST, ARN]
    world.service.existing.add(EARLIEST)
    world.service.shards = {"a": [1, 2, 3], "old": [4], "older": [5], "oldest": [6]}
    world.service.stream_of = {"old": EARLIER, "older": EARLIER, "oldest": EARLIEST}
    world.service.ended = {"old", "older", "oldest"}

    assert world.witness.silent(keys(3, 4, 6, 7)) == keys(7)


def test_a_table_that_never_had_a_stream_is_silent(world: World) -> None:
    world.stream = world.latest = None
    world.service.streams = []

    assert world.witness.silent(keys(1, 2)) == keys(1, 2)
    assert world.service.requests == ["ListStreams"]


def test_a_stream_that_was_disabled_more_than_a_day_ago_leaves_all_silent(world: World) -> None:
    world.stream = None
    world.service.streams = []
    world.service.existing.clear()

    assert world.witness.silent([key(1)]) == keys(1)
    assert world.service.requests == ["ListStreams", "DescribeStream"]


def test_a_list_without_the_child_of_a_closed_shard_is_requested_again(world: World) -> None:
    split(world, "a", "b")
    world.write("b", 4)
    world.service.hidden = {"b"}
    world.at(15, world.service.hidden.clear)

    assert world.witness.silent(keys(4, 9)) == keys(9)


def test_the_last_shards_of_a_disabled_stream_have_no_children(world: World) -> None:
    world.stream, world.service.status = None, "DISABLED"
    world.service.ended = {"a"}

    assert world.witness.silent(keys(1, 9)) == keys(9)
    assert world.slept == []


def test_an_open_shard_is_at_its_end_after_five_empty_pages(world: World) -> None:
    world.service.blanks["a"] = 4

    assert world.witness.silent(keys(1, 9)) == keys(9)


def test_a_closed_shard_is_read_to_its_end_however_many_pages_are_empty(world: World) -> None:
    world.service.shards = {"a": [1], "b": [2]}
    world.service.parents = {"b": "a"}
    world.service.ended = {"a"}
    world.service.blanks["a"] = 30

    assert world.witness.silent(keys(1, 2, 9)) == keys(9)


def test_shards_that_appear_meanwhile_are_not_needed(world: World) -> None:
    world.service.shards = {"a": [1], "b": [2]}
    world.at(1, lambda: split(world, "a", "c"))

    assert world.witness.silent(keys(9)) == keys(9)
    assert world.service.requests.count("DescribeStream") == 1
    assert {shard for shard, _ in world.service.asked} == {"a", "b"}


def test_a_record_of_the_last_second_is_waited_for(world: World) -> None:
    world.at(0.9, lambda: world.write("a", 4))

    assert world.witness.silent(keys(4, 9)) == keys(9)


def test_once_every_key_has_a_record_nothing_more_is_read(world: World) -> None:
    world.service.streams = [EARLIER, ARN]
    world.service.shards = {"a": [1, 2, 3, 4, 5], "old": [9]}
    world.service.stream_of = {"old": EARLIER}
    world.service.ended = {"old"}

    assert world.witness.silent(keys(9)) == frozenset()
    assert world.service.requests.count("GetRecords") == 1


def test_two_hundred_requests_are_enough_and_one_more_is_not(world: World) -> None:
    # One list, one description, an iterator, and two records on each page; at the end five pages that count, and one
    # that was requested too early to count.
    world.service.shards = {"a": list(range(2 * 191))}
    world.service.created = dict.fromkeys(range(2 * 191), MIDNIGHT - 60)
    assert world.witness.silent(keys(1000)) == keys(1000)
    assert len(world.service.requests) == 200

    world.service.requests.clear()
    world.service.shards = {"a": list(range(2 * 192))}

    assert why(world.witness.silent(keys(1000))) == "reading the stream takes more than 200 requests"
    assert len(world.service.requests) == 200


def test_as_many_shards_as_two_hundred_requests_can_read_are_read(world: World) -> None:
    # Two lists, 40 descriptions of at most two shards each, and an iterator and a page of each of 79 shards.
    world.service.streams = [EARLIER, EARLIEST, ARN]
    world.service.existing.add(EARLIEST)
    world.service.shards = {f"{number}": [] for number in range(79)}
    world.service.stream_of = {
        f"{number}": EARLIER if number < 20 else EARLIEST if number < 40 else ARN for number in range(79)
    }
    world.service.ended = set(world.service.shards)
    world.service.status = "DISABLED"
    assert world.witness.silent(keys(1)) == keys(1)
    assert len(world.service.requests) == 200

    world.service.shards["79"] = []

    assert "have 80 shards" in why(world.witness.silent(keys(1)))


def test_a_stream_of_many_shards_is_not_begun(world: World) -> None:
    world.service.shards = {f"{number}": [] for number in range(99)}

    assert why(world.witness.silent(keys(1))) == (
        "the source's streams of the last 24 hours have 99 shards, which take more than 200 requests"
    )
    assert set(world.service.requests) == {"ListStreams", "DescribeStream"}


@pytest.mark.parametrize("request_name", ["ListStreams", "DescribeStream", "GetShardIterator", "GetRecords"])
def test_a_missing_permission_leaves_silence_unknown(world: World, request_name: str) -> None:
    refuse(world, request_name, 1, "AccessDeniedException")

    what = "streams cannot be listed" if request_name == "ListStreams" else "stream cannot be read"
    assert why(world.witness.silent(keys(1))) == f"the {what}: AccessDeniedException: why"


@pytest.mark.parametrize("request_name", ["ListStreams", "DescribeStream", "GetShardIterator", "GetRecords"])
def test_a_transient_refusal_is_waited_for(world: World, request_name: str) -> None:
    refuse(world, request_name, 2)

    assert world.witness.silent(keys(1, 9)) == keys(9)


def test_two_minutes_of_refusals_leave_silence_unknown(world: World) -> None:
    refuse(world, "ListStreams", 1000)

    assert why(world.witness.silent(keys(1))) == (
        "the stream has not responded for 120 seconds: ThrottlingException: why"
    )


def test_records_that_were_trimmed_leave_silence_unknown(world: World) -> None:
    world.service.shards["a"] += [4, 5, 6]

    def trim(_: str) -> None:
        if world.service.requests.count("GetRecords") == 2:
            world.service.trimmed = {"a": 4}

    world.service.hooks.append(trim)

    assert "were removed after 24 hours" in why(world.witness.silent(keys(9)))


@pytest.mark.parametrize("stream", [None, ARN])
@pytest.mark.parametrize("listed", [[], [EARLIER]])
def test_a_list_without_the_last_stream_leaves_silence_unknown(
    world: World, stream: str | None, listed: list[str]
) -> None:
    # So it is if the source is a table of another account.
    world.stream, world.service.streams = stream, listed

    assert why(world.witness.silent(keys(1))) == f"ListStreams does not list the stream {ARN}"


@pytest.mark.parametrize("other", [ARN.replace("123456789012", "999999999999"), f"{TABLE_ARN}2/stream/1"])
def test_a_list_of_another_table_leaves_silence_unknown(world: World, other: str) -> None:
    world.service.streams = [ARN, other]

    assert why(world.witness.silent(keys(1))) == f"ListStreams does not list the streams of {TABLE_ARN}"


def test_silence_does_not_end_the_watch(world: World) -> None:
    world.witness.begin()
    world.write("a", 4)

    assert world.witness.silent(keys(4, 9)) == keys(9)
    assert world.witness.changed(keys(4)) == keys(4)


def test_the_witness_of_a_connection_reads_the_stream_of_its_source() -> None:
    connection = Connection(
        Location("orders", None, None, "eu-west-1", None, None, None, "http://127.0.0.1:9")
    )

    interrupt = Interrupt()

    witness = StreamWitness.of(connection, interrupt)

    assert witness._clock is connection.clock
    assert witness._interrupt is interrupt
    assert witness._streams().meta.region_name == "eu-west-1"
    assert witness._describe_source.args == (connection.source,)  # type: ignore[attr-defined]
