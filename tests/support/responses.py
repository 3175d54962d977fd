"""Responses of any kind to a request: malformed bodies, with any status, with or without AWS's request id.

`Services` responds to each client. Each operation gets a correct response, except the one that a test changes.
"""

import gzip
import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

DEEP = 50_000

MARKS = {"x-amzn-requestid": "R1", "x-amz-request-id": "R1"}
"""Headers that identify responses of AWS."""

STATUSES = (200, 204, 301, 400, 403, 404, 500, 503)

BODIES: tuple[bytes, ...] = (
    b"",
    b" ",
    b"\xff\xfe\x00",
    "Dienst nicht verfügbar".encode("latin-1"),
    b"null",
    b"true",
    b"5",
    b"1" * 10_000,
    b"NaN",
    b'"text"',
    b"[]",
    b"[1, 2]",
    b"[null]",
    b"{}",
    b'{"__type": 5}',
    b'{"__type": ["x"], "message": {"a": 1}}',
    b'{"__type": "a\\nb", "message": "c\\nd"}',
    b'{"__type": null, "Message": 7}',
    b'{"Error": [], "errors": 5, "code": {}}',
    b'{"Table": {"TableName"',
    b"[" * DEEP,
    b"[" * DEEP + b"]" * DEEP,
    b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    gzip.compress(b"{}", mtime=0),
    b"\xef\xbb\xbf{}",
    b"\x00" * 100,
    b'{"S": "\\ud800"}',
    b"<html><h1>504 Gateway Time-out</h1></html>",
    b"<!DOCTYPE html><p>Sign in to the network<br>",
    b"<Error/>",
    b"<Error><Code/><Message>why</Message></Error>",
    b"<Error><Code><a>b</a></Code></Error>",
    b"<a>" * DEEP,
)


@dataclass(frozen=True, slots=True)
class Response:
    """A response to a request."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    is_from_aws: bool = True

    def over(self, url: str) -> AWSResponse:
        """Return it as botocore receives it from the network."""
        marks = MARKS if self.is_from_aws else {}
        headers = {"content-length": str(len(self.body)), **self.headers, **marks}
        return AWSResponse(url, self.status, HTTPHeaders.from_dict(headers), _Raw(self.body))


class _Raw(io.BytesIO):
    """The raw response from which botocore reads the body."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()

    def close(self) -> None:
        """Do nothing, like a persistent connection."""


def garbage(right: Response) -> Iterator[Response]:
    """Yield each body with each status, as responses of AWS."""
    for body in BODIES:
        for status in STATUSES:
            yield replace(right, body=body, status=status)


def foreign(right: Response) -> Iterator[Response]:
    """Yield the correct body and other bodies with each status, as responses of a proxy before AWS."""
    for body in (right.body, b"", b"{}", b"<html><h1>504 Gateway Time-out</h1></html>"):
        for status in STATUSES:
            yield replace(right, body=body, status=status, is_from_aws=False)


def misshapen(right: Response) -> Iterator[Response]:
    """Yield the correct response with one part removed or replaced by a value of another type."""
    try:
        content = json.loads(right.body)
    except ValueError:
        return
    for changed in _changed(content):
        yield replace(right, body=json.dumps(changed).encode())


_OTHERS: tuple[Any, ...] = (5, "text", [], [5], {}, {"a": 5}, None, True)


def _changed(content: Any) -> Iterator[Any]:
    for other in _OTHERS:
        if type(other) is not type(content):
            yield other
    if isinstance(content, dict):
        for name, value in content.items():
            without = {other: each for other, each in content.items() if other != name}
            yield without
            yield from ({**content, name: changed} for changed in _changed(value))
    if isinstance(content, list):
        for at, value in enumerate(content):
            yield from ([*content[:at], changed, *content[at + 1 :]] for changed in _changed(value))


@dataclass
class Services:
    """The services that the commands use, with a correct response to each operation."""

    right: dict[str, Callable[[Any], Response]]
    seen: dict[str, Response] = field(default_factory=dict)
    _at: str = ""
    _wrong: Response | None = None
    _asked: int = 0

    def respond(self, request: Any, event_name: str, **_: Any) -> AWSResponse:
        """Return the response to a request, as a hook on botocore's `before-send`."""
        operation = event_name.rpartition(".")[2]
        if operation != self._at or self._wrong is None:
            self.seen[operation] = self.right[operation](request)
            return self.seen[operation].over(request.url)
        self._asked += 1
        return self._wrong.over(request.url)

    @contextmanager
    def responding(self, operation: str, wrong: Response) -> Iterator[None]:
        """Use this response for the operation during the block, and check that it was used."""
        self._at, self._wrong, self._asked = operation, wrong, 0
        yield
        self._wrong = None
        assert self._asked, operation


def body_of(request: Any) -> Any:
    """Return the JSON of a request."""
    return json.loads(request.body)


def path_of(request: Any) -> str:
    path: str = urlsplit(request.url).path
    return path
