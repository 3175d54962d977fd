"""The deployments that a page tells people to make: the template and the parameters of each."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.deployment_scenarios import STREAM
from tests.support.template import REPLICA_TEMPLATE, TEMPLATE

DEPLOYS = {"sam deploy": TEMPLATE, "aws cloudformation deploy": REPLICA_TEMPLATE}


def blocks(language: str, document: Path) -> list[str]:
    """Return the code blocks of a page that are in a language, without their indentation."""
    return blocks_in(document.read_text(), language)


def blocks_in(page: str, language: str) -> list[str]:
    """Return the code blocks of a page, or of a part of it, that are in a language."""
    found = re.findall(rf"^( *)```{language}\n(.+?)^ *```$", page, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def deployments(document: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """The template and the parameters of every command that deploys one, and of every list for samconfig.toml."""
    return deployments_in(document.read_text())


def deployments_in(page: str) -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield the deployments of a page, or of a part of it."""
    text = page.replace("\\\n", " ")
    for line in re.findall(r"^ *\$ (.+)$", text, re.MULTILINE):
        for start, template in DEPLOYS.items():
            if line.startswith(start):
                yield template, dict(overrides(line))
    for each in blocks_in(page, "toml"):
        for values in lists(tomllib.loads(each)):
            yield TEMPLATE, dict(pairs([value.replace("STREAM_ARN", STREAM) for value in values]))


def lists(config: dict[str, Any]) -> Iterator[list[str]]:
    """Yield the lists of parameters, wherever they are in samconfig.toml or a part of it."""
    for name, value in config.items():
        if name == "parameter_overrides":
            yield value
        elif isinstance(value, dict):
            yield from lists(value)


def overrides(line: str) -> Iterator[tuple[str, str]]:
    words = iter(shlex.split(re.sub(r"\$STREAM|\$\(.+?\)", STREAM, line), comments=True))
    for word in words:
        if word == "--parameter-overrides":
            break
    for word in words:
        if word.startswith("--"):
            return
        yield from pairs([word])


def pairs(words: list[str]) -> Iterator[tuple[str, str]]:
    for word in words:
        name, _, value = word.partition("=")
        # SAM CLI takes off quotes as the shell does, and ends a value at a space.
        (unquoted,) = shlex.split(value) or [""]
        yield name, unquoted
