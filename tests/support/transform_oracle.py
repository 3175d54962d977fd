"""What a transform makes of an item, worked out from Python values and the JSON of the rules.

It shares no code with the product: numbers are fractions, binaries are bytes, and each attribute of the replica is
looked up by its own name.
"""

import hashlib
import hmac
import json
from binascii import a2b_base64, b2a_base64
from collections.abc import Collection, Mapping
from fractions import Fraction
from typing import Any

PLACES = 10**130


class RefusedError(Exception):
    """A rule cannot take a value."""


class Oracle:
    """The transform of one JSON object."""

    def __init__(self, rules: Mapping[str, Any], *, key: Collection[str], secret: bytes) -> None:
        self.rules = rules
        self.key = key
        self.secret = secret
        self.old_names = {new: old for old, new in rules.get("rename", {}).items()}

    def expected(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Return the replica's item. Raises RefusedError."""
        for name in self.rules.get("hash", ()):
            self.source(item, name)
        names = {*item, *self.old_names, *self.rules.get("concat", ()), *self.rules.get("set", ())}
        found = {name: self.attribute(item, name) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    def attribute(self, item: Mapping[str, Any], name: str) -> Any:
        """Return what the replica has under a name, or None."""
        if name in self.rules.get("set", {}):
            return self.rules["set"][name]
        if name in self.rules.get("concat", {}):
            return self.concat(item, self.rules["concat"][name])
        if name in self.old_names:
            return self.remaining(item, self.old_names[name])
        return None if name in self.rules.get("rename", {}) else self.remaining(item, name)

    def remaining(self, item: Mapping[str, Any], name: str) -> Any:
        taken = name in self.rules.get("drop", ()) or (
            "keep" in self.rules and name not in self.rules["keep"]
        )
        return None if taken and name not in self.key else self.source(item, name)

    def source(self, item: Mapping[str, Any], name: str) -> Any:
        value = item.get(name)
        if value is None or name not in self.rules.get("hash", ()):
            return value
        python = as_python(value)
        if not isinstance(python, str | Fraction | bytes):
            raise RefusedError(name)
        (tag,) = value
        message = f'{{"{tag}":{json.dumps(as_text(python))}}}'
        return {"S": hmac.new(self.secret, message.encode(), hashlib.sha256).hexdigest()}

    def concat(self, item: Mapping[str, Any], parts: Any) -> Any:
        values = [
            {"S": part} if isinstance(part, str) else self.source(item, part["attribute"]) for part in parts
        ]
        python = [None if value is None else as_python(value) for value in values]
        if None in python:
            return None
        if not all(isinstance(each, str | Fraction) for each in python):
            raise RefusedError
        return {"S": "".join(map(as_text, python))}


def as_python(value: Mapping[str, Any]) -> Any:
    """Return a value as a text, a fraction or bytes; None for NULL, and anything else as it is."""
    ((tag, content),) = value.items()
    match tag:
        case "S":
            return content
        case "N":
            return Fraction(content)
        case "B":
            return a2b_base64(content)
        case "NULL":
            return None
    return value


def as_text(value: Any) -> str:
    """Return a text as it is, a fraction written out, and bytes in base64."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return b2a_base64(value, newline=False).decode()
    scaled = value * PLACES
    assert scaled.denominator == 1
    digits = str(abs(scaled.numerator)).rjust(131, "0")
    whole, places = digits[:-130], digits[-130:].rstrip("0")
    return ("-" if value < 0 else "") + whole + (f".{places}" if places else "")
