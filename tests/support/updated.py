"""A stack of the embedded AWS that was updated: what the embedded AWS gets wrong of its mapping, set right."""

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
    """Set the mapping's numbers: after an update the embedded AWS has text in their place, and polls no more."""
    uuid = stack.outputs["EventSourceMappingId"]
    mapping: Any = aws.lambda_.get_event_source_mapping(UUID=uuid)
    numbers: Any = {name: int(value) for name, value in mapping.items() if name in _NUMBERS}
    aws.lambda_.update_event_source_mapping(UUID=uuid, **numbers)
