"""`ddbreplica backfill`: copies what was in the source before its stream, while everything goes on."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Any

import click

from ddbreplica.decode import attributes_of
from ddbreplica.model import Table
from ddbreplica_cli import export as exports
from ddbreplica_cli import output
from ddbreplica_cli.backfilling import Backfill, Listing, Scan
from ddbreplica_cli.connection import Connection
from ddbreplica_cli.errors import CommandError, InterruptedByUserError
from ddbreplica_cli.estimate import Estimate
from ddbreplica_cli.export import Export, Exported
from ddbreplica_cli.grace import lag
from ddbreplica_cli.heal import Healer
from ddbreplica_cli.journal import FileJournal
from ddbreplica_cli.mapping import find_mapping
from ddbreplica_cli.options import Options, shared_options
from ddbreplica_cli.patience import Interrupt, Patience, noting_interrupts
from ddbreplica_cli.progress import progress_bar
from ddbreplica_cli.rate import Rate
from ddbreplica_cli.safeguards import refuse_unsafe, warning
from ddbreplica_cli.tables import SHARE, TableReader, describe, extent, reading, refuse_unlike

_NAMED = 10
_IDENTITY = "backfill"


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
    dry_run: bool


@dataclass(frozen=True, slots=True)
class _Tables:
    """Source and replica, and how they describe themselves."""

    source: Table
    replica: Table
    source_says: Mapping[str, Any]
    replica_says: Mapping[str, Any]

    @classmethod
    def of(cls, connection: Connection) -> "_Tables":
        names = ((connection.source, "--source"), (connection.replica, "--replica"))
        source, replica = (describe(connection.dynamodb(name), name, option=option) for name, option in names)
        refuse_unlike(source, replica)
        says: Any = [connection.dynamodb(name).describe_table(TableName=name)["Table"] for name, _ in names]
        return cls(source, replica, *says)

    @property
    def names(self) -> Mapping[str, str]:
        return {"source": self.source.arn, "replica": self.replica.arn}

    @property
    def stream(self) -> str | None:
        is_on = self.source_says.get("StreamSpecification", {}).get("StreamEnabled")
        return self.source_says.get("LatestStreamArn") if is_on else None

    def identity(self, listing: str) -> Mapping[str, Any]:
        """What has to be the same for a run to go on where another was: tables and stream made anew are others."""
        return {
            "source": f"{self.source.arn} of {self.source_says['CreationDateTime']}",
            "replica": f"{self.replica.arn} of {self.replica_says['CreationDateTime']}",
            "stream": self.stream,
            "listing": listing,
        }

    def estimate(self, export: Export | None) -> Estimate:
        return Estimate(
            items=export.items if export else self.source_says.get("ItemCount", 0),
            bytes=self.source_says.get("TableSizeBytes", 0),
            indexes=len(self.replica_says.get("GlobalSecondaryIndexes", ())),
            is_listed=export is not None,
        )


@click.command()
@click.option("--segments", type=click.IntRange(1, 64), default=4, show_default=True, help="Parallel scans.")
@click.option(
    "--from-export",
    metavar="s3://BUCKET/PREFIX",
    help="Take the keys from this full export of the table, in place of a scan; the items are read from the table.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="UNITS",
    help="Write units a second to use at the replica, its indexes apart.  [default: no limit]",
)
@click.option(
    "--read-rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="UNITS",
    help="Read units a second to use at the source."
    f"  [default: {SHARE:.0%} of what is provisioned; no limit on demand]",
)
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Keep here how far it has come.  [default: SOURCE-REPLICA.backfill, in this directory]",
)
@click.option("--no-wait", is_flag=True, help="Leave to a later run what cannot be written yet.")
@click.option(
    "--without-mapping", is_flag=True, help="Copy even if nothing brings later changes to the replica."
)
@click.option("--dry-run", is_flag=True, help="Say what it will use and cost, and write nothing.")
@shared_options
def backfill(options: Options, /, **wanted: Any) -> None:
    """Copy to the replica what was in the source before its stream.

    Goes through the source, and gives the replica each item's present state, while writers and the stream go on.
    How far it has come is kept in a file: after Ctrl-C, a crash or a kill the same command goes on where it was.
    The file is removed once all is done.

    \b
    Examples:
      ddbreplica backfill --stack-name ddbreplica --dry-run
      ddbreplica backfill --stack-name ddbreplica
      ddbreplica backfill --source orders --replica orders-copy --rate 500
      ddbreplica backfill --stack-name ddbreplica --from-export s3://exports/AWSDynamoDB/01234-abc

    Then `ddbreplica verify` proves the two equal. Exit status 1 where an item could not be copied.
    """  # noqa: D301  \b is click's: do not wrap
    asked = Wanted(**wanted)
    connection = Connection(options)
    tables = _Tables.of(connection)
    export = _export(connection, asked.from_export, tables) if asked.from_export else None
    if not asked.without_mapping:
        mapping = find_mapping(connection, tables.stream)
        refuse_unsafe(mapping, stream=tables.stream, export=export, now=datetime.now(UTC))
    if asked.dry_run:
        estimate = tables.estimate(export)
        document = {"dry_run": True, **tables.names, **estimate.document()}
        output.print_result(document, estimate.text(), as_json=options.as_json)
        return
    started = time.perf_counter()
    done = _Run(connection, asked, tables, export).go()
    facts = {**tables.names, **_facts(done), "seconds": time.perf_counter() - started}
    _finish(done, facts, as_json=options.as_json)


def _export(connection: Connection, url: str, tables: _Tables) -> Export:
    export = exports.find(connection.buckets, url)
    is_of_source = export.table_arn == tables.source.arn
    if not is_of_source or export.taken_at < tables.source_says["CreationDateTime"]:
        raise CommandError(
            f"{export.url} is the export of another table.", hint=f"name one of {tables.source.arn}."
        )
    return export


@dataclass(frozen=True, slots=True)
class _Run:
    """The steps of a backfill, and what they share."""

    connection: Connection
    wanted: Wanted
    tables: _Tables
    export: Export | None

    def go(self) -> Backfill:
        """Copy what is not copied yet; the state file is removed if that is everything."""
        self._warn()
        with noting_interrupts() as interrupt, self._journal() as journal:
            backfill = self._copy(journal, Patience(interrupt))
            if not journal.open_keys():
                journal.remove()
        return backfill

    @property
    def state(self) -> Path:
        """The file that says how far it has come."""
        names = (name.rpartition("/")[2] for name in (self.connection.source, self.connection.replica))
        return self.wanted.state or Path("-".join(names) + ".backfill")

    @property
    def read_rate(self) -> float | None:
        client = self.connection.dynamodb(self.connection.source)
        return extent(client, self.connection.source).read_rate(self.wanted.read_rate)

    def _warn(self) -> None:
        estimate = self.tables.estimate(self.export)
        seconds = estimate.seconds(rate=self.wanted.rate, read_rate=self.read_rate)
        behind = None if self.wanted.without_mapping else lag(self.connection)
        if said := warning(lag=behind, seconds=seconds):
            output.print_note(said)

    @contextmanager
    def _journal(self) -> Iterator[FileJournal]:
        journal = FileJournal(self.state)
        try:
            self._go_on(journal)
            yield journal
        finally:
            journal.close()

    def _go_on(self, journal: FileJournal) -> None:
        """Check that the state is of the same work, if it is of any."""
        listing = self.export.url if self.export else f"a scan in {self.wanted.segments} segments"
        identity = self.tables.identity(listing)
        before = journal.notes.get(_IDENTITY)
        if before is None:
            journal.note(_IDENTITY, identity)
            return
        for name, now in identity.items():
            if before[name] != now:
                raise CommandError(
                    f"{self.state} is the state of another backfill: its {name} is {before[name]}, and not"
                    f" {now}.",
                    hint="give the same options to go on with it, or name another file with --state to begin anew.",
                )
        output.print_note(f"Going on from {self.state}.")

    def _copy(self, journal: FileJournal, patience: Patience) -> Backfill:
        with progress_bar("copying", about=self.tables.estimate(self.export).items) as advance:
            reader = self._reader(patience)
            rate = Rate(self.wanted.rate, sleep=patience.interrupt.sleep) if self.wanted.rate else None
            read_rate = reader.rate if self.read_rate else None
            healer = Healer(
                self.connection, journal=journal, patience=patience, rate=rate, read_rate=read_rate
            )
            backfill = Backfill(
                self._listing(reader),
                heal=healer.heal,
                journal=journal,
                threads=self.wanted.segments,
                advance=advance,
            )
            with self._explained(backfill, journal):
                backfill.run()
        with self._explained(backfill, journal):
            backfill.settle(lambda: self._wait(journal, patience.interrupt))
        return backfill

    def _reader(self, patience: Patience) -> TableReader:
        name = self.connection.source
        client = self.connection.dynamodb(name, config=reading(self.wanted.segments))
        return TableReader(client, name, self.tables.source, patience, read_rate=self.read_rate)

    def _listing(self, reader: TableReader) -> Listing:
        if self.export is None:
            return Scan(reader, self.wanted.segments)
        names = [name for name, _ in self.tables.source.key_schema]
        return Exported(self.connection.buckets, self.export, names)

    @contextmanager
    def _explained(self, backfill: Backfill, journal: FileJournal) -> Iterator[None]:
        """Leave the state such that the next run can go on at once, and say how far this one came."""
        try:
            yield
        except (CommandError, KeyboardInterrupt) as ended:
            raise self._ended(backfill, ended) from ended
        finally:
            if backfill.is_at_rest:
                journal.rest()

    def _ended(self, backfill: Backfill, why: BaseException) -> CommandError:
        so_far, facts = f"{backfill.items:,} items were gone through", _facts(backfill)
        if isinstance(why, CommandError):
            fact = f"{why.fact.rstrip('.')}; {so_far}, and {self.state} says where to go on."
            return CommandError(fact, hint=why.hint, facts=facts)
        hint = f"run the same command again; it goes on from {self.state}."
        return InterruptedByUserError(f"interrupted; {so_far}.", hint=hint, facts=facts)

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


def _finish(done: Backfill, facts: Mapping[str, Any], *, as_json: bool) -> None:
    copied = f"{done.items - len(done.left):,} items copied in {facts['seconds']:.1f} seconds."
    if not done.left:
        output.print_result(facts, copied, as_json=as_json)
        return
    if not as_json:
        output.print_result(facts, copied, as_json=False)
    output.print_note("\n".join(_listed(done)))
    raise CommandError(
        f"{len(done.left):,} items are not copied yet.",
        hint="mend what is refused, and run the same command again: it goes on with these.",
        facts=facts,
    )


def _facts(done: Backfill) -> dict[str, Any]:
    """For a program; keys are wire JSON."""
    first = islice(done.left.items(), _NAMED)
    return {
        "items": done.items,
        "left": len(done.left),
        "left_items": [{"key": attributes_of(key), "reason": reason} for key, reason in first],
    }


def _listed(done: Backfill) -> Iterator[str]:
    for key, reason in islice(done.left.items(), _NAMED):
        shown = ", ".join(
            f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in attributes_of(key).items()
        )
        yield f"  {shown}: {reason}"
    if len(done.left) > _NAMED:
        yield f"  and {len(done.left) - _NAMED:,} more"
