"""A table's stream, by the API that anyone may read it with → its records, a page of each shard at a time.

A shard is read when its parent has been read to its end, so that the changes of one item come in order.
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
"""How often new shards are looked for while no shard has ended; one that has ended has children by then."""

Page: TypeAlias = Sequence[Mapping[str, Any]]
"""Records of one shard, in order, as boto3 reads them."""


@dataclass(slots=True)
class _Shard:
    """One shard and how far it was read; without an iterator, `start` says from where one is to be had."""

    id: str
    parent: str | None
    start: Mapping[str, str]
    iterator: str | None = None
    is_done: bool = False


class Stream:
    """Follows one stream, from its oldest record on or from now. `refusal` is why a page could not be had last time.

    Some records may be missed: where they were trimmed before they were read, or were written while nobody read
    for longer than an iterator lasts. `gap` is then told where.
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
        """Ask nothing yet."""
        self.refusal: Refusal | None = None
        self._client = client
        self._arn = arn
        self._from_oldest = from_oldest
        self._gap = gap
        self._clock = clock
        self._shards: dict[str, _Shard] = {}
        self._look_at: float | None = None

    def read(self) -> list[Page]:
        """The next page of every shard that may be read now; most are empty when nothing is written.

        What AWS refuses for the moment is left for the next time. Raises TaskError for what it refuses for good.
        """
        self.refusal = None
        if self._look_at is None or self._clock() >= self._look_at:
            self._patiently(self._look)
        return [self._page(shard) for shard in list(self._shards.values()) if self._is_next(shard)]

    def _is_next(self, shard: _Shard) -> bool:
        parent = self._shards.get(shard.parent or "")
        return not shard.is_done and (parent is None or parent.is_done)

    def _look(self) -> None:
        """Take up shards that are new."""
        is_first = self._look_at is None
        for found in list(self._descriptions()):
            if found["ShardId"] not in self._shards:
                self._shards[found["ShardId"]] = self._taken_up(found, is_first=is_first)
        self._look_at = self._clock() + LOOK_AGAIN_SECONDS

    def _taken_up(self, found: Any, *, is_first: bool) -> _Shard:
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
        self._patiently(lambda: records.extend(self._records(shard)), shard)
        return records

    def _records(self, shard: _Shard) -> Page:
        if shard.iterator is None:
            asked: Any = {"StreamArn": self._arn, "ShardId": shard.id, **shard.start}
            shard.iterator = self._client.get_shard_iterator(**asked)["ShardIterator"]
        answer: Any = self._client.get_records(ShardIterator=shard.iterator)
        records: Page = answer["Records"]
        if records:
            shard.start = _after(records[-1])
        shard.iterator = answer.get("NextShardIterator")
        if shard.iterator is None:
            shard.is_done = True
            self._look_at = self._clock()
        return records

    def _patiently(self, ask: Callable[[], None], shard: _Shard | None = None) -> None:
        """Ask, and mend what can be: what AWS refuses for the moment is only noted."""
        refusal = asked(ask)
        if refusal is None or (shard is not None and self._mend(shard, refusal.code)):
            return
        if refusal.kind is not RefusalKind.TRANSIENT:
            raise explain(refusal, doing="the stream cannot be read")
        self.refusal = refusal

    def _mend(self, shard: _Shard, code: str) -> bool:
        match code:
            case "ExpiredIteratorException":
                if shard.start == _at("LATEST"):
                    self._gap(f"nobody has read the shard {shard.id} for 15 minutes")
            case "TrimmedDataAccessException":
                self._gap(f"the oldest records of the shard {shard.id} are older than 24 hours, and gone")
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
