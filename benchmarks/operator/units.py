"""Count the read units that a command takes on DynamoDB Local. Unlike times, they are the same on every machine.

A proxy asks for the consumed capacity in each read of the command, and adds it up.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from benchmarks.goals import Goal
from benchmarks.operator.loops import REPLICA, SOURCE, Item
from benchmarks.operator.programs import PROGRAMS, run
from benchmarks.operator.trials import Service
from benchmarks.processes import BenchmarkError, calling
from benchmarks.rounds import Say
from benchmarks.workloads import KEY

QUIET: Final = "quiet tables"
CHANGING: Final = "30 % of the items changed meanwhile"

SIZE: Final = 460
"""The bytes of an item."""

_MOST: Final[Mapping[tuple[str, str], float]] = {("backfill", QUIET): 0.3, ("backfill", CHANGING): 0.7}
"""The most read units for an item, by the command and what happens meanwhile."""

_READS = frozenset({"BatchGetItem", "GetItem", "Query", "Scan"})

Seen: TypeAlias = Callable[[str, Any, Any], None]
"""Called with each read's operation, request and response, before the command gets the response."""


@dataclass(frozen=True, slots=True)
class Units:
    """The read units of a command, for each of so many items, and what happened meanwhile."""

    command: str
    meanwhile: str
    items: int
    each: float


def measure(service: Service, *, items: int, say: Say) -> Iterator[Units]:
    """Measure each case on new tables, of which the source has so many items."""
    for command, meanwhile in _MOST:
        say(f"{service.name}: read units of {command}, {meanwhile}")
        with service.empty_tables():
            service.put(SOURCE, [_item(number, "x") for number in range(items)])
            changing = _Changing(service) if meanwhile == CHANGING else _nothing
            yield Units(command, meanwhile, items, read_units(service, command, seen=changing) / items)


def goals(figures: Sequence[Units]) -> Iterator[Goal]:
    """Yield the goals of the measured cases."""
    for figure in figures:
        title = f"{figure.command}, {figure.meanwhile}: read units per item of {SIZE} bytes"
        most = _MOST[figure.command, figure.meanwhile]
        yield Goal(title, "≤", most, figure.each, binding=True)


def read_units(service: Service, command: str, *, seen: Seen) -> float:
    """Run the command, and return the read units that it takes from both tables.

    Raises BenchmarkError if the tables differ afterwards.
    """
    with metered(service.url, seen) as meter:
        run(PROGRAMS[command]["ours"], {**service.environment, **calling(meter.url)})
    if service.items(REPLICA) != service.items(SOURCE):
        raise BenchmarkError(f"{command} on {service.name} left different tables")
    return meter.units


def _nothing(operation: str, request: Any, response: Any) -> None:
    pass


class _Changing:
    """Changes three of ten items of each page of the source after it was scanned, and before it is confirmed."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._scanned: set[str] = set()
        self._lock = Lock()

    def __call__(self, operation: str, request: Any, response: Any) -> None:
        if operation == "Scan" and request["TableName"] == SOURCE and self._is_first(request):
            items = [item for place, item in enumerate(response["Items"]) if place % 10 < 3]
            self._service.put(SOURCE, [{**item, **_content("y")} for item in items])

    def _is_first(self, request: Any) -> bool:
        """Return whether the range has not been scanned yet: a second scan confirms its page."""
        start = json.dumps([request["Segment"], request.get("ExclusiveStartKey")])
        with self._lock:
            is_first = start not in self._scanned
            self._scanned.add(start)
        return is_first


def _item(number: int, letter: str) -> Item:
    return {KEY: {"S": f"item{number:08}"}, **_content(letter)}


def _content(letter: str) -> Item:
    return {"data": {"S": letter * (SIZE - len(f"{KEY}item00000000data"))}}


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
