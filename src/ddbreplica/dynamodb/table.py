"""The Replica and Source protocols on boto3's DynamoDB client.

The stream's images are the wire JSON that DynamoDB takes, so a write's body is put together from their text as
it is, and goes out by the client's own signer and connections to where the client's own endpoint rules sent
DescribeTable. What they pass by, the serialiser, the endpoint rules and most hooks, is most of a request's CPU.
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
from ddbreplica.dynamodb.transport import Answer, Transport, Wait
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
_UNSAID = Refusal(
    RefusalKind.TRANSIENT, "MissingUnprocessedItems", "the response has no UnprocessedItems", in_doubt=True
)

_Body: TypeAlias = Mapping[str, Any]
_T = TypeVar("_T")

CLIENT_CONFIG = Config(
    # One attempt, and short: repeating is send's business, which knows the invocation's deadline, and an
    # attempt that times out may still land later, so that each one has to be known of.
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
    """The replica by its name or ARN, written to as `role`. Raises MissingPartError where botocore lacks a part."""
    return DynamoDBReplica(client_of(table, region=region, role=role), table, role=role, skew=skew)


def client_of(table: str, *, region: str | None, role: "Role | None") -> "DynamoDBClient":
    """Return a client that acts as `role`, in the Region of a table's ARN unless `region` names one."""
    if region is None and table.startswith("arn:"):
        region = table.split(":")[3]
    if role is None:
        return boto3.client("dynamodb", region_name=region, config=CLIENT_CONFIG)
    return role.session().client("dynamodb", region_name=region, config=CLIENT_CONFIG)


class DynamoDBReplica:
    """A table that is written to, or read from, by its name or ARN."""

    def __init__(
        self,
        client: "DynamoDBClient",
        table: str,
        *,
        role: "Role | None" = None,
        skew: Skew | None = None,
    ) -> None:
        """Take over the client's signer, connections and hooks. Raises MissingPartError where botocore lacks them.

        A fault ends what `role`, which the client acts as, was granted. `skew` observes the date of every response.
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
        """What the table looks like; unless `refresh`, as it looked when last asked."""
        if self._described is None or refresh:
            described = self._heard(asked(self._describe))
            if isinstance(described, Refusal):
                return undescribed(described)
            self._described = described
        return self._described

    def start_batch(self, writes: Sequence[Write]) -> Pending:
        """One BatchWriteItem; an answer that cannot be matched to the request counts as nothing applied."""
        requests = ",".join(
            f'{{"DeleteRequest":{{"Key":{write.text}}}}}'
            if write.is_delete
            else f'{{"PutRequest":{{"Item":{write.text}}}}}'
            for write in writes
        )
        body = f'{{"RequestItems":{{{self._json_table}:[{requests}]}}}}'
        return self._start("BatchWriteItem", body, lambda response: unprocessed(response, writes))

    def start_one(self, write: Write) -> Pending:
        """One PutItem or DeleteItem."""
        operation, member = ("DeleteItem", "Key") if write.is_delete else ("PutItem", "Item")
        body = f'{{"TableName":{self._json_table},"{member}":{write.text}}}'
        return self._start(operation, body, lambda _: ())

    def read_batch(self, keys: Sequence[Key]) -> Mapping[Key, State] | Refusal:
        """One BatchGetItem; an answer that cannot be matched to the request counts as nothing read."""
        asked = json.dumps([attributes_of(key) for key in keys])
        body = f'{{"RequestItems":{{{self._json_table}:{{"ConsistentRead":true,"Keys":{asked}}}}}}}'
        return self._start("BatchGetItem", body, lambda response: _states(response, keys))()

    def ask(self, operation: str, body: str, read: Callable[[_Body], _T | Refusal]) -> _T | Refusal:
        """Make one attempt of an operation, whose request is DynamoDB JSON in ASCII; `read` reads the response.

        Whatever `read` raises makes the response unreadable, and is not raised.
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
        # A transport knows for how long its connections were idle: it is kept while it serves the same URL.
        transport = self._route.transport if self._route else None
        if transport is None or transport.url != request.url:
            transport = Transport(self._parts.http_session, request.url)
        self._route = _Route(request.headers, request.context, transport)

    def _start(
        self, operation: str, body: str, read: Callable[[_Body], _T | Refusal]
    ) -> Callable[[], _T | Refusal]:
        """Make one attempt; what is returned waits for the response and reads it, or says why it cannot be read."""
        if self._described is None and isinstance(described := self.describe(), Refusal):
            unsent = replace(described, in_doubt=False)
            return lambda: unsent
        wait = asked(lambda: self._send(operation, body.encode("ascii")))
        if isinstance(wait, Refusal):
            refused = self._heard(wait)
            return lambda: refused
        sent_at = time()
        return lambda: self._heard(asked(lambda: self._received(operation, wait(), sent_at, read)))

    def _received(
        self, operation: str, response: Answer, sent_at: float, read: Callable[[_Body], _T | Refusal]
    ) -> _T | Refusal:
        """Read a response; raises whatever its content makes a reader raise."""
        if not is_from_aws(response.headers):
            return foreign(response.status)
        self._skew.observe(response.headers.get("date"), sent_at=sent_at)
        if _is_garbled(response):
            return _GARBLED
        if response.status >= _FIRST_ERROR:
            return _error(operation, response)
        body = json.loads(response.body.decode())
        return read(body) if response.status == _OK and isinstance(body, dict) else unreadable()

    def _heard(self, answer: _T) -> _T:
        """The same; a fault may be the end of what a role was granted, which the next attempt then asks for anew."""
        if self._role is not None and isinstance(answer, Refusal) and answer.kind is RefusalKind.FAULT:
            self._role.end()
        return answer

    def _send(self, operation: str, body: bytes) -> Wait:
        assert self._route is not None  # noqa: S101  told to the type checker: describe has set it
        url, headers = self._route.transport.url, self._route.headers_for(operation)
        request = botocore_private.unsigned(url, headers=headers, body=body, context=self._route.context)
        self._parts.sign(operation, request)
        prepared = request.prepare()
        response = botocore_private.response_of_hook(self._client, operation, prepared)
        if response is None:
            return self._route.transport.start(prepared)
        return lambda: Answer.of(response)


class _Route:
    """Where the client's endpoint rules sent DescribeTable, how it was signed, and who it said was asking."""

    def __init__(self, headers: Mapping[str, str], context: Mapping[str, Any], transport: Transport) -> None:
        """Take these of DescribeTable's request."""
        self.context = context
        self.transport = transport
        self._user_agent = headers["User-Agent"]

    def headers_for(self, operation: str) -> Mapping[str, str]:
        """The headers of a request before it is signed, with the trace that this invocation is a part of."""
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "User-Agent": self._user_agent,
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
        }
        botocore_private.add_trace(headers)
        return headers


def _error(operation: str, response: Answer) -> Refusal:
    if response.body.lstrip().startswith(b"{"):
        json.loads(
            response.body.decode()
        )  # raises where it was cut, which botocore takes for a page without JSON
    found = botocore_private.error_of(response.status, response.headers, response.body)
    return refusal_of(ClientError(found, operation))


def _is_garbled(answer: Answer) -> bool:
    """Whether an answer is other than it was sent. botocore looks where it repeats a request, which we do ourselves."""
    checksum = answer.headers.get("x-amz-crc32")
    return checksum is not None and checksum != str(crc32(answer.body))


def table_of(description: "TableDescriptionTypeDef") -> Table:
    """Read a response to DescribeTable. Raises whatever its content makes a reader raise."""
    types = {d["AttributeName"]: d["AttributeType"] for d in description["AttributeDefinitions"]}
    names = [part["AttributeName"] for part in description["KeySchema"]]
    key_schema = frozenset((name, types[name]) for name in names)
    arn, status = description["TableArn"], description["TableStatus"]
    # botocore hands on whatever stands where a text belongs.
    if not key_schema or not all(isinstance(text, str) for text in (arn, status, *chain(*key_schema))):
        raise MalformedError("the description of the table is not one")
    return Table(arn=arn, status=status, key_schema=key_schema)


def undescribed(refusal: Refusal) -> Refusal:
    """Return why a table cannot be described. DescribeTable has no item to reject: the table's name is illegal."""
    return replace(refusal, kind=RefusalKind.FAULT) if refusal.kind is RefusalKind.REJECTED else refusal


def unprocessed(answer: Mapping[str, Any], writes: Sequence[Write]) -> Sequence[Write] | Refusal:
    """Return the writes that a response to BatchWriteItem lists as unprocessed, or why it cannot be read."""
    if not isinstance(answer.get("UnprocessedItems"), dict):
        return _UNSAID
    if not answer["UnprocessedItems"]:
        return ()
    key_names = [name for name, _, _ in writes[0].change.key]
    try:
        left = {_request_of(entry, key_names) for entry in _entries(answer["UnprocessedItems"])}
    except (KeyError, MalformedError):
        return _UNMATCHED
    by_request = {(write.is_delete, write.change.key): write for write in writes}
    if not left <= by_request.keys():
        return _UNMATCHED
    return [write for request, write in by_request.items() if request in left]


def _states(answer: Mapping[str, Any], keys: Sequence[Key]) -> Mapping[Key, State] | Refusal:
    """What was read: an item, or None for a key that the answer neither holds nor names as unprocessed."""
    names = [name for name, _, _ in keys[0]]
    try:
        left = {key_of(key) for part in answer["UnprocessedKeys"].values() for key in _listed(part["Keys"])}
        items = {key_of({name: item[name] for name in names}): item for item in _entries(answer["Responses"])}
    except (AttributeError, KeyError, TypeError, MalformedError):
        return _UNMATCHED
    if not (left | items.keys()) <= set(keys):
        return _UNMATCHED
    return {key: items.get(key) for key in keys if key not in left}


def _entries(by_table: Mapping[str, Any]) -> list[Any]:
    """The entries of all tables."""
    return [entry for entries in by_table.values() for entry in _listed(entries)]


def _listed(part: Any) -> list[Any]:
    """The same, if it is a list: anything else that is empty would say that there is nothing."""
    if not isinstance(part, list):
        raise MalformedError("a list is missing")
    return part


def _request_of(entry: Mapping[str, Any], key_names: Sequence[str]) -> tuple[bool, Key]:
    is_delete = "DeleteRequest" in entry
    attributes = entry["DeleteRequest"]["Key"] if is_delete else entry["PutRequest"]["Item"]
    return is_delete, key_of({name: attributes[name] for name in key_names})
