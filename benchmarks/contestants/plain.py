"""The function whole, as it writes where botocore lacks a private part: by boto3's documented calls."""

from dataclasses import replace
from typing import Any

from benchmarks.contestants import Apply, ours
from ddbreplica.dynamodb import plain_replica
from ddbreplica.handler import replicate, replicator

_function = replicator()
_plain = replace(
    _function,
    replica=plain_replica.connect(
        _function.settings.replica_table_name, region=_function.settings.replica_region
    ),
)


def prepare(event: Any) -> Apply:
    """Apply the batch; raises if anything of it was not applied."""
    return ours.applying(event, lambda batch, context: replicate(batch, context, _plain))
