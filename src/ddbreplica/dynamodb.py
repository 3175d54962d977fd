"""The Replica protocol on boto3's DynamoDB client.

The stream's images are the wire JSON that DynamoDB takes, so a request's body is put together from their text
as it is, and handed to botocore in place of the one it would serialise. Credentials, endpoint rules, signing,
TLS and the parsing of answers stay botocore's.
"""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import boto3
import botocore
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ddbreplica.decode import MalformedError, key_of
from ddbreplica.model import Key, Kind, Refusal, Table, Write
from ddbreplica.refusal import refusal_of
from ddbreplica.send import WORKERS

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TableDescriptionTypeDef

_BODY = "ddbreplica_body"
_WRITES = ("BatchWriteItem", "PutItem", "DeleteItem")
_UNMATCHED = Refusal(
    Kind.TRANSIENT,
    "UnmatchedUnprocessedItem",
    "the answer names an unprocessed item that was not in the request",
)
_UNSAID = Refusal(
    Kind.TRANSIENT, "MissingUnprocessedItems", "the answer does not say what was left unprocessed"
)

CLIENT_CONFIG = Config(
    # One attempt, and short: repeating is send's business, which knows the invocation's deadline, and an
    # attempt that times out may still land later, so that each one has to be known of.
    retries={"mode": "standard", "total_max_attempts": 1},
    connect_timeout=1,
    read_timeout=5,
    max_pool_connections=WORKERS,
    tcp_keepalive=True,
    parameter_validation=False,
    # If it is not named, botocore puts its own together for each request, which takes longer than signing it.
    user_agent=f"ddbreplica Botocore/{botocore.__version__}",
)


def connect(table: str, *, region: str | None) -> "DynamoDBReplica":
    """The replica by its name or ARN. An ARN's Region is used unless `region` names one."""
    if region is None and table.startswith("arn:"):
        region = table.split(":")[3]
    return DynamoDBReplica(boto3.client("dynamodb", region_name=region, config=CLIENT_CONFIG), table)


class DynamoDBReplica:
    """A table that writes go to. The client is its own from now on: it sends the bodies made here."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        """Take the table by its name or ARN."""
        self._client: Any = client
        self._table = table
        self._json_table = json.dumps(table)
        self._described: Table | None = None
        for operation in _WRITES:
            client.meta.events.register(f"before-parameter-build.dynamodb.{operation}", _keep_body)
            client.meta.events.register(f"before-call.dynamodb.{operation}", _put_body)

    def describe(self, *, afresh: bool = False) -> Table | Refusal:
        """What the table looks like; unless `afresh`, as it looked when last asked."""
        if self._described is None or afresh:
            try:
                answer = self._client.describe_table(TableName=self._table)
            except (BotoCoreError, ClientError) as error:
                refusal = refusal_of(error)
                # DescribeTable has no item to reject: a ValidationException means an illegal table name.
                return (
                    Refusal(Kind.FAULT, refusal.code, refusal.message) if _is_rejected(refusal) else refusal
                )
            self._described = _table(answer["Table"])
        return self._described

    def write_batch(self, writes: Sequence[Write]) -> Sequence[Write] | Refusal:
        """One BatchWriteItem; an answer that cannot be matched to the request counts as nothing applied."""
        requests = ",".join(
            f'{{"DeleteRequest":{{"Key":{write.text}}}}}'
            if write.is_delete
            else f'{{"PutRequest":{{"Item":{write.text}}}}}'
            for write in writes
        )
        body = f'{{"RequestItems":{{{self._json_table}:[{requests}]}}}}'
        answer = self._call("batch_write_item", body, RequestItems={self._table: []})
        return answer if isinstance(answer, Refusal) else _unprocessed(answer, writes)

    def write_one(self, write: Write) -> Refusal | None:
        """One PutItem or DeleteItem."""
        operation, member = ("delete_item", "Key") if write.is_delete else ("put_item", "Item")
        body = f'{{"TableName":{self._json_table},"{member}":{write.text}}}'
        answer = self._call(operation, body, TableName=self._table)
        return answer if isinstance(answer, Refusal) else None

    def _call(self, operation: str, body: str, **params: Any) -> Mapping[str, Any] | Refusal:
        # The named parameters are for botocore's endpoint rules, which route a table's ARN by them.
        try:
            answer: Mapping[str, Any] = getattr(self._client, operation)(
                **params, **{_BODY: body.encode("ascii")}
            )
        except (BotoCoreError, ClientError) as error:
            return refusal_of(error)
        return answer


def _keep_body(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    context[_BODY] = params.pop(_BODY)


def _put_body(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    params["body"] = context[_BODY]


def _is_rejected(refusal: Refusal) -> bool:
    return refusal.kind is Kind.REJECTED


def _table(description: "TableDescriptionTypeDef") -> Table:
    types = {d["AttributeName"]: d["AttributeType"] for d in description["AttributeDefinitions"]}
    names = [part["AttributeName"] for part in description["KeySchema"]]
    return Table(
        arn=description["TableArn"],
        is_active=description["TableStatus"] == "ACTIVE",
        key_schema=frozenset((name, types[name]) for name in names),
    )


def _unprocessed(answer: Mapping[str, Any], writes: Sequence[Write]) -> Sequence[Write] | Refusal:
    if "UnprocessedItems" not in answer:
        return _UNSAID
    key_names = [name for name, _, _ in writes[0].change.key]
    try:
        left = {
            _request_of(entry, key_names)
            for entries in answer["UnprocessedItems"].values()
            for entry in entries
        }
    except (KeyError, MalformedError):
        return _UNMATCHED
    by_request = {(write.is_delete, write.change.key): write for write in writes}
    if not left <= by_request.keys():
        return _UNMATCHED
    return [write for request, write in by_request.items() if request in left]


def _request_of(entry: Mapping[str, Any], key_names: Sequence[str]) -> tuple[bool, Key]:
    is_delete = "DeleteRequest" in entry
    attributes = entry["DeleteRequest"]["Key"] if is_delete else entry["PutRequest"]["Item"]
    return is_delete, key_of({name: _as_wire(attributes[name]) for name in key_names})


def _as_wire(value: Mapping[str, Any]) -> Mapping[str, Any]:
    # botocore has decoded the answer's binaries; a key is told apart by their base64 text.
    return {"B": b64encode(value["B"]).decode()} if "B" in value else value
