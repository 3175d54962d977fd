"""Convert web-log rows to items of the source table, and write rows as CSV. Pure.

A file has no header and ten columns, in the order of COLUMNS.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from ddbreplica.model import Image
from ddbreplica.records.text import cut

KEY = "PK"
COLUMNS = (
    ("requestid", "N"),
    ("host", "S"),
    ("date", "S"),
    ("hourofday", "N"),
    ("timezone", "S"),
    ("method", "S"),
    ("url", "S"),
    ("responsecode", "N"),
    ("bytessent", "N"),
    ("useragent", "S"),
)
"""Attribute name and type of each column."""

MAX_LINE = 1024 * 1024
"""The most characters of a line that are read at once. A longer line is not a row, since an item holds far less."""

_WHOLE_NUMBER = re.compile(r"[+-]?\d{1,38}", re.ASCII)
_SERVER_ERROR = "500"


@dataclass(frozen=True, slots=True)
class Row:
    """A row that can be loaded. `line` counts from 1."""

    line: int
    item: Image


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be loaded. It has two line numbers, because a quoted field may span lines."""

    line: int
    last_line: int
    reason: str

    @property
    def lines(self) -> str:
        """The lines of the row, for example `line 7` or `lines 7-9`."""
        return f"line {self.line}" if self.line >= self.last_line else f"lines {self.line}-{self.last_line}"


Rows: TypeAlias = Iterable[Row | BadRow]


class RowError(Exception):
    """A row is not a log entry. The message is the reason."""


class _Writable(Protocol):
    def write(self, text: str, /) -> object: ...


def read(lines: Iterable[str]) -> Iterator[Row | BadRow]:
    """Read the rows of a file one by one, without empty lines. A bad row does not end the reading.

    Bytes that are not UTF-8 must have been decoded with `surrogateescape`, so that their row is reported.
    """
    # Not strict, csv guesses what a broken quote means, and the row would be loaded with wrong values.
    reader = csv.reader(lines, strict=True)
    while True:
        first = reader.line_num + 1
        try:
            fields = next(reader)
            if fields:
                yield Row(first, item(fields))
        except StopIteration:
            return
        except (csv.Error, RowError) as error:
            yield BadRow(first, reader.line_num, str(error))


def write(rows: Iterable[Sequence[str]], file: _Writable) -> None:
    """Write rows of fields as a CSV file."""
    csv.writer(file, lineterminator="\n").writerows(rows)


def item(fields: Sequence[str]) -> Image:
    """Return the item of a row, in DynamoDB JSON. Raises RowError."""
    if len(fields) != len(COLUMNS):
        raise RowError(f"expected {len(COLUMNS)} columns and found {len(fields)}")
    values = {name: {tag: _value(name, tag, text)} for (name, tag), text in zip(COLUMNS, fields, strict=True)}
    attributes = {
        KEY: {"S": f"request#{values['requestid']['N']}"},
        "GSI_1_PK": {"S": f"host#{values['host']['S']}"},
        **values,
    }
    if values["responsecode"]["N"] == _SERVER_ERROR:
        attributes["servererror"] = {"S": "5xx"}
    return attributes


def _value(name: str, tag: str, text: str) -> str:
    if "\0" in text:
        raise RowError(f"{name} contains a NUL character")
    if not _is_utf8(text):
        raise RowError(f"{name} is not UTF-8")
    return _whole_number(name, text) if tag == "N" else text


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _whole_number(name: str, text: str) -> str:
    if not _WHOLE_NUMBER.fullmatch(text.strip()):
        raise RowError(f"{name} is {_shown(text)}, which is not a whole number")
    # As DynamoDB stores it, which drops leading zeros: PK must contain the same text as requestid.
    return str(int(text))


def _shown(text: str) -> str:
    return repr(cut(text, 40))
