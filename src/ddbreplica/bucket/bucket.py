"""List, read and create the objects of an S3 bucket, and move them to `done/` when their records are done.

Another command may move an object at the same time. Then the result says so, and no error is raised.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

from ddbreplica.aws.hints import explain
from ddbreplica.aws.refusal import asked
from ddbreplica.aws.request import ask_pages
from ddbreplica.errors import TaskError
from ddbreplica.files.limits import room
from ddbreplica.model import Refusal

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")

DONE = "done/"

_PART = 256 * 1024
"""Bytes of an object that are read at a time."""

# 412: another object has this name now. 404: no object has it. 409: another request is changing the object.
_MOVED_MEANWHILE = frozenset(
    {"PreconditionFailed", "NoSuchKey", "NoSuchVersion", "ConditionalRequestConflict", "404", "409"}
)
FAILED_CONDITION = frozenset({"PreconditionFailed", "412"})
BEING_CHANGED = frozenset({"ConditionalRequestConflict", "409"})
_CREATE_ATTEMPTS = 3  # an attempt that was not answered may still be storing the object
_NO_VERSIONS = frozenset({"AccessDenied", "NotImplemented"})


@dataclass(frozen=True, slots=True)
class Listed:
    """An object of a listing. `stored_at` is its LastModified.

    `age` is in seconds at the time of the listing. It is computed from S3's clock alone, so that the local clock does
    not matter.
    """

    name: str
    size: int
    age: float
    stored_at: datetime


@dataclass(frozen=True, slots=True)
class Version:
    """A version of an object, or a delete marker, which has no `size` and no `etag`.

    `id` is None for the current object of a bucket whose versions are not listed. `is_present` is true for the version
    that a request by name alone would return.
    """

    name: str
    id: str | None
    is_present: bool
    size: int | None
    etag: str | None
    stored_at: datetime


class NoVersionsError(TaskError):
    """The versions in a bucket cannot be listed: the permission is missing, or the service has no versions."""


@dataclass(frozen=True, slots=True)
class Held:
    """The content of an object, and its ETag.

    If the content `is_cut`, the object has more bytes than were to be read.
    """

    body: memoryview
    etag: str
    is_cut: bool = False


class Bucket:
    """A bucket by its name. It may be used from several threads. Raises TaskError if S3 refuses."""

    def __init__(self, client: "S3Client", name: str, *, option: str, is_of_stack: bool = True) -> None:
        """Send no request yet. `option` is the command-line option for the bucket, which a stack may have created."""
        self.name = name
        self._client = client
        self._option = option
        self._is_of_stack = is_of_stack

    def list(self, prefix: str, *, after: str = "") -> Iterator[Listed]:
        """Yield all objects whose names begin with a prefix and sort after `after`, sorted by name."""
        begin: Any = {"StartAfter": after} if after else {}
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.name, Prefix=prefix, **begin
        )
        return ask_pages(pages, _listed, refused=partial(self.refused, what="listed"))

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield what follows a prefix in the names of objects, up to the next slash, each once and sorted."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.name, Prefix=prefix, Delimiter="/"
        )
        return ask_pages(pages, partial(_folders, prefix), refused=partial(self.refused, what="listed"))

    def versions(self, prefix: str) -> Iterator[Version]:
        """Yield all versions of all objects whose names begin with a prefix, sorted by name. Raises NoVersionsError."""
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self.name, Prefix=prefix)
        return ask_pages(pages, _versions, refused=self._unlisted)

    def read(self, name: str, version: str | None = None, *, most: int) -> Held | None:
        """Return up to `most` bytes of an object or of an old version of it, or None if it no longer exists."""
        return self._unless_moved(lambda: self._held(name, version, most), what="read")

    def create(self, name: str, body: bytes) -> None:
        """Store a JSON object under a name that is never used for two contents; it may be stored already."""
        for _ in range(_CREATE_ATTEMPTS):
            result = self.put(name, body)
            if not (isinstance(result, Refusal) and result.code in BEING_CHANGED):
                break
        if isinstance(result, Refusal) and result.code not in FAILED_CONDITION:
            raise self.refused(result, what="written")

    def put(self, name: str, body: bytes, *, etag: str | None = None) -> str | Refusal:
        """Store a JSON object, and return its ETag, or the refusal of the one attempt.

        It replaces the content with this ETag; without an ETag no object may have the name.
        """
        # The bucket's policy denies a put without a condition.
        condition: Any = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        # Raises KeyError for a response that does not confirm that the object exists.
        return asked(
            lambda: self._client.put_object(
                Bucket=self.name, Key=name, Body=body, ContentType="application/json", **condition
            )["ETag"]
        )

    def delete(self, version: Version) -> None:
        """Delete a version permanently, if it still exists."""
        which: Any = {"Bucket": self.name, "Key": version.name, "VersionId": version.id}
        self._unless_moved(lambda: self._client.delete_object(**which), what="deleted")

    def finish(self, name: str, etag: str, *, metadata: Mapping[str, str]) -> bool:
        """Move an object to `done/`. Return False if it no longer exists, or was replaced since it was read.

        It is copied before it is deleted, so that an interruption loses nothing, and the move can be repeated.
        """
        return self._unless_moved(lambda: self._move(name, etag, metadata), what="moved") or False

    def _held(self, name: str, version: str | None, most: int) -> Held:
        which: Any = {} if version is None else {"VersionId": version}
        response = self._client.get_object(Bucket=self.name, Key=name, **which)
        # One byte more than allowed, by which an object that has grown is recognised.
        content, size = room(most + 1), 0
        with closing(response["Body"]) as body:
            while part := body.read(min(_PART, most + 1 - size)):
                content[size : size + len(part)] = part
                size += len(part)
        return Held(content[:size], response["ETag"], is_cut=size > most)

    def _move(self, name: str, etag: str, metadata: Mapping[str, str]) -> bool:
        copied = self._client.copy_object(
            Bucket=self.name,
            Key=DONE + name,
            CopySource={"Bucket": self.name, "Key": name},
            # Without the ETags, an object that was stored under this name meanwhile would be moved unread.
            CopySourceIfMatch=etag,
            ContentType="application/json",
            MetadataDirective="REPLACE",
            Metadata=metadata,
        )
        # Raises KeyError for a response that does not confirm the copy: the original must not be deleted then.
        _ = copied["CopyObjectResult"]["ETag"]
        self._client.delete_object(Bucket=self.name, Key=name, IfMatch=etag)
        return True

    def _unless_moved(self, call: Callable[[], T], *, what: str) -> T | None:
        """Return the result of a call, or None if the object was moved or replaced at the same time."""
        result = asked(call)
        if not isinstance(result, Refusal):
            return result
        if result.code in _MOVED_MEANWHILE:
            return None
        raise self.refused(result, what=what)

    def _unlisted(self, refusal: Refusal) -> TaskError:
        if refusal.code in _NO_VERSIONS:
            error = explain(refusal, doing=f"the versions in the bucket {self.name} cannot be listed")
            return NoVersionsError(error.fact, hint=error.hint)
        return self.refused(refusal, what="listed")

    def refused(self, refusal: Refusal, *, what: str) -> TaskError:
        """Return the error for a refusal. `what` says what cannot be done with the objects, such as `read`."""
        if refusal.code == "NoSuchBucket":
            again = "; if it was deleted, create it again as template.yaml does" if self._is_of_stack else ""
            hint = f"check {self._option}, --profile and --endpoint-url{again}."
            return TaskError(f"the bucket {self.name} does not exist.", hint=hint)
        return explain(refusal, doing=f"the objects in the bucket {self.name} cannot be {what}")


def _listed(page: Any) -> Sequence[Listed]:
    now = parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"])
    # Raises KeyError for a response that is not a listing, and that would look like an empty one.
    _ = page["KeyCount"]
    return [
        Listed(found["Key"], found["Size"], _seconds(found["LastModified"], now), found["LastModified"])
        for found in page.get("Contents", ())
    ]


def _folders(prefix: str, page: Any) -> Sequence[str]:
    # Raises KeyError for a response that is not a listing, and that would look like an empty one.
    _ = page["KeyCount"]
    return [
        found["Prefix"].removeprefix(prefix).removesuffix("/") for found in page.get("CommonPrefixes", ())
    ]


def _versions(page: Any) -> Sequence[Version]:
    # Raises KeyError for a response that is not a listing, and that would look like an empty one.
    _ = page["Name"]
    kept = [
        Version(
            each["Key"], each["VersionId"], each["IsLatest"], each["Size"], each["ETag"], each["LastModified"]
        )
        for each in page.get("Versions", ())
    ]
    markers = [
        Version(each["Key"], each["VersionId"], each["IsLatest"], None, None, each["LastModified"])
        for each in page.get("DeleteMarkers", ())
    ]
    return sorted((*kept, *markers), key=attrgetter("name"))


def _seconds(since: datetime, until: datetime) -> float:
    # A response's date is in whole seconds, so that a new object may seem to be from the future.
    return max(0.0, (until - since).total_seconds())
