"""Find the buckets of quarantined records and discarded batches, from the options or the mapping."""

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
    """The quarantine bucket, and the on-failure bucket; None if there is none.

    `function` is the ARN of the function whose discarded batches are processed; None for those of any function.
    """

    quarantine: str
    on_failure: str | None
    function: str | None

    @classmethod
    def of(
        cls, mapping: MappingState | None, *, quarantine: str | None, on_failure: str | None, note: Note
    ) -> "Buckets":
        """Return the buckets of the options, or else of the mapping. Raises TaskError without a quarantine bucket."""
        # A bucket of the options may be of a deleted stack, with a different function and these tables.
        function = None if on_failure or mapping is None else mapping.function_arn
        return cls(
            quarantine or _quarantine_of(mapping), on_failure or _on_failure_of(mapping, note), function
        )

    def places(
        self, connection: Connection, source: Described, key_filter: KeyFilter
    ) -> Iterator[BucketPrefix]:
        """Return the prefixes with the records of these two tables, without keys that the filter excludes."""
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
            "no event source mapping can be read, so the quarantine bucket is unknown.",
            hint="name the bucket with --quarantine-bucket.",
        )
    if bucket := mapping.quarantine:
        return bucket
    raise TaskError(
        f"the function {mapping.function_name} has no environment variable QUARANTINE_BUCKET.",
        hint="name the bucket with --quarantine-bucket, and fix the function's settings.",
    )


def _on_failure_of(mapping: MappingState | None, note: Note) -> str | None:
    if mapping is None:
        note("Note: discarded batches are not processed; to include them, add --on-failure-bucket.")
        return None
    if mapping.on_failure is not None and _S3_ARN in mapping.on_failure:
        return mapping.on_failure.rpartition(_S3_ARN)[2]
    destination = f"is {mapping.on_failure}, which is not a bucket" if mapping.on_failure else "is not set"
    note(f"Note: the mapping's on-failure destination {destination}: discarded batches are not processed.")
    return None
