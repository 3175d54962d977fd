"""A DynamoDB client whose requests are recorded and get a response without a network."""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from botocore.awsrequest import AWSResponse
from botocore.client import BaseClient
from botocore.compat import HTTPHeaders

AWS: Mapping[str, str] = {"x-amzn-requestid": "r"}
FOREIGN: Mapping[str, str] = {"server": "nginx"}

Answer: TypeAlias = tuple[int, Any] | tuple[int, Any, Mapping[str, str]]
"""Status and body, and the headers if they differ from those of AWS."""


@dataclass
class Wire:
    """Hooks into `client`. Each request gets the next response; an exception is raised; None sends the request."""

    client: BaseClient
    answers: list[Answer | Exception | None] = field(default_factory=list)
    always: Answer | None = None
    requests: list[tuple[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        events: Any = self.client.meta.events
        events.register_first("before-send.dynamodb", self._answer)

    def _answer(self, request: Any, **_: Any) -> AWSResponse | None:
        operation = _text(request.headers["X-Amz-Target"]).partition(".")[2]
        self.requests.append((operation, json.loads(request.body)))
        answer = self.answers.pop(0) if self.answers else self.always
        if isinstance(answer, Exception):
            raise answer
        return None if answer is None else answered(request.url, answer)

    def bodies(self, operation: str) -> list[Any]:
        return [body for name, body in self.requests if name == operation]


def error(code: str, status: int = 400, message: str = "why") -> tuple[int, Any]:
    """Return an error response of DynamoDB."""
    return status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message}


def described(key: Mapping[str, str]) -> tuple[int, Any]:
    """Return the response to DescribeTable. `key` contains the type of each key attribute."""
    table = {
        "TableArn": "arn:copy",
        "TableStatus": "ACTIVE",
        "KeySchema": [{"AttributeName": name, "KeyType": "HASH"} for name in key],
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": tag} for name, tag in key.items()],
    }
    return 200, {"Table": table}


def _text(header: Any) -> str:
    return header.decode() if isinstance(header, bytes) else str(header)


def dynamodb_json(item: Any) -> Any:
    """Convert an item that boto3 has read to DynamoDB JSON, with binary values as base64 text."""
    if isinstance(item, dict):
        return {name: dynamodb_json(value) for name, value in item.items()}
    if isinstance(item, list):
        return [dynamodb_json(value) for value in item]
    return b64encode(item).decode() if isinstance(item, bytes) else item


def as_read(image: Any) -> Any:
    """Convert DynamoDB JSON to an item as boto3 reads it, with binary values as bytes."""
    return {name: _value_as_read(value) for name, value in image.items()}


def _value_as_read(value: Any) -> Any:
    ((tag, content),) = value.items()
    match tag:
        case "B":
            return {tag: b64decode(content)}
        case "BS":
            return {tag: [b64decode(member) for member in content]}
        case "L":
            return {tag: [_value_as_read(member) for member in content]}
        case "M":
            return {tag: as_read(content)}
        case _:
            return value


class _Raw:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, *_: Any, **__: Any) -> Any:
        yield self._content


def answered(url: str, answer: Answer) -> AWSResponse:
    """Return a response as botocore passes it on."""
    status, body, *headers = answer
    return response(url, status, body, headers=headers[0] if headers else AWS)


def response(url: str, status: int, body: Any, *, headers: Mapping[str, str] = AWS) -> AWSResponse:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return AWSResponse(url, status, HTTPHeaders.from_dict(headers), _Raw(content))
