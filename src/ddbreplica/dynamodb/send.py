"""Send writes to the replica, four requests at a time, and repeat them until all are applied or the time is up.

BatchWriteItem takes 25 writes a request, refuses all of them if one item is invalid, and may leave any of them
unprocessed: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias, TypeVar, assert_never

from ddbreplica.deadline import Deadline
from ddbreplica.model import Change, Key, Pending, Refusal, RefusalKind, Replica, Write

# A shard delivers at most 1,000 changes a second, or 40 full requests. At 10 ms each, one request at a time could keep
# up. Four leave room for slow requests; more than four would wait for the same fraction of a CPU.
IN_FLIGHT = 4
MAX_WRITES = 25
# DynamoDB takes 16 MB. But a body on a new connection has to be sent within the connect timeout, and a larger one would
# fail on a slow link each time.
MAX_BYTES = 1024 * 1024
_ENVELOPE_BYTES = 64  # the text around an item: {"DeleteRequest":{"Key":…}} and a comma
_TABLE_BYTES = 2048  # the text around all items: the table's name or ARN, of at most 1,024 characters

REQUEST_SECONDS = 20.0
"""The time that has to be left when a request starts. The request takes up to 8 s: 1 s each to connect, for TLS and to
send, and 5 s for the response. Keeping one record in quarantine takes up to 8 s more. The remaining 4 s are for a role
that has to be assumed first, or for the other records and the response to Lambda."""

OUT_OF_TIME = Refusal(
    RefusalKind.TRANSIENT, "OutOfTime", "the invocation's time was used up before the write was tried"
)
_UNPROCESSED = Refusal(RefusalKind.TRANSIENT, "UnprocessedItems", "the replica left the write unprocessed")

_UNKNOWN = Refusal(
    RefusalKind.TRANSIENT, "Interrupted", "the request was interrupted by the function", in_doubt=True
)

_T = TypeVar("_T")
_Start: TypeAlias = Callable[[Sequence[Write]], Pending]


@dataclass(slots=True)
class SendResult:
    """The result of sending some writes. Each write is applied, failed or rejected, unless a fault ended the sending.

    `failed` writes may succeed later. `rejected` writes were refused in a request of their own. `in_doubt` holds, by
    sequence number, the writes for which AWS sent no final response to a request. AWS may still apply such a request,
    and write an old image, even if the write was applied by a later request.
    """

    applied: list[Write] = field(default_factory=list)
    failed: list[tuple[Write, Refusal]] = field(default_factory=list)
    rejected: list[tuple[Write, Refusal]] = field(default_factory=list)
    in_doubt: dict[str, tuple[Change, Refusal]] = field(default_factory=dict)
    fault: Refusal | None = None
    retried: int = 0

    def add(self, other: "SendResult") -> None:
        """Add the result of other writes."""
        self.applied += other.applied
        self.failed += other.failed
        self.rejected += other.rejected
        self.in_doubt |= other.in_doubt
        self.fault = self.fault or other.fault
        self.retried += other.retried


def send(
    writes: Sequence[Write], *, replica: Replica, deadline: Deadline, tally: SendResult | None = None
) -> SendResult:
    """Apply writes of different keys. No request is under way when the call returns or raises.

    The result is collected in the caller's empty `tally`, if given. If the call raises, its `in_doubt` holds every
    write that is in doubt.
    """
    sender = _Sender(deadline, SendResult() if tally is None else tally)
    sender.send(writes, cut=chunks, start=replica.start_batch)
    # DynamoDB refuses a whole request for one invalid item. So each item is sent alone, to find the invalid ones.
    rejected, sender.tally.rejected = sender.tally.rejected, []
    sender.send([write for write, _ in rejected], cut=_singly, start=lambda one: replica.start_one(one[0]))
    return sender.tally


def chunks(writes: Iterable[Write]) -> Iterator[tuple[Write, ...]]:
    """Divide writes, in order, into requests that BatchWriteItem accepts."""
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
    """Sends writes in rounds. Each round repeats the writes that the last one left, until a fault or the deadline."""

    def __init__(self, deadline: Deadline, tally: SendResult) -> None:
        self.tally = tally
        self._deadline = deadline
        self._reasons: dict[Key, Refusal] = {}

    def send(
        self,
        writes: Sequence[Write],
        *,
        cut: Callable[[Sequence[Write]], Iterable[Sequence[Write]]],
        start: _Start,
    ) -> None:
        """Send writes until each is applied or rejected. If the time is up or there is a fault, the rest has failed."""
        left = writes
        attempt = 0
        while left and self._may_continue(attempt):
            left = self._round(cut(left), start, again=attempt > 0)
            attempt += 1
        self.tally.failed += [(write, self._reasons.get(write.change.key, OUT_OF_TIME)) for write in left]

    def _may_continue(self, attempt: int) -> bool:
        if attempt == 0:
            return True
        return self.tally.fault is None and self._deadline.back_off(attempt, then=REQUEST_SECONDS)

    def _round(self, requests: Iterable[Sequence[Write]], start: _Start, *, again: bool) -> list[Write]:
        """Send each request once. Return the writes to send again."""
        left: list[Write] = []
        under_way: deque[tuple[Sequence[Write], Pending]] = deque()
        try:
            for request in requests:
                if len(under_way) == IN_FLIGHT:
                    left += self._take(*under_way.popleft())
                # Checked for each request, since one that starts too late outlives the invocation.
                if self.tally.fault is None and self._deadline.allows(REQUEST_SECONDS):
                    self.tally.retried += len(request) if again else 0
                    under_way.append((request, self._in_doubt_if_raised(request, partial(start, request))))
                else:
                    left += request
            while under_way:
                left += self._take(*under_way.popleft())
        finally:
            # Wait for all responses, also after an exception: a request under way would be frozen with the execution
            # environment, and write its old image when Lambda resumes that.
            with ExitStack() as stack:
                for request, pending in under_way:
                    stack.callback(self._take, request, pending)
        return left

    def _take(self, request: Sequence[Write], pending: Pending) -> Sequence[Write]:
        """Wait for a response, and record it. Return the writes to send again."""
        unprocessed = self._in_doubt_if_raised(request, pending)
        if isinstance(unprocessed, Refusal):
            return self._refused(request, unprocessed)
        if not unprocessed:
            self.tally.applied += request
            return ()
        left = {write.change.key for write in unprocessed}
        self._reasons |= dict.fromkeys(left, _UNPROCESSED)
        self.tally.applied += [write for write in request if write.change.key not in left]
        return unprocessed

    def _in_doubt_if_raised(self, request: Sequence[Write], do: Callable[[], _T]) -> _T:
        """Start a request or wait for its response. If that raises, the request's writes are in doubt."""
        try:
            return do()
        # Also KeyboardInterrupt and SystemExit: the request may be on its way to AWS.
        except BaseException as error:
            self._doubt(request, replace(_UNKNOWN, message=f"{_UNKNOWN.message}: {type(error).__name__}"))
            raise

    def _doubt(self, request: Sequence[Write], refusal: Refusal) -> None:
        self.tally.in_doubt |= {write.change.sequence_number: (write.change, refusal) for write in request}

    def _refused(self, request: Sequence[Write], refusal: Refusal) -> Sequence[Write]:
        # Recorded even if a repetition succeeds: AWS may apply the first attempt after it, with an old image.
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
                # In no list: after a fault the whole batch is delivered again.
                self.tally.fault = self.tally.fault or refusal
                return ()
            case _:
                assert_never(refusal.kind)
