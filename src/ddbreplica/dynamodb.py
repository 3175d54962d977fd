"""The Replica and Source protocols on boto3's DynamoDB client.

The stream's images are the wire JSON that DynamoDB takes, so a write's body is put together from their text as
it is, and goes out by the client's own signer and connections to where the client's own endpoint rules sent
DescribeTable. What they pass by, the serialiser, the endpoint rules and most hooks, is most of a request's CPU.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from zlib import crc32

import boto3
import botocore
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import create_parser

from ddbreplica.decode import MalformedError, attributes_of, key_of
from ddbreplica.model import Key, Kind, Pending, Refusal, State, Table, Write
from ddbreplica.refusal import refusal_of
from ddbreplica.send import IN_FLIGHT
from ddbreplica.transport import Answer, Transport, Wait

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TableDescriptionTypeDef

    from ddbreplica.role import Role

_OK = 200
_GARBLED = Refusal(Kind.TRANSIENT, "GarbledAnswer", "the answer does not have the checksum that it came with")
_UNREADABLE = Refusal(Kind.TRANSIENT, "UnreadableAnswer", "the answer is not JSON")
_UNMATCHED = Refusal(Kind.TRANSIENT, "UnmatchedAnswer", "the answer does not match the request")
_UNSAID = Refusal(
    Kind.TRANSIENT, "MissingUnprocessedItems", "the answer does not say what was left unprocessed"
)

_Result: TypeAlias = Mapping[str, Any] | Refusal
_T = TypeVar("_T")

_PARSER = create_parser("json")
_NO_SHAPE: Any = None  # an error's code and message need none
_USER_AGENT = f"ddbreplica Botocore/{botocore.__version__}"

CLIENT_CONFIG = Config(
    # One attempt, and short: repeating is send's business, which knows the invocation's deadline, and an
    # attempt that times out may still land later, so that each one has to be known of.
    retries={"mode": "standard", "total_max_attempts": 1},
    connect_timeout=1,
    read_timeout=5,
    max_pool_connections=IN_FLIGHT,
    tcp_keepalive=True,
    parameter_validation=False,
    user_agent=_USER_AGENT,
)


def connect(table: str, *, region: str | None, role: "Role | None" = None) -> "DynamoDBReplica":
    """The replica by its name or ARN, written to as `role`. An ARN's Region is used unless `region` names one."""
    if region is None and table.startswith("arn:"):
        region = table.split(":")[3]
    if role is None:
        return DynamoDBReplica(boto3.client("dynamodb", region_name=region, config=CLIENT_CONFIG), table)
    client = role.session().client("dynamodb", region_name=region, config=CLIENT_CONFIG)
    return DynamoDBReplica(client, table, role=role)


class DynamoDBReplica:
    """A table that is written to, or read from, by its name or ARN."""

    def __init__(self, client: "DynamoDBClient", table: str, *, role: "Role | None" = None) -> None:
        """Take over the client's signer, connections and hooks: botocore's own, if not documented.

        A fault ends what `role`, which the client acts as, was granted.
        """
        internals: Any = client
        self._client = client
        self._signer = internals._request_signer  # noqa: SLF001
        self._session = internals._endpoint.http_session  # noqa: SLF001
        self._events: Any = client.meta.events
        self._role = role
        self._table = table
        self._json_table = json.dumps(table)
        self._described: Table | None = None
        self._route: _Route | None = None
        self._events.register("request-created.dynamodb.DescribeTable", self._keep_route)

    def describe(self, *, afresh: bool = False) -> Table | Refusal:
        """What the table looks like; unless `afresh`, as it looked when last asked."""
        if self._described is None or afresh:
            described = self._heard(self._describe())
            if isinstance(described, Refusal):
                return described
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
        wait = self._start("BatchWriteItem", f'{{"RequestItems":{{{self._json_table}:[{requests}]}}}}')
        return lambda: answer if isinstance(answer := wait(), Refusal) else _unprocessed(answer, writes)

    def start_one(self, write: Write) -> Pending:
        """One PutItem or DeleteItem."""
        operation, member = ("DeleteItem", "Key") if write.is_delete else ("PutItem", "Item")
        wait = self._start(operation, f'{{"TableName":{self._json_table},"{member}":{write.text}}}')
        return lambda: answer if isinstance(answer := wait(), Refusal) else ()

    def read_batch(self, keys: Sequence[Key]) -> Mapping[Key, State] | Refusal:
        """One BatchGetItem; an answer that cannot be matched to the request counts as nothing read."""
        asked = json.dumps([attributes_of(key) for key in keys])
        body = f'{{"RequestItems":{{{self._json_table}:{{"ConsistentRead":true,"Keys":{asked}}}}}}}'
        answer = self.ask("BatchGetItem", body)
        return answer if isinstance(answer, Refusal) else _states(answer, keys)

    def ask(self, operation: str, body: str) -> Mapping[str, Any] | Refusal:
        """One attempt of an operation whose request is this wire JSON, in ASCII: its answer as wire JSON."""
        return self._start(operation, body)()

    def _describe(self) -> Table | Refusal:
        try:
            return _table(self._client.describe_table(TableName=self._table)["Table"])
        except (BotoCoreError, ClientError) as error:
            refusal = refusal_of(error)
            # DescribeTable has no item to reject: a ValidationException means an illegal table name.
            return replace(refusal, kind=Kind.FAULT) if refusal.kind is Kind.REJECTED else refusal
        except (AttributeError, KeyError, TypeError):
            # botocore passes on whatever it could not read of an answer.
            return _UNREADABLE

    def _keep_route(self, request: Any, **_: Any) -> None:
        self._route = _Route(request.url, request.context, Transport(self._session, request.url))

    def _start(self, operation: str, body: str) -> Callable[[], _Result]:
        """Make one attempt; what is returned waits for the answer's wire JSON, or says why there is none."""
        if self._described is None and isinstance(undescribed := self.describe(), Refusal):
            return lambda: undescribed
        try:
            wait = self._send(operation, body.encode("ascii"))
        except (BotoCoreError, ClientError) as error:  # the latter from STS, while signing
            unsent = self._heard(refusal_of(error))
            return lambda: unsent
        return lambda: self._heard(_result(operation, wait))

    def _heard(self, answer: _T) -> _T:
        """The same; a fault may be the end of what a role was granted, which the next attempt then asks for anew."""
        if self._role is not None and isinstance(answer, Refusal) and answer.kind is Kind.FAULT:
            self._role.end()
        return answer

    def _send(self, operation: str, body: bytes) -> Wait:
        assert self._route is not None  # noqa: S101  told to the type checker: describe has set it
        request = AWSRequest("POST", self._route.url, headers=_headers(operation), data=body)
        request.context = {**self._route.context}  # its own: the signer keeps its timestamp there
        self._signer.sign(operation, request)
        prepared = request.prepare()
        # The hook that tools answer by in the place of AWS.
        _, response = self._events.emit_until_response(f"before-send.dynamodb.{operation}", request=prepared)
        if response is None:
            return self._route.transport.start(prepared)
        return lambda: Answer.of(response)


@dataclass(frozen=True, slots=True)
class _Route:
    """Where the client's endpoint rules sent DescribeTable, and how it was signed."""

    url: str
    context: Mapping[str, Any]
    transport: Transport


def _headers(operation: str) -> Mapping[str, str]:
    return {
        "Content-Type": "application/x-amz-json-1.0",
        "User-Agent": _USER_AGENT,
        "X-Amz-Target": f"DynamoDB_20120810.{operation}",
    }


def _result(operation: str, wait: Wait) -> _Result:
    try:
        answer = wait()
    except BotoCoreError as error:
        return refusal_of(error)
    if answer.status != _OK:
        raw = {"status_code": answer.status, "headers": answer.headers, "body": answer.body}
        return refusal_of(ClientError(_PARSER.parse(raw, _NO_SHAPE), operation))
    if _is_garbled(answer):
        return _GARBLED
    try:
        result: Mapping[str, Any] = json.loads(answer.body)
    except ValueError:
        return _UNREADABLE
    return result if isinstance(result, dict) else _UNREADABLE


def _is_garbled(answer: Answer) -> bool:
    """Whether an answer is other than it was sent. botocore looks where it repeats a request, which we do ourselves."""
    checksum = answer.headers.get("x-amz-crc32")
    return checksum is not None and checksum != str(crc32(answer.body))


def _table(description: "TableDescriptionTypeDef") -> Table:
    types = {d["AttributeName"]: d["AttributeType"] for d in description["AttributeDefinitions"]}
    names = [part["AttributeName"] for part in description["KeySchema"]]
    return Table(
        arn=description["TableArn"],
        is_active=description["TableStatus"] == "ACTIVE",
        key_schema=frozenset((name, types[name]) for name in names),
    )


def _unprocessed(answer: Mapping[str, Any], writes: Sequence[Write]) -> Sequence[Write] | Refusal:
    if not isinstance(answer.get("UnprocessedItems"), dict):
        return _UNSAID
    if not answer["UnprocessedItems"]:
        return ()
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


def _states(answer: Mapping[str, Any], keys: Sequence[Key]) -> Mapping[Key, State] | Refusal:
    """What was read: an item, or None for a key that the answer neither holds nor names as unprocessed."""
    names = [name for name, _, _ in keys[0]]
    try:
        left = {key_of(key) for part in answer["UnprocessedKeys"].values() for key in part["Keys"]}
        items = {
            key_of({name: item[name] for name in names}): item
            for part in answer["Responses"].values()
            for item in part
        }
    except (AttributeError, KeyError, TypeError, MalformedError):
        return _UNMATCHED
    if not (left | items.keys()) <= set(keys):
        return _UNMATCHED
    return {key: items.get(key) for key in keys if key not in left}


def _request_of(entry: Mapping[str, Any], key_names: Sequence[str]) -> tuple[bool, Key]:
    is_delete = "DeleteRequest" in entry
    attributes = entry["DeleteRequest"]["Key"] if is_delete else entry["PutRequest"]["Item"]
    return is_delete, key_of({name: attributes[name] for name in key_names})
