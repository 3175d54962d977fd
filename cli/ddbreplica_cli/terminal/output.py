"""Results and errors → what is printed: data on stdout, everything else on stderr.

`displayed` is the one function that text passes on its way out: that of the commands, of click and of rich. What a
table or a service has sent is thus shown, and does nothing to the terminal.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import RawIOBase
from typing import IO, Any, TextIO, cast

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from ddbreplica.errors import TaskError, naming
from ddbreplica.records.text import encodable, escaped, lines, one_line, printable
from ddbreplica_cli.terminal import exit_status


def displayed(text: str, encoding: str | None) -> str:
    """The text as it leaves: escaped, and with nothing in it that the encoding does not have."""
    return encodable(escaped(text), encoding or "utf-8")


def print_result(document: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    """The same result for a program or for a reader. Raises OSError where stdout cannot be written."""
    print_data(printable(document, indent=2) if as_json else text)


def print_data(text: str) -> None:
    """A part of the result, at once. Raises OSError likewise."""
    with naming("standard output"):
        _print(sys.stdout, text)


def print_note(*texts: str) -> None:
    """Something to know that is no part of the result, a line each; a terminal that is gone ends nothing."""
    with suppress(OSError):
        _print(sys.stderr, lines(texts))


def print_error(error: TaskError, *, as_json: bool) -> None:
    """Two lines, `Error:` and `Try:`; for a program also a document, with what was done until then."""
    print_note(f"Error: {error.fact}", f"Try: {error.hint}")
    if as_json:
        with suppress(OSError):
            print_result(exit_status.document(error), "", as_json=True)


def confirm(question: str) -> bool:
    """Ask on the terminal. Raises click.Abort for Ctrl-C."""
    return click.confirm(one_line(question), err=True)


def discard_stdout() -> None:
    """Drop what stdout could not take so far, so that the end of the process neither waits for it nor fails by it."""
    discard(sys.stdout)


def discard(stream: IO[str] | None) -> None:
    """Drop what a stream could not take so far, and whatever is still written to it."""
    if stream is None:
        return
    with suppress(OSError, ValueError):  # a stream that is no file has nothing to wait for
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)


class Escaping:
    """A stream that hands on `displayed` text alone. `stream` is what it hands it to."""

    def __init__(self, stream: TextIO) -> None:
        """Write nothing yet."""
        self.stream = stream
        self.encoding = stream.encoding
        self.errors = "strict"
        self.buffer = _Bytes(self)

    def write(self, text: str) -> int:
        """Write a text."""
        self.stream.write(displayed(text, self.encoding))
        return len(text)

    def flush(self) -> None:
        """Hand on what is buffered, or drop it where nobody reads it any more."""
        try:
            self.stream.flush()
        except BrokenPipeError:
            discard(self.stream)
            raise

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return self.stream.isatty()

    def fileno(self) -> int:
        """Return the number of its file."""
        return self.stream.fileno()


class _Bytes(RawIOBase):
    """The same for who writes UTF-8, as click does for a shell's completion."""

    def __init__(self, text: Escaping) -> None:
        self._text = text

    def write(self, content: Any, /) -> int:
        self._text.write(bytes(content).decode("utf-8", "surrogateescape"))
        return len(content)

    def flush(self) -> None:
        self._text.flush()

    def close(self) -> None:
        """Leave the stream open: it is not this one's."""


@contextmanager
def escaping() -> Iterator[None]:
    """Within the block all that is written to sys.stdout and sys.stderr is escaped, by whomever."""
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_escaping, streams)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


class EscapedCommand(click.Command):
    """A command of click, whose help and usage errors are escaped like everything else."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run it."""
        with escaping():
            return super().main(*args, **options)

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        """Read its arguments."""
        with _errors_in_one_line():
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Run what its arguments ask for."""
        with _errors_in_one_line():
            return super().invoke(ctx)


class EscapedGroup(EscapedCommand, click.Group):
    """A group of commands likewise."""


def console(stream: TextIO | Escaping, **options: Any) -> Console:
    """A console of rich on sys.stdout or sys.stderr: its own escape sequences pass, and those of a text do not."""
    return _Console(file=stream.stream if isinstance(stream, Escaping) else stream, **options)


class _Console(Console):
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else self._displayed(segment)

    def _displayed(self, segment: Segment) -> Segment:
        return Segment(displayed(segment.text, self.encoding), segment.style)


def _print(stream: TextIO | None, text: str) -> None:
    if stream is not None:  # it was closed when the command started
        stream.write(displayed(f"{text}\n", stream.encoding))
        stream.flush()


def _escaping(stream: TextIO | None) -> TextIO:
    return cast("TextIO", Escaping(stream) if stream else None)


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """A usage error quotes what it is about, and that may have lines of its own."""
    try:
        yield
    except click.ClickException as error:
        vars(error)["message"] = one_line(error.message)
        raise
