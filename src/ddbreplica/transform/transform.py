"""Apply the rules of a transform to items in DynamoDB JSON. Pure.

A value that is only moved stays the same object. Where text is made of a value, its canonical form is taken, so that
items that are the same become items that are the same.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, TypeAlias

from ddbreplica.model import Image, State
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
        self._rules = rules
        self._hashes = {} if hash_with is None else dict.fromkeys(rules.hashed, hash_with)
        # The source's own attribute under a target's name is gone in every item, also where nothing takes its place.
        overlaid = {*rules.targets} - rules.rename.keys()
        self._gone = rules.drop | overlaid
        self._kept = None if rules.keep is None else (rules.keep | {*key}) - overlaid

    def apply(self, item: State) -> State:
        """Return the replica's state for a state of the source; None is an absent item.

        Raises UntransformableError for a value that a rule cannot take.
        """
        if item is None:
            return None
        rules = self._rules
        source = self._hashed(item) if self._hashes else item
        rename, kept, gone = rules.rename, self._kept, self._gone
        moved = {
            rename.get(name, name): value
            for name, value in source.items()
            if (name not in gone if kept is None else name in kept)
        }
        return {**moved, **self._concatenated(source), **rules.constants}

    def _hashed(self, item: Image) -> Image:
        """Return the item with each hashed attribute in place."""
        source = {**item}
        for name, hash_with in self._hashes.items():
            if name in source:
                tag, text = _content(name, source[name], _HASHED, rule="hash")
                # With the type, since the text "1" and the number 1 are different values.
                source[name] = {"S": hash_with(_AS_JSON({tag: text}).encode())}
        return source

    def _concatenated(self, source: Image) -> Image:
        """Return the attributes that `concat` makes of the source's item after `hash`."""
        texts = ((target, _joined(parts, source)) for target, parts in self._rules.concat.items())
        return {target: {"S": text} for target, text in texts if text is not None}


def _joined(parts: Sequence[Part], source: Image) -> str | None:
    """Return the text of the parts, or None if an attribute among them is absent or NULL."""
    for part in parts:
        if isinstance(part, Attribute) and _is_missing(source.get(part.name)):
            return None
    return "".join(
        [part if isinstance(part, str) else _text_of(part.name, source[part.name]) for part in parts]
    )


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and "NULL" in value)


def _text_of(name: str, value: Any) -> str:
    return _content(name, value, _CONCATENATED, rule="concat")[1]


def _content(name: str, value: Any, types: "_Types", *, rule: str) -> tuple[str, str]:
    """Return the type and the canonical content of a value. Raises UntransformableError."""
    # What a service sends is not checked before.
    tag: Any = next(iter(value), None) if isinstance(value, dict) else None
    if tag not in types or len(value) != 1:
        kind = tag if tag in _TYPES else "unknown"
        raise UntransformableError(f"attribute {name!r} has type {kind}; {rule} takes {', '.join(types)}")
    try:
        return tag, types[tag](value[tag])
    except (TypeError, ValueError):
        # Without its cause, whose text may contain the value.
        raise UntransformableError(f"attribute {name!r} is not valid for its type {tag}") from None


def _text(content: Any) -> str:
    if not isinstance(content, str):
        raise TypeError
    return content


_AS_JSON: Final = json.JSONEncoder(separators=(",", ":")).encode
_Types: TypeAlias = Mapping[str, Callable[[Any], str]]
_CONCATENATED: Final[_Types] = {"S": _text, "N": number}
_HASHED: Final[_Types] = {**_CONCATENATED, "B": binary}
_TYPES: Final = frozenset({"S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M"})
