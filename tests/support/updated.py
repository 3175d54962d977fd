"""Correct the event source mapping of an updated stack on the embedded AWS."""

from typing import Any, Final

from demo.deploy import Stack
from demo.embedded import EmbeddedAws

_NUMBERS: Final = (
    "BatchSize",
    "MaximumBatchingWindowInSeconds",
    "MaximumRecordAgeInSeconds",
    "MaximumRetryAttempts",
    "ParallelizationFactor",
)


def restore_mapping(aws: EmbeddedAws, stack: Stack) -> None:
    """Set the mapping's numbers again: an update on the embedded AWS turns them into text, and stops polling."""
    uuid = stack.outputs["EventSourceMappingId"]
    mapping: Any = aws.lambda_.get_event_source_mapping(UUID=uuid)
    numbers: Any = {name: int(value) for name, value in mapping.items() if name in _NUMBERS}
    aws.lambda_.update_event_source_mapping(UUID=uuid, **numbers)
