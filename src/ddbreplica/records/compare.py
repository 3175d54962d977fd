"""Compare two items in DynamoDB JSON, and list the attributes that differ. Pure functions.

Numbers are compared by value, binaries by their bytes and sets as sets; everything else exactly, including types.
Each item has one canonical form, also in DynamoDB JSON. Fingerprints, printed values and every text that is made of a
value are made of it, so that equal values give the same text.
"""

import hashlib
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

from ddbreplica.model import Image, State

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_WHOLE = re.compile(r"0|[1-9][0-9]{0,37}")
# Beyond it the number is not one of DynamoDB, and written out it could fill the memory.
_MAX_MAGNITUDE = 130


@dataclass(frozen=True, slots=True)
class AttributeDifference:
    """One attribute that differs. The values are canonical, and None if the item lacks the attribute."""

    name: str
    source: Mapping[str, Any] | None
    replica: Mapping[str, Any] | None


def same(source: State, replica: State) -> bool:
    """Return whether two items are the same to DynamoDB; None is an absent item."""
    # Nearly all pairs of a healthy replica are equal as they were read, and that comparison is much faster.
    return source == replica or canonical(source) == canonical(replica)


def differences(source: Image, replica: Image) -> tuple[AttributeDifference, ...]:
    """Return the attributes in which two items differ, sorted by name."""
    theirs, ours = canonical(source) or {}, canonical(replica) or {}
    return tuple(
        AttributeDifference(name, theirs.get(name), ours.get(name))
        for name in sorted({*theirs, *ours})
        if theirs.get(name) != ours.get(name)
    )


def fingerprint(item: State) -> bytes:
    """Return a hash that is equal for items that are the same."""
    text = json.dumps(canonical(item), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()


def canonical(item: State) -> Image | None:
    """Return an item in its canonical form, which is equal for items that are the same."""
    return None if item is None else {name: canonical_value(value) for name, value in item.items()}


def canonical_value(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the canonical form of a value. Anything that is not a value of DynamoDB is returned unchanged."""
    try:
        ((tag, content),) = value.items()
        canonical_content = _CANONICAL.get(tag)
        return {tag: canonical_content(content) if canonical_content else content}
    except (ArithmeticError, AttributeError, TypeError, ValueError):
        return value


def number(text: str) -> str:
    """Return a number written out, without trailing zeros, and never rounded. Zero has no sign.

    Raises ValueError or TypeError for anything that is not a decimal number of DynamoDB's magnitude.
    """
    # Most numbers are whole, and written so already.
    if isinstance(text, str) and _WHOLE.fullmatch(text):
        return text
    if not _NUMBER.fullmatch(text):
        raise ValueError("not a decimal number")
    # By default Decimal rounds to 28 digits; a number of DynamoDB has up to 38, and 126 places written out.
    value = Decimal(text).normalize(Context(prec=len(text)))
    if not value:
        return "0"
    if abs(value.adjusted()) > _MAX_MAGNITUDE:
        raise ValueError("not a number of DynamoDB")
    return f"{value:f}"


def binary(text: str) -> str:
    """Return the one base64 text of a binary's bytes. Raises ValueError or TypeError for anything else."""
    return b64encode(b64decode(text)).decode()


def _list(content: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [canonical_value(member) for member in content]


_CANONICAL: Mapping[str, Callable[[Any], Any]] = {
    "N": number,
    "B": binary,
    "SS": sorted,
    "NS": lambda content: sorted({number(member) for member in content}),
    "BS": lambda content: sorted(binary(member) for member in content),
    "L": _list,
    "M": canonical,
}
"""The types whose equal values can be written in more than one way, or that contain such values."""
