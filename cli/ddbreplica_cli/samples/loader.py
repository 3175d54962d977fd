"""Rows → the source table, in pieces, with a count of what was written and what was not."""

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
"""Rows held in memory at once: enough requests for `send` to have several under way nearly all the time."""

LISTED = 10
AGAIN = "rows are written by request id, so that loading the file again does no harm"


@dataclass(slots=True)
class Problems:
    """Rows with something wrong: all counted, the first few kept with their lines and the reason."""

    count: int = 0
    first: list[tuple[str, str]] = field(default_factory=list)

    def add(self, lines: str, reason: str) -> None:
        """Count one more."""
        self.count += 1
        if len(self.first) < LISTED:
            self.first.append((lines, reason))

    def texts(self) -> Iterator[str]:
        """One line each, and how many more there are."""
        yield from (f"  {lines}: {reason}" for lines, reason in self.first)
        if more := self.count - len(self.first):
            yield f"  and {more:,} more"

    def facts(self) -> list[dict[str, str]]:
        """The first few, for a program."""
        return [{"lines": lines, "reason": reason} for lines, reason in self.first]


@dataclass(slots=True)
class Loaded:
    """What has become of the rows so far. A row counts as written when its key was written for it or a later row.

    Every row before the line `start_at` has been dealt with.
    """

    start_at: int = 1
    written: int = 0
    refused: Problems = field(default_factory=Problems)
    left_out: Problems = field(default_factory=Problems)

    def facts(self) -> dict[str, Any]:
        """The same, for a program."""
        return {
            "row_count": self.written,
            "refused": self.refused.count,
            "refused_rows": self.refused.facts(),
            "left_out": self.left_out.count,
            "left_out_rows": self.left_out.facts(),
        }


class Loader:
    """Writes rows to one table, and keeps `loaded` right at any moment, so that an end at any moment can be told."""

    def __init__(
        self, replica: Replica, loaded: Loaded, *, patience: Patience, rate: Rate, advance: Advance
    ) -> None:
        """`rate` is in write units; `advance` is told of every row written."""
        self._loaded = loaded
        self._replica = _Watched(replica, patience, advance)
        self._patience = patience
        self._rate = rate

    def load(self, rows: Rows, *, skip_bad_rows: bool) -> None:
        """Write all rows from the line `start_at`, or those before the first bad one.

        Raises TaskError for that row, for a table that refuses everything or stands still, and for Ctrl-C.
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
            hint = "mend the row, or give --skip-bad-rows, and run the same command again."
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
        """Rows in pieces, each as soon as the rate allows it: a second's worth of units at a time."""
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
        self._patience.progressed()  # a wait for our own rate is no standstill of the table
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
            waited = f"nothing could be written for {self._patience.idle():.0f} seconds"
            raise self._ended(f"{waited} ({reason(refusal)})", hint=hint_for(refusal))

    def _ended(self, why: str, *, hint: str, kind: type[TaskError] = TaskError) -> TaskError:
        """The error that says how far it came, and how to go on from there."""
        start_at = self._loaded.start_at
        return kind(
            f"{why}; {counted(self._loaded.written)} written.",
            hint=f"{hint} To go on where it ended, add --start-at {start_at}." if start_at > 1 else hint,
            facts={**self._loaded.facts(), "start_at": start_at},
        )


class _Watched:
    """The table, with every write that it takes noted as progress."""

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

        def answered() -> Sequence[Write] | Refusal:
            answer = self._noted(pending(), sent=1)
            if isinstance(answer, Refusal) and answer.kind is RefusalKind.REJECTED:
                self._patience.progressed()  # an answer too: the table is not what holds things up
            return answer

        return answered

    def _noted(self, answer: Sequence[Write] | Refusal, *, sent: int) -> Sequence[Write] | Refusal:
        if not isinstance(answer, Refusal) and len(answer) < sent:
            self._note(sent - len(answer))
        return answer

    def _note(self, written: int) -> None:
        self._patience.progressed()
        self._advance(written)


def counted(rows: int) -> str:
    """`1 row`, `2,000 rows`."""
    return f"{rows:,} {'row' if rows == 1 else 'rows'}"


def from_line(line: int, rows: Rows) -> Rows:
    """The rows that begin there or later."""
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
