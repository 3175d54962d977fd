"""The store of a job's objects in an S3 bucket."""

from typing import Final

from ddbreplica.bucket.bucket import BEING_CHANGED, FAILED_CONDITION, Bucket
from ddbreplica.bucket.store import Conflict, Stored
from ddbreplica.errors import TaskError
from ddbreplica.files.limits import MIB
from ddbreplica.model import Refusal, RefusalKind

MAX_BYTES: Final = 64 * MIB
"""Bytes of an object of a job: 2,000 keys of the largest size, and as many of earlier workers, each byte escaped."""

_NOT_FOUND = frozenset({"NoSuchKey", "404"})


class BucketStore:
    """The store in an S3 bucket."""

    def __init__(self, bucket: Bucket) -> None:
        """Send no request yet."""
        self._bucket = bucket

    def read(self, name: str) -> Stored | None:
        """Return an object, or None if it does not exist."""
        held = self._bucket.read(name, most=MAX_BYTES)
        if held is None:
            return None
        if held.is_cut:
            raise TaskError(
                f"the object s3://{self._bucket.name}/{name} has more than {MAX_BYTES:,} bytes.",
                hint="delete the object, which ddbreplica did not write, and start a new job.",
            )
        return Stored(bytes(held.body), held.etag)

    def create(self, name: str, body: bytes) -> str | Conflict:
        """Store a new JSON object, and return its ETag."""
        return self._result(self._bucket.put(name, body))

    def replace(self, name: str, body: bytes, *, etag: str) -> str | Conflict:
        """Replace the content that has an ETag, and return the ETag of the new content."""
        return self._result(self._bucket.put(name, body, etag=etag))

    def _result(self, result: str | Refusal) -> str | Conflict:
        if isinstance(result, str):
            return result
        conflict = _conflict(result)
        if conflict is None:
            raise self._bucket.refused(result, what="written")
        return conflict


def _conflict(refusal: Refusal) -> Conflict | None:
    """Return the conflict that a refusal of a put means; None if the bucket refuses every put."""
    for codes, conflict in (
        (FAILED_CONDITION, Conflict.CHANGED),
        (_NOT_FOUND, Conflict.GONE),
        (BEING_CHANGED, Conflict.RACE),
    ):
        if refusal.code in codes:
            return conflict
    # A service that fails may still have stored the object.
    return Conflict.NO_RESPONSE if refusal.kind is RefusalKind.TRANSIENT else None
