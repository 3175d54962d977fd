"""Lines of JSON → keys: a key in wire JSON each, or a difference as a report has it. Pure."""

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
    """A file that lists keys: its path as it was given, where `-` is standard input, and what opens it."""

    path: str
    open: Callable[[], AbstractContextManager[IO[bytes]]]

    @property
    def name(self) -> str:
        """How messages name the file."""
        return "standard input" if self.path == "-" else self.path

    def read(self, table: Table) -> Iterator[Key]:
        """The keys, in order. Raises TaskError for a line that is no key of the table, and OSError."""
        with naming(self.name), self.open() as file:
            yield from read(lines_of(file), table)


def lines_of(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file; one that is longer than any line of a report is cut, and so cannot be read as a key."""
    return iter(partial(file.readline, MAX_LINE), b"")


def read(lines: Iterable[bytes], table: Table) -> Iterator[Key]:
    """The keys, in order; blank lines are passed over. Raises TaskError for a line that is no key of the table."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _key(number, line, table)


def _key(number: int, line: bytes, table: Table) -> Key:
    try:
        key = key_within(_attributes(line))
    except (ValueError, RecursionError, MalformedError) as error:
        raise _unreadable(number, str(error), table) from error
    if {(name, tag) for name, tag, _ in key} != table.key_schema:
        raise _unreadable(number, "these are not the table's key attributes", table)
    return key


def _attributes(line: bytes) -> Any:
    document = json.loads(line) if len(line) <= MAX_SMALL else _report_line(line)
    # No attribute's value is a text, so that no key can be taken for a report's line.
    is_difference = isinstance(document, dict) and isinstance(document.get("finding"), str)
    return document.get("key") if is_difference else document


def _report_line(line: bytes) -> Mapping[str, Any]:
    """A difference of large items, without their values."""
    skim = Skim(line)
    document = {name: skim.value(MAX_KEY_TEXT) for name in skim.members() if name in ("finding", "key")}
    skim.end()
    return document


def _unreadable(number: int, why: str, table: Table) -> TaskError:
    example = key_example(table.key_schema)
    return TaskError(
        f"line {number} of the keys is no key: {why}.",
        hint=f"write one key a line, as {example}, or take a file that --report wrote.",
    )
