"""Two items as wire JSON → equal or not, and where they differ. Pure.

Numbers are compared by value, binaries by their bytes and sets as sets; everything else exactly, types included.
The canonical form is wire JSON again, and the same for the same items: it is what fingerprints and printing go by.
"""

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

from ddbreplica.model import Image, State


@dataclass(frozen=True, slots=True)
class AttributeDifference:
    """One attribute that differs; canonical values, None where an item lacks the attribute."""

    name: str
    source: Mapping[str, Any] | None
    replica: Mapping[str, Any] | None


def same(source: State, replica: State) -> bool:
    """Whether DynamoDB holds the two for the same item; None is no item."""
    # Nearly every pair of a healthy replica is equal as it was read, which costs far less to see.
    return source == replica or canonical(source) == canonical(replica)


def differences(source: Image, replica: Image) -> tuple[AttributeDifference, ...]:
    """Where two items differ, by attribute name."""
    theirs, ours = canonical(source) or {}, canonical(replica) or {}
    return tuple(
        AttributeDifference(name, theirs.get(name), ours.get(name))
        for name in sorted({*theirs, *ours})
        if theirs.get(name) != ours.get(name)
    )


def fingerprint(item: State) -> bytes:
    """The same for the same items, and of one size however large they are."""
    text = json.dumps(canonical(item), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()


def canonical(item: State) -> Image | None:
    """The one wire JSON that stands for all items that are the same."""
    return None if item is None else {name: _canonical(value) for name, value in item.items()}


def _canonical(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """One of a type; what is no value of DynamoDB, which no table holds and a response may, stands for itself."""
    try:
        ((tag, content),) = value.items()
        canonical_content = _CANONICAL.get(tag)
        return {tag: canonical_content(content) if canonical_content else content}
    except (ArithmeticError, AttributeError, TypeError, ValueError):
        return value


def _number(text: str) -> str:
    number = Decimal(text)
    # Decimal rounds to 28 digits unless told otherwise; a number has up to 38, and 126 places written out.
    return f"{number.normalize(Context(prec=len(text))):f}" if number else "0"


def _binary(text: str) -> str:
    return b64encode(b64decode(text)).decode()


def _list(content: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [_canonical(member) for member in content]


_CANONICAL: Mapping[str, Callable[[Any], Any]] = {
    "N": _number,
    "B": _binary,
    "SS": sorted,
    "NS": lambda content: sorted({_number(member) for member in content}),
    "BS": lambda content: sorted(_binary(member) for member in content),
    "L": _list,
    "M": canonical,
}
"""Of the types whose values can be spelt in more than one way, or hold such values."""
