"""Check that DynamoDB would store a constant as the value of an attribute that is not a key. Pure functions.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from ddbreplica.records import compare

_MAX_DIGITS = 38
_SMALLEST, _LARGEST = -130, 125
_MAX_LEVELS = 32
_BASE64 = "a value of type B is base64"


class NotStorableError(Exception):
    """DynamoDB would refuse a value. The message is the reason."""


def check(value: Any, *, level: int = 1) -> None:
    """Raise NotStorableError unless this is a value in DynamoDB JSON that DynamoDB stores."""
    if not isinstance(value, dict) or len(value) != 1:
        raise NotStorableError("a value is an object with exactly one type")
    if level > _MAX_LEVELS:
        raise NotStorableError(f"values are nested at most {_MAX_LEVELS} levels deep")
    ((tag, content),) = value.items()
    if tag not in _CHECKS:
        raise NotStorableError(f"{tag!r} is not a type; the types are {', '.join(_CHECKS)}")
    _CHECKS[tag](content, level)


def _text(content: Any, _level: int) -> str:
    if not isinstance(content, str):
        raise NotStorableError("a value of type S is a text")
    return content


def _number(content: Any, _level: int) -> str:
    try:
        text = compare.number(content)
    except (TypeError, ValueError) as error:
        raise NotStorableError("a value of type N is a decimal number, written as a text") from error
    if len(text.lstrip("-").replace(".", "").strip("0")) > _MAX_DIGITS:
        raise NotStorableError(f"a number has at most {_MAX_DIGITS} digits")
    if not _SMALLEST <= Decimal(text).adjusted() <= _LARGEST:
        raise NotStorableError(f"a number is at least 1E{_SMALLEST} and less than 1E{_LARGEST + 1}")
    return text


def _binary(content: Any, _level: int) -> str:
    try:
        text = compare.binary(content)
    except (TypeError, ValueError) as error:
        raise NotStorableError(_BASE64) from error
    if text != content:
        raise NotStorableError(_BASE64)
    return text


def _flag(content: Any, _level: int) -> None:
    if not isinstance(content, bool):
        raise NotStorableError("a value of type BOOL is true or false")


def _null(content: Any, _level: int) -> None:
    if content is not True:
        raise NotStorableError("a value of type NULL is true")


def _set(content: Any, member_text: Callable[[Any, int], str], level: int) -> None:
    if not isinstance(content, list) or not content:
        raise NotStorableError("a set is a list with one member or more")
    if len({member_text(member, level) for member in content}) < len(content):
        raise NotStorableError("the members of a set are different")


def _list(content: Any, level: int) -> None:
    if not isinstance(content, list):
        raise NotStorableError("a value of type L is a list of values")
    for member in content:
        check(member, level=level + 1)


def _map(content: Any, level: int) -> None:
    if not isinstance(content, dict) or "" in content:
        raise NotStorableError("a value of type M is an object of values, whose names are not empty")
    for member in content.values():
        check(member, level=level + 1)


_CHECKS: Mapping[str, Callable[[Any, int], object]] = {
    "S": _text,
    "N": _number,
    "B": _binary,
    "BOOL": _flag,
    "NULL": _null,
    "SS": lambda content, level: _set(content, _text, level),
    "NS": lambda content, level: _set(content, _number, level),
    "BS": lambda content, level: _set(content, _binary, level),
    "L": _list,
    "M": _map,
}
