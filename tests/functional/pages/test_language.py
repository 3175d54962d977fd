"""No text that a person reads has one of the phrases that a reader has to read twice."""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from ddbreplica_cli.app import main
from tests.functional.pages.test_markdown import PAGES, name
from tests.support.commands import COMMANDS
from tests.support.modules import ROOT

NEVER = re.compile(
    r"\b(heal(?:s|ed|ing)?|mend(?:s|ed|ing)?|anew|afresh|lest|of\s+yours|made\s+here|put\s+aside|given\s+up\s+by"
    r"|comes\s+again|stands\s+in|is\s+told|wants\s+your|somebody|far\s+side|wire\s+JSON)\b",
    re.IGNORECASE,
)
INTERFACES = ('"healed"', '"keys_healed"')
"""Keys and values of --json and of stored objects, which keep their names."""

CODE = [
    *(ROOT / "src").rglob("*.py"),
    *(ROOT / "cli").rglob("*.py"),
    *(ROOT / "demo").rglob("*.py"),
    *(ROOT / "benchmarks").rglob("*.py"),
    *(ROOT / "examples").rglob("*.py"),
]
TEMPLATES = [
    *ROOT.glob("*.yaml"),
    *ROOT.glob("examples/*/*.yaml"),
    *ROOT.glob("*.toml"),
    *(ROOT / ".github").rglob("*.yml"),
    ROOT / "Makefile",
    ROOT / ".ci" / "run",
]


def found(text: str) -> list[str]:
    for interface in INTERFACES:
        text = text.replace(interface, "")
    return [match.group(0) for match in NEVER.finditer(text)]


def texts(source: str) -> Iterator[str]:
    """Yield the strings, docstrings and comments of a module."""
    parts = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in parts:
            yield token.string


def helps(command: click.Command, context: click.Context) -> Iterator[str]:
    """Yield the help of a command and of all commands below it."""
    yield command.get_help(context)
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            one = command.get_command(context, below)
            assert one is not None
            yield from helps(one, click.Context(one, info_name=below, parent=context))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_page_has_one(page: Path) -> None:
    assert found(page.read_text()) == []


@pytest.mark.parametrize("path", TEMPLATES, ids=name)
def test_no_template_and_no_configuration_has_one(path: Path) -> None:
    assert found(path.read_text()) == []


@pytest.mark.parametrize("path", CODE, ids=name)
def test_no_message_docstring_or_comment_has_one(path: Path) -> None:
    assert [phrase for text in texts(path.read_text()) for phrase in found(text)] == []


def test_no_help_has_one() -> None:
    shown = "\n".join(helps(main, click.Context(main, info_name="ddbreplica")))

    groups = [main, *(each for each in main.commands.values() if isinstance(each, click.Group))]
    assert shown.count("Usage:") == len(COMMANDS) + len(groups)
    assert found(shown) == []


def test_a_phrase_is_found_across_the_end_of_a_line_and_an_interface_is_not() -> None:
    assert found("It is\ngiven up\nby Lambda, and Somebody heals it.") == [
        "given up\nby",
        "Somebody",
        "heals",
    ]
    assert found('counts["healed"] of "keys_healed"') == []
