"""Scan a table in segments, and read items by key. Nothing in this module writes.

Items remain DynamoDB JSON. Since nothing is converted, reading takes a fraction of boto3's time.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar

from botocore.config import Config

from ddbreplica.aws.clients.session import ASKING
from ddbreplica.aws.clock import Skew
from ddbreplica.aws.hints import explain, hint_for, reason
from ddbreplica.driver import Patience
from ddbreplica.dynamodb.connection import Side
from ddbreplica.dynamodb.rate import Rate
from ddbreplica.dynamodb.read import MAX_KEYS
from ddbreplica.dynamodb.table import DynamoDBReplica
from ddbreplica.errors import TaskError
from ddbreplica.model import Image, Items, Key, Refusal, RefusalKind, ScanPage, Table
from ddbreplica.records.decode import MalformedError, attributes_of, key_of
from ddbreplica.records.size import READ_UNIT
from ddbreplica.transform.view import AS_IT_IS, View

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

T = TypeVar("T")

PAGE = 2_500
"""The most items of a page: about as many as the 1 MB that DynamoDB returns at most has of items of 400 bytes."""

LEAST_PAGE = 500
"""The items of a page however many threads read. With fewer, requests take longer than what they return."""

PAGES = 5_000
"""The items of the pages that all threads read at a time, which limits the memory: an item takes some 3 KB of it."""

_PAGE_UNITS = 128
"""The read capacity units of the largest page, of 1 MB. At this rate it takes what may be used in one second."""

_PIECE = 10
"""Units waited for at a time, so that a long wait for the rate never looks like a table that stands still."""

_UNREADABLE = Refusal(
    RefusalKind.TRANSIENT, "UnreadableResponse", "the response does not contain what was requested"
)
_UNPROCESSED = Refusal(RefusalKind.TRANSIENT, "UnprocessedKeys", "the table left keys unprocessed")


def reading(connections: int) -> Config:
    """Return the configuration of a client for reads, with this number of connections."""
    # Longer than for a write: a read that times out is simply repeated, and leaves nothing in doubt.
    return ASKING.merge(
        Config(
            read_timeout=30, max_pool_connections=connections, tcp_keepalive=True, parameter_validation=False
        )
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is read at a time: by how many threads, and how many read capacity units per second; None for any."""

    threads: int = 1
    per_second: float | None = None

    @property
    def page(self) -> int:
        """The most items of a page."""
        # A page consumes its units at once. At a low rate the pages are small, so that other readers are not throttled.
        if self.per_second is not None and self.per_second < _PAGE_UNITS:
            return MAX_KEYS
        return min(PAGE, max(LEAST_PAGE, PAGES // self.threads))


_NO_LIMITS: Final = Limits()


class TableReader:
    """Reads one table, with strong consistency unless a scan is asked for less. Several threads may use it at once.

    Reading raises TaskError if the table refuses, or if no request succeeds for as long as the patience lasts, and
    KeyboardInterrupt if the patience's interrupt is set.
    """

    def __init__(  # noqa: PLR0913  the last two have names
        self,
        client: "DynamoDBClient",
        name: str,
        table: Table,
        patience: Patience,
        limits: Limits = _NO_LIMITS,
        *,
        skew: Skew | None = None,
        view: View = AS_IT_IS,
    ) -> None:
        """Take the table's description. `skew` observes every response. All items are seen through the view."""
        self._name = name
        self._patience = patience
        self.rate = Rate(limits.per_second, sleep=patience.interrupt.sleep)
        self._owed = 0.0
        self._lock = Lock()
        self._page = limits.page
        self._view = view
        self._key_names = sorted(name for name, _ in table.key_schema)
        self._key_set = frozenset(self._key_names)
        self._keys_only = _projection(self._key_names)
        self._table = DynamoDBReplica(client, name, skew=skew)
        self._table.describe()  # once, and not in each thread

    @classmethod
    def of(
        cls,
        side: Side,
        table: Table,
        patience: Patience,
        *,
        threads: int,
        read_rate: float | None,
        view: View = AS_IT_IS,
    ) -> "TableReader":
        """Return a reader of a described table that `threads` threads can use."""
        client, limits = side.dynamodb(reading(threads)), Limits(threads, read_rate)
        return cls(client, side.name, table, patience, limits, skew=side.clock, view=view)

    def scan_page(
        self, segment: int, *, of: int, after: Image | None, consistent: bool, limit: int | None = None
    ) -> ScanPage:
        """Return the page that follows `after`, or the first one, of one of `of` disjoint segments of the table.

        It is one request, for at most `limit` items; None is as many as the rate allows for.
        """
        start = {} if after is None else {"ExclusiveStartKey": after}
        request = {
            "TableName": self._name,
            "Segment": segment,
            "TotalSegments": of,
            "Limit": limit or self._page,
            "ConsistentRead": consistent,
            **start,
        }
        self._patience.progressed()
        return self._ask("Scan", request, partial(self._page_of, consistent=consistent))

    def scan_on(
        self, segment: int, *, of: int, after: Image | None, limit: int
    ) -> Iterator[tuple[Items, Any, float]]:
        """Yield the items of a segment that follow `after`, in pages of at most `limit` items.

        Each page comes with the `after` to resume from, which is None at the beginning of a segment and with the last
        page, and with the read units that it took.
        """
        while True:
            most = min(limit, self._page)
            page = self.scan_page(segment, of=of, after=after, consistent=True, limit=most)
            yield self.by_key(page.items), page.cursor, page.units
            after = page.cursor
            if after is None:
                return

    def rescan(
        self, segment: int, *, of: int, after: Image | None, limit: int
    ) -> Sequence[tuple[Key, Image]]:
        """Return the first `limit` items of a segment that follow `after`, each as often as the scan shows it.

        It is one request, which may also return fewer items.
        """
        page = self.scan_page(segment, of=of, after=after, consistent=True, limit=limit)
        return self._with_keys(page.items)

    def by_key(self, items: Iterable[Image]) -> dict[Key, Image]:
        """Return items of this table by their keys, in the same order. Of items with one key, the last remains.

        Raises TaskError for an item whose key cannot be read.
        """
        return dict(self._with_keys(items))

    def _with_keys(self, items: Iterable[Image]) -> Sequence[tuple[Key, Image]]:
        try:
            return list(self._keyed(items))
        except (MalformedError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise TaskError(
                f"a read of the table {self._name} returned an item without its key.",
                hint="check --endpoint-url and the network: the response is not one of DynamoDB.",
            ) from error

    def _keyed(self, items: Iterable[Image]) -> Iterator[tuple[Key, Image]]:
        return ((tuple([_part(name, item[name]) for name in self._key_names]), item) for item in items)

    def get(self, keys: Sequence[Key], *, keys_only: bool = False) -> Items:
        """Return the items that exist among at most MAX_KEYS different keys."""
        found: dict[Key, Image] = {}
        pending = keys
        attempt = 0
        self._patience.progressed()
        while pending:
            asked_for = {"Keys": [attributes_of(key) for key in pending], **self._what(keys_only=keys_only)}
            request = {"RequestItems": {self._name: asked_for}}
            items, left = self._ask("BatchGetItem", request, partial(self._gotten, frozenset(pending)))
            # A transform cannot take a part of an item.
            found |= items if keys_only else {key: self._view.of(item) for key, item in items.items()}
            # A response ends at 16 MB, and the keys that it leaves are read without a pause. If it leaves all keys,
            # the table is throttled, and the next request waits.
            if len(left) < len(pending):
                self._patience.progressed()
                attempt = 0
            else:
                attempt += 1
                self._wait(attempt, _UNPROCESSED)
            pending = left
        return found

    def _what(self, *, keys_only: bool) -> Mapping[str, Any]:
        # An eventually consistent read may miss the last write, which would look like a difference.
        return {"ConsistentRead": True, **(self._keys_only if keys_only else {})}

    def _gotten(self, asked_for: frozenset[Key], response: Any) -> tuple[dict[Key, Image], Sequence[Key]]:
        """Return the items and the unprocessed keys. Raises ValueError for a key that was not requested."""
        items = dict(self._keyed(item for part in response["Responses"].values() for item in part))
        left = [key_of(key) for part in response["UnprocessedKeys"].values() for key in part["Keys"]]
        # A key in neither list counts as absent, so the response to another request must not pass.
        if not asked_for >= items.keys() | set(left):
            raise ValueError(left)
        return items, left

    def _page_of(self, response: Any, *, consistent: bool) -> ScanPage:
        last: Image = response.get("LastEvaluatedKey") or {}
        items: list[Image] = response["Items"]
        # Checked here, so that a response that is not DynamoDB's is refused. The keys themselves are read later, and in
        # a verification only if a page of the source and one of the replica differ.
        if not all(self._key_set <= item.keys() for item in items):
            raise ValueError(items)
        units = _units(response)
        seen = self._view.of_all(items)
        return ScanPage(seen, {**last} or None, units, units * READ_UNIT * (1 if consistent else 2))

    def _ask(self, operation: str, request: Mapping[str, Any], read: Callable[[Any], T]) -> T:
        """Repeat a request until it succeeds. It begins when the rate allows for the units consumed before."""
        body = json.dumps({**request, "ReturnConsumedCapacity": "TOTAL"})
        # The units of a request are known only from its response, so the next request waits for them.
        self._wait_for_rate()
        attempt = 0
        while True:
            self._patience.interrupt.check()
            response = self._ask_once(operation, body, read)
            if not isinstance(response, Refusal):
                result, units = response
                with self._lock:
                    self._owed += units
                return result
            attempt += 1
            self._wait(attempt, response)

    def _wait_for_rate(self) -> None:
        with self._lock:
            owed, self._owed = self._owed, 0.0
        for piece in _pieces(owed):
            self.rate.take(piece)  # even 0 units wait, if other threads have consumed more than the rate
            if piece:
                self._patience.progressed()  # the wait was for the rate, and not for a throttled table

    def _ask_once(self, operation: str, body: str, read: Callable[[Any], T]) -> tuple[T, float] | Refusal:
        return self._table.ask(operation, body, lambda response: (read(response), _units(response)))

    def _wait(self, attempt: int, refusal: Refusal) -> None:
        """Back off before the request is repeated. Raises TaskError if the table refuses or the patience has ended."""
        if refusal.kind is not RefusalKind.TRANSIENT:
            raise explain(refusal, doing=f"the table {self._name} cannot be read")
        if not self._patience.deadline().back_off(attempt, then=0):
            self._patience.interrupt.check()
            raise TaskError(
                f"no read of the table {self._name} has succeeded for {self._patience.idle():.0f} seconds"
                f" ({reason(refusal)}).",
                hint=hint_for(refusal),
            )


def _pieces(units: float) -> Iterator[float]:
    while units > _PIECE:
        yield _PIECE
        units -= _PIECE
    yield units


def _part(name: str, value: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return the part of a Key for one attribute, as `key_of` does. The shortcut is for strings, as most keys are."""
    text = value.get("S")
    return (name, "S", text) if isinstance(text, str) else key_of({name: value})[0]


def _projection(names: Sequence[str]) -> Mapping[str, Any]:
    placeholders = {f"#k{number}": name for number, name in enumerate(names)}
    return {
        "ProjectionExpression": ", ".join(placeholders),
        "ExpressionAttributeNames": placeholders,
    }


def _units(response: Any) -> float:
    consumed = response.get("ConsumedCapacity", ())
    parts = [consumed] if isinstance(consumed, dict) else consumed
    return sum(float(part["CapacityUnits"]) for part in parts)
