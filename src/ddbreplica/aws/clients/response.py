"""Check a client's responses: raise RefusedError unless AWS sent them and their types are as documented.

botocore parses any page as a response without members, and returns a number where a list is documented. A missing
member is not checked here; the code that reads it raises.
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
    """Make the client raise RefusedError for every response that fails the check."""
    watch_responses(client, before_parse=_empty, after_call=_check)


def _empty(response: Any, operation: Any) -> None:
    """Replace the body of a response that AWS did not send, since parsing it may raise any error."""
    if not is_from_aws(response["headers"]) and (body := empty_body(operation)) is not None:
        response["body"] = body


def _check(http_response: Any, parsed: Any, operation: Any) -> None:
    headers = getattr(http_response, "headers", None)  # the response of a hook has none
    if headers is not None and not is_from_aws(headers):
        raise RefusedError(foreign(http_response.status_code))
    if (
        http_response.status_code < _ERROR
        and (place := _misfit(parsed, output_of(operation), "")) is not None
    ):
        refusal = unreadable()
        raise RefusedError(
            replace(refusal, message=f"{refusal.message}: the type{place} is not as documented")
        )


def _misfit(value: Any, shape: Any, place: str) -> str | None:
    """Return the place of the first part of a value whose type is not as documented, or None if all are."""
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
    is_boolean = isinstance(value, bool)  # to Python a boolean is an integer
    is_of_type = isinstance(value, _TYPES.get(kind, object)) and is_boolean == (kind == "boolean")
    return is_of_type or _is_spelled(value, kind)


def _is_spelled(value: Any, kind: str) -> bool:
    """Return whether a value is the text of a number or a boolean, which an emulator sends if a template has text."""
    if not isinstance(value, str):
        return False
    return value.isdecimal() if _TYPES.get(kind) is int else kind == "boolean" and value in ("true", "false")


def _parts(value: Any, shape: Any, kind: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield the parts of a value: name, part and shape."""
    for name, member in members_of(shape).items():
        match kind:
            case "structure" if name in value:
                yield name, value[name], member
            case "list":
                yield from ((name, each, member) for each in value)
            case "map":
                yield from ((name, each, member) for each in value.values())
