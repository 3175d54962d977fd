"""Write the record of a verification to the quarantine bucket, and find the newest one.

The names of a replica's records sort by time, so that the newest one is found without listing those of 400 days.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from importlib import metadata
from itertools import islice

from ddbreplica.aws.request import REFUSALS, fact_of
from ddbreplica.bucket.bucket import Bucket, Held, Listed
from ddbreplica.bucket.verification_record import (
    INCONCLUSIVE,
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

MAX_INCONCLUSIVE = 20
"""The most records that are read to find one whose verdict is conclusive."""

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


def newest(connection: Connection, bucket: str, *, now: datetime) -> Sequence[VerificationRecord]:
    """Return the newest records of the replica table, the newest first, up to one whose verdict is conclusive.

    There are at most MAX_INCONCLUSIVE. Raises TaskError if one of them cannot be read: an older one is not returned in
    its place, since the newer one may contradict it.
    """
    where, found = _bucket(connection, bucket), list[VerificationRecord]()
    for listed in _newest_first(where, prefix_of(connection.replica.short_name), now):
        held = where.read(listed.name, most=MAX_BYTES)
        if held is None:  # it has expired since it was listed
            continue
        found.append(_read(held, listed, bucket))
        if found[-1].verdict != INCONCLUSIVE or len(found) == MAX_INCONCLUSIVE:
            break
    return found


def _read(held: Held, listed: Listed, bucket: str) -> VerificationRecord:
    try:
        return _record(held, listed)
    except NotARecordError as error:
        raise TaskError(
            f"the object s3://{bucket}/{listed.name} {error}.",
            hint="use the version of ddbreplica that wrote the object, or delete it.",
        ) from error


def _record(held: Held, listed: Listed) -> VerificationRecord:
    if held.is_cut:
        raise NotARecordError(f"has more than {MAX_BYTES:,} bytes")
    return read(held.body, name=listed.name, stored_at=listed.stored_at)


def _newest_first(bucket: Bucket, prefix: str, now: datetime) -> Iterator[Listed]:
    until = None
    for begin in (*(f"{prefix}{time_text(now - window)}" for window in _WINDOWS), prefix):
        listed = list(islice(bucket.list(prefix, after=begin), MAX_LISTED + 1))
        if len(listed) > MAX_LISTED:
            raise TaskError(
                f"more than {MAX_LISTED:,} objects are in s3://{bucket.name}/{prefix}.",
                hint="delete the objects there that ddbreplica did not write.",
            )
        names = (each for each in reversed(listed) if until is None or each.name <= until)
        yield from (each for each in names if time_in(each.name))
        until = begin


def _bucket(connection: Connection, name: str) -> Bucket:
    return Bucket(connection.buckets, name, option="--stack-name")
