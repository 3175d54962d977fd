"""The mapping, and the buckets that were named → where the records lie that were put aside."""

from collections.abc import Iterator
from dataclasses import dataclass

from ddbreplica.bucket.bucket import Bucket
from ddbreplica.bucket.object_format import discarded, quarantined, with_filter
from ddbreplica.driver import Note
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described
from ddbreplica.errors import TaskError
from ddbreplica.mapping.event_source_mapping import MappingState
from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.redrive.objects import BucketPrefix

_ON_FAILURE_PREFIX = "aws/lambda/"
_S3_ARN = ":s3:::"


@dataclass(frozen=True, slots=True)
class Buckets:
    """The quarantine, and what Lambda gives up; None where there is no bucket of that.

    `function` is whose records Lambda's are: those of any function where the bucket was named.
    """

    quarantine: str
    on_failure: str | None
    function: str | None

    @classmethod
    def of(
        cls, mapping: MappingState | None, *, quarantine: str | None, on_failure: str | None, note: Note
    ) -> "Buckets":
        """As they were named or, where they were not, as the mapping says. Raises TaskError for no quarantine."""
        # A bucket that is named may be of a stack that is gone: its function was another, and its tables were these.
        function = None if on_failure or mapping is None else mapping.function_arn
        return cls(
            quarantine or _quarantine_of(mapping), on_failure or _on_failure_of(mapping, note), function
        )

    def places(
        self, connection: Connection, source: Described, key_filter: KeyFilter
    ) -> Iterator[BucketPrefix]:
        """Where the records of these two tables lie, of which the filter leaves out some keys."""
        arn, created_at = source.table.arn, source.created_at
        kept = Bucket(connection.buckets, self.quarantine, option="--quarantine-bucket")
        unpack = with_filter(key_filter, quarantined(arn, created_at=created_at))
        yield BucketPrefix(kept, f"quarantine/{connection.replica.short_name}/", unpack)
        if self.on_failure:
            lambdas = Bucket(connection.buckets, self.on_failure, option="--on-failure-bucket")
            unpack = with_filter(key_filter, discarded(arn, created_at=created_at, function=self.function))
            yield BucketPrefix(lambdas, _ON_FAILURE_PREFIX, unpack)


def _quarantine_of(mapping: MappingState | None) -> str:
    if mapping is None:
        raise TaskError(
            "no mapping can be seen, which would say where the records are.",
            hint="name their bucket with --quarantine-bucket.",
        )
    if bucket := mapping.quarantine:
        return bucket
    raise TaskError(
        f"the function {mapping.function_name} does not say where it keeps records (QUARANTINE_BUCKET).",
        hint="name the bucket with --quarantine-bucket, and mend the function's settings.",
    )


def _on_failure_of(mapping: MappingState | None, note: Note) -> str | None:
    if mapping is None:
        note("No --on-failure-bucket was named: what Lambda gave up is not looked at.")
        return None
    if mapping.on_failure is not None and _S3_ARN in mapping.on_failure:
        return mapping.on_failure.rpartition(_S3_ARN)[2]
    destination = mapping.on_failure or "not set"
    note(
        f"Lambda's on-failure destination is {destination}, and no bucket: what it gave up is not looked at."
    )
    return None
