"""Responses as a client hands them on, refused where they do not come from AWS or are not of the documented shape.

botocore takes a page of something else for a response that lacks everything, and passes on a number where a list is
documented. A member that is missing is met by whoever reads it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from botocore.client import BaseClient
from botocore.model import OperationModel

from ddbreplica.refusal import RefusedError, foreign, is_from_aws, unreadable

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
    "string": str,
    "timestamp": datetime,
}


def check_responses(client: BaseClient) -> None:
    """Have the client raise RefusedError for every such response, before its caller has it."""
    events: Any = client.meta.events
    events.register_first("before-parse", _empty)
    events.register_first("after-call", _check)


def _empty(response_dict: Any, operation_model: OperationModel, **_: Any) -> None:
    """Have nothing of a response that is not from AWS parsed, which may end in any error, before it is tried again."""
    if not is_from_aws(response_dict["headers"]) and not operation_model.has_streaming_output:
        response_dict["body"] = _nothing(operation_model)


def _nothing(operation: OperationModel) -> bytes:
    """A body that the operation's parser takes, and finds nothing in."""
    if "json" in operation.service_model.resolved_protocol:
        return b"{}"
    serialization = operation.output_shape.serialization if operation.output_shape else {}
    return f"<empty><{serialization.get('resultWrapper', 'empty')}/></empty>".encode()


def _check(http_response: Any, parsed: Any, model: OperationModel, **_: Any) -> None:
    headers = getattr(http_response, "headers", None)  # what a hook responds has none
    if headers is not None and not is_from_aws(headers):
        raise RefusedError(foreign(http_response.status_code))
    if http_response.status_code < _ERROR and not _fits(parsed, model.output_shape):
        raise RefusedError(unreadable())


def _fits(value: Any, shape: Any) -> bool:
    """Return whether each part of a value that is there has the type that the service documents."""
    if shape is None:
        return True
    match shape.type_name:
        case "structure":
            return isinstance(value, dict) and all(
                _fits(value[name], member) for name, member in shape.members.items() if name in value
            )
        case "list":
            return isinstance(value, list) and all(_fits(each, shape.member) for each in value)
        case "map":
            return isinstance(value, dict) and all(_fits(each, shape.value) for each in value.values())
        case name:
            is_boolean = isinstance(value, bool)  # which Python counts among the numbers
            is_of_type = isinstance(value, _TYPES.get(name, object)) and is_boolean == (name == "boolean")
            return is_of_type or _is_spelled(value, name)


def _is_spelled(value: Any, name: str) -> bool:
    """Return whether a number or a boolean is there as text, as an emulator sends what a template had as text."""
    if not isinstance(value, str):
        return False
    return value.isdecimal() if _TYPES.get(name) is int else name == "boolean" and value in ("true", "false")
