"""Lines of JSON → keys: a key in wire JSON each, or a difference as a report has it. Pure."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from ddbreplica.decode import MalformedError, key_of
from ddbreplica.model import Key, Table
from ddbreplica_cli.errors import CommandError
from ddbreplica_cli.printable import printable


def read(lines: Iterable[str], table: Table) -> Iterator[Key]:
    """The keys, in order; blank lines are passed over. Raises CommandError for a line that is no key of the table."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _key(number, line, table)


def _key(number: int, line: str, table: Table) -> Key:
    try:
        key = key_of(_attributes(json.loads(line.encode())))
    except (ValueError, RecursionError, MalformedError) as error:
        raise _unreadable(number, str(error), table) from error
    if {(name, tag) for name, tag, _ in key} != table.key_schema:
        raise _unreadable(number, "these are not the table's key attributes", table)
    return key


def _attributes(document: Any) -> Any:
    # No attribute's value is a text, so that no key can be taken for a report's line.
    is_difference = isinstance(document, dict) and isinstance(document.get("finding"), str)
    return document.get("key") if is_difference else document


def _unreadable(number: int, why: str, table: Table) -> CommandError:
    example = printable({name: {tag: "…"} for name, tag in sorted(table.key_schema)})
    return CommandError(
        f"line {number} of the keys is no key: {why}.",
        hint=f"write one key a line, as {example}, or take a file that --report wrote.",
    )
