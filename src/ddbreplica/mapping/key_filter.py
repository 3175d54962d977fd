"""Decide which keys pass a mapping's filter patterns, exactly as Lambda decides it. Pure.

A pattern that looks at anything else than keys is refused, since a key alone cannot decide it. Lambda's rules are
those of EventBridge, whose matcher is public:
https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
https://github.com/aws/event-ruler
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from ipaddress import IPv6Address
from typing import Any, TypeAlias

from ddbreplica.errors import TaskError
from ddbreplica.model import Key
from ddbreplica.records.text import printable

_Rule: TypeAlias = Callable[[str | None], bool]
"""Return whether a value passes; None if the key lacks the attribute."""
_Place: TypeAlias = tuple[str, str]
"""A key attribute's name, and its type."""
_Alternative: TypeAlias = Mapping[_Place, Sequence[_Rule]]
"""The rules of each key attribute. A key passes if each attribute passes one of its rules."""

_KEYS = ("dynamodb", "Keys")
_KEY_TYPES = frozenset("SNB")
_IPV4 = re.compile(r"\d+(\.\d+){3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """The keys whose changes Lambda delivers. Without `patterns`, which are the mapping's, every key passes."""

    patterns: tuple[str, ...]
    _alternatives: tuple[_Alternative, ...]

    @classmethod
    def of(cls, patterns: Sequence[str]) -> "KeyFilter":
        """Parse a mapping's patterns. Raises TaskError for one that looks at more than keys or is not supported."""
        alternatives = [alternative for pattern in patterns for alternative in _pattern(pattern)]
        return cls(tuple(patterns), tuple(alternatives))

    def passes(self, key: Key) -> bool:
        """Whether Lambda delivers changes of this key to the function."""
        if not self.patterns:
            return True
        # An identity spells a number as the stream does.
        texts = {(name, tag): value for name, tag, value in key}
        return any(_passes(alternative, texts) for alternative in self._alternatives)


EVERY_KEY = KeyFilter((), ())
"""The filter of a mapping that has none."""


def _passes(alternative: _Alternative, texts: Mapping[_Place, str]) -> bool:
    return all(any(rule(texts.get(place)) for rule in rules) for place, rules in alternative.items())


def _pattern(text: str) -> Sequence[_Alternative]:
    try:
        pattern = json.loads(text, object_pairs_hook=_each_once)
    except ValueError as error:
        raise _refused(f"{text} is not JSON") from error
    return _object(pattern, ())


def _each_once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    # Which of two equal names counts depends on the JSON parser.
    if len({name for name, _ in members}) < len(members):
        raise _refused(f"one of the names {', '.join(name for name, _ in members)} occurs twice")
    return dict(members)


def _object(node: Any, path: tuple[str, ...]) -> Sequence[_Alternative]:
    """Return the alternatives of an object: its members are ANDed, so each is combined with each of the others."""
    if not isinstance(node, dict) or not node:
        raise _refused(f"{_dotted(path)} is {json.dumps(node)}")
    nothing: Sequence[_Alternative] = [{}]
    return reduce(_and, (_member(name, value, path) for name, value in node.items()), nothing)


def _and(some: Sequence[_Alternative], others: Sequence[_Alternative]) -> Sequence[_Alternative]:
    if twice := {place for one in some for place in one} & {place for other in others for place in other}:
        raise _refused(f"{_dotted((*_KEYS, *min(twice)))} is both inside `$or` and beside it")
    return [{**one, **other} for one in some for other in others]


def _member(name: str, value: Any, path: tuple[str, ...]) -> Sequence[_Alternative]:
    if name == "$or":
        return _or(value, path)
    path = (*path, name)
    # A filter on images drops deletes, which have no new image. The commands could not apply it to a key either.
    if path[:2] != _KEYS[: len(path)] or (len(path) == 4 and path[3] not in _KEY_TYPES):
        raise _refused(f"it looks at {_dotted(path)}")
    return _leaf(value, path) if len(path) == 4 else _object(value, path)


def _or(values: Any, path: tuple[str, ...]) -> Sequence[_Alternative]:
    if not isinstance(values, list) or len(values) < 2:
        raise _refused(f"`$or` in {_dotted(path)} is not a list of two or more patterns")
    return [alternative for value in values for alternative in _object(value, path)]


def _leaf(rules: Any, path: tuple[str, ...]) -> Sequence[_Alternative]:
    if not isinstance(rules, list) or not rules:
        raise _refused(f"{_dotted(path)} has no list of rules")
    _, _, name, tag = path
    return [{(name, tag): tuple(_rule(rule) for rule in rules)}]


def _rule(rule: Any) -> _Rule:
    if isinstance(rule, str):
        return _equals(rule)
    if isinstance(rule, dict) and len(rule) == 1:
        ((name, operand),) = rule.items()
        if make := _RULES.get(name):
            return make(operand)
    raise _unknown(rule)


def _equals(text: str) -> _Rule:
    if _is_address(text):
        raise _refused(
            f"Lambda compares {text} as an IP address, not as a string; equals-ignore-case compares it as a string"
        )
    return lambda found: found == text


def _is_address(text: str) -> bool:
    try:
        return bool(_IPV4.fullmatch(text) or IPv6Address(text))
    except ValueError:
        return False


def _begins(text: Any) -> _Rule:
    text = _checked("prefix", text)
    return lambda found: found is not None and found.startswith(text)


def _ends(text: Any) -> _Rule:
    text = _checked("suffix", text)
    return lambda found: found is not None and found.endswith(text)


def _equals_ignoring_case(text: Any) -> _Rule:
    # Beyond ASCII, it depends on the version of Java which letters are equal.
    if not isinstance(text, str) or not text.isascii():
        raise _unknown({"equals-ignore-case": text})
    same = re.compile(re.escape(text), re.ASCII | re.IGNORECASE)
    return lambda found: found is not None and same.fullmatch(found) is not None


def _anything_but(what: Any) -> _Rule:
    rule = {"anything-but": what}
    if isinstance(what, dict):
        if not what.keys() <= _NEGATED.keys() or what in ({"prefix": ""}, {"suffix": ""}):
            raise _unknown(rule)
        negated = _rule(what)
        return lambda found: found is not None and not negated(found)
    texts = what if isinstance(what, list) else [what]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise _unknown(rule)
    return lambda found: found is not None and found not in texts


def _exists(expected: Any) -> _Rule:
    if not isinstance(expected, bool):
        raise _unknown({"exists": expected})
    return lambda found: (found is not None) is expected


def _checked(name: str, text: Any) -> str:
    if not isinstance(text, str):
        raise _unknown({name: text})
    return text


_NEGATED: Mapping[str, Callable[[Any], _Rule]] = {
    "prefix": _begins,
    "suffix": _ends,
    "equals-ignore-case": _equals_ignoring_case,
}
_RULES: Mapping[str, Callable[[Any], _Rule]] = {**_NEGATED, "anything-but": _anything_but, "exists": _exists}


def _dotted(path: Sequence[str]) -> str:
    return ".".join(path) or "a pattern"


def _unknown(rule: Any) -> TaskError:
    return _refused(
        f"the rule {printable(rule)} cannot match a key; in a stream record, every key value is a string, even a number"
    )


def _refused(why: str) -> TaskError:
    return TaskError(
        f"the mapping's filter is not supported: {why}.",
        hint="filter on dynamodb.Keys only, with exact values, prefix, suffix, anything-but, equals-ignore-case, exists"
        " and $or. With any other filter, an item that stops matching stays in the replica forever.",
    )
