"""Texts and values → text that a terminal only shows, whatever is in them. Pure.

A character of the Unicode categories Cc, Cf, Zl, Zp and Cs moves the cursor, turns text around or cannot be seen. It is
shown by its number, as JSON spells it, so that JSON stays the same document.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from unicodedata import category

_ACTED_UPON = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})
_DOUBTFUL = re.compile(r"[^\n\t -~]")
_BREAKS = {ord("\n"): "\\n", ord("\t"): "\\t"}


def escaped(text: str) -> str:
    """The text with every such character escaped, except line feeds and tabs: a command writes these itself."""
    return _DOUBTFUL.sub(_shown, text)


def one_line(text: str) -> str:
    """The text with every such character escaped."""
    return escaped(text).translate(_BREAKS)


def lines(texts: Iterable[str]) -> str:
    """Each text as one line, whatever values it has in it."""
    return "\n".join(map(one_line, texts))


def encodable(text: str, encoding: str) -> str:
    """The text with every character escaped that the encoding does not have."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(each if _is_in(encoding, each) else _spelled(each) for each in text)
    return text


def printable(value: object, *, indent: int | None = None) -> str:
    """JSON with every such character escaped; for a program it is the same document."""
    return escaped(json.dumps(value, ensure_ascii=False, indent=indent))


def bare(text: str) -> str:
    """The same of a text, without its quotes."""
    return printable(text)[1:-1]


def cut(text: str, longest: int) -> str:
    """Return the text, or its beginning if it is longer, followed by an ellipsis."""
    return text if len(text) <= longest else f"{text[:longest]}…"


def value_text(value: Mapping[str, Any] | None, *, longest: int | None = None) -> str:
    """Return an attribute's value in DynamoDB JSON, as `printable` has it; None is an attribute that is absent.

    A value that is longer than `longest` is cut, and its length follows.
    """
    if value is None:
        return "(absent)"
    text = printable(value)
    if longest is None or len(text) <= longest:
        return text
    return f"{cut(text, longest)} ({len(text):,} characters)"


def key_text(attributes: Mapping[str, Mapping[str, Any]], *, longest: int | None = None) -> str:
    """Return the attributes of a key, in DynamoDB JSON, for reading: `PK={"S": "a"}, SK={"N": "1"}`."""
    return ", ".join(
        f"{bare(name)}={value_text(value, longest=longest)}" for name, value in sorted(attributes.items())
    )


def key_example(key_schema: Iterable[tuple[str, str]]) -> str:
    """Return what a key with these attributes looks like in DynamoDB JSON."""
    return printable({name: {tag: "…"} for name, tag in sorted(key_schema)})


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
