"""Show texts and values so that no character of them controls the terminal. Pure functions.

Characters of the Unicode categories Cc, Cf, Zl, Zp and Cs move the cursor, reverse text or are invisible. They are
escaped as in JSON, so that a JSON document remains valid and the same. Items, object names and error messages are
written by others, and may contain any character.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from unicodedata import category, normalize

_ELLIPSIS = "…"
_ACTED_UPON = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})
_DOUBTFUL = re.compile(r"[^\n\t -~]")
_BREAKS = {ord("\n"): "\\n", ord("\t"): "\\t"}


def escaped(text: str) -> str:
    """Return the text with these characters escaped, except line feeds and tabs, which the commands print."""
    return _DOUBTFUL.sub(_shown, text)


def one_line(text: str) -> str:
    """Return the text with these characters escaped, and line feeds and tabs too."""
    return escaped(text).translate(_BREAKS)


def lines(texts: Iterable[str]) -> str:
    """Return the texts, each on one line, whatever line breaks are in them."""
    return "\n".join(map(one_line, texts))


def encodable(text: str, encoding: str) -> str:
    """Return the text with every character escaped that the encoding does not have."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(each if _is_in(encoding, each) else _spelled(each) for each in text)
    return text


def printable(value: object, *, indent: int | None = None, sort_keys: bool = False) -> str:
    """Return a value as JSON with these characters escaped. A program reads the same document from it."""
    return escaped(json.dumps(value, ensure_ascii=False, indent=indent, sort_keys=sort_keys))


def bare(text: str) -> str:
    """Return a text as JSON has it, without the quotes."""
    return printable(text)[1:-1]


def cut(text: str, longest: int) -> str:
    """Return the text, or its first `longest` characters and an ellipsis."""
    return text if len(text) <= longest else f"{text[:longest]}{_ELLIPSIS}"


def value_text(value: Mapping[str, Any] | None, *, longest: int | None = None) -> str:
    """Return an attribute's value in DynamoDB JSON, as `printable` shows it; None is an absent attribute.

    A value that is longer than `longest` is cut, and ends with its length; the text is not longer than `longest`.
    """
    if value is None:
        return "(absent)"
    text = printable(value)
    if longest is None or len(text) <= longest:
        return text
    return cut(text, longest - len(_ELLIPSIS + _length(text))) + _length(text)


def difference_texts(
    source: Mapping[str, Any] | None, replica: Mapping[str, Any] | None, *, longest: int
) -> tuple[str, str]:
    """Return two different values as two different texts, each not longer than `longest`, as `value_text` does.

    Long values are cut around their first difference, both at the same place. Maps are shown in the order of their
    keys, so that their order is no difference. If the values may look the same, as one letter and a letter with a
    combining accent do, every character outside ASCII is escaped.
    """
    if source is None or replica is None:
        return value_text(source, longest=longest), value_text(replica, longest=longest)
    texts = printable(source, sort_keys=True), printable(replica, sort_keys=True)
    if normalize("NFKC", texts[0]) == normalize("NFKC", texts[1]):
        texts = _in_ascii(source), _in_ascii(replica)
    if max(map(len, texts)) <= longest:
        return texts
    room = longest - 2 * len(_ELLIPSIS) - max(len(_length(text)) for text in texts)
    different = (at for at, (one, other) in enumerate(zip(*texts, strict=False)) if one != other)
    first = next(different, min(map(len, texts)))
    start = 0 if first <= room * 2 // 3 else max(0, min(first - room // 3, max(map(len, texts)) - room))
    one, other = (_around(text, start, room) for text in texts)
    return one, other


def _in_ascii(value: object) -> str:
    return escaped(json.dumps(value, sort_keys=True))


def _around(text: str, start: int, room: int) -> str:
    if len(text) <= room and not start:
        return text
    before, after = _ELLIPSIS if start else "", _ELLIPSIS if len(text) > start + room else ""
    return f"{before}{text[start : start + room]}{after}{_length(text)}"


def _length(text: str) -> str:
    return f" ({len(text):,} characters)"


def key_text(attributes: Mapping[str, Mapping[str, Any]], *, longest: int | None = None) -> str:
    """Return the attributes of a key as text, such as `PK={"S": "a"}, SK={"N": "1"}`."""
    return ", ".join(
        f"{bare(name)}={value_text(value, longest=longest)}" for name, value in sorted(attributes.items())
    )


def key_example(key_schema: Iterable[tuple[str, str]]) -> str:
    """Return an example of a key with these attributes in DynamoDB JSON."""
    return printable({name: {tag: "…"} for name, tag in sorted(key_schema)})


def identity_text(identity: str) -> str:
    """Return the identity of a table as text, such as `orders, created at 2026-11-29 23:03:36 UTC`.

    An identity is a name, ` of `, and a time in ISO 8601. Any other text is returned as it is.
    """
    name, _, created = identity.rpartition(" of ")
    try:
        return f"{name}, created at {datetime.fromisoformat(created):%Y-%m-%d %H:%M:%S %Z}"
    except ValueError:
        return identity


def duration(seconds: float) -> str:
    """Return a duration in one unit, such as `0.4 s`, `12 min`, `6.1 h` or `3 days`."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


def _shown(found: re.Match[str]) -> str:
    return _spelled(found[0]) if category(found[0]) in _ACTED_UPON else found[0]


def _spelled(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def _is_in(encoding: str, character: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
