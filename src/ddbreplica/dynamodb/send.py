"""Writes → requests to the replica, four under way at a time, repeated until all is settled or time is out.

BatchWriteItem takes 25 writes a request, refuses all of them for one bad item, and leaves some
unprocessed at will:
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias, TypeVar, assert_never

from ddbreplica.deadline import Deadline
from ddbreplica.model import Change, Key, Pending, Refusal, RefusalKind, Replica, Write

# A shard delivers at most 1,000 changes a second, which is 40 full requests; at some 10 ms each one at a time could
# follow. Four leave room for slow requests, and more would only wait for the same fraction of a processor.
IN_FLIGHT = 4
MAX_WRITES = 25
# DynamoDB takes 16 MB, but a new connection has the connect timeout to send the body in: a slow link takes 1 MB.
MAX_BYTES = 1024 * 1024
_ENVELOPE_BYTES = 64  # what stands around an item: {"DeleteRequest":{"Key":…}} and a comma
_TABLE_BYTES = 2048  # what stands around the items: the table's name or ARN, 1,024 characters at most

REQUEST_SECONDS = 20.0
"""What has to be left when a request starts: 8 s for it (to connect, for TLS, to send: 1 s each; for the answer: 5 s),
then for one record in quarantine as much again, and 4 s for a role that has to be assumed first, or for the other
records and to answer Lambda."""

OUT_OF_TIME = Refusal(
    RefusalKind.TRANSIENT, "OutOfTime", "the invocation's time was used up before the write was tried"
)
_UNPROCESSED = Refusal(RefusalKind.TRANSIENT, "UnprocessedItems", "the replica left the write unprocessed")

_UNKNOWN = Refusal(RefusalKind.TRANSIENT, "Interrupted", "the exchange was ended on this side", in_doubt=True)

_T = TypeVar("_T")
_Start: TypeAlias = Callable[[Sequence[Write]], Pending]


@dataclass(slots=True)
class SendResult:
    """What became of some writes. Each is applied, failed or rejected, unless a fault ended everything.

    `failed` may succeed later; `rejected` were refused by themselves. `in_doubt`, by sequence number, are in doubt:
    AWS did not end a request of theirs, so that an old image may still land, whatever became of the write since.
    """

    applied: list[Write] = field(default_factory=list)
    failed: list[tuple[Write, Refusal]] = field(default_factory=list)
    rejected: list[tuple[Write, Refusal]] = field(default_factory=list)
    in_doubt: dict[str, tuple[Change, Refusal]] = field(default_factory=dict)
    fault: Refusal | None = None
    retried: int = 0

    def add(self, other: "SendResult") -> None:
        """Take over what became of other writes."""
        self.applied += other.applied
        self.failed += other.failed
        self.rejected += other.rejected
        self.in_doubt |= other.in_doubt
        self.fault = self.fault or other.fault
        self.retried += other.retried


def send(
    writes: Sequence[Write], *, replica: Replica, deadline: Deadline, tally: SendResult | None = None
) -> SendResult:
    """Apply writes of different keys. When it returns or raises, no request is under way.

    The caller's empty `tally`, if there is one, is what is returned. When this raises, its `in_doubt` hold every
    write that is in doubt: so what is known of them outlives any exception.
    """
    sender = _Sender(deadline, SendResult() if tally is None else tally)
    sender.settle(writes, cut=chunks, start=replica.start_batch)
    # DynamoDB refuses a request as a whole for one bad item: each is asked about by itself.
    rejected, sender.tally.rejected = sender.tally.rejected, []
    sender.settle([write for write, _ in rejected], cut=_singly, start=lambda one: replica.start_one(one[0]))
    return sender.tally


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


def _singly(writes: Iterable[Write]) -> Iterator[tuple[Write, ...]]:
    return ((write,) for write in writes)


class _Sender:
    """Sends writes round by round, what is left of one in the next, until a fault or the deadline ends it."""

    def __init__(self, deadline: Deadline, tally: SendResult) -> None:
        self.tally = tally
        self._deadline = deadline
        self._reasons: dict[Key, Refusal] = {}

    def settle(
        self,
        writes: Sequence[Write],
        *,
        cut: Callable[[Sequence[Write]], Iterable[Sequence[Write]]],
        start: _Start,
    ) -> None:
        """Send writes until each is applied, rejected or, as time or a fault ends it, failed."""
        left = writes
        attempt = 0
        while left and self._may_go_on(attempt):
            left = self._round(cut(left), start, again=attempt > 0)
            attempt += 1
        self.tally.failed += [(write, self._reasons.get(write.change.key, OUT_OF_TIME)) for write in left]

    def _may_go_on(self, attempt: int) -> bool:
        if attempt == 0:
            return True
        return self.tally.fault is None and self._deadline.back_off(attempt, then=REQUEST_SECONDS)

    def _round(self, requests: Iterable[Sequence[Write]], start: _Start, *, again: bool) -> list[Write]:
        """Send each request once; return the writes that are worth sending again."""
        left: list[Write] = []
        under_way: deque[tuple[Sequence[Write], Pending]] = deque()
        try:
            for request in requests:
                if len(under_way) == IN_FLIGHT:
                    left += self._take(*under_way.popleft())
                if self.tally.fault is None and self._deadline.allows(REQUEST_SECONDS):
                    self.tally.retried += len(request) if again else 0
                    under_way.append((request, self._in_doubt_if_raised(request, partial(start, request))))
                else:
                    left += request
            while under_way:
                left += self._take(*under_way.popleft())
        finally:
            # However this ends: a request still under way would be frozen with the sandbox, and write its old
            # image when that thaws.
            with ExitStack() as stack:
                for request, pending in under_way:
                    stack.callback(self._take, request, pending)
        return left

    def _take(self, request: Sequence[Write], pending: Pending) -> Sequence[Write]:
        """Wait for an answer, and note it; return what is worth sending again."""
        answer = self._in_doubt_if_raised(request, pending)
        if isinstance(answer, Refusal):
            return self._refused(request, answer)
        if not answer:
            self.tally.applied += request
            return ()
        left = {write.change.key for write in answer}
        self._reasons |= dict.fromkeys(left, _UNPROCESSED)
        self.tally.applied += [write for write in request if write.change.key not in left]
        return answer

    def _in_doubt_if_raised(self, request: Sequence[Write], do: Callable[[], _T]) -> _T:
        """Do a half of an exchange; where that raises, nobody knows what became of the request."""
        try:
            return do()
        except BaseException as error:
            self._doubt(request, replace(_UNKNOWN, message=f"{_UNKNOWN.message}: {type(error).__name__}"))
            raise

    def _doubt(self, request: Sequence[Write], refusal: Refusal) -> None:
        self.tally.in_doubt |= {write.change.sequence_number: (write.change, refusal) for write in request}

    def _refused(self, request: Sequence[Write], refusal: Refusal) -> Sequence[Write]:
        if refusal.in_doubt:
            self._doubt(request, refusal)
        match refusal.kind:
            case RefusalKind.TRANSIENT:
                self._reasons |= dict.fromkeys((write.change.key for write in request), refusal)
                return request
            case RefusalKind.REJECTED:
                self.tally.rejected += [(write, refusal) for write in request]
                return ()
            case RefusalKind.FAULT:
                self.tally.fault = self.tally.fault or refusal
                return ()
            case _:
                assert_never(refusal.kind)
