"""Read the source's stream to find which keys have changed, and which have not changed for 24 hours.

At most two processes should read a shard. Lambda is one of them, and this is the other, for the time of a watch.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ddbreplica.aws.clock import Clock
from ddbreplica.aws.hints import explain
from ddbreplica.aws.refusal import asked
from ddbreplica.aws.request import REFUSALS, Unknown, ask, fact_of
from ddbreplica.driver import Interrupt
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described, describe
from ddbreplica.dynamodb.stream import (
    Page,
    Shard,
    Stream,
    created_at,
    has_stream,
    key_of_record,
    list_streams,
)
from ddbreplica.errors import TaskError
from ddbreplica.model import Key, Refusal, RefusalKind

if TYPE_CHECKING:
    from mypy_boto3_dynamodbstreams import DynamoDBStreamsClient

T = TypeVar("T")

SILENT_REQUESTS = 200
"""The maximum number of requests in which `silent` reads all streams of the last 24 hours."""

MAX_SHARDS = 500
"""The maximum number of open shards to watch. They are read one after the other, in some 20 ms each."""

MAX_REQUESTS = 5_000
"""The maximum number of requests of one call, except `silent`."""

MAX_SECONDS = 120.0
"""The maximum time of one call, which includes the wait after transient refusals."""

PAUSE_SECONDS = 1.0
"""The pause before the shards are read again, if the last pages of them were at their present end."""

SETTLING_SECONDS = 1.0
"""How long a change may take until its record can be read. An empty page counts only if it was requested later."""

MARGIN_SECONDS = 5.0
"""How far the measured AWS time may be behind. A record that is so much later was certainly created after a moment."""

EMPTY_PAGES = 2
"""The number of empty pages in a row after which an open shard is read to its present end, if it was read before."""

EMPTY_PAGES_FROM_OLDEST = 5
"""The same for a shard that is read from its oldest record. There, empty pages may precede records:
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetRecords.html"""


class StreamWitness:
    """The Witness that reads the source's stream by its API.

    No method raises an error except KeyboardInterrupt, if the task is asked to stop. Whatever else prevents the
    reading is the reason of an Unknown. Until the next `begin`, no key may be watched that was not watched before.
    """

    def __init__(
        self,
        streams: Callable[[], "DynamoDBStreamsClient"],
        describe_source: Callable[[], Described],
        *,
        clock: Clock,
        interrupt: Interrupt,
    ) -> None:
        """Send no request yet. `streams` returns a client for the source's stream."""
        self._streams = streams
        self._describe_source = describe_source
        self._clock = clock
        self._interrupt = interrupt
        self._budget: _Budget  # each call has its own
        self._watch: Stream | Unknown = Unknown("the stream is not being watched")
        self._changed: set[Key] = set()

    @classmethod
    def of(cls, connection: Connection, interrupt: Interrupt) -> "StreamWitness":
        """Return the witness of a connection's source."""
        describe_source = partial(describe, connection.source)
        return cls(connection.streams, describe_source, clock=connection.clock, interrupt=interrupt)

    def begin(self) -> None:
        """Remember the present end of every shard."""
        self._changed = set()
        self._watch = self._known(self._begun, most=MAX_REQUESTS)

    def keep_up(self, watched: Container[Key]) -> Unknown | None:
        """Read the next page of every shard. Return Unknown if the stream can no longer be the witness."""
        self._go_on(lambda stream: self._note_changed(watched, (page for _, page in stream.pages())))
        return self._watch if isinstance(self._watch, Unknown) else None

    def changed(self, watched: Container[Key]) -> frozenset[Key] | Unknown:
        """Read until every shard is past the time of this call, and return the watched keys with a record."""
        self._go_on(lambda stream: self._catch_up(stream, watched))
        if isinstance(self._watch, Unknown):
            return self._watch
        return frozenset(key for key in self._changed if key in watched)

    def silent(self, keys: Collection[Key]) -> frozenset[Key] | Unknown:
        """Return the keys without a record in any stream of the last 24 hours."""
        return self._known(lambda: self._silent(set(keys)), most=SILENT_REQUESTS)

    def _known(self, read: Callable[[], T], *, most: int) -> T | Unknown:
        """Return the result of a call that may send `most` requests, or why there is none."""
        self._interrupt.check()
        self._budget = _Budget(most, self._clock.ticks)
        try:
            return read()
        except REFUSALS as error:
            return Unknown(fact_of(error))
        except _NoWitnessError as error:
            return Unknown(str(error))

    def _go_on(self, read: Callable[[Stream], None]) -> None:
        """Read the watched stream. After a failure it is no longer read, since its records were missed."""
        stream = self._watch
        if not isinstance(stream, Unknown):
            failed = self._known(lambda: read(stream), most=MAX_REQUESTS)
            self._watch = failed or stream

    def _begun(self) -> Stream:
        arn = self._describe_source().stream
        if arn is None:
            raise _NoWitnessError("the source has no enabled stream")
        stream = self._stream(arn, from_oldest=False)
        self._until_done(stream, stream.look)
        open_shards = sum(not shard.is_done for shard in stream.shards.values())
        if open_shards > MAX_SHARDS:
            raise _NoWitnessError(f"the stream has {open_shards:,} open shards, more than {MAX_SHARDS}")
        self._until_done(stream, stream.take_positions)
        _refuse_disabled(stream)
        return stream

    def _stream(self, arn: str, *, from_oldest: bool) -> Stream:
        return Stream(
            self._streams(),
            arn,
            from_oldest=from_oldest,
            gap=_refuse_gap,
            clock=self._clock.ticks,
            before_request=self._count_request,
        )

    def _count_request(self) -> None:
        self._budget.take()

    def _catch_up(self, stream: Stream, watched: Container[Key]) -> None:
        # A change from before this call may be in a shard that is not listed yet, or missing from a disabled stream.
        stream.look_soon()
        reading = _Reading(stream, self._clock, empty_pages=EMPTY_PAGES)
        while True:
            self._note_changed(watched, reading.pages())
            if not stream.is_look_due:
                _refuse_disabled(stream)
                if _is_complete(stream):
                    if reading.is_over:
                        return
                else:
                    stream.look_soon()
            self._wait(stream, reading)

    def _note_changed(self, watched: Container[Key], pages: Iterable[Page]) -> None:
        for page in pages:
            self._interrupt.check()
            self._changed.update(key for key in _keys(page) if key in watched)

    def _silent(self, keys: set[Key]) -> frozenset[Key]:
        streams = [self._stream(arn, from_oldest=True) for arn in self._listed(self._describe_source())]
        for stream in streams:
            self._until_done(stream, partial(_look_at_all, stream))
        shards = sum(len(stream.shards) for stream in streams)
        if 2 * shards > self._budget.requests:  # an iterator and a page of each
            raise _NoWitnessError(
                f"the source's streams of the last 24 hours have {shards:,} shards, which take more than"
                f" {SILENT_REQUESTS} requests"
            )
        for stream in streams:
            reading = _Reading(stream, self._clock, empty_pages=EMPTY_PAGES_FROM_OLDEST, look=False)
            while keys:
                for page in reading.pages():
                    self._interrupt.check()
                    keys.difference_update(_keys(page))
                if reading.is_over:
                    break
                self._wait(stream, reading)
        return frozenset(keys)

    def _listed(self, source: Described) -> Sequence[str]:
        """Return the ARNs of all streams of the source that still have records.

        ListStreams takes a table's name, and lists streams of the caller's account. Raises an error if these are not
        the streams of the source, or not all of them.
        """
        client = self._streams()
        found: list[str] = []
        more: Mapping[str, str] | None = {}
        while more is not None:
            arns, more = self._patiently(partial(list_streams, client, source.name, more))
            found += arns
        latest = source.latest_stream
        is_missing = latest is not None and latest not in found
        # The last stream was disabled more than 24 hours ago, or the list is not of the source's account.
        if is_missing and self._patiently(partial(has_stream, client, str(latest))):
            raise _NoWitnessError(f"ListStreams does not list the stream {latest}")
        if not all(arn.startswith(f"{source.table.arn}/stream/") for arn in found):
            raise _NoWitnessError(f"ListStreams does not list the streams of {source.table.arn}")
        return found

    def _patiently(self, call: Callable[[], T]) -> T:
        """Repeat a request until it is no longer refused for the moment."""
        while True:
            self._count_request()
            response = asked(call)
            if not isinstance(response, Refusal):
                return response
            if response.kind is not RefusalKind.TRANSIENT:
                raise explain(response, doing="the streams cannot be listed")
            self._pause(response)

    def _until_done(self, stream: Stream, step: Callable[[], bool]) -> None:
        while not step():
            self._pause(stream.refusal)

    def _wait(self, stream: Stream, reading: "_Reading") -> None:
        """Wait before the shards are read again, unless more records are waiting."""
        if stream.refusal or not reading.is_behind:
            self._pause(stream.refusal)
        else:
            self._budget.refuse_late(None)

    def _pause(self, refusal: Refusal | None) -> None:
        """Wait. Raises TaskError if the time of the call is over."""
        self._budget.refuse_late(refusal)
        self._interrupt.sleep(PAUSE_SECONDS)
        self._interrupt.check()


class _NoWitnessError(Exception):
    """The stream cannot be the witness. The message is the reason."""


class _Budget:
    """The number of `requests` that a call may still send, and the time that it may still take."""

    def __init__(self, most: int, ticks: Callable[[], float]) -> None:
        """Begin the call."""
        self.requests = self._most = most
        self._ticks = ticks
        self._end = ticks() + MAX_SECONDS

    def take(self) -> None:
        """Count a request. Raises _NoWitnessError if it would be one too many."""
        if self.requests == 0:
            raise _NoWitnessError(f"reading the stream takes more than {self._most:,} requests")
        self.requests -= 1

    def refuse_late(self, refusal: Refusal | None) -> None:
        """Raise an error if the time is over. `refusal` is the last one, if a request was refused."""
        if self._ticks() < self._end:
            return
        if refusal is not None:
            raise explain(refusal, doing=f"the stream has not responded for {MAX_SECONDS:.0f} seconds")
        raise _NoWitnessError(f"the stream cannot be read to its present end in {MAX_SECONDS:.0f} seconds")


class _Reading:
    """Reads a stream until each of its shards is past the moment at which this object was created.

    A shard is past it after its end; after a record that was certainly created later; or, if it is open, after empty
    pages in a row that were requested when any change before the moment had become a record.
    """

    def __init__(self, stream: Stream, clock: Clock, *, empty_pages: int, look: bool = True) -> None:
        """Send no request yet. Without `look`, shards that are not listed now are not read."""
        self.is_behind: bool
        """Whether a shard has more records from before the moment, as far as the last pages show."""
        self._stream = stream
        self._clock = clock
        self._empty_pages = empty_pages
        self._look = look
        self._settled_at = clock.ticks() + SETTLING_SECONDS
        now = clock.now
        # If AWS's time is not known, no record is later.
        self._moment = math.inf if now is None else now
        self._past: set[str] = set()
        self._empty: Counter[str] = Counter()

    def pages(self) -> Iterable[Page]:
        """Yield the next page of every shard that is not past the moment."""
        self.is_behind = False
        is_settled = self._clock.ticks() >= self._settled_at
        for shard, page in self._stream.pages(without=self._past, look=self._look):
            self._place(shard, page, is_settled=is_settled)
            yield page

    @property
    def is_over(self) -> bool:
        """Whether every record from before the moment was read, as far as shards are listed."""
        # A shard that is not next follows one that is past the moment, or that is next.
        shards = self._stream.shards.values()
        return all(shard.id in self._past for shard in shards if self._stream.is_next(shard))

    @property
    def _has_looked(self) -> bool:
        """Whether it is known which shards were open after the moment."""
        return not (self._look and self._stream.is_look_due)

    def _place(self, shard: Shard, page: Page, *, is_settled: bool) -> None:
        """Note how far a shard was read by this page."""
        if page:
            created = ask(lambda: created_at(page[-1]), refused=_unreadable) or 0
            self._empty[shard.id] = 0
            self.is_behind |= created < self._moment
            if created > self._moment + MARGIN_SECONDS:
                self._past.add(shard.id)
        if shard.is_done:
            self.is_behind = True
        # A shard that ends has an end, which empty pages may precede.
        elif not page and is_settled and shard.is_open and self._has_looked:
            self._empty[shard.id] += 1
            if self._empty[shard.id] >= self._empty_pages:
                self._past.add(shard.id)


def _keys(page: Page) -> Sequence[Key]:
    return ask(lambda: [key_of_record(record) for record in page], refused=_unreadable)


def _unreadable(refusal: Refusal) -> TaskError:
    return explain(refusal, doing="a record of the stream cannot be read")


def _look_at_all(stream: Stream) -> bool:
    """List the shards. Return False if the list may be incomplete."""
    # Nothing follows the last shards of a disabled stream.
    return stream.look() and (stream.status != "ENABLED" or _is_complete(stream))


def _is_complete(stream: Stream) -> bool:
    """Return whether the list of shards is complete: each closed shard is followed by one, which has the next changes.

    DynamoDB may list a shard as closed before it lists its children:
    https://github.com/awslabs/dynamodb-streams-kinesis-adapter
    """
    parents = {shard.parent for shard in stream.shards.values()}
    return all(shard.id in parents for shard in stream.shards.values() if shard.is_done or not shard.is_open)


def _refuse_disabled(stream: Stream) -> None:
    """Raise _NoWitnessError unless the stream is enabled: other changes make no records."""
    if stream.status != "ENABLED":
        raise _NoWitnessError(f"the status of the stream is {stream.status or 'unknown'}")


def _refuse_gap(where: str) -> None:
    raise _NoWitnessError(f"changes may be missing: {where}")
