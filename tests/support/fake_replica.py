"""A replica in memory that refuses by a script. The contract suite checks that it behaves as the real ones do."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ddbreplica.model import Key, Pending, Refusal, RefusalKind, Table, Write
from ddbreplica.records.decode import key_of

TABLE_ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/logfile_replica"
THROTTLED = Refusal(RefusalKind.TRANSIENT, "ThrottlingException", "slow down")
TIMED_OUT = Refusal(RefusalKind.TRANSIENT, "ReadTimeoutError", "no response", in_doubt=True)
INVALID = Refusal(RefusalKind.REJECTED, "ValidationException", "type mismatch for an index key")
DENIED = Refusal(RefusalKind.FAULT, "AccessDeniedException", "not authorised")

Request = tuple[Write, ...]
Script = Callable[[Request], Sequence[Write] | Refusal]
"""Returns the result of a request before it is applied: a refusal, or the writes to leave unprocessed."""


class FakeReplica:
    """Holds items in DynamoDB JSON by key. `poison` decides which items it refuses, as DynamoDB would.

    `words` returns the message of such a refusal.
    """

    def __init__(
        self,
        *,
        key_schema: Mapping[str, str] | None = None,
        script: Script = lambda request: (),
        poison: Callable[[Mapping[str, Any]], bool] = lambda item: False,
        status: str = "ACTIVE",
        table: Table | Refusal | None = None,
        words: Callable[[Mapping[str, Any]], str] = lambda item: INVALID.message,
    ) -> None:
        schema = frozenset((key_schema or {"PK": "S"}).items())
        self.table = table or Table(arn=TABLE_ARN, status=status, key_schema=schema)
        self.items: dict[Key, dict[str, Any]] = {}
        self.requests: list[Request] = []
        self.descriptions = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self._script = script
        self._poison = poison
        self._words = words

    def describe(self, *, refresh: bool = False) -> Table | Refusal:
        self.descriptions += 1
        return self.table

    def start_batch(self, writes: Sequence[Write]) -> Pending:
        assert 1 <= len(writes) <= 25
        assert len({write.change.key for write in writes}) == len(writes), "one key twice in a request"
        return self._start(tuple(writes))

    def start_one(self, write: Write) -> Pending:
        pending = self._start((write,))
        # A single write is applied or refused: if the script leaves it unprocessed, it is throttled.
        return lambda: answer if isinstance(answer := pending(), Refusal) or not answer else THROTTLED

    def _start(self, request: Request) -> Pending:
        """Apply the request at once. It is under way until the caller has waited for the response."""
        self.requests.append(request)
        answer = self._answer(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)

        def pending() -> Sequence[Write] | Refusal:
            self.in_flight -= 1
            return answer

        return pending

    def _answer(self, request: Request) -> Sequence[Write] | Refusal:
        answer = self._script(request)
        if isinstance(answer, Refusal):
            return answer
        refused = [write for write in request if self._refuses(write)]
        if refused:
            return replace(INVALID, message=self._words(json.loads(refused[0].text)))
        left = {write.change.key for write in answer}
        for write in request:
            if write.change.key not in left:
                self.apply(write)
        return answer

    def _refuses(self, write: Write) -> bool:
        return not write.is_delete and self._poison(json.loads(write.text))

    def apply(self, write: Write) -> None:
        """Apply a write to the items of a table."""
        attributes = json.loads(write.text)
        key = key_of({name: attributes[name] for name, _ in self._key_schema()})
        if write.is_delete:
            self.items.pop(key, None)
        else:
            self.items[key] = attributes

    def _key_schema(self) -> frozenset[tuple[str, str]]:
        assert isinstance(self.table, Table)
        return self.table.key_schema


def in_turn(*answers: Sequence[Write] | Refusal) -> Script:
    """Return a script that gives these results one after the other, and then accepts every request."""
    left: Iterator[Sequence[Write] | Refusal] = iter(answers)
    return lambda _request: next(left, ())
