"""A bucket in memory, in the place of boto3's S3 client; its faults are raised in turn."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

METADATA = {"HTTPStatusCode": 200, "HTTPHeaders": {"x-amz-request-id": "R1"}}


def s3_error(code: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "PutObject")


class FakeBucket:
    """Keeps what is put, refuses to overwrite, and is its own client."""

    def __init__(self, *faults: Exception | None) -> None:
        self.objects: dict[str, bytes] = {}
        self.calls = 0
        self._faults = list(faults)
        self.before_put: Callable[[], None] = lambda: None

    def connect(self) -> "S3Client":
        return cast("S3Client", self)

    def put_object(self, *, Key: str, Body: bytes, **_: Any) -> dict[str, Any]:  # noqa: N803  boto3's spelling
        self.calls += 1
        self.before_put()
        if self._faults and (fault := self._faults.pop(0)):
            raise fault
        if Key in self.objects:
            pytest.fail("an object was overwritten")  # not an Exception, which would pass for a bad response
        self.objects[Key] = Body
        return {"ETag": '"1"', "ResponseMetadata": METADATA}

    @property
    def kept(self) -> list[dict[str, Any]]:
        """What was quarantined, in order."""
        return [json.loads(body) for body in self.objects.values()]

    @property
    def sequence_numbers(self) -> list[str | None]:
        return [kept["record"].get("dynamodb", {}).get("SequenceNumber") for kept in self.kept]
