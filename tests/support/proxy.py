"""The function's requests → an AWS behind, and its answers → the function, but for the faults a script asks for."""

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
"""The mark of a response of AWS's own."""

_HOLD_BACK = socket.TCP_CORK if sys.platform == "linux" else socket.TCP_NODELAY
"""Makes Linux send what is written only when the connection is shut down. Elsewhere a request may slip in."""

_OF_A_SIGNATURE = ("authorization", "x-amz-date")
_PASSED_ON = ("x-amzn-RequestId", "Date", "ETag")


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back for a request. `headers` are AWS's, but for its length, or none where it is not AWS's."""

    status: int
    content: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def wire(self) -> bytes:
        headers = {"Content-Length": str(len(self.content)), **self.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {self.status} -\r\n{lines}\r\n".encode() + self.content


class Exchange:
    """One request, and what a fault may do with it.

    It is under way until it is answered or dropped, or its client hangs up: then it is abandoned.
    """

    def __init__(self, connection: "_Connection", target: str, sign: "Sign") -> None:
        headers = connection.headers
        # S3 names its operation by the method; of it, the function knows one.
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
        """The request's JSON."""
        return json.loads(self._body)

    @property
    def is_under_way(self) -> bool:
        if not self._is_settled and not self.is_abandoned:
            self.is_abandoned = self._has_hung_up()
        return not self._is_settled and not self.is_abandoned

    def forward(self, content: Any = None) -> Answer:
        """Have the request carried out, or another one in its place; return the answer to it."""
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
        """Send an answer in pieces, as it is, with a pause before each."""
        for piece in pieces[:-1]:
            time.sleep(pause)
            self.connection.wfile.write(piece)
        time.sleep(pause)
        # Before the last piece: whoever has the whole answer may ask at once whether anything is under way.
        self._is_settled = self.is_under_way
        self.connection.wfile.write(pieces[-1])

    def end_with(self, answer: Answer) -> None:
        """Send an answer and the end of the connection in one segment, so that no request can go between them."""
        connection = self.connection.connection
        connection.setsockopt(socket.IPPROTO_TCP, _HOLD_BACK, 1)
        self.answer(answer)
        self.drop()
        connection.shutdown(socket.SHUT_WR)

    def drop(self) -> None:
        """Close the connection without a word; what was not sent by now never is."""
        self._is_settled = self._is_settled or self.is_under_way
        self.connection.close_connection = True

    def wait_for_hang_up(self) -> None:
        """Wait until the client has given up, and drop the connection then."""
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
"""Headers of a DynamoDB request and its new body → the headers, signed for it."""


class Proxy:
    """An endpoint on the loopback interface. `script` chooses what happens to a request; by default it passes."""

    def __init__(self, target: str, sign: "Sign") -> None:
        """Listen. `target` is the URL of the AWS behind; `sign` signs a request for it that a fault has changed."""
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
            pass  # a client that hung up needs no answer
        finally:
            exchange.is_over = True

    def wait_until_quiet(self) -> None:
        """Wait until whatever was forwarded has been carried out, but for what is late by intent."""
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
            bound.bind(("127.0.0.1", self._port))  # and not listening
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
            with suppress(OSError):  # it has just ended by itself
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
        """Say nothing."""


def passed_on(exchange: Exchange) -> None:
    exchange.answer(exchange.forward())


def refusal(status: int, code: str) -> Fault:
    """AWS's own no; nothing is carried out."""

    def refuse(exchange: Exchange) -> None:
        content = (
            f"<Error><Code>{code}</Code><Message>why</Message></Error>"
            if exchange.operation == "PutObject"
            else json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "why"})
        )
        exchange.answer(Answer(status, content.encode(), AWS))

    return refuse


def turned_away(exchange: Exchange) -> None:
    """Something in front of AWS answers in its place."""
    exchange.answer(Answer(503, b"<html><body>Service Unavailable</body></html>"))


def dropped_before(exchange: Exchange) -> None:
    """The request is never carried out."""
    exchange.drop()


def dropped_after(exchange: Exchange) -> None:
    """The request is carried out, and nobody says so."""
    exchange.forward()
    exchange.drop()


def dropped_within(exchange: Exchange) -> None:
    """The last byte of the answer is missing."""
    exchange.send(exchange.forward().wire[:-1])
    exchange.drop()


def closed_after(exchange: Exchange) -> None:
    """Send a response and close the connection, which its headers do not announce."""
    answer = exchange.forward()
    exchange.end_with(answer)


def silent(exchange: Exchange) -> None:
    """The request is carried out, and its answer comes too late."""
    exchange.forward()
    exchange.wait_for_hang_up()


def unheard(exchange: Exchange) -> None:
    """The request is never carried out, and nothing comes back."""
    exchange.wait_for_hang_up()


def dribbled(exchange: Exchange) -> None:
    """The answer comes in pieces, in more time than a silent one is given."""
    wire = exchange.forward().wire
    step = max(1, len(wire) // 16)
    exchange.send(*(wire[at : at + step] for at in range(0, len(wire), step)), pause=0.04)


def answered(content: bytes, headers: Mapping[str, str] = AWS) -> Fault:
    """Nothing is carried out, and AWS, or something in front of it, says that all is well."""

    def answer(exchange: Exchange) -> None:
        exchange.answer(Answer(200, content, headers))

    return answer


def cut_short(exchange: Exchange) -> None:
    """The last character is missing, and Content-Length says that this is all."""
    answer = exchange.forward()
    exchange.answer(Answer(answer.status, answer.content[:-1], answer.headers))


def half_unprocessed(exchange: Exchange) -> None:
    """Every other write of a batch is left, the first among them."""
    ((table, writes),) = exchange.content["RequestItems"].items()
    left, done = writes[::2], writes[1::2]
    if done and (answer := exchange.forward({"RequestItems": {table: done}})).status != 200:
        exchange.answer(answer)
    else:
        exchange.answer(Answer(200, json.dumps({"UnprocessedItems": {table: left}}).encode(), AWS))


class Late:
    """A request that is carried out long after its client has given up, or had an answer: when it is let go."""

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
        """Have it carried out now."""
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
    "well-formed, and not AWS's": answered(b'{"UnprocessedItems": {}}', {}),
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
"""By name, all but a late one and a refused connection."""


def signer(access_key: str, secret_key: str, region: str) -> Sign:
    """Sign as DynamoDB's own client does, with these credentials."""

    def sign(headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        bare = {name: value for name, value in headers.items() if name.lower() not in _OF_A_SIGNATURE}
        request = AWSRequest("POST", f"http://{headers['Host']}/", data=body, headers=bare)
        SigV4Auth(Credentials(access_key, secret_key), "dynamodb", region).add_auth(request)
        return dict(request.headers)

    return sign
