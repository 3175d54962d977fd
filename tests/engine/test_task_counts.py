"""The recipe that counts tasks on DynamoDB Local, with its conditions and transactions."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.conftest import SOURCE, connect, items_of
from tests.support.mapping import MappingSettings, Shard
from tests.support.records import batch
from tests.support.stream import StreamReader
from tests.support.tasks import (
    Counting,
    Troubled,
    calm,
    counts_after,
    crashes,
    histories,
    settings_of_mapping,
    task,
    weather,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CHANGES = 600
LISTS = ["home", "work", "garden"]


@settings(max_examples=40)
@given(
    history=histories(),
    mapping=settings_of_mapping,
    calm=calm,
    crashes=crashes,
    seed=st.integers(0, 1_000_000),
)
def test_the_counts_are_exact_after_any_history_with_any_batches_retries_and_crashes(
    endpoint: str,
    history: list[Any],
    mapping: MappingSettings,
    calm: int,
    crashes: list[bool],
    seed: int,
) -> None:
    chance, client = Random(seed), connect(endpoint)  # noqa: S311
    counting = Counting(client, "law", Troubled(client, weather(chance, calm=calm), chance))

    with counting.tables():
        counting.deliver([Shard("1", history)], mapping, crashes=[*crashes], chance=chance)

        assert counting.counts() == counting.marked() == counts_after(history)


def test_a_table_of_tasks_is_counted_from_its_own_stream(
    client: "DynamoDBClient", source: str, endpoint: str, tell: Callable[[str], None]
) -> None:
    chance = Random(5)  # noqa: S311
    for number in range(CHANGES):
        change_a_task(client, chance, number)
    reader = StreamReader(boto3.client("dynamodbstreams", endpoint_url=endpoint), source)
    reader.read()
    met = [trouble for _ in range(10) for trouble in weather(chance, calm=0)]
    counting = Counting(client, "stream", Troubled(client, met, chance))

    with counting.tables():
        counting.deliver(
            reader.shards,
            MappingSettings(parallelization_factor=2),
            crashes=[False, True] * 20,
            chance=chance,
        )

        tasks = [item["list"]["S"] for item in items_of(client, SOURCE) if "list" in item]
        tell(f"{CHANGES} changes, {len(counting.troubled.requests)} requests, {counting.counts()}")
        assert counting.counts() == counting.marked() == {name: tasks.count(name) for name in LISTS}


def change_a_task(client: "DynamoDBClient", chance: Random, number: int) -> None:
    key: Any = {"PK": {"S": f"task#{chance.randrange(40)}"}}
    to: Any = {"S": chance.choice(LISTS)}
    match chance.choice(["put", "put", "move", "take out", "delete"]):
        case "put":
            client.put_item(TableName=SOURCE, Item={**key, "list": to, "number": {"N": str(number)}})
        case "move":
            change: Any = {"list": {"Value": to}, "number": {"Value": {"N": str(number)}}}
            client.update_item(TableName=SOURCE, Key=key, AttributeUpdates=change)
        case "take out":
            client.update_item(
                TableName=SOURCE,
                Key=key,
                UpdateExpression="REMOVE #l",
                ExpressionAttributeNames={"#l": "list"},
            )
        case _:
            client.delete_item(TableName=SOURCE, Key=key)


@pytest.mark.parametrize("attempt", range(5))
def test_a_batch_in_four_concurrent_execution_environments_is_counted_once(
    client: "DynamoDBClient", endpoint: str, attempt: int
) -> None:
    event = batch(*(task(number, f"task#{number}", {"S": "home"}) for number in range(25)))
    counting = Counting(client, f"together-{attempt}")

    def invoke(_sandbox: int) -> list[str]:
        return Counting(connect(endpoint), f"together-{attempt}").invoke(event)

    with counting.tables(), ThreadPoolExecutor(4) as pool:
        reported = list(pool.map(invoke, range(4)))

        assert counting.counts() == counting.marked() == {"home": 25}
        assert reported == [[], [], [], []]
