"""Pass the function's requests on to an AWS behind the proxy, and its responses back, with the faults of a script."""

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from socketserver import BaseServer, ThreadingTCPServer
from types import MappingProxyType
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

AWS: Mapping[str, str] = MappingProxyType({"x-amzn-RequestId": "R1"})
"""The request id, by which a response of AWS is recognised."""

_HOLD_BACK = socket.TCP_CORK if sys.platform == "linux" else socket.TCP_NODELAY
"""On Linux, data is sent only when the connection is shut down. On other systems a request may arrive before that."""

_OF_A_SIGNATURE = ("authorization", "x-amz-date")
_PASSED_ON = ("x-amzn-RequestId", "Date", "ETag")


@dataclass(frozen=True, slots=True)
class Answer:
    """A response. `headers` are those of AWS without its length, or none if AWS did not send it."""

    status: int
    content: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def wire(self) -> bytes:
        headers = {"Content-Length": str(len(self.content)), **self.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {self.status} -\r\n{lines}\r\n".encode() + self.content


class Exchange:
    """A request, and what a fault can do with it.

    It is under way until it gets a response, is dropped, or its client closes the connection: then it is abandoned.
    """

    def __init__(self, connection: "_Connection", target: str, sign: "Sign") -> None:
        headers = connection.headers
        # A request to S3 has no operation in its headers; the function uses only PutObject.
        self.operation = headers.get("X-Amz-Target", "S3.PutObject").partition(".")[2]
        self.connection = connection
        self.fault: Fault = passed_on
        self.is_abandoned = False
        self.is_over = False
        self._body = connection.rfile.read(int(headers.get("Content-Length", 0)))
        self._target = target
        self._sign = sign
        self._is_settled = False

    @property
    def content(self) -> Any:
        """The JSON of the request."""
        return json.loads(self._body)

    @property
    def is_under_way(self) -> bool:
        if not self._is_settled and not self.is_abandoned:
            self.is_abandoned = self._has_hung_up()
        return not self._is_settled and not self.is_abandoned

    def forward(self, content: Any = None) -> Answer:
        """Send the request to AWS, or another one with this content, and return the response."""
        body, headers = self._body, dict(self.connection.headers)
        if content is not None:
            body = json.dumps(content).encode()
            headers = self._sign(headers | {"Content-Length": str(len(body))}, body)
        behind = HTTPConnection(self._target, timeout=30)
        try:
            behind.request(self.connection.command, self.connection.path, body, headers)
            response = behind.getresponse()
            headers = {name: value for name in _PASSED_ON if (value := response.headers.get(name))}
            return Answer(response.status, response.read(), headers)
        finally:
            behind.close()

    def answer(self, answer: Answer) -> None:
        self.send(answer.wire)

    def send(self, *pieces: bytes, pause: float = 0.0) -> None:
        """Send the bytes of a response in pieces, with a pause before each."""
        for piece in pieces[:-1]:
            time.sleep(pause)
            self.connection.wfile.write(piece)
        time.sleep(pause)
        # Before the last piece: a client that has the whole response may check at once whether a request is under way.
        self._is_settled = self.is_under_way
        self.connection.wfile.write(pieces[-1])

    def end_with(self, answer: Answer) -> None:
        """Send a response and the end of the connection in one segment, so that no request arrives between them."""
        connection = self.connection.connection
        connection.setsockopt(socket.IPPROTO_TCP, _HOLD_BACK, 1)
        self.answer(answer)
        self.drop()
        connection.shutdown(socket.SHUT_WR)

    def drop(self) -> None:
        """Close the connection without a response, or without the rest of it."""
        self._is_settled = self._is_settled or self.is_under_way
        self.connection.close_connection = True

    def wait_for_hang_up(self) -> None:
        """Wait until the client closes the connection, and then drop it."""
        with suppress(ConnectionError):
            self.connection.connection.recv(1, socket.MSG_PEEK)
        self.is_abandoned = True
        self.drop()

    def _has_hung_up(self) -> bool:
        try:
            return not self.connection.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True


Fault: TypeAlias = Callable[[Exchange], None]
Script: TypeAlias = Callable[[Exchange], Fault]
Sign: TypeAlias = Callable[[Mapping[str, str], bytes], dict[str, str]]
"""Takes the headers of a DynamoDB request and its new body, and returns the signed headers."""


class Proxy:
    """An endpoint on loopback. `script` chooses the fault of each request; by default requests are passed on."""

    def __init__(self, target: str, sign: "Sign") -> None:
        """Listen. `target` is the URL of the AWS behind the proxy. `sign` signs a request that a fault has changed."""
        self.script: Script = lambda _: passed_on
        self.exchanges: list[Exchange] = []
        self._target = urlsplit(target).netloc
        self._sign = sign
        self._server = _Server(0, self)
        self._port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self._port}"

    def serve(self, connection: "_Connection") -> None:
        exchange = Exchange(connection, self._target, self._sign)
        self.exchanges.append(exchange)
        exchange.fault = self.script(exchange)
        try:
            exchange.fault(exchange)
        except ConnectionError:
            pass  # the client has closed the connection
        finally:
            exchange.is_over = True

    def wait_until_quiet(self) -> None:
        """Wait until all forwarded requests have ended, except those that are late on purpose."""
        give_up_at = time.monotonic() + 30
        while any(not (exchange.is_over or isinstance(exchange.fault, Late)) for exchange in self.exchanges):
            assert time.monotonic() < give_up_at, "a request is still under way"
            time.sleep(0.001)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Close all connections, and refuse every new one until the block ends."""
        self.close()
        with socket.socket() as bound:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(("127.0.0.1", self._port))  # the port is taken, but nothing listens
            yield
        self._server = _Server(self._port, self)

    def close(self) -> None:
        self._server.end()


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int, proxy: Proxy) -> None:
        super().__init__(("127.0.0.1", port), _Connection)
        self.proxy = proxy
        self._open: set[Any] = set()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def end(self) -> None:
        self.shutdown()
        self.server_close()
        for connection in tuple(self._open):
            with suppress(OSError):  # the connection may just have ended
                connection.shutdown(socket.SHUT_RDWR)


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        server: BaseServer = self.server
        assert isinstance(server, _Server)
        server.proxy.serve(self)

    do_PUT = do_POST  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


def passed_on(exchange: Exchange) -> None:
    exchange.answer(exchange.forward())


def refusal(status: int, code: str) -> Fault:
    """Return a fault that responds with an error of AWS, and does not apply the request."""

    def refuse(exchange: Exchange) -> None:
        content = (
            f"<Error><Code>{code}</Code><Message>why</Message></Error>"
            if exchange.operation == "PutObject"
            else json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "why"})
        )
        exchange.answer(Answer(status, content.encode(), AWS))

    return refuse


def turned_away(exchange: Exchange) -> None:
    """Respond with a gateway's page instead of AWS's response."""
    exchange.answer(Answer(503, b"<html><body>Service Unavailable</body></html>"))


def dropped_before(exchange: Exchange) -> None:
    """Close the connection, and never apply the request."""
    exchange.drop()


def dropped_after(exchange: Exchange) -> None:
    """Apply the request, and close the connection without a response."""
    exchange.forward()
    exchange.drop()


def dropped_within(exchange: Exchange) -> None:
    """Send a response without its last byte."""
    exchange.send(exchange.forward().wire[:-1])
    exchange.drop()


def closed_after(exchange: Exchange) -> None:
    """Send a response and close the connection, which its headers do not announce."""
    answer = exchange.forward()
    exchange.end_with(answer)


def silent(exchange: Exchange) -> None:
    """Apply the request, and send no response before the client times out."""
    exchange.forward()
    exchange.wait_for_hang_up()


def unheard(exchange: Exchange) -> None:
    """Never apply the request, and send no response."""
    exchange.wait_for_hang_up()


def dribbled(exchange: Exchange) -> None:
    """Send the response in pieces, which together take longer than the read timeout."""
    wire = exchange.forward().wire
    step = max(1, len(wire) // 16)
    exchange.send(*(wire[at : at + step] for at in range(0, len(wire), step)), pause=0.04)


def answered(content: bytes, headers: Mapping[str, str] = AWS) -> Fault:
    """Return a fault that responds with success, as AWS or without its request id, and does not apply the request."""

    def answer(exchange: Exchange) -> None:
        exchange.answer(Answer(200, content, headers))

    return answer


def cut_short(exchange: Exchange) -> None:
    """Send a response without its last character, and with a Content-Length that fits."""
    answer = exchange.forward()
    exchange.answer(Answer(answer.status, answer.content[:-1], answer.headers))


def half_unprocessed(exchange: Exchange) -> None:
    """Leave every second write of a batch unprocessed, beginning with the first."""
    ((table, writes),) = exchange.content["RequestItems"].items()
    left, done = writes[::2], writes[1::2]
    if done and (answer := exchange.forward({"RequestItems": {table: done}})).status != 200:
        exchange.answer(answer)
    else:
        exchange.answer(Answer(200, json.dumps({"UnprocessedItems": {table: left}}).encode(), AWS))


class Late:
    """A fault that applies a request only when `let_go` is called, long after the client had ended it."""

    def __init__(self, answer: Answer | None = None) -> None:
        self._answer = answer
        self._may_go = threading.Event()
        self._has_landed = threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        if self._answer is None:
            exchange.wait_for_hang_up()
        else:
            exchange.answer(self._answer)
        self._may_go.wait()
        exchange.forward()
        self._has_landed.set()

    def let_go(self) -> None:
        """Apply the request now."""
        self._may_go.set()
        assert self._has_landed.wait(10)


_ANOTHER_TABLE = {
    "TableName": "another",
    "TableArn": "arn:aws:dynamodb:us-east-1:123456789012:table/another",
    "TableStatus": "ACTIVE",
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "N"}],
}
_ANOTHER_WRITE = {"PutRequest": {"Item": {"PK": {"S": "of another table"}}}}

FAULTS: Mapping[str, Fault] = {
    "throttled": refusal(400, "ThrottlingException"),
    "over capacity": refusal(400, "ProvisionedThroughputExceededException"),
    "slow down": refusal(503, "SlowDown"),
    "failing": refusal(500, "InternalServerError"),
    "unavailable": refusal(503, "ServiceUnavailable"),
    "denied": refusal(403, "AccessDeniedException"),
    "turned away": turned_away,
    "dropped before": dropped_before,
    "dropped after": dropped_after,
    "dropped within": dropped_within,
    "closed after": closed_after,
    "silent": silent,
    "unheard": unheard,
    "dribbled": dribbled,
    "a page of something else": answered(b"<html><body>Welcome</body></html>", {}),
    "well-formed, not from AWS": answered(b'{"UnprocessedItems": {}}', {}),
    "not JSON": answered(b"<html><body>Welcome</body></html>"),
    "no object": answered(b"null"),
    "empty": answered(b"{}"),
    "no list": answered(b'{"UnprocessedItems": null}'),
    "cut short": cut_short,
    "half unprocessed": half_unprocessed,
    "another table's description": answered(json.dumps({"Table": _ANOTHER_TABLE}).encode()),
    "another table's writes": answered(
        json.dumps({"UnprocessedItems": {"another": [_ANOTHER_WRITE]}}).encode()
    ),
}
"""The faults by name, except a late request and a refused connection."""


def signer(access_key: str, secret_key: str, region: str) -> Sign:
    """Return a function that signs as DynamoDB's own client does, with these credentials."""

    def sign(headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        bare = {name: value for name, value in headers.items() if name.lower() not in _OF_A_SIGNATURE}
        request = AWSRequest("POST", f"http://{headers['Host']}/", data=body, headers=bare)
        SigV4Auth(Credentials(access_key, secret_key), "dynamodb", region).add_auth(request)
        return dict(request.headers)

    return sign
