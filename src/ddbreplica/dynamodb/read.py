"""Keys → their states at the source, each asked for until it is answered or time is out.

BatchGetItem takes 100 keys a request, refuses all of them for one bad key, and leaves some unprocessed at will:
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never

from ddbreplica.deadline import Deadline
from ddbreplica.dynamodb.send import OUT_OF_TIME, REQUEST_SECONDS
from ddbreplica.model import Key, Refusal, RefusalKind, Source, State

MAX_KEYS = 100

_UNPROCESSED = Refusal(RefusalKind.TRANSIENT, "UnprocessedKeys", "the source left the key unprocessed")


@dataclass(slots=True)
class Readings:
    """What the source said of some keys. Each is in one of the three, unless a fault ended everything.

    `failed` may be read later; `rejected` were refused by themselves.
    """

    states: dict[Key, State] = field(default_factory=dict)
    failed: list[tuple[Key, Refusal]] = field(default_factory=list)
    rejected: list[tuple[Key, Refusal]] = field(default_factory=list)
    fault: Refusal | None = None


def read(keys: Sequence[Key], *, source: Source, deadline: Deadline) -> Readings:
    """Read different keys, strongly consistently, one request after the other."""
    reader = _Reader(source, deadline)
    for start in range(0, len(keys), MAX_KEYS):
        reader.settle(keys[start : start + MAX_KEYS])
    return reader.readings


class _Reader:
    """Asks until keys are settled, time is out, or the source has met a fault."""

    def __init__(self, source: Source, deadline: Deadline) -> None:
        self.readings = Readings()
        self._source = source
        self._deadline = deadline

    def settle(self, keys: Sequence[Key]) -> None:
        """Settle one request's keys; if the request is rejected, each of them by itself."""
        pending, refusal, attempt = keys, OUT_OF_TIME, 0
        while pending and self._may_ask(attempt):
            answer = self._source.read_batch(pending)
            if isinstance(answer, Refusal):
                refusal, attempt = answer, attempt + 1
                pending = self._refused(pending, answer)
            else:
                # An answer is cut at 16 MB: what is left of it needs no pause, but what was left entirely does.
                refusal, attempt = _UNPROCESSED, 0 if answer else attempt + 1
                self.readings.states.update(answer)
                pending = [key for key in pending if key not in answer]
        self.readings.failed += [(key, refusal) for key in pending]

    def _may_ask(self, attempt: int) -> bool:
        if self.readings.fault is not None:
            return False
        if attempt == 0:
            return self._deadline.allows(REQUEST_SECONDS)
        return self._deadline.back_off(attempt, then=REQUEST_SECONDS)

    def _refused(self, pending: Sequence[Key], refusal: Refusal) -> Sequence[Key]:
        """Note a refusal; return what is worth asking for again."""
        match refusal.kind:
            case RefusalKind.TRANSIENT:
                return pending
            case RefusalKind.REJECTED if len(pending) > 1:
                for key in pending:
                    self.settle([key])
            case RefusalKind.REJECTED:
                self.readings.rejected += [(key, refusal) for key in pending]
            case RefusalKind.FAULT:
                self.readings.fault = refusal
            case _:
                assert_never(refusal.kind)
        return ()
