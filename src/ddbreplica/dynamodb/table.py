"""Read and write a table by the signer and the connections of a boto3 client, without the client's serialiser.

The images of the stream are DynamoDB JSON already, so that the body of a write contains their text as it is. It is sent
to the endpoint to which the client sent DescribeTable. The serialiser, the endpoint rules and most hooks are left out,
since they take most of the CPU time of a request.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from time import time
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from zlib import crc32

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from ddbreplica.aws import botocore_private
from ddbreplica.aws.clock import Skew
from ddbreplica.aws.refusal import asked, foreign, is_from_aws, refusal_of, unreadable
from ddbreplica.dynamodb.send import IN_FLIGHT
from ddbreplica.dynamodb.transport import Response, Transport, Wait
from ddbreplica.model import Key, Pending, Refusal, RefusalKind, State, Table, Write
from ddbreplica.records.decode import MalformedError, attributes_of, key_of

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TableDescriptionTypeDef

    from ddbreplica.aws.role import Role

_OK = 200
_FIRST_ERROR = 400
_GARBLED = Refusal(
    RefusalKind.TRANSIENT,
    "GarbledResponse",
    "the response differs from the checksum in its header",
    in_doubt=True,
)
_UNMATCHED = Refusal(
    RefusalKind.TRANSIENT, "UnmatchedResponse", "the response does not match the request", in_doubt=True
)
_INCOMPLETE = Refusal(
    RefusalKind.TRANSIENT, "MissingUnprocessedItems", "the response has no UnprocessedItems", in_doubt=True
)

_Body: TypeAlias = Mapping[str, Any]
_T = TypeVar("_T")

CLIENT_CONFIG = Config(
    # One short attempt. `send` repeats requests, since it knows the deadline of the invocation, and since it has to
    # record each attempt that times out: AWS may still apply it later.
    retries={"mode": "standard", "total_max_attempts": 1},
    connect_timeout=1,
    read_timeout=5,
    max_pool_connections=IN_FLIGHT,
    tcp_keepalive=True,
    parameter_validation=False,
    user_agent_extra="ddbreplica",
)
"""A client's configuration: one attempt a request, 1 s to connect, 5 s for the response."""


def connect(
    table: str, *, region: str | None, role: "Role | None" = None, skew: Skew | None = None
) -> "DynamoDBReplica":
    """Return the replica table with this name or ARN. The writes use the credentials of `role`, if given.

    Raises MissingPartError.
    """
    return DynamoDBReplica(client_of(table, region=region, role=role), table, role=role, skew=skew)


def client_of(table: str, *, region: str | None, role: "Role | None") -> "DynamoDBClient":
    """Return a client that acts as `role`, in `region` or else in the Region of a table's ARN."""
    if region is None and table.startswith("arn:"):
        region = table.split(":")[3]
    if role is None:
        return boto3.client("dynamodb", region_name=region, config=CLIENT_CONFIG)
    return role.session().client("dynamodb", region_name=region, config=CLIENT_CONFIG)


class DynamoDBReplica:
    """A table that is read or written by its name or ARN. It implements the Replica and Source protocols."""

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        *,
        role: "Role | None" = None,
        skew: Skew | None = None,
    ) -> None:
        """Use the client's signer, connections and hooks. Raises MissingPartError if botocore lacks one of them.

        The client acts as `role`; a fault ends the credentials of that role. `skew` observes the date of every
        response.
        """
        self._client = client
        self._parts = botocore_private.parts_of(client)
        self._role = role
        self._skew = skew or Skew()
        self._table = table
        self._json_table = json.dumps(table)
        self._described: Table | None = None
        self._route: _Route | None = None
        botocore_private.watch_requests(client, "DescribeTable", self._keep_route)

    def describe(self, *, refresh: bool = False) -> Table | Refusal:
        """Describe the table. Unless `refresh`, the last description is returned."""
        if self._described is None or refresh:
            # With `refresh` never from memory: the table may have been replaced since.
            described = self._end_role_on_fault(asked(self._describe))
            if isinstance(described, Refusal):
                return undescribed(described)
            self._described = described
        return self._described

    def start_batch(self, writes: Sequence[Write]) -> Pending:
        """Start one BatchWriteItem. If its response does not match the request, no write counts as applied."""
        requests = ",".join(
            f'{{"DeleteRequest":{{"Key":{write.text}}}}}'
            if write.is_delete
            else f'{{"PutRequest":{{"Item":{write.text}}}}}'
            for write in writes
        )
        body = f'{{"RequestItems":{{{self._json_table}:[{requests}]}}}}'
        return self._start("BatchWriteItem", body, lambda response: unprocessed(response, writes))

    def start_one(self, write: Write) -> Pending:
        """Start one PutItem or DeleteItem."""
        operation, member = ("DeleteItem", "Key") if write.is_delete else ("PutItem", "Item")
        body = f'{{"TableName":{self._json_table},"{member}":{write.text}}}'
        return self._start(operation, body, lambda _: ())

    def read_batch(self, keys: Sequence[Key]) -> Mapping[Key, State] | Refusal:
        """Make one BatchGetItem. If its response does not match the request, no key counts as read."""
        json_keys = json.dumps([attributes_of(key) for key in keys])
        # An eventually consistent read would confirm an image that a newer write has already replaced.
        body = f'{{"RequestItems":{{{self._json_table}:{{"ConsistentRead":true,"Keys":{json_keys}}}}}}}'
        return self._start("BatchGetItem", body, lambda response: _states(response, keys))()

    def ask(self, operation: str, body: str, read: Callable[[_Body], _T | Refusal]) -> _T | Refusal:
        """Make one attempt of an operation. `body` is DynamoDB JSON in ASCII, and `read` reads the response.

        If `read` raises, a refusal is returned.
        """
        return self._start(operation, body, read)()

    def _describe(self) -> Table | Refusal:
        sent_at = time()
        described = self._client.describe_table(TableName=self._table)
        headers = described["ResponseMetadata"]["HTTPHeaders"]
        if not is_from_aws(headers):
            return foreign(described["ResponseMetadata"]["HTTPStatusCode"])
        self._skew.observe(headers.get("date"), sent_at=sent_at)
        return table_of(described["Table"])

    def _keep_route(self, request: Any, **_: Any) -> None:
        # The transport records for how long its connections were idle, so it is kept as long as the URL is the same.
        transport = self._route.transport if self._route else None
        if transport is None or transport.url != request.url:
            transport = Transport(self._parts.http_session, request.url)
        self._route = _Route(request.headers, request.context, transport)

    def _start(
        self, operation: str, body: str, read: Callable[[_Body], _T | Refusal]
    ) -> Callable[[], _T | Refusal]:
        """Send a request once, and return the function that waits for its response and reads it."""
        if self._described is None and isinstance(described := self.describe(), Refusal):
            # Only DescribeTable was sent, so no write is in doubt.
            unsent = replace(described, in_doubt=False)
            return lambda: unsent
        wait = asked(lambda: self._send(operation, body.encode("ascii")))
        if isinstance(wait, Refusal):
            refused = self._end_role_on_fault(wait)
            return lambda: refused
        sent_at = time()
        return lambda: self._end_role_on_fault(
            asked(lambda: self._received(operation, wait(), sent_at, read))
        )

    def _received(
        self, operation: str, response: Response, sent_at: float, read: Callable[[_Body], _T | Refusal]
    ) -> _T | Refusal:
        """Read a response. Raises any exception that its content causes."""
        # Only AWS's own response ends the request: a gateway that responds may already have passed it on.
        if not is_from_aws(response.headers):
            return foreign(response.status)
        self._skew.observe(response.headers.get("date"), sent_at=sent_at)
        if _is_garbled(response):
            return _GARBLED
        if response.status >= _FIRST_ERROR:
            return _error(operation, response)
        body = json.loads(response.body.decode())
        return read(body) if response.status == _OK and isinstance(body, dict) else unreadable()

    def _end_role_on_fault(self, result: _T) -> _T:
        """Return the result. After a fault the next attempt assumes the role again, since that may be the cause."""
        if self._role is not None and isinstance(result, Refusal) and result.kind is RefusalKind.FAULT:
            self._role.end()
        return result

    def _send(self, operation: str, body: bytes) -> Wait:
        assert self._route is not None  # noqa: S101  for the type checker: describe has set it
        url, headers = self._route.transport.url, self._route.headers_for(operation)
        request = botocore_private.unsigned(url, headers=headers, body=body, context=self._route.context)
        self._parts.sign(operation, request)
        prepared = request.prepare()
        response = botocore_private.response_of_hook(self._client, operation, prepared)
        if response is None:
            return self._route.transport.start(prepared)
        return lambda: Response.of(response)


class _Route:
    """The endpoint, the signing context and the user agent of the client's DescribeTable request."""

    def __init__(self, headers: Mapping[str, str], context: Mapping[str, Any], transport: Transport) -> None:
        """Take the headers and the context of that request, and a transport to its URL."""
        self.context = context
        self.transport = transport
        self._user_agent = headers["User-Agent"]

    def headers_for(self, operation: str) -> Mapping[str, str]:
        """Return the headers of an unsigned request, with the trace of this invocation."""
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "User-Agent": self._user_agent,
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
        }
        botocore_private.add_trace(headers)
        return headers


def _error(operation: str, response: Response) -> Refusal:
    if response.body.lstrip().startswith(b"{"):
        # Raises if the JSON was cut off. botocore would read it as a page without an error code.
        json.loads(response.body.decode())
    found = botocore_private.error_of(response.status, response.headers, response.body)
    return refusal_of(ClientError(found, operation))


def _is_garbled(response: Response) -> bool:
    """Return whether a response differs from its checksum."""
    # botocore compares it only where it repeats requests itself. A garbled response may lack an item that exists.
    checksum = response.headers.get("x-amz-crc32")
    return checksum is not None and checksum != str(crc32(response.body))


def table_of(description: "TableDescriptionTypeDef") -> Table:
    """Read a response to DescribeTable. Raises any exception that its content causes."""
    types = {d["AttributeName"]: d["AttributeType"] for d in description["AttributeDefinitions"]}
    names = [part["AttributeName"] for part in description["KeySchema"]]
    key_schema = frozenset((name, types[name]) for name in names)
    arn, status = description["TableArn"], description["TableStatus"]
    # botocore also returns other types where a string is documented.
    if not key_schema or not all(isinstance(text, str) for text in (arn, status, *chain(*key_schema))):
        raise MalformedError("the description of the table is malformed")
    return Table(arn=arn, status=status, key_schema=key_schema)


def undescribed(refusal: Refusal) -> Refusal:
    """Return a refusal of DescribeTable. Since there is no item to reject, a rejected one is about the table's name."""
    return replace(refusal, kind=RefusalKind.FAULT) if refusal.kind is RefusalKind.REJECTED else refusal


def unprocessed(response: Mapping[str, Any], writes: Sequence[Write]) -> Sequence[Write] | Refusal:
    """Return the writes that a response to BatchWriteItem lists as unprocessed, or why it cannot be read."""
    # A response without the list is no success: it does not show that the writes were applied.
    if not isinstance(response.get("UnprocessedItems"), dict):
        return _INCOMPLETE
    if not response["UnprocessedItems"]:
        return ()
    key_names = [name for name, _, _ in writes[0].change.key]
    try:
        left = {_request_of(entry, key_names) for entry in _entries(response["UnprocessedItems"])}
    # An entry that cannot be read may be any of the writes, so none counts as applied.
    except (KeyError, MalformedError):
        return _UNMATCHED
    by_request = {(write.is_delete, write.change.key): write for write in writes}
    if not left <= by_request.keys():
        return _UNMATCHED
    return [write for request, write in by_request.items() if request in left]


def _states(response: Mapping[str, Any], keys: Sequence[Key]) -> Mapping[Key, State] | Refusal:
    """Return the states that were read: an item, or None for a key without item that is not unprocessed."""
    names = [name for name, _, _ in keys[0]]
    try:
        left = {key_of(key) for part in response["UnprocessedKeys"].values() for key in _listed(part["Keys"])}
        items = {
            key_of({name: item[name] for name in names}): item for item in _entries(response["Responses"])
        }
    except (AttributeError, KeyError, TypeError, MalformedError):
        return _UNMATCHED
    # `reconcile` deletes what is absent, so the response has to be that of this request.
    if not (left | items.keys()) <= set(keys):
        return _UNMATCHED
    return {key: items.get(key) for key in keys if key not in left}


def _entries(by_table: Mapping[str, Any]) -> list[Any]:
    """Return the entries of all tables in one list."""
    return [entry for entries in by_table.values() for entry in _listed(entries)]


def _listed(part: Any) -> list[Any]:
    """Return a list unchanged. Raises MalformedError for anything else, also if it is empty."""
    if not isinstance(part, list):
        raise MalformedError("a list is missing")
    return part


def _request_of(entry: Mapping[str, Any], key_names: Sequence[str]) -> tuple[bool, Key]:
    is_delete = "DeleteRequest" in entry
    attributes = entry["DeleteRequest"]["Key"] if is_delete else entry["PutRequest"]["Item"]
    return is_delete, key_of({name: attributes[name] for name in key_names})
