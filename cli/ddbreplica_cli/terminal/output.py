"""Print data to stdout and everything else to stderr.

All text passes `displayed` on its way out, whether a command, click or rich prints it. Control characters that a table
or a service has sent are shown as escape sequences and do nothing to the terminal.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import RawIOBase
from typing import IO, Any, TextIO, cast

import click

from ddbreplica.errors import TaskError, naming
from ddbreplica.records.text import encodable, escaped, lines, one_line, printable
from ddbreplica_cli.terminal import exit_status

# The message of this error is the help, which has many lines. Before 8.2 click had no such error.
_HELP: type[Exception] | tuple[()] = getattr(click.exceptions, "NoArgsIsHelpError", ())


def displayed(text: str, encoding: str | None) -> str:
    """Return the text with control characters escaped, and with characters replaced that the encoding lacks."""
    return encodable(escaped(text), encoding or "utf-8")


def print_result(document: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    """Print a result, as a JSON document or as text. Raises OSError if stdout cannot be written."""
    print_data(printable(document, indent=2) if as_json else text)


def print_data(text: str) -> None:
    """Print a part of the result immediately. Raises OSError if stdout cannot be written."""
    with naming("standard output"):
        _print(sys.stdout, text)


def print_note(*texts: str) -> None:
    """Print each text on a line of stderr. Ignore errors, such as a closed terminal."""
    with suppress(OSError):
        _print(sys.stderr, lines(texts))


def print_error(error: TaskError, *, as_json: bool) -> None:
    """Print the lines `Error:` and `Try:`. With `as_json`, print the error also as a JSON document."""
    print_note(f"Error: {error.fact}", f"Try: {error.hint}")
    if as_json:
        with suppress(OSError):
            print_result(exit_status.document(error), "", as_json=True)


def confirm(question: str) -> bool:
    """Ask for confirmation on the terminal. Raises click.Abort on Ctrl-C."""
    # On stderr, since stdout may be a file or a pipe for the result.
    return click.confirm(one_line(question), err=True)


def discard_stdout() -> None:
    """Drop output that stdout has not taken yet, so that the exit of the process neither waits nor fails."""
    discard(sys.stdout)


def discard(stream: IO[str] | None) -> None:
    """Drop output that the stream has not taken yet, and all later output to it."""
    if stream is None:
        return
    with suppress(OSError, ValueError):  # a stream without a file descriptor has nothing to drop
        nothing = os.open(os.devnull, os.O_WRONLY)
        # Not closed: the next file that is opened would get its number, and this output.
        os.dup2(nothing, stream.fileno())
        os.close(nothing)


class Escaping:
    """A stream that escapes text with `displayed` before it writes the text to `stream`."""

    def __init__(self, stream: TextIO) -> None:
        """Wrap `stream`."""
        self.stream = stream
        self.encoding = stream.encoding
        self.errors = "strict"
        self.buffer = _Bytes(self)

    def write(self, text: str) -> int:
        """Write a text."""
        self.stream.write(displayed(text, self.encoding))
        return len(text)

    def flush(self) -> None:
        """Flush the stream. If its reader has closed the pipe, drop the output and raise BrokenPipeError."""
        try:
            self.stream.flush()
        except BrokenPipeError:
            discard(self.stream)
            raise

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        return self.stream.isatty()

    def fileno(self) -> int:
        """Return the file descriptor of the stream."""
        return self.stream.fileno()


class _Bytes(RawIOBase):
    """The binary stream of `Escaping`. click writes the suggestions for shell completion to it, in UTF-8."""

    def __init__(self, text: Escaping) -> None:
        self._text = text

    def write(self, content: Any, /) -> int:
        self._text.write(bytes(content).decode("utf-8", "surrogateescape"))
        return len(content)

    def flush(self) -> None:
        self._text.flush()

    def close(self) -> None:
        """Leave the wrapped stream open, since it belongs to the caller."""


@contextmanager
def escaping() -> Iterator[None]:
    """Within the block escape everything that any code writes to sys.stdout or sys.stderr."""
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_escaping, streams)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


class EscapedCommand(click.Command):
    """A click command whose help and usage errors are escaped, too."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the command."""
        with escaping():
            return super().main(*args, **options)

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        """Parse the arguments."""
        with _errors_in_one_line():
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Call the function of the command."""
        with _errors_in_one_line():
            return super().invoke(ctx)


class EscapedGroup(EscapedCommand, click.Group):
    """A group of commands whose help and usage errors are escaped, too."""


def _print(stream: TextIO | None, text: str) -> None:
    if stream is not None:  # the stream was closed when the command started
        stream.write(displayed(f"{text}\n", stream.encoding))
        stream.flush()


def _escaping(stream: TextIO | None) -> TextIO:
    return cast("TextIO", Escaping(stream) if stream else None)


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """Print a usage error on one line, even if it quotes a value that contains line breaks."""
    try:
        yield
    except click.ClickException as error:
        if not isinstance(error, _HELP):
            vars(error)["message"] = one_line(error.message)
        raise
