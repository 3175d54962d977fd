"""Read a table's stream by the DynamoDB Streams API, one page of each shard at a time.

A shard is read after its parent was read to its end, so that the changes of an item are in order.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB_Streams.html
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ddbreplica.aws.hints import explain
from ddbreplica.aws.refusal import asked
from ddbreplica.model import Refusal, RefusalKind

if TYPE_CHECKING:
    from mypy_boto3_dynamodbstreams import DynamoDBStreamsClient

LOOK_AGAIN_SECONDS = 10.0
"""How often to look for new shards while no shard has ended. When a shard has ended, its children already exist."""

Page: TypeAlias = Sequence[Mapping[str, Any]]
"""Records of one shard, in order, as boto3 returns them."""


@dataclass(slots=True)
class _Shard:
    """A shard and the position up to which it was read. If there is no iterator, `start` is where to get one."""

    id: str
    parent: str | None
    start: Mapping[str, str]
    iterator: str | None = None
    is_done: bool = False


class Stream:
    """Reads one stream from its oldest record on, or from now on. `refusal` is why the last page could not be read.

    Records may be missed if they were trimmed before they were read, or if they were written while no page was read
    for longer than an iterator is valid. `gap` is then called with a description.
    """

    def __init__(
        self,
        client: "DynamoDBStreamsClient",
        arn: str,
        *,
        from_oldest: bool,
        gap: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Send no request yet."""
        self.refusal: Refusal | None = None
        self._client = client
        self._arn = arn
        self._from_oldest = from_oldest
        self._gap = gap
        self._clock = clock
        self._shards: dict[str, _Shard] = {}
        self._look_at: float | None = None

    def read(self) -> list[Page]:
        """Return the next page of every shard that may be read now. A page is empty if nothing was written.

        After a transient refusal the page is read by the next call. Raises TaskError for any other refusal.
        """
        self.refusal = None
        if self._look_at is None or self._clock() >= self._look_at:
            self._try(self._find_shards)
        return [self._page(shard) for shard in list(self._shards.values()) if self._is_next(shard)]

    def _is_next(self, shard: _Shard) -> bool:
        parent = self._shards.get(shard.parent or "")
        # A parent that is not listed was trimmed, and there is nothing to read before its child.
        return not shard.is_done and (parent is None or parent.is_done)

    def _find_shards(self) -> None:
        """Add the shards that are new."""
        is_first = self._look_at is None
        # All pages first: if a later page has a shard's parent, the shard must not be read before it.
        for found in list(self._descriptions()):
            if found["ShardId"] not in self._shards:
                self._shards[found["ShardId"]] = self._new_shard(found, is_first=is_first)
        self._look_at = self._clock() + LOOK_AGAIN_SECONDS

    def _new_shard(self, found: Any, *, is_first: bool) -> _Shard:
        # A shard that appears later has only records that were written after the start.
        is_from_now = is_first and not self._from_oldest
        is_open = "EndingSequenceNumber" not in found["SequenceNumberRange"]
        return _Shard(
            id=found["ShardId"],
            parent=found.get("ParentShardId"),
            start=_at("LATEST" if is_from_now else "TRIM_HORIZON"),
            is_done=is_from_now and not is_open,
        )

    def _descriptions(self) -> Iterator[Any]:
        page: Any = {}
        while page is not None:
            stream = self._client.describe_stream(StreamArn=self._arn, **page)["StreamDescription"]
            yield from stream["Shards"]
            last = stream.get("LastEvaluatedShardId")
            page = {"ExclusiveStartShardId": last} if last else None

    def _page(self, shard: _Shard) -> Page:
        records: list[Mapping[str, Any]] = []
        self._try(lambda: records.extend(self._records(shard)), shard)
        return records

    def _records(self, shard: _Shard) -> Page:
        if shard.iterator is None:
            request: Any = {"StreamArn": self._arn, "ShardId": shard.id, **shard.start}
            shard.iterator = self._client.get_shard_iterator(**request)["ShardIterator"]
        response: Any = self._client.get_records(ShardIterator=shard.iterator)
        records: Page = response["Records"]
        if records:
            # An iterator expires after 15 minutes, a sequence number does not.
            shard.start = _after(records[-1])
        shard.iterator = response.get("NextShardIterator")
        if shard.iterator is None:
            shard.is_done = True
            self._look_at = self._clock()
        return records

    def _try(self, ask: Callable[[], None], shard: _Shard | None = None) -> None:
        """Make a request, and recover from a lost position. A transient refusal is kept in `refusal`."""
        refusal = asked(ask)
        if refusal is None or (shard is not None and self._has_recovered(shard, refusal.code)):
            return
        if refusal.kind is not RefusalKind.TRANSIENT:
            raise explain(refusal, doing="the stream cannot be read")
        self.refusal = refusal

    def _has_recovered(self, shard: _Shard, code: str) -> bool:
        """Set the position from which a shard is read next. Return False if the error is not about the position."""
        match code:
            case "ExpiredIteratorException":
                if shard.start == _at("LATEST"):
                    self._gap(f"the shard {shard.id} was not read for 15 minutes")
            case "TrimmedDataAccessException":
                self._gap(
                    f"records of the shard {shard.id} were removed after 24 hours, before they were read"
                )
                shard.start = _at("TRIM_HORIZON")
            case "ResourceNotFoundException":
                shard.is_done = True
            case _:
                return False
        shard.iterator = None
        return True


def _at(kind: str) -> Mapping[str, str]:
    return {"ShardIteratorType": kind}


def _after(record: Mapping[str, Any]) -> Mapping[str, str]:
    number: str = record["dynamodb"]["SequenceNumber"]
    return {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": number}
