"""Apply the rules of a transform to items in DynamoDB JSON. Pure.

A value that is only moved stays the same object. Where text is made of a value, its canonical form is taken, so that
items that are the same become items that are the same.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, TypeAlias

from ddbreplica.model import Image
from ddbreplica.records.compare import binary, number
from ddbreplica.transform.conflicts import check_key
from ddbreplica.transform.rules import Attribute, Part, Rules, refused

Hash: TypeAlias = Callable[[bytes], str]
"""The function that hashes a message: that of a Secret."""


class UntransformableError(Exception):
    """A rule cannot take a value. The message has the attribute and the type, and contains no value of the item."""


class Transform:
    """The function from an item of the source to the item of the replica, for tables with one key."""

    def __init__(self, rules: Rules, *, key: Collection[str], hash_with: Hash | None = None) -> None:
        """Raise TransformError if the rules change a key attribute, or hash without a secret."""
        check_key(rules, key)
        if rules.hashed and hash_with is None:
            raise refused(
                'has a "hash" without a secret and its version', allowed='"hash" with the version of a secret'
            )
        self._constants = rules.constants
        self._rename = rules.rename
        self._hashes = () if hash_with is None else tuple((name, hash_with) for name in sorted(rules.hashed))
        self._concat = tuple((target, parts, _names(parts)) for target, parts in rules.concat.items())
        # The source's own attribute under a target's name is gone in every item, also where nothing takes its place.
        overlaid = {*rules.targets} - rules.rename.keys()
        self._gone = tuple(sorted(rules.drop | overlaid))
        self._kept = None if rules.keep is None else tuple(sorted((rules.keep | {*key}) - overlaid))

    def apply(self, item: Image) -> Image:
        """Return the replica's item for an item of the source.

        Raises UntransformableError for a value that a rule cannot take.
        """
        # One copy, changed in place: most attributes are in no rule.
        moved: dict[str, Mapping[str, Any]] = {**item}
        for name, hash_with in self._hashes:
            if name in moved:
                moved[name] = {"S": hash_with(_message(name, moved[name]))}
        made = self._concatenated(moved)
        moved = self._remaining(moved)
        # All are taken out before one is put in, so that two attributes can swap their names.
        renamed = {new: moved.pop(old) for old, new in self._rename.items() if old in moved}
        return {**moved, **renamed, **made, **self._constants}

    def _concatenated(self, source: Image) -> Image:
        """Return the attributes that `concat` makes of the source's item after `hash`."""
        return {
            target: {"S": "".join([_part(part, source) for part in parts])}
            for target, parts, names in self._concat
            if _has_all(source, names)
        }

    def _remaining(self, source: dict[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
        """Return the attributes that are neither dropped nor made. The argument may be changed."""
        if self._kept is not None:
            return {name: source[name] for name in self._kept if name in source}
        for name in self._gone:
            source.pop(name, None)
        return source


def _names(parts: Sequence[Part]) -> tuple[str, ...]:
    return tuple(part.name for part in parts if isinstance(part, Attribute))


def _has_all(source: Image, names: Sequence[str]) -> bool:
    """Return whether the item has these attributes, and none of them is NULL."""
    for name in names:
        value: Any = source.get(name)
        if value is None or (isinstance(value, dict) and "NULL" in value):
            return False
    return True


def _part(part: Part, source: Image) -> str:
    return part if isinstance(part, str) else _content(part.name, source[part.name], _CONCATENATED)[1]


def _message(name: str, value: Any) -> bytes:
    """Return what is hashed for a value: JSON with its type, since "1" and the number 1 are different values."""
    tag, text = _content(name, value, _HASHED)
    return f'{{"{tag}":{_AS_JSON(text)}}}'.encode()


def _content(name: str, value: Any, types: "_Types") -> tuple[str, str]:
    """Return the type and the canonical content of a value. Raises UntransformableError."""
    try:
        ((tag, content),) = value.items()
        return tag, types[tag](content)
    except (AttributeError, KeyError, TypeError, ValueError):
        # Without its cause, whose text may contain the value.
        raise UntransformableError(_reason(name, value, types)) from None


def _reason(name: str, value: Any, types: "_Types") -> str:
    """Return why a rule cannot take a value. What a service sends is not checked before."""
    tag: Any = next(iter(value), None) if isinstance(value, dict) else None
    if tag in types and len(value) == 1:
        return f"attribute {name!r} is not valid for its type {tag}"
    rule = "hash" if types is _HASHED else "concat"
    kind = tag if tag in _TYPES else "unknown"
    return f"attribute {name!r} has type {kind}; {rule} takes {', '.join(types)}"


def _text(content: Any) -> str:
    if not isinstance(content, str):
        raise TypeError
    return content


_AS_JSON: Final = json.JSONEncoder(separators=(",", ":")).encode
_Types: TypeAlias = Mapping[str, Callable[[Any], str]]
_CONCATENATED: Final[_Types] = {"S": _text, "N": number}
_HASHED: Final[_Types] = {**_CONCATENATED, "B": binary}
_TYPES: Final = frozenset({"S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M"})
