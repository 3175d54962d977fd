"""The recipe that counts tasks is exact with any history."""

from random import Random
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.mapping import MappingSettings, Shard
from tests.support.tasks import (
    Counting,
    Troubled,
    calm,
    counts_after,
    crashes,
    histories,
    settings_of_mapping,
    weather,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@settings(max_examples=60)
@given(
    history=histories(),
    mapping=settings_of_mapping,
    calm=calm,
    crashes=crashes,
    seed=st.integers(0, 1_000_000),
)
def test_the_counts_are_exact_after_any_history_with_any_batches_retries_and_crashes(
    counts_client: "DynamoDBClient",
    history: list[Any],
    mapping: MappingSettings,
    calm: int,
    crashes: list[bool],
    seed: int,
) -> None:
    chance = Random(seed)  # noqa: S311
    counting = Counting(counts_client, "law", Troubled(counts_client, weather(chance, calm=calm), chance))

    with counting.tables():
        counting.deliver([Shard("1", history)], mapping, crashes=[*crashes], chance=chance)

        assert counting.counts() == counting.marked() == counts_after(history)
