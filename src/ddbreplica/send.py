"""Writes → requests to the replica, in parallel, each repeated until it is settled or time is out.

BatchWriteItem takes 25 writes a request, refuses all of them for one bad item, and leaves some
unprocessed at will:
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Event
from typing import TypeAlias, assert_never

from ddbreplica.deadline import Deadline
from ddbreplica.model import Change, Kind, Refusal, Replica, Write

# A shard delivers at most 1,000 changes a second, which is 40 full requests; at some 10 ms each one worker could
# follow. Four leave room for slow requests, and more would only wait for the same fraction of a processor.
WORKERS = 4
MAX_WRITES = 25
# DynamoDB takes 16 MB, but a new connection has the connect timeout to send the body in: a slow link takes 1 MB.
MAX_BYTES = 1024 * 1024
_ENVELOPE_BYTES = 64  # what stands around an item: {"DeleteRequest":{"Key":…}} and a comma
_TABLE_BYTES = 2048  # what stands around the items: the table's name or ARN, 1,024 characters at most

REQUEST_SECONDS = 20.0
"""What has to be left when a request starts: 8 s for it (to connect, for TLS, to send: 1 s each; for the answer: 5 s),
then for one record in quarantine as much again, and 4 s for the others and to answer Lambda."""

OUT_OF_TIME = Refusal(
    Kind.TRANSIENT, "OutOfTime", "the invocation's time was used up before the write was tried"
)
_UNPROCESSED = Refusal(Kind.TRANSIENT, "UnprocessedItems", "the replica left the write unprocessed")

_Send: TypeAlias = Callable[[Sequence[Write]], Sequence[Write] | Refusal]


@dataclass(slots=True)
class Tally:
    """What became of some writes. Each is applied, failed or rejected, unless a fault ended everything.

    `failed` may succeed later; `rejected` were refused by themselves. `suspects`, by sequence number, were sent
    and not answered in time, so that an old image may still land, whatever became of the write since.
    """

    applied: list[Write] = field(default_factory=list)
    failed: list[tuple[Write, Refusal]] = field(default_factory=list)
    rejected: list[tuple[Write, Refusal]] = field(default_factory=list)
    suspects: dict[str, tuple[Change, Refusal]] = field(default_factory=dict)
    fault: Refusal | None = None
    retried: int = 0

    def add(self, other: "Tally") -> None:
        """Take over what became of other writes."""
        self.applied += other.applied
        self.failed += other.failed
        self.rejected += other.rejected
        self.suspects |= other.suspects
        self.fault = self.fault or other.fault
        self.retried += other.retried


def workers() -> Executor:
    """The threads that requests are sent by. They cost more to start than a request, so that a container keeps them."""
    return ThreadPoolExecutor(WORKERS, thread_name_prefix="send")


def send(writes: Sequence[Write], *, replica: Replica, deadline: Deadline, pool: Executor) -> Tally:
    """Apply writes of different keys. When it returns or raises, no request is under way or queued."""
    sender = _Sender(replica, deadline)
    requests = tuple(chunks(writes))
    if len(requests) == 1:
        return sender.send_together(requests[0])
    total = Tally()
    futures = [pool.submit(sender.send_together, request) for request in requests]
    try:
        for future in futures:
            total.add(future.result())
    finally:
        # However this ends: a request still under way would be frozen with the sandbox, and write its old image
        # when that thaws.
        sender.stop()
        wait(futures)
    return total


def chunks(writes: Iterable[Write]) -> Iterator[tuple[Write, ...]]:
    """Cut writes, in order, into requests that BatchWriteItem takes."""
    chunk: list[Write] = []
    size = _TABLE_BYTES
    for write in writes:
        added = len(write.text) + _ENVELOPE_BYTES
        if chunk and (len(chunk) == MAX_WRITES or size + added > MAX_BYTES):
            yield tuple(chunk)
            chunk, size = [], _TABLE_BYTES
        chunk.append(write)
        size += added
    if chunk:
        yield tuple(chunk)


class _Sender:
    """Sends requests until they are settled, time is out, or another worker has met a fault."""

    def __init__(self, replica: Replica, deadline: Deadline) -> None:
        self._replica = replica
        self._deadline = deadline
        self._stopped = Event()

    def stop(self) -> None:
        """Start no request any more."""
        self._stopped.set()

    def send_together(self, writes: Sequence[Write]) -> Tally:
        """Settle one request's writes; if the request is rejected, each of them by itself."""
        try:
            tally = self._settle(writes, self._replica.write_batch)
            rejected, tally.rejected = tally.rejected, []
            for write, _ in rejected:
                tally.add(self._settle([write], self._send_alone))
        except BaseException:
            self._stopped.set()
            raise
        return tally

    def _send_alone(self, writes: Sequence[Write]) -> Sequence[Write] | Refusal:
        return self._replica.write_one(writes[0]) or ()

    def _settle(self, pending: Sequence[Write], attempt_once: _Send) -> Tally:
        tally = Tally()
        refusal = OUT_OF_TIME
        attempt = 0
        while pending and self._may_send(attempt):
            tally.retried += len(pending) if attempt else 0
            attempt += 1
            answer = attempt_once(pending)
            if isinstance(answer, Refusal):
                refusal = answer
                pending = self._refused(pending, answer, tally)
            else:
                refusal = _UNPROCESSED
                left = {write.change.key for write in answer}
                tally.applied += [write for write in pending if write.change.key not in left]
                pending = answer
        tally.failed += [(write, refusal) for write in pending]
        return tally

    def _may_send(self, attempt: int) -> bool:
        if self._stopped.is_set():
            return False
        if attempt == 0:
            return self._deadline.allows(REQUEST_SECONDS)
        return self._deadline.back_off(attempt, then=REQUEST_SECONDS) and not self._stopped.is_set()

    def _refused(self, pending: Sequence[Write], refusal: Refusal, tally: Tally) -> Sequence[Write]:
        """Note a refusal; return what is worth sending again."""
        match refusal.kind:
            case Kind.TRANSIENT:
                if refusal.timed_out:
                    tally.suspects |= {
                        write.change.sequence_number: (write.change, refusal) for write in pending
                    }
                return pending
            case Kind.REJECTED:
                tally.rejected += [(write, refusal) for write in pending]
                return ()
            case Kind.FAULT:
                self._stopped.set()
                tally.fault = refusal
                return ()
            case _:
                assert_never(refusal.kind)
