"""Results and errors → what is printed: data on stdout, everything else on stderr."""

from collections.abc import Mapping
from typing import Any

import click

from ddbreplica_cli.errors import CommandError
from ddbreplica_cli.printable import printable


def print_result(document: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    """The same result for a program or for a reader."""
    click.echo(printable(document, indent=2) if as_json else text)


def print_note(text: str) -> None:
    """Something to know that is no part of the result."""
    click.echo(text, err=True)


def print_error(error: CommandError, *, as_json: bool) -> None:
    """Two lines, `Error:` and `Try:`; for a program also a document, with what was done until then."""
    click.echo(f"Error: {error.fact}\nTry: {error.hint}", err=True)
    if as_json:
        print_result({**error.facts, "error": error.fact, "try": error.hint}, "", as_json=True)
