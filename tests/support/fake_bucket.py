"""A bucket in memory that replaces boto3's S3 client, with the policy of the quarantine bucket.

The given faults are raised in turn.
"""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

METADATA = {"HTTPStatusCode": 200, "HTTPHeaders": {"x-amz-request-id": "R1"}}


def s3_error(code: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "PutObject")


class FakeBucket:
    """Keeps the objects that are put, and is its own client.

    As the bucket's policy requires, a put without `If-None-Match: *` is denied. As S3 does, it refuses to overwrite.
    """

    def __init__(self, *faults: Exception | None) -> None:
        self.objects: dict[str, bytes] = {}
        self.buckets: set[str] = set()
        self.calls = 0
        self._faults = list(faults)
        self.before_put: Callable[[], None] = lambda: None

    def connect(self) -> "S3Client":
        return cast("S3Client", self)

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, **other: Any) -> dict[str, Any]:  # noqa: N803  boto3's spelling
        self.calls += 1
        self.buckets.add(Bucket)
        self.before_put()
        if self._faults and (fault := self._faults.pop(0)):
            raise fault
        assert other["ContentType"] == "application/json"
        if other.get("IfNoneMatch") != "*":
            raise s3_error("AccessDenied", "with an explicit deny in a resource-based policy")
        if Key in self.objects:
            raise s3_error("PreconditionFailed")
        self.objects[Key] = Body
        return {"ETag": '"1"', "ResponseMetadata": METADATA}

    @property
    def kept(self) -> list[dict[str, Any]]:
        """The content of the quarantined objects, in order."""
        return [json.loads(body) for body in self.objects.values()]

    @property
    def sequence_numbers(self) -> list[str | None]:
        return [kept["record"].get("dynamodb", {}).get("SequenceNumber") for kept in self.kept]
