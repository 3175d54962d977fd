"""Read keys from lines of JSON. A line is a key in DynamoDB JSON or a difference from a report. Pure."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import IO, Any

from ddbreplica.errors import TaskError, naming
from ddbreplica.files.limits import MAX_KEY_TEXT, MAX_LINE, MAX_SMALL, key_within
from ddbreplica.files.skim import Skim
from ddbreplica.model import Key, Table
from ddbreplica.records.decode import MalformedError
from ddbreplica.records.text import key_example


@dataclass(frozen=True, slots=True)
class KeysFile:
    """A file of keys: its path as given (`-` is standard input) and the function that opens it."""

    path: str
    open: Callable[[], AbstractContextManager[IO[bytes]]]

    @property
    def name(self) -> str:
        """The name of the file in messages."""
        return "standard input" if self.path == "-" else self.path

    def read(self, table: Table) -> Iterator[Key]:
        """Yield the keys in order. Raises TaskError if a line is not a key of the table, and OSError."""
        with naming(self.name), self.open() as file:
            yield from read(lines_of(file), table, name=self.name)


def lines_of(file: IO[bytes]) -> Iterator[bytes]:
    """Return the lines of a file. A line longer than any line of a report is cut, so it cannot be read as a key."""
    return iter(partial(file.readline, MAX_LINE), b"")


def read(lines: Iterable[bytes], table: Table, *, name: str) -> Iterator[Key]:
    """Yield the keys in order, without blank lines. Raises TaskError if a line is not a key of the table.

    `name` is the name of the file in messages.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _key(line, table, at=f"{name}:{number}")


def _key(line: bytes, table: Table, *, at: str) -> Key:
    try:
        key = key_within(_attributes(line))
    except json.JSONDecodeError as error:
        raise _unreadable(at, f"invalid JSON: {error}", table) from error
    except (ValueError, RecursionError, MalformedError) as error:
        raise _unreadable(at, str(error), table) from error
    if {(name, tag) for name, tag, _ in key} != table.key_schema:
        raise _unreadable(at, "the table has other key attributes", table)
    return key


def _attributes(line: bytes) -> Any:
    document = json.loads(line) if len(line) <= MAX_SMALL else _report_line(line)
    # In a key, no attribute's value is a plain string, so it cannot be mistaken for a line of a report.
    is_difference = isinstance(document, dict) and isinstance(document.get("finding"), str)
    return document.get("key") if is_difference else document


def _report_line(line: bytes) -> Mapping[str, Any]:
    """Parse a line of a report, but skip the items' values, which may be large."""
    skim = Skim(line)
    document = {name: skim.value(MAX_KEY_TEXT) for name in skim.members() if name in ("finding", "key")}
    skim.end()
    return document


def _unreadable(at: str, why: str, table: Table) -> TaskError:
    example = key_example(table.key_schema)
    return TaskError(
        f"{at}: not a primary key of this table: {why}.",
        hint=f"write one key per line, such as {example}, or use a file that --report has written.",
    )
