"""Read the rules of a transform from JSON. Pure functions."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from ddbreplica.transform import conflicts, storable
from ddbreplica.transform.rules import Attribute, Part, Rules, refused

T = TypeVar("T")

MAX_BYTES = 1500
"""The bytes of a transform: all environment variables of a function together have 4,096."""

_MEMBERS = ("hash", "concat", "set", "keep", "drop", "rename")
_NAME = "names of top-level attributes, none of them empty or twice"


def parse(text: str) -> Rules:
    """Return the rules of a transform. Raises TransformError with the fact and with what is allowed.

    Whether the rules fit the table's key is checked when they are applied to a table.
    """
    size = len(text.encode(errors="surrogatepass"))
    if size > MAX_BYTES:
        raise refused(f"has {size:,} bytes", allowed=f"at most {MAX_BYTES:,} bytes of JSON in UTF-8")
    return rules_of(document_of(text))


def document_of(text: str) -> Mapping[str, Any]:
    """Return the JSON object of a text of any length. Raises TransformError, also for a name that occurs twice."""
    try:
        document = json.loads(text, object_pairs_hook=_each_once, parse_constant=_not_json)
        "".join(_texts(document)).encode()
    except UnicodeEncodeError as error:
        raise refused("contains half of a surrogate pair", allowed="text that UTF-8 can encode") from error
    except ValueError as error:
        raise refused(f"is not JSON ({error})", allowed="a JSON object") from error
    except RecursionError as error:
        raise refused("is nested too deeply", allowed="values with at most 32 levels") from error
    if not isinstance(document, dict):
        raise refused(f"is not a JSON object but a {type(document).__name__}", allowed="a JSON object")
    return document


def rules_of(document: Mapping[str, Any]) -> Rules:
    """Return the rules of a JSON object. Raises TransformError."""
    unknown = sorted(document.keys() - {*_MEMBERS})
    if unknown:
        raise refused(f'has an unknown member "{unknown[0]}"', allowed=f"the members {', '.join(_MEMBERS)}")
    # An empty `drop` beside a `keep` is refused, too.
    if {"keep", "drop"} <= document.keys():
        raise refused('has both "keep" and "drop"', allowed="one of them")
    rules = Rules(
        hashed=_names(document, "hash") or frozenset(),
        concat=_object(document, "concat", _parts),
        constants=_object(document, "set", _constant),
        keep=_names(document, "keep"),
        drop=_names(document, "drop") or frozenset(),
        rename=_object(document, "rename", _new_name),
    )
    conflicts.check(rules)
    return rules


def _each_once(members: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    counts = Counter(name for name, _ in members)
    # Which of two equal names counts depends on the JSON parser.
    if twice := [name for name, count in counts.items() if count > 1]:
        raise refused(f'has the name "{twice[0]}" twice in one object', allowed="each name once")
    return dict(members)


def _texts(node: Any) -> Iterator[str]:
    """Yield every text of a JSON document, names included."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, list | dict):
        for member in node if isinstance(node, list) else (*node, *node.values()):
            yield from _texts(member)


def _not_json(constant: str) -> None:
    raise ValueError(f"{constant} is not a value of JSON")


def _names(document: Mapping[str, Any], member: str) -> frozenset[str] | None:
    """Return the names of a member, or None without the member."""
    names = document.get(member, [])
    if not isinstance(names, list) or not all(map(_is_name, names)) or len({*names}) < len(names):
        raise refused(f'has in "{member}" something else than a list of names', allowed=_NAME)
    return frozenset(names) if member in document else None


def _object(document: Mapping[str, Any], member: str, read: Callable[[str, Any], T]) -> Mapping[str, T]:
    """Return the members of an object, each as `read` returns it; without the object, nothing."""
    rules = document.get(member, {})
    if not isinstance(rules, dict) or not all(map(_is_name, rules)):
        raise refused(f'has in "{member}" something else than an object', allowed=f"an object with {_NAME}")
    return {name: read(name, value) for name, value in rules.items()}


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and name != ""


def _parts(target: str, parts: Any) -> tuple[Part, ...]:
    if not isinstance(parts, list) or not parts:
        raise _bad_part(target)
    return tuple(_part(target, part) for part in parts)


def _part(target: str, part: Any) -> Part:
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and [*part] == ["attribute"] and _is_name(part["attribute"]):
        return Attribute(part["attribute"])
    raise _bad_part(target)


def _bad_part(target: str) -> Exception:
    return refused(
        f'has in "concat" for "{target}" something else than a list of texts and attributes',
        allowed='a list with one part or more, each a text or {"attribute": "NAME"}',
    )


def _constant(name: str, value: Any) -> Mapping[str, Any]:
    try:
        storable.check(value)
    except storable.NotStorableError as error:
        raise refused(
            f'has in "set" for "{name}" a value that DynamoDB would refuse: {error}',
            allowed='a value in DynamoDB JSON, such as {"S": "text"}',
        ) from error
    constant: Mapping[str, Any] = value
    return constant


def _new_name(old: str, new: Any) -> str:
    if not _is_name(new):
        raise refused(f'renames "{old}" to something else than a name', allowed=_NAME)
    name: str = new
    return name
