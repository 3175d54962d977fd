"""`python -m benchmarks.operator.loops LOOP CLIENT`: make the calls of a command, as people write them.

The loops have no rate limit, no state to resume from, no second look and no report. Different tables fail the loop.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Final, TypeAlias

import boto3
from botocore.config import Config

from ddbreplica.backfill import listing
from ddbreplica.dynamodb.table import DynamoDBReplica
from ddbreplica.model import Refusal
from ddbreplica_cli.samples.generate import rows
from ddbreplica_cli.samples.logfile import KEY, item

SOURCE: Final = "logfile"
REPLICA: Final = "logfile_replica"
SEGMENTS: Final = 4

Item: TypeAlias = Mapping[str, Any]
Ask: TypeAlias = Callable[[str, Item], Any]
"""Makes one call: takes the name of an operation and its request, and returns the response."""


def _boto3() -> Ask:
    client: Any = boto3.client("dynamodb", config=Config(max_pool_connections=SEGMENTS))
    calls = {
        "Scan": client.scan,
        "BatchWriteItem": client.batch_write_item,
        "PutItem": client.put_item,
    }
    return lambda operation, request: calls[operation](**request)


def _wire() -> Ask:
    """Send and receive JSON with the client's signer and connections, without its serializer, rules and hooks."""
    client = boto3.client("dynamodb", config=Config(max_pool_connections=SEGMENTS))
    table = DynamoDBReplica(client, SOURCE)
    table.describe()

    def ask(operation: str, request: Item) -> Any:
        answer: Any = table.ask(operation, json.dumps(request), lambda response: response)
        assert not isinstance(answer, Refusal), answer  # noqa: S101  a loop of this kind ends there
        return answer

    return ask


def backfill(ask: Ask) -> None:
    """Copy each page and scan its range again, as `ddbreplica backfill` does."""

    def segment(number: int) -> None:
        for request, page in _ranges(ask, SOURCE, number, Limit=listing.PAGE):
            for chunk in _chunks(page, 25):
                _write(ask, chunk)
            if page:
                again = ask("Scan", {**request, "Limit": len(page)})
                _expect(_by_key(again["Items"]), page)

    _in_threads(segment)


def scans(ask: Ask) -> None:
    """Hold the whole source in memory, and compare it with a scan of the replica."""
    held: dict[str, Item] = {}

    def take(number: int) -> None:
        for page in _scan(ask, SOURCE, number):
            held.update(_by_key(page))

    def compare(number: int) -> None:
        for page in _scan(ask, REPLICA, number):
            for each in page:
                _expect({}, [] if held.pop(each[KEY]["S"], None) == each else [each])

    _in_threads(take)
    _in_threads(compare)
    _expect({}, list(held.values()))


def puts(ask: Ask, count: str) -> None:
    """Write a number of rows, one after the other."""
    for row in islice(rows(), int(count)):
        ask("PutItem", {"TableName": SOURCE, "Item": item(row)})


def _scan(ask: Ask, table: str, segment: int, **more: Any) -> Iterator[Sequence[Item]]:
    return (page for _, page in _ranges(ask, table, segment, **more))


def _ranges(ask: Ask, table: str, segment: int, **more: Any) -> Iterator[tuple[Item, Sequence[Item]]]:
    """Yield the pages of a segment, each with its request."""
    where = {"TableName": table, "Segment": segment, "TotalSegments": SEGMENTS, "ConsistentRead": True}
    request = {**where, **more}
    while True:
        answer = ask("Scan", request)
        yield request, answer["Items"]
        if not answer.get("LastEvaluatedKey"):
            return
        request = {**request, "ExclusiveStartKey": answer["LastEvaluatedKey"]}


def _write(ask: Ask, items: Sequence[Item]) -> None:
    left = {REPLICA: [{"PutRequest": {"Item": each}} for each in items]}
    while left:
        left = ask("BatchWriteItem", {"RequestItems": left})["UnprocessedItems"]


def _by_key(items: Sequence[Item]) -> dict[str, Item]:
    return {each[KEY]["S"]: each for each in items}


def _expect(found: Mapping[str, Item], items: Sequence[Item]) -> None:
    for each in items:
        if found.get(each[KEY]["S"]) != each:
            raise SystemExit(f"different items: {each[KEY]['S']}")


def _chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _in_threads(segment: Callable[[int], None]) -> None:
    with ThreadPoolExecutor(SEGMENTS) as pool:
        for _ in pool.map(segment, range(SEGMENTS)):
            pass


_LOOPS: Final[Mapping[str, Callable[..., None]]] = {
    "backfill": backfill,
    "scans": scans,
    "puts": puts,
}
_CLIENTS: Final = {"boto3": _boto3, "wire": _wire}

if __name__ == "__main__":
    _LOOPS[sys.argv[1]](_CLIENTS[sys.argv[2]](), *sys.argv[3:])
