"""Write a transform as the text that a parameter of the template takes, and as a line of samconfig.toml. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any

# AWS SAM CLI and TOML give these characters a meaning, also if they are escaped.
_QUOTES = re.compile(r"""\\["\\]|'""")


def parameter(document: Mapping[str, Any]) -> str:
    r"""Return a JSON object in its shortest form in ASCII.

    Within texts, quotes and backslashes are written as \u0022, \u0027 and \u005c.
    """
    text = json.dumps(document, separators=(",", ":"))
    return _QUOTES.sub(lambda found: f"\\u{ord(found[0][-1]):04x}", text)


def samconfig_line(parameter: str) -> str:
    """Return the line for the list `parameter_overrides` in samconfig.toml."""
    quoted = parameter.replace('"', r"\"")
    return f"""'Transform="{quoted}"',"""
