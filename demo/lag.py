"""Measure the lag: from the response to a write to the source until the replica returns the change."""

import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from demo.errors import DidNotHoldError
from demo.pair import Item, Pair

_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Lag:
    """The lag of a number of items in seconds: median, 95th percentile and maximum."""

    items: int
    p50: float
    p95: float
    max: float


def measure(pair: Pair, items: Iterable[Item]) -> Lag:
    """Put items into the source, each after the replica has returned the one before, and return the lag."""
    lags = [_one(pair, item) for item in items]
    return Lag(len(lags), statistics.median(lags), statistics.quantiles(lags, n=20)[-1], max(lags))


def _one(pair: Pair, item: Item) -> float:
    pair.dynamodb.put_item(TableName=pair.source, Item=item)
    written = time.perf_counter()
    while pair.item(pair.replica, item["PK"]["S"]) != item:
        if time.perf_counter() - written > _SECONDS:
            raise DidNotHoldError(f"{item['PK']['S']} was not in the replica after {_SECONDS:.0f} seconds.")
    return time.perf_counter() - written
