"""An item → the bytes and write units that DynamoDB counts for it. Pure.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

from collections.abc import Callable, Mapping
from math import ceil
from typing import Any

from ddbreplica.model import State

WRITE_UNIT = 1024
"""Bytes of an item that a write unit is for."""

READ_UNIT = 4096
"""Bytes of an item that a strongly consistent read unit is for."""

_AROUND_A_CONTAINER = 3
_AROUND_A_MEMBER = 1
_NUMBER_AT_MOST = 21


def write_units(state: State) -> int:
    """What it costs a table, its indexes apart, to have this item; None is a delete, counted as one unit."""
    return 1 if state is None else max(1, ceil(size(state) / WRITE_UNIT))


def read_units(state: State) -> int:
    """What it costs to read this item by key, strongly consistent; an absent one costs one unit."""
    return 1 if state is None else max(1, ceil(size(state) / READ_UNIT))


def size(item: Mapping[str, Any]) -> int:
    """Bytes of names and values. Numbers are rounded up, as DynamoDB's own page only estimates them."""
    return sum(_text(name) + _value(value) for name, value in item.items())


def _value(value: Mapping[str, Any]) -> int:
    """Of a value; what is none, which no table holds and a response may, has no size."""
    try:
        ((tag, content),) = value.items()
        return _SIZE[tag](content)
    except (AttributeError, KeyError, TypeError, ValueError):
        return 0


def _text(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


def _number(text: str) -> int:
    """A byte for two digits, and one or two around them."""
    return min(len(text) // 2 + 2, _NUMBER_AT_MOST)


def _binary(base64: str) -> int:
    return len(base64) // 4 * 3 - base64.count("=", -2)


def _flag(_: bool) -> int:  # noqa: FBT001  a BOOL or NULL, whichever
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
