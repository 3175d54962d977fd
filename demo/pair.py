"""Two tables and what a reader sees of them: how much there is, and when they are equal."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from demo.errors import DidNotHoldError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item: TypeAlias = dict[str, Any]
"""As boto3's client spells it: {"requestid": {"N": "7"}, …}."""

INDEX: Final = "GSI_1"
MINUTE: Final = 60.0
"""How long anything takes at most, unless said otherwise."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A source and its replica. All reads are strongly consistent, but for the index, which offers none.

    `elsewhere` is a client for the replica's Region and account, where they are not the source's.
    """

    dynamodb: "DynamoDBClient"
    source: str
    replica: str
    elsewhere: "DynamoDBClient | None" = None

    def count(self, table: str) -> int:
        """How many items the table has, counted by reading it."""
        scan = self._client(table).get_paginator("scan")
        pages = scan.paginate(TableName=table, Select="COUNT", ConsistentRead=True)
        return sum(page["Count"] for page in pages)

    def items(self, table: str) -> dict[str, Item]:
        """All items of the table, by partition key."""
        pages = self._client(table).get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        return {item["PK"]["S"]: item for page in pages for item in page["Items"]}

    def item(self, table: str, key: str) -> Item | None:
        """One item; None if there is none."""
        answer = self._client(table).get_item(TableName=table, Key={"PK": {"S": key}}, ConsistentRead=True)
        return answer.get("Item")

    def query_index(self, host: str) -> dict[str, Item]:
        """What the replica's index has of a host, by partition key."""
        pages = (
            self._client(self.replica)
            .get_paginator("query")
            .paginate(
                TableName=self.replica,
                IndexName=INDEX,
                KeyConditionExpression="GSI_1_PK = :host",
                ExpressionAttributeValues={":host": {"S": f"host#{host}"}},
            )
        )
        return {item["PK"]["S"]: item for page in pages for item in page["Items"]}

    def wait_until_equal(self, *, but_for: frozenset[str] = frozenset()) -> None:
        """Wait until the replica's items are the source's, `but_for` these keys. Raises DidNotHoldError."""
        expected = {key: item for key, item in self.items(self.source).items() if key not in but_for}
        wait_until(lambda: self.items(self.replica) == expected, "The replica equals the source")

    def _client(self, table: str) -> "DynamoDBClient":
        return self.elsewhere if self.elsewhere and table == self.replica else self.dynamodb


def projected(item: Item) -> Item:
    """What the index has of an item: the keys, and what the template projects."""
    return {name: item[name] for name in ("PK", "GSI_1_PK", "bytessent", "requestid", "host")}


def wait_until(
    condition: Callable[[], bool], promise: str, *, every: float = 0.05, within: float = MINUTE
) -> None:
    """Wait until the condition holds, asking `every` so many seconds.

    Raises DidNotHoldError with the promise if it does not hold `within` so many.
    """
    give_up_at = time.monotonic() + within
    while not condition():
        if time.monotonic() > give_up_at:
            raise DidNotHoldError(f"{promise}: not after {within:.0f} seconds.")
        time.sleep(every)
