"""One S3 bucket: its objects listed, read, and moved out of the way once they are done with.

Whatever is read by name, copied or deleted may have been moved by somebody else meanwhile: that is an answer, no error.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from ddbreplica.refusal import refusal_of
from ddbreplica_cli.errors import CommandError, explain

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DONE = "done/"

# 412: another object has the name by now; 404: none has; 409: somebody else is at it.
_MOVED_MEANWHILE = frozenset({"PreconditionFailed", "NoSuchKey", "ConditionalRequestConflict", "404", "409"})


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
class Held:
    """An object's content, and the ETag that stands for exactly this content."""

    body: bytes
    etag: str


class Bucket:
    """A bucket by its name; it may be used from several threads. Raises CommandError where S3 refuses."""

    def __init__(self, client: "S3Client", name: str, *, option: str) -> None:
        """Ask nothing yet. `option` is what names the bucket on the command line."""
        self.name = name
        self._client = client
        self._option = option

    def list(self, prefix: str) -> Iterator[Listed]:
        """All objects whose names begin so, by name."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        try:
            for page in pages:
                now = parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"])
                for found in page.get("Contents", ()):
                    stored_at = found["LastModified"]
                    yield Listed(found["Key"], found["Size"], _seconds(stored_at, now), stored_at)
        except ClientError as error:
            raise self._refused(error, "listed") from error

    def read(self, name: str) -> Held | None:
        """What an object holds; None if there is none of that name any more."""
        try:
            answer = self._client.get_object(Bucket=self.name, Key=name)
        except ClientError as error:
            if _code(error) in _MOVED_MEANWHILE:
                return None
            raise self._refused(error, "read") from error
        return Held(answer["Body"].read(), answer["ETag"])

    def finish(self, name: str, etag: str, *, metadata: Mapping[str, str]) -> bool:
        """Move what was read to `done/`; False if it is not there any more, or not what was read.

        It is copied first, so that it is in one of the two places at least, and done again without harm.
        """
        try:
            self._client.copy_object(
                Bucket=self.name,
                Key=DONE + name,
                CopySource={"Bucket": self.name, "Key": name},
                CopySourceIfMatch=etag,
                ContentType="application/json",
                MetadataDirective="REPLACE",
                Metadata=metadata,
            )
            self._client.delete_object(Bucket=self.name, Key=name, IfMatch=etag)
        except ClientError as error:
            if _code(error) in _MOVED_MEANWHILE:
                return False
            raise self._refused(error, "emptied") from error
        return True

    def _refused(self, error: ClientError, what: str) -> CommandError:
        if _code(error) == "NoSuchBucket":
            hint = f"name another with {self._option}, or check --profile and --endpoint-url."
            return CommandError(f"there is no bucket {self.name}.", hint=hint)
        return explain(refusal_of(error), doing=f"the bucket {self.name} cannot be {what}")


def _code(error: ClientError) -> str:
    return error.response["Error"].get("Code", "")


def _seconds(since: datetime, until: datetime) -> float:
    # An answer's date is in whole seconds, so that an object may seem to be of the future.
    return max(0.0, (until - since).total_seconds())
