"""A backfill as it was asked for → the source copied, and a file that says how far that has come until it is done."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Any

from ddbreplica.backfill.estimate import Estimate
from ddbreplica.backfill.export import Export, Exported
from ddbreplica.backfill.pages import Backfill, Listing, Scan, Within
from ddbreplica.driver import Interrupt, Patience, noting_interrupts
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described, identity
from ddbreplica.dynamodb.rate import Rate
from ddbreplica.dynamodb.scan import TableReader
from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.mapping.lag import lag
from ddbreplica.mapping.preflight import Ground
from ddbreplica.mapping.safeguards import warning
from ddbreplica.reconcile.journal import BACKFILL, FileJournal
from ddbreplica.reconcile.reconciler import Healer, Rates
from ddbreplica.reconcile.review import Undecided
from ddbreplica.reconcile.state import default_path
from ddbreplica.records.decode import attributes_of
from ddbreplica_cli.terminal import output
from ddbreplica_cli.terminal.errors import CommandError, InterruptedByUserError
from ddbreplica_cli.terminal.progress import progress_bar

NAMED = 10
"""Items that are named one by one, of those that were not copied."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for, option by option."""

    segments: int
    from_export: str | None
    rate: float | None
    read_rate: float | None
    state: Path | None
    no_wait: bool
    without_mapping: bool
    archive: bool
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Tables:
    """Source and replica."""

    source: Described
    replica: Described

    @property
    def names(self) -> Mapping[str, str]:
        """Their ARNs, for a program."""
        return {"source": self.source.table.arn, "replica": self.replica.table.arn}

    def identity(self, listing: str, key_filter: KeyFilter) -> Mapping[str, Any]:
        """What has to be the same for a run to go on where another was: tables and stream made anew are others."""
        return {
            **identity(self.source, self.replica),
            "stream": self.source.stream,
            "listing": listing,
            "filter": list(key_filter.patterns),
        }

    def estimate(self, export: Export | None) -> Estimate:
        """What copying all of it will use."""
        return Estimate(
            items=export.items if export else self.source.items,
            bytes=self.source.bytes,
            indexes=self.replica.indexes,
            is_listed=export is not None,
        )


@dataclass(frozen=True, slots=True)
class Copying:
    """The steps of a backfill, and what they share."""

    connection: Connection
    wanted: Wanted
    tables: Tables
    export: Export | None
    ground: Ground

    def go(self, journal: FileJournal) -> Backfill:
        """Copy what is not copied yet; nothing is left in the journal if that is everything.

        The state of a damaged export stays: else the next run would not know of the damage.
        """
        self._warn()
        self._go_on(journal)
        with noting_interrupts() as interrupt:
            backfill = self._copy(journal, Patience(interrupt))
            if not journal.open_keys() and not backfill.damaged:
                journal.forget()
        return backfill

    @property
    def state(self) -> Path:
        """The file that says how far it has come."""
        return self.wanted.state or default_path(self.connection, BACKFILL)

    @property
    def undecided(self) -> Undecided:
        """What nobody can decide about, listed beside the state, and for longer."""
        return Undecided.beside(self.state)

    @property
    def read_rate(self) -> float | None:
        """Read units a second to take."""
        return self.tables.source.read_rate(self.wanted.read_rate)

    def _warn(self) -> None:
        estimate = self.tables.estimate(self.export)
        seconds = estimate.seconds(rate=self.wanted.rate, read_rate=self.read_rate)
        behind = None if self.wanted.without_mapping else lag(self.connection)
        if said := warning(lag=behind, seconds=seconds):
            output.print_note(said)

    def _go_on(self, journal: FileJournal) -> None:
        """Check that the state is of the same work, if it is of any."""
        listing = self.export.url if self.export else f"a scan in {self.wanted.segments} segments"
        if journal.resume(self.tables.identity(listing, self.ground.key_filter)):
            output.print_note(f"Resuming from {self.state}.")

    def _copy(self, journal: FileJournal, patience: Patience) -> Backfill:
        with progress_bar("copying", about=self.tables.estimate(self.export).items) as advance:
            reader = self._reader(patience)
            rate = Rate(self.wanted.rate, sleep=patience.interrupt.sleep) if self.wanted.rate else None
            read_rate = reader.rate if self.read_rate else None
            healer = Healer(
                self.connection,
                journal=journal,
                patience=patience,
                is_archive=self.ground.is_archive,
                rates=Rates(write=rate, read=read_rate),
            )
            backfill = Backfill(
                self._listing(reader),
                heal=healer.heal,
                journal=journal,
                undecided=self.undecided.add,
                threads=self.wanted.segments,
                advance=advance,
            )
            with self._explained(backfill, journal):
                backfill.run()
        with self._explained(backfill, journal):
            backfill.settle(lambda: self._wait(journal, patience.interrupt))
        return backfill

    def _reader(self, patience: Patience) -> TableReader:
        return TableReader.of(
            self.tables.source, patience, threads=self.wanted.segments, read_rate=self.read_rate
        )

    def _listing(self, reader: TableReader) -> Listing:
        return Within(self.ground.key_filter, self._whole(reader))

    def _whole(self, reader: TableReader) -> Listing:
        if self.export is None:
            return Scan(reader, self.wanted.segments)
        names = [name for name, _ in self.tables.source.table.key_schema]
        return Exported(self.connection.buckets, self.export, names)

    @contextmanager
    def _explained(self, backfill: Backfill, journal: FileJournal) -> Iterator[None]:
        """Leave the state such that the next run can go on at once, and say how far this one came."""
        try:
            yield
        except (CommandError, KeyboardInterrupt) as ended:
            with suppress(CommandError):  # what cannot be written now is held back by the next run
                self._rest(backfill, journal)
            raise self._ended(backfill, ended, is_resumable=journal.says_more) from ended
        self._rest(backfill, journal)

    def _rest(self, backfill: Backfill, journal: FileJournal) -> None:
        if backfill.is_at_rest:
            journal.rest()

    def _ended(self, backfill: Backfill, why: BaseException, *, is_resumable: bool) -> CommandError:
        so_far, done = f"{backfill.items:,} items were gone through", facts(backfill)
        if backfill.damaged:
            so_far += f"; {damage(backfill)}"
        if isinstance(why, CommandError):
            where = f", and {self.state} says where to go on" if is_resumable else ""
            return CommandError(f"{why.fact.rstrip('.')}; {so_far}{where}.", hint=why.hint, facts=done)
        where = f"; it goes on from {self.state}" if is_resumable else ""
        hint = f"run the same command again{where}."
        return InterruptedByUserError(f"interrupted; {so_far}.", hint=hint, facts=done)

    def _wait(self, journal: FileJournal, interrupt: Interrupt) -> None:
        """Wait, with a countdown, for writes that may still land."""
        keys, seconds = journal.held()
        if self.wanted.no_wait or not keys:
            return
        output.print_note(
            f"{keys:,} items may still get an old write, which was not answered, or was under way when a run was"
            f" killed: they are copied in {ceil(seconds / 60)} minutes."
        )
        end = time.monotonic() + seconds
        with progress_bar("waiting (seconds)", about=round(seconds)) as advance:
            while (left := end - time.monotonic()) > 0:
                interrupt.sleep(min(1, left))
                interrupt.check()
                advance(1)


def facts(done: Backfill) -> dict[str, Any]:
    """For a program; keys are wire JSON."""
    first = islice(done.left.items(), NAMED)
    return {
        "items": done.items,
        "outside": done.outside,
        "left": len(done.left),
        "left_items": [{"key": attributes_of(key), "reason": reason} for key, reason in first],
        "damaged": [{"file": part, "reason": reason} for part, reason in sorted(done.damaged.items())],
    }


def damage(done: Backfill) -> str:
    """The damaged parts of an export, of which there is at least one, without a full stop."""
    first, *others = (f"{part} {reason}" for part, reason in sorted(done.damaged.items()))
    return f"{first} (and {len(others):,} more files)" if others else first
