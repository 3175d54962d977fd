"""Write rows to the source table in pieces, and count the written, refused and skipped rows."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import dropwhile
from math import inf
from typing import Any

from ddbreplica.aws.hints import explain, hint_for, reason
from ddbreplica.driver import Advance, Patience
from ddbreplica.dynamodb.rate import Rate
from ddbreplica.dynamodb.send import SendResult, send
from ddbreplica.errors import StoppedError, TaskError
from ddbreplica.model import Change, Pending, Refusal, RefusalKind, Replica, Table, Write
from ddbreplica.records.decode import key_of
from ddbreplica.records.plan import fall_back, plan
from ddbreplica.records.size import write_units
from ddbreplica_cli.samples.logfile import KEY, BadRow, Row, Rows

PIECE = 1000
"""Rows held in memory at once. So many are enough for `send` to keep several requests under way."""

LISTED = 10
AGAIN = "a row replaces the item with its request id, so loading the file again is safe"


@dataclass(slots=True)
class Problems:
    """Bad or refused rows. All are counted; the first few are kept with line and reason."""

    count: int = 0
    first: list[tuple[str, str]] = field(default_factory=list)

    def add(self, lines: str, reason: str) -> None:
        """Count a row."""
        self.count += 1
        if len(self.first) < LISTED:
            self.first.append((lines, reason))

    def texts(self) -> Iterator[str]:
        """Return a line of text for each kept row, and the number of the others."""
        yield from (f"  {lines}: {reason}" for lines, reason in self.first)
        if more := self.count - len(self.first):
            yield f"  and {more:,} more"

    def facts(self) -> list[dict[str, str]]:
        """Return the kept rows as JSON values."""
        return [{"lines": lines, "reason": reason} for lines, reason in self.first]


@dataclass(slots=True)
class Loaded:
    """The result of a load so far. A row is written when its key was written with it or with a later row.

    All rows before the line `start_at` are written, refused or skipped.
    """

    start_at: int = 1
    written: int = 0
    refused: Problems = field(default_factory=Problems)
    left_out: Problems = field(default_factory=Problems)

    def facts(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "row_count": self.written,
            "refused": self.refused.count,
            "refused_rows": self.refused.facts(),
            "left_out": self.left_out.count,
            "left_out_rows": self.left_out.facts(),
        }


class Loader:
    """Writes rows to a table. `loaded` is the result so far, at any moment."""

    def __init__(
        self, replica: Replica, loaded: Loaded, *, patience: Patience, rate: Rate, advance: Advance
    ) -> None:
        """Write nothing yet. `rate` is in write capacity units; `advance` counts the rows written."""
        self._loaded = loaded
        self._replica = _Watched(replica, patience, advance)
        self._patience = patience
        self._rate = rate

    def load(self, rows: Rows, *, skip_bad_rows: bool) -> None:
        """Write all rows from the line `start_at` on, up to the first bad row.

        Raises TaskError for a bad row, for a table that refuses every request or stands still, and for Ctrl-C.
        """
        bad: list[BadRow] = []
        try:
            for piece in self._pieces(
                self._good(from_line(self._loaded.start_at, rows), bad, skip=skip_bad_rows)
            ):
                self._write(piece)
                # Only after the piece was written, since a load that is interrupted resumes at this line.
                self._loaded.start_at = piece[-1].line + 1
        except KeyboardInterrupt as pressed:
            hint = "run the same command again."
            raise self._ended("interrupted", hint=hint, kind=StoppedError) from pressed
        if bad:
            hint = "fix the row or add --skip-bad-rows, and run the same command again."
            raise self._ended(f"{bad[0].lines}: {bad[0].reason}", hint=hint)

    def _good(self, rows: Rows, bad: list[BadRow], *, skip: bool) -> Iterator[Row]:
        for row in rows:
            if isinstance(row, Row):
                yield row
            elif skip:
                self._loaded.left_out.add(row.lines, row.reason)
            else:
                # Not raised here: the good rows before it are still in a piece, and have to be written first.
                bad.append(row)
                return

    def _pieces(self, rows: Iterable[Row]) -> Iterator[Sequence[Row]]:
        """Return rows in pieces of at most a second's units, each when the rate allows it."""
        piece: list[Row] = []
        units = 0
        for row in rows:
            piece.append(row)
            units += write_units(row.item)
            if len(piece) == PIECE or units >= (self._rate.per_second or inf):
                yield self._allowed(piece, units)
                piece, units = [], 0
        if piece:
            yield self._allowed(piece, units)

    def _allowed(self, piece: Sequence[Row], units: int) -> Sequence[Row]:
        self._rate.take(units)
        self._patience.progressed()  # a wait for the rate does not mean that the table stands still
        return piece

    def _write(self, piece: Sequence[Row]) -> None:
        pending = plan(_change(position, row) for position, row in enumerate(piece))
        while pending:
            tally = send(pending, replica=self._replica, deadline=self._patience.deadline())
            # Before an error is raised: its facts have the rows that were written until then.
            self._count(tally)
            self._refuse_end(tally)
            # As in the function: an earlier good row of the same key must not be lost with a refused one.
            pending = tuple(earlier for write, _ in tally.rejected if (earlier := fall_back(write)))

    def _count(self, tally: SendResult) -> None:
        self._loaded.written += sum(_rows_in(write) for write in tally.applied)
        for write, refusal in tally.rejected:
            self._loaded.refused.add(
                f"line {write.change.sequence_number}", f"{refusal.code}: {refusal.message}"
            )

    def _refuse_end(self, tally: SendResult) -> None:
        if tally.fault is not None:
            raise self._ended(explain(tally.fault).fact, hint=hint_for(tally.fault))
        if tally.failed:
            self._patience.interrupt.check()
            refusal = tally.failed[0][1]
            waited = f"the table accepted no write for {self._patience.idle():.0f} seconds"
            raise self._ended(f"{waited} ({reason(refusal)})", hint=hint_for(refusal))

    def _ended(self, why: str, *, hint: str, kind: type[TaskError] = TaskError) -> TaskError:
        """Return an error with the result so far and how to resume."""
        start_at = self._loaded.start_at
        return kind(
            f"{why}; {counted(self._loaded.written)} written.",
            hint=f"{hint} To resume, add --start-at {start_at}." if start_at > 1 else hint,
            facts={**self._loaded.facts(), "start_at": start_at},
        )


class _Watched:
    """The table. Every applied write counts as progress."""

    def __init__(self, replica: Replica, patience: Patience, advance: Advance) -> None:
        self._replica = replica
        self._patience = patience
        self._advance = advance

    def describe(self, *, refresh: bool = False) -> Table | Refusal:
        return self._replica.describe(refresh=refresh)

    def start_batch(self, writes: Sequence[Write]) -> Pending:
        pending = self._replica.start_batch(writes)
        return lambda: self._noted(pending(), sent=len(writes))

    def start_one(self, write: Write) -> Pending:
        pending = self._replica.start_one(write)

        def responded() -> Sequence[Write] | Refusal:
            response = self._noted(pending(), sent=1)
            if isinstance(response, Refusal) and response.kind is RefusalKind.REJECTED:
                self._patience.progressed()  # a response too: the table does not stand still
            return response

        return responded

    def _noted(self, response: Sequence[Write] | Refusal, *, sent: int) -> Sequence[Write] | Refusal:
        if not isinstance(response, Refusal) and len(response) < sent:
            self._note(sent - len(response))
        return response

    def _note(self, written: int) -> None:
        self._patience.progressed()
        self._advance(written)


def counted(rows: int) -> str:
    """Return, for example, `1 row` or `2,000 rows`."""
    return f"{rows:,} {'row' if rows == 1 else 'rows'}"


def from_line(line: int, rows: Rows) -> Rows:
    """Return the rows from this line on."""
    return dropwhile(lambda row: row.line < line, rows)


def _change(position: int, row: Row) -> Change:
    key_attributes = {KEY: row.item[KEY]}
    return Change(
        position=position,
        sequence_number=str(row.line),
        key=key_of(key_attributes),
        key_attributes=key_attributes,
        image=row.item,
        created_at=None,
        record={},
    )


def _rows_in(write: Write) -> int:
    return 1 + len(write.earlier)
