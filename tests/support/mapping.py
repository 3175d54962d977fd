"""Lambda's event-source mapping, as far as its contract for one shard goes: cut, deliver, redeliver.

https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
"""

from collections.abc import Callable, Sequence
from typing import Any

Invoke = Callable[[Any], list[str]]


def deliver(
    records: Sequence[Any], invoke: Invoke, *, cuts: Callable[[int], int], patience: int = 1000
) -> int:
    """Hand over all records in order; return how many invocations it took.

    `cuts` says how many of so many records go into the next batch. A reported identifier is the checkpoint:
    it and everything after it comes again. An exception brings the whole batch again, cut anew (bisected).
    """
    start = 0
    for invocation in range(patience):
        if start == len(records):
            return invocation
        left = records[start:]
        batch = left[: max(1, min(len(left), cuts(len(left))))]
        try:
            reported = invoke({"Records": batch})
        except Exception:  # noqa: BLE001, S112  whatever the function raises, Lambda delivers the batch again
            continue
        start += _done(batch, reported)
    raise AssertionError(f"not delivered after {patience} invocations")


def _done(batch: Sequence[Any], reported: Sequence[str]) -> int:
    if not reported:
        return len(batch)
    numbers = [record["dynamodb"].get("SequenceNumber") for record in batch]
    return min(numbers.index(identifier) for identifier in reported)
