"""Read the source's states of keys, and repeat the requests until all keys are read or the time is up.

BatchGetItem takes 100 keys a request, refuses all of them if one is invalid, and may leave any of them unprocessed:
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
    """The result of reading some keys. Each key is in one of the three, unless a fault ended the reading.

    `failed` keys may be read later. `rejected` keys were refused in a request of their own.
    """

    states: dict[Key, State] = field(default_factory=dict)
    failed: list[tuple[Key, Refusal]] = field(default_factory=list)
    rejected: list[tuple[Key, Refusal]] = field(default_factory=list)
    fault: Refusal | None = None


def read(keys: Sequence[Key], *, source: Source, deadline: Deadline) -> Readings:
    """Read different keys, strongly consistently, one request after the other."""
    reader = _Reader(source, deadline)
    for start in range(0, len(keys), MAX_KEYS):
        reader.read(keys[start : start + MAX_KEYS])
    return reader.readings


class _Reader:
    """Repeats requests until all keys are read or rejected, the time is up, or the source has a fault."""

    def __init__(self, source: Source, deadline: Deadline) -> None:
        self.readings = Readings()
        self._source = source
        self._deadline = deadline

    def read(self, keys: Sequence[Key]) -> None:
        """Read the keys of one request. If it is rejected, read each key in a request of its own."""
        pending, refusal, attempt = keys, OUT_OF_TIME, 0
        while pending and self._may_ask(attempt):
            states = self._source.read_batch(pending)
            if isinstance(states, Refusal):
                refusal, attempt = states, attempt + 1
                pending = self._refused(pending, states)
            else:
                # A response ends at 16 MB, and the keys that it leaves are read without a pause. If it leaves all
                # keys, the table is throttled, and the next request waits.
                refusal, attempt = _UNPROCESSED, 0 if states else attempt + 1
                self.readings.states.update(states)
                pending = [key for key in pending if key not in states]
        self.readings.failed += [(key, refusal) for key in pending]

    def _may_ask(self, attempt: int) -> bool:
        if self.readings.fault is not None:
            return False
        if attempt == 0:
            return self._deadline.allows(REQUEST_SECONDS)
        return self._deadline.back_off(attempt, then=REQUEST_SECONDS)

    def _refused(self, pending: Sequence[Key], refusal: Refusal) -> Sequence[Key]:
        """Record a refusal. Return the keys to request again."""
        match refusal.kind:
            case RefusalKind.TRANSIENT:
                return pending
            case RefusalKind.REJECTED if len(pending) > 1:
                # One invalid key makes DynamoDB refuse all of them, and the message does not show which it is.
                for key in pending:
                    self.read([key])
            case RefusalKind.REJECTED:
                self.readings.rejected += [(key, refusal) for key in pending]
            case RefusalKind.FAULT:
                self.readings.fault = refusal
            case _:
                assert_never(refusal.kind)
        return ()
