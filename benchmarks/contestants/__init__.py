"""The contestants, one module each. `prepare(event)` returns a function that applies the batch repeatedly."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

Apply: TypeAlias = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Contestant:
    """`coalesces`: it writes a key once per batch. `wrong`: the workloads with wrong results, and why."""

    title: str
    coalesces: bool
    wrong: Mapping[str, str]


CONTESTANTS: Mapping[str, Contestant] = {
    "workshop": Contestant("workshop: put_item per record", coalesces=False, wrong={}),
    "threads": Contestant(
        "put_item in 16 threads",
        coalesces=False,
        wrong={"nested": "binaries are encoded twice", "hot": "an older image may come last"},
    ),
    "batch_writer": Contestant("batch_writer", coalesces=True, wrong={}),
    "plain": Contestant("ddbreplica with boto3's calls", coalesces=True, wrong={}),
    "ours": Contestant("ddbreplica", coalesces=True, wrong={}),
    "floor": Contestant("floor: only signed requests", coalesces=True, wrong={}),
}
"""By the name of the module, in the order of the tables."""
