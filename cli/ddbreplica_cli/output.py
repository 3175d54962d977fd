"""Results and errors → what is printed: data on stdout, everything else on stderr."""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import click

from ddbreplica_cli.errors import CommandError
from ddbreplica_cli.printable import printable


def print_result(document: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    """The same result for a program or for a reader. Raises OSError where stdout cannot be written."""
    print_data(printable(document, indent=2) if as_json else text)


def print_data(line: str) -> None:
    """A part of the result, at once. Raises OSError likewise."""
    try:
        click.echo(line)
    except OSError as error:
        error.filename = error.filename or "standard output"
        raise


def print_note(text: str) -> None:
    """Something to know that is no part of the result; a terminal that is gone ends nothing."""
    with suppress(OSError):
        click.echo(text, err=True)


def print_error(error: CommandError, *, as_json: bool) -> None:
    """Two lines, `Error:` and `Try:`; for a program also a document, with what was done until then."""
    print_note(f"Error: {error.fact}\nTry: {error.hint}")
    if as_json:
        with suppress(OSError):
            print_result(error.document, "", as_json=True)


def discard_stdout() -> None:
    """Drop what stdout could not take so far, so that the end of the process neither waits for it nor fails by it."""
    with suppress(OSError, ValueError):  # a stdout that is no file has nothing to wait for
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
