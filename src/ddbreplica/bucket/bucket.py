"""One S3 bucket: its objects listed, read, and moved out of the way once they are done with.

Whatever is read by name, copied or deleted may have been moved by somebody else meanwhile: that is an answer, no error.
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
"""Bytes of an object to read at a time."""

# 412: another object has the name by now; 404: none has; 409: somebody else is at it.
_MOVED_MEANWHILE = frozenset(
    {"PreconditionFailed", "NoSuchKey", "NoSuchVersion", "ConditionalRequestConflict", "404", "409"}
)
_NO_VERSIONS = frozenset({"AccessDenied", "NotImplemented"})


@dataclass(frozen=True, slots=True)
class Listed:
    """An object by its name. `age` is in seconds at the time of the listing, by S3's clock alone.

    `stored_at` is its LastModified.
    """

    name: str
    size: int
    age: float
    stored_at: datetime


@dataclass(frozen=True, slots=True)
class Version:
    """A version of an object, or a delete marker, which has no `size` and no `etag`.

    `id` is None for the present object of a bucket whose versions are not listed. `is_present` is what a request by
    name alone would find.
    """

    name: str
    id: str | None
    is_present: bool
    size: int | None
    etag: str | None
    stored_at: datetime


class NoVersionsError(TaskError):
    """The versions of a bucket may not be listed, or it has none."""


@dataclass(frozen=True, slots=True)
class Held:
    """An object's content, and the ETag that stands for exactly this content.

    If the content `is_cut` it has more bytes than were to be read.
    """

    body: memoryview
    etag: str
    is_cut: bool = False


class Bucket:
    """A bucket by its name; it may be used from several threads. Raises TaskError where S3 refuses."""

    def __init__(self, client: "S3Client", name: str, *, option: str) -> None:
        """Ask nothing yet. `option` is what names the bucket on the command line."""
        self.name = name
        self._client = client
        self._option = option

    def list(self, prefix: str) -> Iterator[Listed]:
        """All objects whose names begin so, by name."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return ask_pages(pages, _listed, refused=partial(self._refused, what="listed"))

    def versions(self, prefix: str) -> Iterator[Version]:
        """All versions of all objects whose names begin so, by name. Raises NoVersionsError if they may not be seen."""
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self.name, Prefix=prefix)
        return ask_pages(pages, _versions, refused=self._unlisted)

    def read(self, name: str, version: str | None = None, *, most: int) -> Held | None:
        """What an object or an old version of it holds, up to so many bytes; None if there is none any more."""
        return self._unless_moved(lambda: self._held(name, version, most), what="read")

    def delete(self, version: Version) -> None:
        """Delete a version for good, whether or not it is there still."""
        which: Any = {"Bucket": self.name, "Key": version.name, "VersionId": version.id}
        self._unless_moved(lambda: self._client.delete_object(**which), what="emptied")

    def finish(self, name: str, etag: str, *, metadata: Mapping[str, str]) -> bool:
        """Move what was read to `done/`; False if it is not there any more, or not what was read.

        It is copied first, so that it is in one of the two places at least, and done again without harm.
        """
        return self._unless_moved(lambda: self._move(name, etag, metadata), what="emptied") or False

    def _held(self, name: str, version: str | None, most: int) -> Held:
        which: Any = {} if version is None else {"VersionId": version}
        response = self._client.get_object(Bucket=self.name, Key=name, **which)
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
            CopySourceIfMatch=etag,
            ContentType="application/json",
            MetadataDirective="REPLACE",
            Metadata=metadata,
        )
        _ = copied["CopyObjectResult"]["ETag"]  # a response without it does not say that there is a copy
        self._client.delete_object(Bucket=self.name, Key=name, IfMatch=etag)
        return True

    def _unless_moved(self, call: Callable[[], T], *, what: str) -> T | None:
        """Return what the call returns; None if the object was moved or replaced meanwhile."""
        result = asked(call)
        if not isinstance(result, Refusal):
            return result
        if result.code in _MOVED_MEANWHILE:
            return None
        raise self._refused(result, what=what)

    def _unlisted(self, refusal: Refusal) -> TaskError:
        if refusal.code in _NO_VERSIONS:
            error = explain(refusal, doing=f"the versions in the bucket {self.name} cannot be listed")
            return NoVersionsError(error.fact, hint=error.hint)
        return self._refused(refusal, what="listed")

    def _refused(self, refusal: Refusal, *, what: str) -> TaskError:
        if refusal.code == "NoSuchBucket":
            hint = f"name another with {self._option}, or check --profile and --endpoint-url."
            return TaskError(f"there is no bucket {self.name}.", hint=hint)
        return explain(refusal, doing=f"the bucket {self.name} cannot be {what}")


def _listed(page: Any) -> Sequence[Listed]:
    now = parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"])
    _ = page["KeyCount"]  # a response without it is no listing, and not one of no objects
    return [
        Listed(found["Key"], found["Size"], _seconds(found["LastModified"], now), found["LastModified"])
        for found in page.get("Contents", ())
    ]


def _versions(page: Any) -> Sequence[Version]:
    _ = page["Name"]  # a response without it is no listing, and not one of no objects
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
    # An answer's date is in whole seconds, so that an object may seem to be of the future.
    return max(0.0, (until - since).total_seconds())
