"""Simulate Lambda's event source mapping: deliver the records of a stream's shards to a function.

The simulation has one thread, a clock that is moved and never waited for, and random choices from a seed. It behaves as
https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html and traces of the real service show.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, takewhile
from random import Random
from typing import Any
from uuid import UUID
from zlib import crc32

from tests.support.on_failure import Condition, DiscardedBatch, on_failure_object

Invoke = Callable[[dict[str, Any], str], Any]
"""Invokes the function with an event and a request id, and returns its response. Any exception is a function error,
except NotInvokedError."""

Destination = Callable[[str, str], object]
"""Stores an on-failure object by its key and body. If it raises, the object is refused."""

EVENT_BYTES = 6 * 1024 * 1024
"""The most bytes in the payload of an invocation."""

RETENTION_SECONDS = 24 * 60 * 60
"""How long a stream keeps a record."""

PAUSE_SECONDS = 1.0
"""The pause between a failure and the next attempt. Lambda's own pauses are not documented."""

_ENVELOPE_BYTES = len('{"Records":[]}')
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False).encode
_encode_key = json.JSONEncoder(sort_keys=True).encode


def nowhere(_key: str, _body: str) -> None:
    """Refuse every object: the destination of a mapping without one."""
    raise LookupError


class NotInvokedError(Exception):
    """The function did not run: it was throttled, or there was no concurrency left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingSettings:
    """The properties of a mapping, with the defaults of template.yaml."""

    batch_size: int = 100
    maximum_batching_window_in_seconds: float = 0
    parallelization_factor: int = 1
    bisect_batch_on_function_error: bool = True
    maximum_retry_attempts: int = -1
    maximum_record_age_in_seconds: float = 79_200
    report_batch_item_failures: bool = True


@dataclass(slots=True)
class Shard:
    """A shard of the stream with its records in order. Records may be added until the shard has children."""

    id: str
    records: list[Any]
    parent: str | None = None


class Mapping:
    """Delivers the shards' records to the function, at least once, in order for each item.

    `now` is its clock in seconds since the epoch; an `invoke` that takes time moves it. `invocations` counts the
    invocations, `dropped` the discarded records that no destination stored, and `expired` the records that the stream
    removed first.
    """

    def __init__(
        self,
        shards: list[Shard],
        invoke: Invoke,
        settings: MappingSettings | None = None,
        *,
        destination: Destination = nowhere,
        chance: Random | None = None,
    ) -> None:
        """Deliver nothing yet. `chance` creates request ids, and chooses the next lane if there are several."""
        self.now = 0.0
        self.invocations = self.dropped = self.expired = 0
        self._shards = shards
        self._invoke = invoke
        self._settings = settings or MappingSettings()
        self._destination = destination
        self._chance = chance or Random(0)  # noqa: S311
        self._pollers: dict[str, _Poller] = {}

    def run(self, *, patience: int = 100_000) -> None:
        """Deliver until every record is checkpointed, discarded or expired. Fail after so many steps."""
        for _ in range(patience):
            if not self.step():
                return
        raise AssertionError(f"not delivered after {patience} steps")

    def step(self) -> bool:
        """Do the next step: one invocation, or discarding old records once. Return False if no record is left."""
        self._poll()
        lanes = [lane for poller in self._pollers.values() for lane in poller.lanes if not lane.is_drained]
        if not lanes:
            return False
        self.now = max(self.now, min(lane.due for lane in lanes))
        lane = self._chance.choice([lane for lane in lanes if lane.due <= self.now])
        batch = lane.take(self.now)
        records = lane.records[batch.start : batch.end]
        if not self._discard_old(lane, batch, records):
            self._attempt(lane, batch, records)
        return True

    def crash(self, lost: Callable[[int], int]) -> None:
        """Stop all pollers and start them again, so that the records of the last checkpoints are delivered again.

        For each lane, `lost` takes the number of records that are done, and returns how many of their checkpoints were
        never stored. Batch boundaries, halves and counts of retries are lost. A shard whose children are being read is
        not affected: an item's old record must not be delivered after a newer one that was checkpointed.
        """
        for poller in self._pollers.values():
            if not poller.has_children:
                for lane in poller.lanes:
                    lane.rewind(lost(lane.done))

    def _poll(self) -> None:
        for poller in self._pollers.values():
            poller.read()
        for shard in self._shards:
            if shard.id not in self._pollers and self._may_start(shard):
                poller = self._pollers[shard.id] = _Poller(shard, self._settings, self._chance)
                poller.read()

    def _may_start(self, shard: Shard) -> bool:
        """Return whether the shard's parent is drained, or is no longer in the stream."""
        if shard.parent not in self._pollers:
            return all(shard.parent != other.id for other in self._shards)
        parent = self._pollers[shard.parent]
        parent.has_children |= parent.is_drained
        return parent.has_children

    def _attempt(self, lane: "_Lane", batch: "_Batch", records: Sequence[Any]) -> None:
        failed: int | None = 0
        try:
            response = self._invoke({"Records": records}, batch.request_id)
        except NotInvokedError:
            lane.free_at = self.now + PAUSE_SECONDS
            return
        except Exception:  # noqa: BLE001  any exception of the function is a function error
            batch.function_error = "Unhandled"
        else:
            failed, batch.function_error = self._first_failure(response, records), None
        self.invocations += 1
        batch.invocations += 1
        lane.free_at = self.now
        if failed is None:
            lane.replace(batch)
        else:
            self._fail(lane, batch, failed)

    def _first_failure(self, response: Any, records: Sequence[Any]) -> int | None:
        """Return the checkpoint's position in the batch: 0 if the response is invalid, None if all records are done."""
        if not self._settings.report_batch_item_failures or response is None:
            return None
        try:
            failures = response.get("batchItemFailures") or ()
            places = {record["dynamodb"]["SequenceNumber"]: place for place, record in enumerate(records)}
            return min((places[failure["itemIdentifier"]] for failure in failures), default=None)
        except (AttributeError, KeyError, TypeError):
            return 0

    def _fail(self, lane: "_Lane", batch: "_Batch", failed: int) -> None:
        # Only a batch that is delivered unchanged uses up a retry. A suffix or a half is a new batch.
        lane.free_at += PAUSE_SECONDS
        if failed:
            lane.replace(batch, batch.start + failed, batch.end)
        elif self._settings.bisect_batch_on_function_error and batch.end - batch.start > 1:
            lane.replace(batch, batch.start, (batch.start + batch.end) // 2, batch.end)
        elif 0 <= self._settings.maximum_retry_attempts < batch.invocations:
            self._discard(lane, batch, batch.end, "RetryAttemptsExhausted")
            lane.replace(batch)

    def _discard_old(self, lane: "_Lane", batch: "_Batch", records: Sequence[Any]) -> bool:
        """Discard the records that are too old, and make a new batch of the others. Return False if there are none."""
        longest = self._settings.maximum_record_age_in_seconds
        if old := self._count_older(records, RETENTION_SECONDS):
            self.expired += old
        elif longest >= 0 and (old := self._count_older(records, longest)):
            self._discard(lane, batch, batch.start + old, "RecordAgeExceeded")
        if old:
            lane.replace(batch, batch.start + old, batch.end)
        return old > 0

    def _count_older(self, records: Sequence[Any], seconds: float) -> int:
        return sum(1 for _ in takewhile(lambda record: self.now - _arrival(record) > seconds, records))

    def _discard(self, lane: "_Lane", batch: "_Batch", end: int, condition: Condition) -> None:
        records = lane.records[batch.start : end]
        discarded = DiscardedBatch(
            records, lane.shard_id, condition, batch.request_id, batch.invocations, batch.function_error
        )
        try:
            self._destination(*on_failure_object(discarded, now=self.now, name=_uuid(self._chance)))
        except Exception:  # noqa: BLE001  Lambda does not try again
            self.dropped += len(records)


@dataclass(slots=True)
class _Batch:
    """Records of a lane that are delivered together, from one position to another."""

    start: int
    end: int
    request_id: str
    invocations: int = 0
    function_error: str | None = None


@dataclass(slots=True)
class _Lane:
    """Records of a shard that are delivered one batch after the other.

    `pending` has the batches that are not done, the first one last. `read` is the position where the next batch begins.
    """

    shard_id: str
    settings: MappingSettings
    chance: Random
    records: list[Any] = field(default_factory=list)
    pending: list[_Batch] = field(default_factory=list)
    read: int = 0
    free_at: float = 0.0
    _sizes: list[int] = field(default_factory=list)
    _due: float | None = None

    def append(self, record: Any) -> None:
        self.records.append(record)
        self._due = None

    @property
    def done(self) -> int:
        return self.pending[-1].start if self.pending else self.read

    @property
    def is_drained(self) -> bool:
        return self.done == len(self.records)

    @property
    def due(self) -> float:
        """The time at which the next invocation can start."""
        if self.pending:
            return self.free_at
        if self._due is None:
            _, self._due = self._cut()
        return self._due

    def take(self, now: float) -> _Batch:
        """Return the batch to deliver now."""
        if not self.pending:
            end, _ = self._cut(now)
            self.pending.append(_Batch(self.read, end, _uuid(self.chance)))
            self.read, self._due = end, None
        return self.pending[-1]

    def replace(self, batch: _Batch, *places: int) -> None:
        """Finish a batch, except for the records between these positions, which become new batches."""
        assert self.pending.pop() is batch
        cuts = [_Batch(start, end, _uuid(self.chance)) for start, end in pairwise(places) if start < end]
        self.pending += reversed(cuts)

    def rewind(self, lost: int) -> None:
        self.read = max(0, self.done - lost)
        self.pending.clear()
        self._due = None

    def _cut(self, now: float = 0) -> tuple[int, float]:
        """Return where the next batch ends, and when it is full or its window ends, which is not after `now`."""
        opens = max(self.free_at, _arrival(self.records[self.read]))
        closes = max(now, opens + self.settings.maximum_batching_window_in_seconds)
        size = _ENVELOPE_BYTES
        for end in range(self.read, len(self.records)):
            arrival = _arrival(self.records[end])
            size += self._size(end)
            if arrival > closes:
                return end, closes
            if size > EVENT_BYTES and end > self.read:
                return end, max(opens, arrival)
            if end + 1 - self.read == self.settings.batch_size:
                return end + 1, max(opens, arrival)
        return len(self.records), closes

    def _size(self, place: int) -> int:
        """Return the bytes of a record and its comma in an event. They are measured once, in order."""
        if place == len(self._sizes):
            self._sizes.append(len(_encode(self.records[place]).encode()) + 1)
        return self._sizes[place]


class _Poller:
    """Reads one shard. The records of one item always go to the same lane."""

    def __init__(self, shard: Shard, settings: MappingSettings, chance: Random) -> None:
        self.lanes = [_Lane(shard.id, settings, chance) for _ in range(settings.parallelization_factor)]
        self.has_children = False
        self._records = shard.records
        self._read = 0

    @property
    def is_drained(self) -> bool:
        return all(lane.is_drained for lane in self.lanes)

    def read(self) -> None:
        for place in range(self._read, len(self._records)):
            record = self._records[place]
            self._lane_of(record).append(record)
        self._read = len(self._records)

    def _lane_of(self, record: Any) -> _Lane:
        if len(self.lanes) == 1:
            return self.lanes[0]
        return self.lanes[crc32(_encode_key(record["dynamodb"]["Keys"]).encode()) % len(self.lanes)]


def _arrival(record: Any) -> float:
    arrival: float = record["dynamodb"]["ApproximateCreationDateTime"]
    return arrival


def _uuid(chance: Random) -> str:
    return str(UUID(int=chance.getrandbits(128), version=4))
