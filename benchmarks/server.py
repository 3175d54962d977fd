"""A simulated table: it responds as DynamoDB does, after a set time, and counts the requests and items.

It runs in a process of its own, so that only the work of the contestants is measured.
"""

import asyncio
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, TypeAlias, cast

from benchmarks.workloads import KEY, TABLE, Item

Orders: TypeAlias = "Connection[int | Counts, Reset | None]"
"""The server first sends its port, and then for each reset the counts before it; None stops it."""

_DESCRIPTION = {
    "Table": {
        "TableName": TABLE,
        "TableArn": f"arn:aws:dynamodb:us-east-1:123456789012:table/{TABLE}",
        "TableStatus": "ACTIVE",
        "CreationDateTime": 1.7e9,
        "KeySchema": [{"AttributeName": KEY, "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": KEY, "AttributeType": "S"}],
    }
}
_ANSWERS: Mapping[str, Any] = {
    "BatchWriteItem": {"UnprocessedItems": {}},
    "DescribeTable": _DESCRIPTION,
    "PutItem": {},
    "DeleteItem": {},
    "GetSecretValue": {"SecretString": "the secret of a transform"},
}


@dataclass(frozen=True, slots=True)
class Reset:
    """Reset the counts. `service_time` is in seconds; with `keep` the content of the table is stored as well."""

    service_time: float
    keep: bool = False


@dataclass(slots=True)
class Counts:
    """The counts of requests and items, and (with `keep`) the last state of each key; None is a delete."""

    requests: int = 0
    items: int = 0
    table: dict[str, Item | None] = field(default_factory=dict)


class _Service:
    """The state that all connections share."""

    def __init__(self) -> None:
        self.counts = Counts()
        self._reset = Reset(0)
        self._answers = {operation: _response(answer) for operation, answer in _ANSWERS.items()}

    def reset(self, to: Reset) -> None:
        self.counts = Counts()
        self._reset = to

    def serve(self, operation: str, body: bytes, answer: Callable[[bytes], object]) -> None:
        if operation not in ("DescribeTable", "GetSecretValue"):
            self._count(operation, body)
        response = self._answers[operation]
        if self._reset.service_time:
            asyncio.get_running_loop().call_later(self._reset.service_time, answer, response)
        else:
            answer(response)

    def _count(self, operation: str, body: bytes) -> None:
        self.counts.requests += 1
        if operation == "BatchWriteItem":
            self.counts.items += body.count(b'"PutRequest"') + body.count(b'"DeleteRequest"')
        else:
            self.counts.items += 1
        if self._reset.keep:
            _apply(operation, json.loads(body), self.counts.table)


class _Client(asyncio.Protocol):
    """One connection, which is kept alive. It responds when the whole body of a request has arrived."""

    def __init__(self, service: _Service) -> None:
        self._service = service
        self._received = bytearray()
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (head := self._received.find(b"\r\n\r\n")) >= 0:
            headers = _headers(bytes(self._received[:head]))
            end = head + 4 + int(headers.get("content-length", 0))
            if len(self._received) < end:
                return
            body = bytes(self._received[head + 4 : end])
            del self._received[:end]
            self._service.serve(headers["x-amz-target"].rpartition(".")[2], body, self._transport.write)


def _headers(head: bytes) -> Mapping[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _response(answer: Any) -> bytes:
    body = json.dumps(answer).encode()
    head = (
        "HTTP/1.1 200 OK",
        "Server: Server",
        "Content-Type: application/x-amz-json-1.0",
        f"Content-Length: {len(body)}",
        "Connection: keep-alive",
        f"x-amzn-RequestId: {'A' * 52}",
        f"x-amz-crc32: {zlib.crc32(body)}",
    )
    return "\r\n".join((*head, "", "")).encode() + body


def _apply(operation: str, body: Mapping[str, Any], table: dict[str, Item | None]) -> None:
    match operation:
        case "PutItem":
            table[body["Item"][KEY]["S"]] = body["Item"]
        case "DeleteItem":
            table[body["Key"][KEY]["S"]] = None
        case "BatchWriteItem":
            for entry in body["RequestItems"][TABLE]:
                ((kind, content),) = entry.items()
                _apply(kind.replace("Request", "Item"), content, table)


def run(orders: Orders) -> None:
    """Serve until None is received."""
    asyncio.run(_run(orders))


async def _run(orders: Orders) -> None:
    loop = asyncio.get_running_loop()
    service = _Service()
    server = await loop.create_server(lambda: _Client(service), "127.0.0.1", 0)
    orders.send(server.sockets[0].getsockname()[1])
    ended = asyncio.Event()

    def obey() -> None:
        order = orders.recv()
        if order is None:
            ended.set()
            return
        orders.send(service.counts)
        service.reset(order)

    loop.add_reader(orders.fileno(), obey)
    await ended.wait()
    server.close()
