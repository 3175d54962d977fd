"""Responses as a client hands them on, refused where they do not come from AWS or are not of the documented shape.

botocore takes a page of something else for a response that lacks everything, and passes on a number where a list is
documented. A member that is missing is met by whoever reads it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from botocore.client import BaseClient

from ddbreplica.aws.botocore_private import empty_body, members_of, output_of, type_of, watch_responses
from ddbreplica.aws.refusal import RefusedError, foreign, is_from_aws, unreadable

_ERROR = 300
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "boolean": bool,
    "byte": int,
    "char": str,
    "double": (int, float),
    "float": (int, float),
    "integer": int,
    "long": int,
    "short": int,
    "list": list,
    "map": dict,
    "string": str,
    "structure": dict,
    "timestamp": datetime,
}


def check_responses(client: BaseClient) -> None:
    """Have the client raise RefusedError for every such response, before its caller has it."""
    watch_responses(client, before_parse=_empty, after_call=_check)


def _empty(response: Any, operation: Any) -> None:
    """Have nothing of a response that is not from AWS parsed, which may end in any error, before it is tried again."""
    if not is_from_aws(response["headers"]) and (body := empty_body(operation)) is not None:
        response["body"] = body


def _check(http_response: Any, parsed: Any, operation: Any) -> None:
    headers = getattr(http_response, "headers", None)  # what a hook responds has none
    if headers is not None and not is_from_aws(headers):
        raise RefusedError(foreign(http_response.status_code))
    if (
        http_response.status_code < _ERROR
        and (place := _misfit(parsed, output_of(operation), "")) is not None
    ):
        refusal = unreadable()
        raise RefusedError(replace(refusal, message=f"{refusal.message}: it has another type{place}"))


def _misfit(value: Any, shape: Any, place: str) -> str | None:
    """Return where a part of a value has not the type that the service documents; None where all have."""
    if shape is None:
        return None
    kind = type_of(shape)
    if not _is_of(kind, value):
        return f" at {place}" if place else ""
    for name, part, member in _parts(value, shape, kind):
        if (misfit := _misfit(part, member, f"{place}.{name}" if place else name)) is not None:
            return misfit
    return None


def _is_of(kind: str, value: Any) -> bool:
    is_boolean = isinstance(value, bool)  # which Python counts among the numbers
    is_of_type = isinstance(value, _TYPES.get(kind, object)) and is_boolean == (kind == "boolean")
    return is_of_type or _is_spelled(value, kind)


def _is_spelled(value: Any, kind: str) -> bool:
    """Return whether a number or a boolean is there as text, as an emulator sends what a template had as text."""
    if not isinstance(value, str):
        return False
    return value.isdecimal() if _TYPES.get(kind) is int else kind == "boolean" and value in ("true", "false")


def _parts(value: Any, shape: Any, kind: str) -> Iterator[tuple[str, Any, Any]]:
    """The parts that are there, with their names for reading and their shapes."""
    for name, member in members_of(shape).items():
        match kind:
            case "structure" if name in value:
                yield name, value[name], member
            case "list":
                yield from ((name, each, member) for each in value)
            case "map":
                yield from ((name, each, member) for each in value.values())
