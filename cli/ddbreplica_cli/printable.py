"""A value → JSON that a terminal only shows, whatever is in it. Pure."""

import json
import re

# What JSON leaves as it is: a second set of control characters, separators, and marks that turn text around.
_ACTED_UPON = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def printable(value: object, *, indent: int | None = None) -> str:
    """JSON with every character escaped that a terminal would act upon; for a program it is the same document."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _ACTED_UPON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def bare(text: str) -> str:
    """The same of a text, without its quotes."""
    return printable(text)[1:-1]
