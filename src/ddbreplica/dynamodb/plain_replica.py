"""Write to the replica by boto3's documented calls alone, one request at a time.

The function uses this module if the installed botocore lacks a private part that `dynamodb.table` needs. These calls
take three times the CPU time. No response is compared with its checksum, since boto3 does not return its text.
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from time import time
from typing import TYPE_CHECKING, Any, TypeVar

from ddbreplica.aws.clock import Skew
from ddbreplica.aws.refusal import asked, foreign, is_from_aws
from ddbreplica.dynamodb.table import client_of, table_of, undescribed, unprocessed
from ddbreplica.model import Pending, Refusal, RefusalKind, Table, Write

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from ddbreplica.aws.role import Role

_T = TypeVar("_T")


def connect(
    table: str, *, region: str | None, role: "Role | None" = None, skew: Skew | None = None
) -> "PlainReplica":
    """Return the replica table with this name or ARN. The writes use the credentials of `role`, if given."""
    return PlainReplica(client_of(table, region=region, role=role), table, role=role, skew=skew)


class PlainReplica:
    """A table that is written to by its name or ARN. It implements the Replica protocol."""

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        *,
        role: "Role | None" = None,
        skew: Skew | None = None,
    ) -> None:
        """Take a client that acts as `role` and makes one attempt for each call."""
        self._client: Any = client
        self._table = table
        self._role = role
        self._skew = skew or Skew()
        self._described: Table | None = None

    def describe(self, *, refresh: bool = False) -> Table | Refusal:
        """Describe the table. Unless `refresh`, the last description is returned."""
        if self._described is None or refresh:
            described = self._called(
                self._client.describe_table,
                {"TableName": self._table},
                lambda response: table_of(response["Table"]),
            )
            if isinstance(described, Refusal):
                return undescribed(described)
            self._described = described
        return self._described

    def start_batch(self, writes: Sequence[Write]) -> Pending:
        """Call BatchWriteItem once. The result is returned later, as the Replica protocol requires."""
        left = self._called(
            self._client.batch_write_item,
            {"RequestItems": {self._table: [_request(write) for write in writes]}},
            lambda response: unprocessed(_as_text(response), writes),
        )
        return lambda: left

    def start_one(self, write: Write) -> Pending:
        """Call PutItem or DeleteItem once. The result is returned later, as the Replica protocol requires."""
        method = self._client.delete_item if write.is_delete else self._client.put_item
        ((_, parameters),) = _request(write).items()
        left = self._called(method, {"TableName": self._table, **parameters}, lambda _: ())
        return lambda: left

    def _called(
        self,
        method: Callable[..., Any],
        parameters: Mapping[str, Any],
        read: Callable[[Any], _T | Refusal],
    ) -> _T | Refusal:
        """Call a method of the client once; `read` reads the response, and may raise anything."""
        sent_at = time()

        def call() -> _T | Refusal:
            response = method(**parameters)
            metadata = response["ResponseMetadata"]
            if not is_from_aws(metadata["HTTPHeaders"]):
                return foreign(metadata["HTTPStatusCode"])
            self._skew.observe(metadata["HTTPHeaders"].get("date"), sent_at=sent_at)
            return read(response)

        result = asked(call)
        if self._role is not None and isinstance(result, Refusal) and result.kind is RefusalKind.FAULT:
            self._role.end()
        return result


def _request(write: Write) -> Mapping[str, Any]:
    """Return a write as boto3's BatchWriteItem takes it, with binaries as bytes."""
    if write.change.image is None:
        return {"DeleteRequest": {"Key": _as_bytes(write.change.key_attributes)}}
    return {"PutRequest": {"Item": _as_bytes(write.change.image)}}


def _as_bytes(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: _value_as_bytes(value) for name, value in attributes.items()}


def _value_as_bytes(value: Mapping[str, Any]) -> Mapping[str, Any]:
    ((kind, content),) = value.items()
    match kind:
        # boto3 encodes binaries itself. Base64 text would be stored encoded twice, without an error.
        case "B":
            content = b64decode(content)
        case "BS":
            content = [b64decode(each) for each in content]
        case "L":
            content = [_value_as_bytes(each) for each in content]
        case "M":
            content = _as_bytes(content)
    return {kind: content}


def _as_text(response: Any) -> Any:
    """Return a response of boto3 with its binaries as base64 text."""
    if isinstance(response, dict):
        return {name: _as_text(value) for name, value in response.items()}
    if isinstance(response, list):
        return [_as_text(value) for value in response]
    return b64encode(response).decode() if isinstance(response, bytes) else response
