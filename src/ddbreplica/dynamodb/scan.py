"""A table, read: in segments from end to end, and by key. Nothing here writes.

Items stay the wire JSON that they come as: nothing is converted, and that takes a fraction of boto3's time.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.config import Config

from ddbreplica.aws.clock import Skew
from ddbreplica.aws.hints import explain, hint_for, reason
from ddbreplica.aws.session import ASKING
from ddbreplica.driver import Patience
from ddbreplica.dynamodb.connection import Side
from ddbreplica.dynamodb.rate import Rate
from ddbreplica.dynamodb.read import MAX_KEYS
from ddbreplica.dynamodb.table import DynamoDBReplica
from ddbreplica.errors import TaskError
from ddbreplica.model import Image, Items, Key, Refusal, RefusalKind, Table
from ddbreplica.records.decode import attributes_of, key_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

T = TypeVar("T")

PAGE = 500
"""Items read at once: pages as large as an answer may be (1 MB) take twice the memory and no less time."""

_UNREADABLE = Refusal(
    RefusalKind.TRANSIENT, "UnreadableResponse", "the answer does not hold what was asked for"
)
_UNPROCESSED = Refusal(RefusalKind.TRANSIENT, "UnprocessedKeys", "the table left keys unprocessed")


def reading(connections: int) -> Config:
    """How a client reads that so many threads use."""
    return ASKING.merge(
        Config(
            read_timeout=30, max_pool_connections=connections, tcp_keepalive=True, parameter_validation=False
        )
    )


class TableReader:
    """One table, for several threads at once. Every read is strongly consistent.

    Reading raises TaskError when the table refuses, or leaves things unanswered for longer than the patience
    lasts, and KeyboardInterrupt once the patience's interrupt is set.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        name: str,
        table: Table,
        patience: Patience,
        *,
        read_rate: float | None = None,
        skew: Skew | None = None,
    ) -> None:
        """`table` is what the table's description says; `read_rate` is in units a second, None is unlimited.

        `skew` observes every response.
        """
        self._name = name
        self._patience = patience
        self.rate = Rate(read_rate, sleep=patience.interrupt.sleep)
        self._owed = 0.0
        self._lock = Lock()
        # A full page takes its units at once: under a rate the pages are small, so that others get theirs.
        self._page = PAGE if read_rate is None else MAX_KEYS
        self._key_names = sorted(name for name, _ in table.key_schema)
        self._keys_only = _projection(self._key_names)
        self._table = DynamoDBReplica(client, name, skew=skew)
        self._table.describe()  # asked once here, and not by each thread

    @classmethod
    def of(
        cls, side: Side, table: Table, patience: Patience, *, threads: int, read_rate: float | None
    ) -> "TableReader":
        """The reader of a table that was described, for so many threads."""
        client = side.dynamodb(reading(threads))
        return cls(client, side.name, table, patience, read_rate=read_rate, skew=side.clock)

    def scan(self, segment: int, *, of: int, keys_only: bool = False) -> Iterator[Items]:
        """One of `of` disjoint parts of the table, in pages of at most MAX_KEYS items."""
        request = {"Segment": segment, "TotalSegments": of, "Limit": self._page}
        for items, _ in self._pages({**request, **self._what(keys_only=keys_only)}):
            every = iter(items.items())
            while piece := dict(islice(every, MAX_KEYS)):
                yield piece
            items.clear()  # not held until the next page is there: that would be twice the memory

    def scan_on(
        self, segment: int, *, of: int, after: Image | None, limit: int
    ) -> Iterator[tuple[Items, Any]]:
        """The rest of such a part, in pages of at most `limit` items, each with what the rest after it is `after`.

        That is None for the beginning of a part, and with the last page.
        """
        request: dict[str, Any] = {"Segment": segment, "TotalSegments": of, "Limit": min(limit, self._page)}
        if after is not None:
            request["ExclusiveStartKey"] = after
        yield from self._pages({**request, **self._what(keys_only=False)})

    def _pages(self, request: Mapping[str, Any]) -> Iterator[tuple[dict[Key, Image], Image | None]]:
        request = {"TableName": self._name, **request}
        while True:
            self._patience.progressed()
            items, last = self._ask("Scan", request, self._scanned)
            yield items, last
            if last is None:
                return
            request = {**request, "ExclusiveStartKey": last}

    def get(self, keys: Sequence[Key], *, keys_only: bool = False) -> Items:
        """The items that exist among at most MAX_KEYS different keys."""
        found: dict[Key, Image] = {}
        pending = keys
        attempt = 0
        self._patience.progressed()
        while pending:
            asked_for = {"Keys": [attributes_of(key) for key in pending], **self._what(keys_only=keys_only)}
            request = {"RequestItems": {self._name: asked_for}}
            items, left = self._ask("BatchGetItem", request, partial(self._gotten, frozenset(pending)))
            found |= items
            # An answer is cut at 16 MB: what is left of it needs no pause, but what was left entirely does.
            if len(left) < len(pending):
                self._patience.progressed()
                attempt = 0
            else:
                attempt += 1
                self._wait(attempt, _UNPROCESSED)
            pending = left
        return found

    def _what(self, *, keys_only: bool) -> Mapping[str, Any]:
        return {"ConsistentRead": True, **(self._keys_only if keys_only else {})}

    def _scanned(self, response: Any) -> tuple[dict[Key, Image], Image | None]:
        last: Image = response.get("LastEvaluatedKey") or {}
        return self._by_key(response["Items"]), {**last} or None

    def _gotten(self, asked_for: frozenset[Key], response: Any) -> tuple[dict[Key, Image], Sequence[Key]]:
        """The items, and the keys that were left; none of either that was not asked for."""
        items = self._by_key(item for part in response["Responses"].values() for item in part)
        left = [key_of(key) for part in response["UnprocessedKeys"].values() for key in part["Keys"]]
        if not asked_for >= items.keys() | set(left):
            raise ValueError(left)
        return items, left

    def _by_key(self, items: Iterable[Image]) -> dict[Key, Image]:
        return {tuple([_part(name, item[name]) for name in self._key_names]): item for item in items}

    def _ask(self, operation: str, request: Mapping[str, Any], read: Callable[[Any], T]) -> T:
        """Ask until there is an answer, as soon as what earlier ones have consumed is made up for."""
        body = json.dumps({**request, "ReturnConsumedCapacity": "TOTAL"})
        self._make_up()
        attempt = 0
        while True:
            self._patience.interrupt.check()
            answer = self._answer(operation, body, read)
            if not isinstance(answer, Refusal):
                result, units = answer
                with self._lock:
                    self._owed += units
                return result
            attempt += 1
            self._wait(attempt, answer)

    def _make_up(self) -> None:
        with self._lock:
            owed, self._owed = self._owed, 0.0
        self.rate.take(owed)  # none too: others may owe so much that there is to wait
        if owed:
            self._patience.progressed()  # a wait for our own rate is no table that stands still

    def _answer(self, operation: str, body: str, read: Callable[[Any], T]) -> tuple[T, float] | Refusal:
        return self._table.ask(operation, body, lambda response: (read(response), _units(response)))

    def _wait(self, attempt: int, refusal: Refusal) -> None:
        """Back off before asking again, if that is worth it."""
        if refusal.kind is not RefusalKind.TRANSIENT:
            raise explain(refusal, doing=f"the table {self._name} cannot be read")
        if not self._patience.deadline().back_off(attempt, then=0):
            self._patience.interrupt.check()
            raise TaskError(
                f"the table {self._name} has answered no read for {self._patience.idle():.0f} seconds"
                f" ({reason(refusal)}).",
                hint=hint_for(refusal),
            )


def _part(name: str, value: Mapping[str, Any]) -> tuple[str, str, str]:
    """What `key_of` makes of one key attribute; most are text, which needs no second look, and all are looked at."""
    text = value.get("S")
    return (name, "S", text) if isinstance(text, str) else key_of({name: value})[0]


def _projection(names: Sequence[str]) -> Mapping[str, Any]:
    placeholders = {f"#k{number}": name for number, name in enumerate(names)}
    return {
        "ProjectionExpression": ", ".join(placeholders),
        "ExpressionAttributeNames": placeholders,
    }


def _units(answer: Any) -> float:
    consumed = answer.get("ConsumedCapacity", ())
    parts = [consumed] if isinstance(consumed, dict) else consumed
    return sum(float(part["CapacityUnits"]) for part in parts)
