"""What goes over the wire: a DynamoDB client whose requests are seen and answered before any socket."""

import json
from dataclasses import dataclass, field
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.client import BaseClient
from botocore.compat import HTTPHeaders


@dataclass
class Wire:
    """Hooks into `client`. Answers are given in turn, an exception is raised, None lets a request through."""

    client: BaseClient
    answers: list[tuple[int, Any] | Exception | None] = field(default_factory=list)
    always: tuple[int, Any] | None = None
    requests: list[tuple[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        events: Any = self.client.meta.events
        events.register_first("before-send.dynamodb", self._answer)

    def _answer(self, request: Any, **_: Any) -> AWSResponse | None:
        operation = request.headers["X-Amz-Target"].decode().partition(".")[2]
        self.requests.append((operation, json.loads(request.body)))
        answer = self.answers.pop(0) if self.answers else self.always
        if isinstance(answer, Exception):
            raise answer
        return None if answer is None else _response(request.url, *answer)

    def bodies(self, operation: str) -> list[Any]:
        return [body for name, body in self.requests if name == operation]


def error(code: str, status: int = 400, message: str = "why") -> tuple[int, Any]:
    """DynamoDB's way of refusing."""
    return status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message}


class _Raw:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, *_: Any, **__: Any) -> Any:
        yield self._content


def _response(url: str, status: int, body: Any) -> AWSResponse:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return AWSResponse(url, status, HTTPHeaders.from_dict({"x-amzn-requestid": "r"}), _Raw(content))
