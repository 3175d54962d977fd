"""Read a table's stream by the DynamoDB Streams API, one page of each shard at a time.

A shard is read after its parent was read to its end, so that the changes of an item are in order.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB_Streams.html
"""

import time
from base64 import b64encode
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from ddbreplica.aws.hints import explain
from ddbreplica.aws.refusal import asked
from ddbreplica.model import Key, Refusal, RefusalKind
from ddbreplica.records.decode import key_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodbstreams import DynamoDBStreamsClient

T = TypeVar("T")

LOOK_AGAIN_SECONDS = 10.0
"""How often to look for new shards while no shard has ended. When a shard has ended, its children already exist."""

Page: TypeAlias = Sequence[Mapping[str, Any]]
"""Records of one shard, in order, as boto3 returns them."""


@dataclass(slots=True)
class Shard:
    """A shard and the position up to which it was read. If there is no iterator, `start` is where to get one.

    `is_open` is whether it could receive records when the shards were last listed; `is_done` whether nothing is left
    to read in it.
    """

    id: str
    parent: str | None
    start: Mapping[str, str]
    is_open: bool
    iterator: str | None = None
    is_done: bool = False


@dataclass(frozen=True, slots=True)
class _Listed:
    """A page of a stream's description. `shards` holds the id and the parent of each shard, and whether it is open."""

    status: str | None
    shards: Sequence[tuple[str, str | None, bool]]
    last: str | None


class Stream:
    """Reads one stream from its oldest record on, or from now on. `refusal` is why the last page could not be read.

    Records may be missed if they were trimmed before they were read, or if they were written while no page was read
    for longer than an iterator is valid. `gap` is then called with a description. `before_request` is called before
    each request, and may raise an error to send no more.
    """

    def __init__(
        self,
        client: "DynamoDBStreamsClient",
        arn: str,
        *,
        from_oldest: bool,
        gap: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        before_request: Callable[[], None] = lambda: None,
    ) -> None:
        """Send no request yet."""
        self.refusal: Refusal | None = None
        self.status: str | None = None
        """The stream's status when its shards were last listed, such as ENABLED."""
        self.shards: dict[str, Shard] = {}
        """All shards that were listed, by id."""
        self._client = client
        self._arn = arn
        self._from_oldest = from_oldest
        self._gap = gap
        self._clock = clock
        self._before_request = before_request
        self._look_at: float | None = None

    def read(self) -> list[Page]:
        """Return the next page of every shard that may be read now. A page is empty if nothing was written.

        After a transient refusal the page is read by the next call. Raises TaskError for any other refusal.
        """
        return [page for _, page in self.pages()]

    def pages(self, *, without: Container[str] = (), look: bool = True) -> Iterator[tuple[Shard, Page]]:
        """Yield every shard that may be read now, with its next page. Raises TaskError like `read`.

        Shards whose id is in `without` are not read. Without `look` no new shards are looked for.
        """
        self.refusal = None
        if look and self.is_look_due:
            self.look()
        # A shard whose parent ends in this loop is read in it too, if it follows.
        for shard in list(self.shards.values()):
            if shard.id not in without and self.is_next(shard) and (page := self._page(shard)) is not None:
                yield shard, page

    @property
    def is_look_due(self) -> bool:
        """Whether the next read lists the shards."""
        return self._look_at is None or self._clock() >= self._look_at

    def look_soon(self) -> None:
        """List the shards with the next read."""
        self._look_at = None if self._look_at is None else self._clock()

    def look(self) -> bool:
        """List the shards, and add those that are new. Return False after a transient refusal."""
        # All pages first: if a later page has a shard's parent, the shard must not be read before it.
        listed: list[_Listed] = []
        after: Mapping[str, str] | None = {}
        while after is not None:
            page = self._ask(partial(self._listed, after))
            if isinstance(page, Refusal):
                return self._postpone(page)
            listed.append(page)
            after = {"ExclusiveStartShardId": page.last} if page.last else None
        self.status = listed[-1].status
        self._add([shard for page in listed for shard in page.shards])
        self._look_at = self._clock() + LOOK_AGAIN_SECONDS
        return True

    def take_positions(self) -> bool:
        """Get an iterator for every shard that may be read now, so that records from now on are not missed.

        Return False if one was not received because of a transient refusal; the next call gets those that are missing.
        """
        return all(self._iterator(shard) for shard in self.shards.values() if self.is_next(shard))

    def is_next(self, shard: Shard) -> bool:
        """Return whether a shard may be read now: it has not ended, and its parent was read to its end."""
        parent = self.shards.get(shard.parent or "")
        # A parent that is not listed was trimmed, and there is nothing to read before its child.
        return not shard.is_done and (parent is None or parent.is_done)

    def _listed(self, more: Any) -> _Listed:
        stream = self._client.describe_stream(StreamArn=self._arn, **more)["StreamDescription"]
        shards = [
            (each["ShardId"], each.get("ParentShardId"), _is_open(each["SequenceNumberRange"]))
            for each in stream["Shards"]
        ]
        return _Listed(stream.get("StreamStatus"), shards, stream.get("LastEvaluatedShardId"))

    def _add(self, listed: Sequence[tuple[str, str | None, bool]]) -> None:
        is_first = self._look_at is None
        open_ones = {shard for shard, _, is_open in listed if is_open}
        for shard, parent, is_open in listed:
            if shard in self.shards:
                self.shards[shard].is_open = is_open
                continue
            # A shard that appears later has only records that were written after the start. So has a shard whose
            # parent was listed as open: the parent ended while the pages of this list were requested.
            is_from_now = is_first and not self._from_oldest and parent not in open_ones
            start = _at("LATEST" if is_from_now else "TRIM_HORIZON")
            self.shards[shard] = Shard(shard, parent, start, is_open, is_done=is_from_now and not is_open)

    def _page(self, shard: Shard) -> Page | None:
        """Return the next page; None if it was refused or the position was lost."""
        iterator = self._iterator(shard)
        if iterator is None:
            return None
        response = self._ask(lambda: _page_of(self._client.get_records(ShardIterator=iterator)))
        if isinstance(response, Refusal):
            self._recover(shard, response)
            return None
        records, shard.iterator = response
        if records:
            # An iterator expires after 15 minutes, a sequence number does not.
            shard.start = _after(records[-1])
        if shard.iterator is None:
            shard.is_done = True
            self.look_soon()
        return records

    def _iterator(self, shard: Shard) -> str | None:
        """Return the iterator of a shard, which is requested if there is none; None if it was refused."""
        if shard.iterator is None:
            request: Any = {"StreamArn": self._arn, "ShardId": shard.id, **shard.start}
            iterator = self._ask(lambda: str(self._client.get_shard_iterator(**request)["ShardIterator"]))
            if isinstance(iterator, Refusal):
                self._recover(shard, iterator)
                return None
            shard.iterator = iterator
        return shard.iterator

    def _ask(self, call: Callable[[], T]) -> T | Refusal:
        self._before_request()
        return asked(call)

    def _postpone(self, refusal: Refusal) -> bool:
        """Keep a transient refusal, and return False. Raises TaskError for any other refusal."""
        if refusal.kind is not RefusalKind.TRANSIENT:
            raise explain(refusal, doing="the stream cannot be read")
        self.refusal = refusal
        return False

    def _recover(self, shard: Shard, refusal: Refusal) -> None:
        """Set the position from which a shard is read next, or keep a refusal that is not about the position."""
        match refusal.code:
            case "ExpiredIteratorException":
                shard.iterator = None
                if shard.start == _at("LATEST"):
                    self._gap(f"the shard {shard.id} was not read for 15 minutes")
            case "TrimmedDataAccessException":
                shard.iterator = None
                shard.start = _at("TRIM_HORIZON")
                self._gap(
                    f"records of the shard {shard.id} were removed after 24 hours, before they were read"
                )
            case "ResourceNotFoundException":
                shard.is_done = True
                self._gap(f"the shard {shard.id} was removed before it was read to its end")
            case _:
                self._postpone(refusal)


def key_of_record(record: Mapping[str, Any]) -> Key:
    """Return the key of a record as boto3 returns it. Raises an exception if the record has no valid key."""
    # boto3 converts base64 to bytes, and changes nothing else.
    return key_of(
        {
            name: {tag: _plain(content) for tag, content in value.items()}
            for name, value in record["dynamodb"]["Keys"].items()
        }
    )


def created_at(record: Mapping[str, Any]) -> float | None:
    """Return when a record was created, in seconds since the epoch, or None. AWS sends whole seconds."""
    at = record["dynamodb"].get("ApproximateCreationDateTime")
    return None if at is None else float(at.timestamp())


def list_streams(client: "DynamoDBStreamsClient", table: str, more: Any) -> tuple[Sequence[str], Any]:
    """Return the ARNs of a table's streams, one page of them, and what to add to the request for the next page.

    These are the present stream and those that were disabled in the last 24 hours. The table is one of the account.
    """
    response = client.list_streams(TableName=table, **more)
    last = response.get("LastEvaluatedStreamArn")
    arns = [stream["StreamArn"] for stream in response["Streams"]]
    return arns, {"ExclusiveStartStreamArn": last} if last else None


def has_stream(client: "DynamoDBStreamsClient", arn: str) -> bool:
    """Return whether a stream exists: it is enabled, or was disabled in the last 24 hours."""
    try:
        client.describe_stream(StreamArn=arn, Limit=1)
    except client.exceptions.ResourceNotFoundException:
        return False
    return True


def _plain(content: object) -> object:
    return b64encode(content).decode() if isinstance(content, bytes) else content


def _is_open(sequence_numbers: Mapping[str, Any]) -> bool:
    return "EndingSequenceNumber" not in sequence_numbers


def _page_of(response: Any) -> tuple[Page, str | None]:
    records: Page = response["Records"]
    if records:
        _after(records[-1])  # raises if the position cannot be read
    return records, response.get("NextShardIterator")


def _at(kind: str) -> Mapping[str, str]:
    return {"ShardIteratorType": kind}


def _after(record: Mapping[str, Any]) -> Mapping[str, str]:
    number: str = record["dynamodb"]["SequenceNumber"]
    return {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": number}
