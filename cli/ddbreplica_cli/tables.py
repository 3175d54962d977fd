"""A table, described and read: in segments from end to end, and by key. Nothing here writes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from botocore.config import Config

from ddbreplica.dynamodb import DynamoDBReplica
from ddbreplica.model import Key, Table
from ddbreplica_cli.compare import Item, key_of
from ddbreplica_cli.errors import CommandError, explain
from ddbreplica_cli.patience import Patience

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_KEYS = 100
"""https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html"""

Page: TypeAlias = Sequence[Item]


def reading(connections: int) -> Config:
    """How a client reads that so many threads use."""
    return Config(
        retries={"mode": "standard", "total_max_attempts": 8},
        connect_timeout=5,
        read_timeout=30,
        max_pool_connections=connections,
        tcp_keepalive=True,
        parameter_validation=False,
    )


def describe(client: "DynamoDBClient", name: str, *, option: str) -> Table:
    """What the table looks like. Raises CommandError, which names the option that names the table."""
    table = DynamoDBReplica(client, name).describe()
    if isinstance(table, Table):
        return table
    if table.code == "ResourceNotFoundException":
        raise CommandError(
            f"there is no table {name} in {client.meta.region_name}.",
            hint=f"name another with {option} or --stack-name, check --region, or deploy first (sam deploy).",
        )
    raise explain(table, doing=f"the table {name} cannot be described")


def approximate_items(client: "DynamoDBClient", name: str) -> int:
    """How many items the table had some hours ago."""
    return client.describe_table(TableName=name)["Table"].get("ItemCount", 0)


class TableReader:
    """One table, for several threads at once. Every read is strongly consistent.

    Reading raises KeyboardInterrupt once the patience's interrupt is set.
    """

    def __init__(self, client: "DynamoDBClient", name: str, table: Table, patience: Patience) -> None:
        """`table` is what the table's description says."""
        self._client: Any = client
        self._name = name
        self._patience = patience
        self._key_names = sorted(name for name, _ in table.key_schema)
        self._keys_only = _projection(self._key_names)

    def key_attributes(self, item: Item) -> Item:
        """An item's key as DynamoDB takes it."""
        return {name: item[name] for name in self._key_names}

    def by_key(self, items: Page) -> dict[Key, Item]:
        """Items by the identity of their keys."""
        return {key_of(self.key_attributes(item)): item for item in items}

    def scan(self, segment: int, *, of: int, keys_only: bool = False) -> Iterator[Page]:
        """One of `of` disjoint parts of the table, in pages of at most MAX_KEYS items."""
        request: dict[str, Any] = {
            "TableName": self._name,
            "Segment": segment,
            "TotalSegments": of,
            "ConsistentRead": True,
            **(self._keys_only if keys_only else {}),
        }
        while True:
            self._patience.interrupt.check()
            answer = self._client.scan(**request)
            items: Page = answer["Items"]
            yield from (items[start : start + MAX_KEYS] for start in range(0, len(items), MAX_KEYS))
            if not answer.get("LastEvaluatedKey"):
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def get(self, keys: Sequence[Item], *, keys_only: bool = False) -> dict[Key, Item]:
        """The items that exist among at most MAX_KEYS different keys.

        Raises CommandError if the table leaves the rest unanswered for too long.
        """
        found: dict[Key, Item] = {}
        pending: Mapping[str, Any] = {
            self._name: {"Keys": keys, "ConsistentRead": True, **(self._keys_only if keys_only else {})}
        }
        left, attempt = len(keys), 0
        self._patience.progressed()
        while left:
            self._patience.interrupt.check()
            answer = self._client.batch_get_item(RequestItems=pending)
            for items in answer["Responses"].values():
                found.update(self.by_key(items))
            pending = answer.get("UnprocessedKeys", {})
            before, left = left, sum(len(part["Keys"]) for part in pending.values())
            attempt = self._wait(attempt, has_progress=left < before) if left else 0
        return found

    def _wait(self, attempt: int, *, has_progress: bool) -> int:
        """Back off before asking for the rest; return the number of attempts without progress."""
        if has_progress:
            self._patience.progressed()
            return 0
        if not self._patience.deadline().back_off(attempt + 1, then=0):
            self._patience.interrupt.check()
            raise CommandError(
                f"the table {self._name} has answered no read for {self._patience.idle():.0f} seconds.",
                hint="wait a moment, or raise the table's read capacity, and run the same command again.",
            )
        return attempt + 1


def _projection(names: Sequence[str]) -> Mapping[str, Any]:
    placeholders = {f"#k{number}": name for number, name in enumerate(names)}
    return {
        "ProjectionExpression": ", ".join(placeholders),
        "ExpressionAttributeNames": placeholders,
    }
