"""Malformed responses that a proxy on the way to AWS may send: bodies and statuses."""

import gzip
import json
from collections.abc import Iterator, Mapping

STATUSES = (200, 204, 301, 400, 403, 413, 500, 503)

BODIES: Mapping[str, bytes] = {
    "nothing": b"",
    "a space": b" ",
    "null": b"null",
    "true": b"true",
    "a number": b"5",
    "not a number": b"NaN",
    "text": b'"ok"',
    "a list": b"[]",
    "a list of null": b"[null]",
    "an empty object": b"{}",
    "half an object": b'{"UnprocessedItems": {',
    "two objects": b"{}{}",
    "an object of nothing": b'{"": null}',
    "a type that is a number": b'{"__type": 5}',
    "a type that is null": b'{"__type": null, "message": null}',
    "a type that is a list": b'{"__type": ["x#ValidationException"]}',
    "a message that is an object": b'{"__type": "x#InternalServerError", "message": {"a": 1}}',
    "not UTF-8": b"<!DOCTYPE html>Dienst nicht verf\xfcgbar",
    "UTF-16": '{"UnprocessedItems": {}}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"UnprocessedItems": {}}',
    "gzip": gzip.compress(b'{"UnprocessedItems": {}}'),
    "HTML": b"<html><h1>504 Gateway Time-out</h1></html>",
    "XML": b'<?xml version="1.0"?><Error><Code>5</Code></Error>',
    "broken XML": b"<Error><Code>NoSuchBucket",
    "nested brackets": b"[" * 50_000,
    "nested objects": b'{"a":' * 50_000,
    "a surrogate": b'{"__type": "\\ud800", "message": "\\udfff"}',
    "members of other types": json.dumps(
        {"UnprocessedItems": [], "UnprocessedKeys": 5, "Responses": None, "Items": {}, "Table": []}
    ).encode(),
    "nested members of other types": json.dumps(
        {
            "UnprocessedItems": {"copy": 5},
            "UnprocessedKeys": {"copy": []},
            "Responses": {"copy": {"a": 1}},
            "Items": [5],
            "Table": {"KeySchema": 5, "AttributeDefinitions": [None], "TableStatus": 5},
        }
    ).encode(),
    "another table's": json.dumps(
        {
            "UnprocessedItems": {"other": [{"PutRequest": {"Item": {"PK": {"S": "another"}}}}]},
            "UnprocessedKeys": {"other": {"Keys": [{"PK": {"S": "another"}}]}},
            "Responses": {"other": [{"PK": {"S": "another"}}]},
            "Items": [{"id": {"S": "another"}}],
        }
    ).encode(),
}
"""The bodies by name. Tests use all of them."""


def responses() -> Iterator[tuple[str, int, bytes]]:
    """Return the name, status and body of each response."""
    return ((f"{status} with {name}", status, body) for status in STATUSES for name, body in BODIES.items())


_LIKE_AN_ERROR_OF_AWS = (
    "nothing",
    "a space",
    "an empty object",
    "an object of nothing",
    "a type that is null",
    "a message that is an object",
    "a byte order mark",
    "a surrogate",
    "HTML",
    "XML",
    "broken XML",
    "members of other types",
    "nested members of other types",
    "another table's",
)
PAGES = frozenset(BODIES[name] for name in _LIKE_AN_ERROR_OF_AWS)
"""Bodies that end a request if they have AWS's request id and an error status: a JSON object, or no JSON."""
