"""Write the record of a verification to the quarantine bucket, and find the newest one.

The names of a replica's records sort by time, so that the newest one is found without listing those of 400 days.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib import metadata
from itertools import islice

from ddbreplica.aws.request import REFUSALS, fact_of
from ddbreplica.bucket.bucket import Bucket, Held, Listed
from ddbreplica.bucket.verification_record import (
    MAX_BYTES,
    NotARecordError,
    VerificationRecord,
    body_of,
    prefix_of,
    read,
    time_in,
    time_text,
)
from ddbreplica.driver import Note
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.errors import TaskError

MAX_LISTED = 10_000
"""The most objects in which the newest record is looked for; each request lists 1,000 of them."""

# A replica that is verified every day takes one request, and one that was never verified takes three.
_WINDOWS = (timedelta(days=2), timedelta(days=32))


def version() -> str | None:
    """Return the version of ddbreplica; None in a deployed bundle, which is not installed as a package."""
    try:
        return metadata.version("ddbreplica")
    except metadata.PackageNotFoundError:
        return None


def keep(connection: Connection, bucket: str, record: VerificationRecord, *, note: Note) -> None:
    """Write the record of a complete verification; if that fails, note why, since the verdict does not depend on it.

    Complete means: all items of both tables within the mapping's filter were compared, without `--sample` and
    `--keys-from`, and the run was neither interrupted nor ended early. The verdict may be any.
    """
    try:
        _bucket(connection, bucket).create(record.name, body_of(record))
    except REFUSALS as error:
        note(f"This verification is not recorded for `ddbreplica status`: {fact_of(error)}")


def newest(connection: Connection, bucket: str, *, now: datetime) -> VerificationRecord | None:
    """Return the newest record of the replica table, or None if there is none.

    Raises TaskError if it cannot be read. An older record is not returned then, since the newest one may contradict it.
    """
    where = _bucket(connection, bucket)
    for listed in _newest_first(where, prefix_of(connection.replica.short_name), now):
        held = where.read(listed.name, most=MAX_BYTES)
        if held is None:  # it has expired since it was listed
            continue
        try:
            return _record(held, listed)
        except NotARecordError as error:
            raise TaskError(
                f"the newest object of a verification, s3://{bucket}/{listed.name}, {error}.",
                hint="use the version of ddbreplica that wrote the object, or delete it.",
            ) from error
    return None


def _record(held: Held, listed: Listed) -> VerificationRecord:
    if held.is_cut:
        raise NotARecordError(f"has more than {MAX_BYTES:,} bytes")
    return read(held.body, name=listed.name, stored_at=listed.stored_at)


def _newest_first(bucket: Bucket, prefix: str, now: datetime) -> Iterator[Listed]:
    for begin in (*(f"{prefix}{time_text(now - window)}" for window in _WINDOWS), prefix):
        listed = list(islice(bucket.list(prefix, after=begin), MAX_LISTED + 1))
        if len(listed) > MAX_LISTED:
            raise TaskError(
                f"more than {MAX_LISTED:,} objects are in s3://{bucket.name}/{prefix}.",
                hint="delete the objects there that ddbreplica did not write.",
            )
        yield from (each for each in reversed(listed) if time_in(each.name))


def _bucket(connection: Connection, name: str) -> Bucket:
    return Bucket(connection.buckets, name, option="--stack-name")
