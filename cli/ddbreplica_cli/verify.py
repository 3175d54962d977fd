"""`ddbreplica verify`: proves that the replica equals the source, or says where it does not."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from ddbreplica.model import Table
from ddbreplica_cli import output
from ddbreplica_cli.connection import Connection
from ddbreplica_cli.errors import CommandError, InterruptedByUserError
from ddbreplica_cli.options import Options, shared_options
from ddbreplica_cli.patience import Patience, noting_interrupts
from ddbreplica_cli.progress import progress_bar
from ddbreplica_cli.recheck import Findings, Patient, recheck
from ddbreplica_cli.sweep import Sweep, Swept
from ddbreplica_cli.tables import TableReader, approximate_items, describe, reading
from ddbreplica_cli.verdict import EQUAL, INCONCLUSIVE, Verified

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True, slots=True)
class _Side:
    name: str
    table: Table
    items: int
    client: "DynamoDBClient"

    def reader(self, patience: Patience) -> TableReader:
        return TableReader(self.client, self.name, self.table, patience)


@click.command()
@click.option("--segments", type=click.IntRange(1, 64), default=4, show_default=True, help="Parallel scans.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    default=5.0,
    show_default=True,
    help="Time for the replica to catch up before a difference counts.",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="How often to wait for an item that is being written.",
)
@click.option(
    "--limit", type=click.IntRange(min=0), default=10, show_default=True, help="How many differences to show."
)
@shared_options
def verify(options: Options, *, segments: int, grace: float, rounds: int, limit: int) -> None:
    """Compare the replica with the source, both ways, item by item.

    Reads both tables from end to end, consistently, while writes go on; changes nothing. An item that differs
    is read again after a grace, so that lag is no difference.

    \b
    Examples:
      ddbreplica verify
      ddbreplica verify --stack-name ddbreplica --json
      ddbreplica verify --source orders --replica orders-copy --grace 30

    Ends with `equal` (exit status 0), `NOT EQUAL` or `inconclusive` (1).
    """  # noqa: D301  \b is click's: do not wrap
    started = time.perf_counter()
    connection = Connection(options)
    source = _side(connection, connection.source, "--source", segments)
    replica = _side(connection, connection.replica, "--replica", segments)
    _refuse_unlike(source.table, replica.table)
    with noting_interrupts() as interrupt:
        patience = Patience(interrupt)
        readers = source.reader(patience), replica.reader(patience)
        swept = _sweep(*readers, segments, about=source.items + replica.items)
        findings = _recheck(swept, *readers, Patient(grace, rounds, interrupt.sleep), keep=limit)
    seconds = time.perf_counter() - started
    verified = Verified(source.name, replica.name, swept, findings, seconds)
    output.print_result(verified.document(), verified.text(), as_json=options.as_json)
    _advise(verified)
    if verified.verdict != EQUAL:
        raise SystemExit(1)


def _side(connection: Connection, name: str, option: str, segments: int) -> _Side:
    asking = connection.dynamodb(name)
    return _Side(
        name=name,
        table=describe(asking, name, option=option),
        items=approximate_items(asking, name),
        client=connection.dynamodb(name, config=reading(segments)),
    )


def _refuse_unlike(source: Table, replica: Table) -> None:
    if source.arn == replica.arn:
        raise CommandError(
            f"source and replica are one table, {source.arn}.",
            hint="name two tables with --source and --replica.",
        )
    if source.key_schema != replica.key_schema:
        raise CommandError(
            f"the source's key is {_named(source)} and the replica's is {_named(replica)}.",
            hint="name the right tables with --source and --replica, or recreate the replica with that key.",
        )


def _named(table: Table) -> str:
    return ", ".join(f"{name} ({tag})" for name, tag in sorted(table.key_schema))


def _sweep(source: TableReader, replica: TableReader, segments: int, *, about: int) -> Swept:
    with progress_bar("comparing", about=about) as advance:
        sweep = Sweep(source, replica, segments=segments, advance=advance)
        try:
            sweep.run()
        except KeyboardInterrupt as pressed:
            raise _interrupted(sweep.swept) from pressed
    return sweep.swept


def _recheck(
    swept: Swept, source: TableReader, replica: TableReader, patient: Patient, *, keep: int
) -> Findings:
    with progress_bar(f"suspects: {len(swept.suspects):,}; reading again", about=None):
        try:
            return recheck(swept.suspects, source=source, replica=replica, patient=patient, keep=keep)
        except KeyboardInterrupt as pressed:
            raise _interrupted(swept) from pressed


def _interrupted(swept: Swept) -> InterruptedByUserError:
    compared = (
        f"{swept.source_items:,} items of the source and {swept.replica_items:,} of the replica were compared"
    )
    return InterruptedByUserError(
        f"interrupted; {compared}; looked different until then: {len(swept.suspects):,}.",
        hint="run the same command again; verifying changes nothing.",
        facts={
            "source_items": swept.source_items,
            "replica_items": swept.replica_items,
            "suspects": len(swept.suspects),
        },
    )


def _advise(verified: Verified) -> None:
    if verified.swept.stopped_early:
        suspects = f"{len(verified.swept.suspects):,} keys that looked different"
        output.print_note(f"Stopped early, after {suspects}; the rest was not compared.")
    if verified.verdict == INCONCLUSIVE:
        output.print_note("Try: run it again when fewer writes are under way, or with a longer --grace.")
