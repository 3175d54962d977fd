"""A proxy that asks for the consumed capacity in each read of a command, and adds it up."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, TypeAlias
from urllib.parse import urlsplit

_READS = frozenset({"BatchGetItem", "GetItem", "Query", "Scan"})

Seen: TypeAlias = Callable[[str, Any, Any], None]
"""Called with each read's operation, request and response, before the command gets the response."""


class Meter:
    """A proxy of a service with the API of DynamoDB. `units` are the read units of all responses until now."""

    def __init__(self, target: str, seen: Seen) -> None:
        self.units = 0.0
        self._lock = Lock()
        self._target = urlsplit(target).netloc
        self._seen = seen
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        meter = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, headers, content = meter.respond(dict(self.headers), body)
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name in the library
                pass

        return Handler

    def respond(self, headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Pass a request on. Return the status, the headers and the body of the response."""
        operation = headers["X-Amz-Target"].rpartition(".")[2]
        if operation not in _READS:
            return self._passed_on(headers, body)
        request = {**json.loads(body), "ReturnConsumedCapacity": "TOTAL"}
        response = self._passed_on(headers, json.dumps(request).encode())
        content = json.loads(response[2])
        with self._lock:
            self.units += _units(content)
        self._seen(operation, request, content)
        return response

    def _passed_on(self, headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        behind = HTTPConnection(self._target, timeout=60)
        try:
            behind.request("POST", "/", body, {**headers, "Content-Length": str(len(body))})
            response = behind.getresponse()
            content = response.read()
            return (
                response.status,
                {**dict(response.headers.items()), "Content-Length": str(len(content))},
                content,
            )
        finally:
            behind.close()


@contextmanager
def metered(target: str, seen: Seen) -> Iterator[Meter]:
    """Run the proxy of a service during a `with` block."""
    meter = Meter(target, seen)
    thread = Thread(target=meter.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield meter
    finally:
        meter.server.shutdown()
        meter.server.server_close()
        thread.join()


def _units(content: Any) -> float:
    consumed = content.get("ConsumedCapacity", [])
    parts = consumed if isinstance(consumed, list) else [consumed]
    return sum(float(part["CapacityUnits"]) for part in parts)
