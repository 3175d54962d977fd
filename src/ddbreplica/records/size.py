"""Calculate the size of an item and the capacity units that DynamoDB charges for it. Pure functions.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

from collections.abc import Callable, Mapping
from math import ceil
from typing import Any

from ddbreplica.model import State

WRITE_UNIT = 1024
"""Bytes of an item for each write capacity unit."""

READ_UNIT = 4096
"""Bytes of an item for each read capacity unit of a strongly consistent read."""

_AROUND_A_CONTAINER = 3
_AROUND_A_MEMBER = 1
_NUMBER_AT_MOST = 21


def write_units(state: State) -> int:
    """Return the write capacity units of a put without its indexes; None is a delete, counted as one unit."""
    return 1 if state is None else max(1, ceil(size(state) / WRITE_UNIT))


def read_units(state: State) -> int:
    """Return the read capacity units of a strongly consistent read by key; None is an absent item, which takes one."""
    return 1 if state is None else max(1, ceil(size(state) / READ_UNIT))


def size(item: Mapping[str, Any]) -> int:
    """Return the bytes of names and values. Numbers are rounded up, since AWS documents only an estimate."""
    return sum(_text(name) + _value(value) for name, value in item.items())


def _value(value: Mapping[str, Any]) -> int:
    """Return the bytes of a value, or 0 for anything in a response that is not a value of DynamoDB."""
    try:
        ((tag, content),) = value.items()
        return _SIZE[tag](content)
    except (AttributeError, KeyError, TypeError, ValueError):
        return 0


def _text(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


def _number(text: str) -> int:
    """Return the bytes of a number: one for two digits, and one or two more."""
    return min(len(text) // 2 + 2, _NUMBER_AT_MOST)


def _binary(base64: str) -> int:
    return len(base64) // 4 * 3 - base64.count("=", -2)


def _flag(_: bool) -> int:  # noqa: FBT001  the value of a BOOL or NULL
    return 1


_SIZE: Mapping[str, Callable[[Any], int]] = {
    "S": _text,
    "N": _number,
    "B": _binary,
    "BOOL": _flag,
    "NULL": _flag,
    "SS": lambda members: sum(map(_text, members)),
    "NS": lambda members: sum(map(_number, members)),
    "BS": lambda members: sum(map(_binary, members)),
    "L": lambda members: _AROUND_A_CONTAINER + sum(_AROUND_A_MEMBER + _value(member) for member in members),
    "M": lambda members: _AROUND_A_CONTAINER + _AROUND_A_MEMBER * len(members) + size(members),
}
