"""DynamoDB Streams in memory: shards that end, split, are trimmed or cannot be read at the moment."""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

TABLE_ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/logfile"
ARN = f"{TABLE_ARN}/stream/2026-11-01T00:00:00.000"
EARLIER = f"{TABLE_ARN}/stream/2026-10-01T00:00:00.000"
PER_PAGE = 2


class NoStreamError(ClientError):
    """The stream does not exist."""

    def __init__(self) -> None:
        super().__init__({"Error": {"Code": "ResourceNotFoundException"}}, "DescribeStream")


class FakeStreams:
    """Shards of numbered records, two on a page. An iterator has a position and an age.

    The key of record 7 is k7, unless `keys` has another. `created` has the times of records, in seconds since the
    epoch. A shard is of the stream ARN unless `stream_of` has another, which is disabled. `blanks` is the number of
    empty pages that precede a shard's records, `blanks_at_end` of those that precede the end of a closed shard.
    `hidden` shards are not listed yet. `streams` are listed, and `existing` ones can be described. `hooks` are called
    before each request, with its name, and may raise.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.shards: dict[str, list[int]] = {}
        self.parents: dict[str, str] = {}
        self.stream_of: dict[str, str] = {}
        self.keys: dict[int, Any] = {}
        self.created: dict[int, float] = {}
        self.ended: set[str] = set()
        self.hidden: set[str] = set()
        self.trimmed: dict[str, int] = {}
        self.blanks: Counter[str] = Counter()
        self.blanks_at_end: Counter[str] = Counter()
        self.streams = [ARN]
        self.existing = {ARN, EARLIER}
        self.exceptions = SimpleNamespace(ResourceNotFoundException=NoStreamError)
        self.status: str | None = "ENABLED"
        self.hooks: list[Callable[[str], None]] = []
        self.refusals: list[Exception] = []
        self.asked: list[tuple[str, str]] = []
        self.requests: list[str] = []
        self.limits: list[int] = []
        self.expire_after = 900.0

    def client(self) -> Any:
        return self

    def _before(self, request: str) -> None:
        self.requests.append(request)
        for hook in self.hooks:
            hook(request)
        if self.refusals and request != "GetShardIterator":
            raise self.refusals.pop(0)

    def list_streams(self, *, TableName: str, ExclusiveStartStreamArn: str | None = None) -> Any:  # noqa: N803
        self._before("ListStreams")
        assert TableName == "logfile"
        page, last = _page(self.streams, ExclusiveStartStreamArn)
        answer: dict[str, Any] = {"Streams": [{"StreamArn": arn} for arn in page]}
        return answer | ({"LastEvaluatedStreamArn": last} if last else {})

    def describe_stream(
        self,
        *,
        StreamArn: str,  # noqa: N803
        ExclusiveStartShardId: str | None = None,  # noqa: N803
        Limit: int | None = None,  # noqa: N803
    ) -> Any:
        if StreamArn not in self.existing:
            self.requests.append("DescribeStream")
            raise NoStreamError
        self.limits += [] if Limit is None else [Limit]
        names = [
            name
            for name in self.shards
            if self.stream_of.get(name, ARN) == StreamArn and name not in self.hidden
        ]
        page, last = _page(names, ExclusiveStartShardId)
        status = self.status if StreamArn == ARN else "DISABLED"
        self._before("DescribeStream")
        answer: dict[str, Any] = {
            "Shards": [self._described(name) for name in page],
            **({"StreamStatus": status} if status else {}),
        }
        return {"StreamDescription": answer | ({"LastEvaluatedShardId": last} if last else {})}

    def get_shard_iterator(
        self,
        *,
        StreamArn: str,  # noqa: N803
        ShardId: str,  # noqa: N803
        ShardIteratorType: str,  # noqa: N803
        SequenceNumber: str | None = None,  # noqa: N803
    ) -> Any:
        self._before("GetShardIterator")
        assert StreamArn == self.stream_of.get(ShardId, ARN)
        self.asked.append((ShardId, SequenceNumber or ShardIteratorType))
        records = self.shards[ShardId]
        match ShardIteratorType:
            case "LATEST":
                place = len(records)
            case "TRIM_HORIZON":
                place = self.trimmed.get(ShardId, 0)
            case kind:
                assert kind == "AFTER_SEQUENCE_NUMBER"
                place = records.index(int(SequenceNumber or 0)) + 1
        return {"ShardIterator": f"{ShardId}|{place}|{self.now}"}

    def get_records(self, *, ShardIterator: str) -> Any:  # noqa: N803
        shard, place, made = ShardIterator.split("|")
        self._before("GetRecords")
        if self.now - float(made) > self.expire_after:
            raise refused("ExpiredIteratorException")
        if int(place) < self.trimmed.get(shard, 0):
            raise refused("TrimmedDataAccessException")
        is_at_end = shard in self.ended and int(place) == len(self.shards[shard])
        blanks = self.blanks_at_end if is_at_end and self.blanks_at_end[shard] else self.blanks
        if blanks[shard]:
            blanks[shard] -= 1
            return {"Records": [], "NextShardIterator": f"{shard}|{place}|{self.now}"}
        end = min(int(place) + PER_PAGE, len(self.shards[shard]))
        answer: dict[str, Any] = {
            "Records": [self._record(number) for number in self.shards[shard][int(place) : end]]
        }
        if end < len(self.shards[shard]) or shard not in self.ended:
            answer["NextShardIterator"] = f"{shard}|{end}|{self.now}"
        return answer

    def _record(self, number: int) -> Mapping[str, Any]:
        keys = self.keys.get(number, {"PK": {"S": f"k{number}"}})
        created = self.created.get(number)
        time = (
            {"ApproximateCreationDateTime": datetime.fromtimestamp(created, UTC)}
            if created is not None
            else {}
        )
        return {"dynamodb": {"SequenceNumber": str(number), "Keys": keys, **time}}

    def _described(self, name: str) -> Mapping[str, Any]:
        ending = {"EndingSequenceNumber": "9"} if name in self.ended else {}
        parent = {"ParentShardId": self.parents[name]} if name in self.parents else {}
        return {
            "ShardId": name,
            "SequenceNumberRange": {"StartingSequenceNumber": "1", **ending},
            **parent,
        }


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "why"}}, "GetRecords")


def _page(names: list[str], after: str | None) -> tuple[list[str], str | None]:
    start = 0 if after is None else names.index(after) + 1
    page = names[start : start + PER_PAGE]
    return page, page[-1] if start + PER_PAGE < len(names) else None
