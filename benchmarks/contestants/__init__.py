"""One module each; its `prepare(event)` returns what applies the batch, to be called as often as wanted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

Apply: TypeAlias = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Contestant:
    """`coalesces`: whether it writes a key once a batch. `wrong` names the workloads that it gets wrong, and why."""

    title: str
    coalesces: bool
    wrong: Mapping[str, str]


CONTESTANTS: Mapping[str, Contestant] = {
    "workshop": Contestant("workshop: put_item a record", coalesces=False, wrong={}),
    "threads": Contestant(
        "put_item, 16 threads",
        coalesces=False,
        wrong={"nested": "binaries are encoded twice", "hot": "an older image may come last"},
    ),
    "batch_writer": Contestant("batch_writer", coalesces=True, wrong={}),
    "plain": Contestant("ddbreplica by boto3's own calls", coalesces=True, wrong={}),
    "ours": Contestant("ddbreplica", coalesces=True, wrong={}),
    "floor": Contestant("floor: signed requests alone", coalesces=True, wrong={}),
}
"""By the name of the module, in the order of the tables."""
