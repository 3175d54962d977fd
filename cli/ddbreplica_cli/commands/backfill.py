"""`ddbreplica backfill`: copies what was in the source before its stream, while everything goes on."""

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import click

from ddbreplica.aws.clock import time_after
from ddbreplica.backfill import export as exports
from ddbreplica.backfill.export import Export
from ddbreplica.backfill.job import NAMED, Copying, Tables, Wanted, damage, facts
from ddbreplica.backfill.pages import Backfill
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import SHARE, describe_pair
from ddbreplica.mapping.event_source_mapping import find_mapping
from ddbreplica.mapping.preflight import Ground, despite
from ddbreplica.mapping.safeguards import refuse_unsafe
from ddbreplica.reconcile.journal import BACKFILL, FileJournal
from ddbreplica.reconcile.leftover import print_leftovers
from ddbreplica.reconcile.review import Undecided
from ddbreplica.reconcile.state import default_path
from ddbreplica.records.decode import attributes_of
from ddbreplica.records.text import bare, printable
from ddbreplica_cli.terminal import output
from ddbreplica_cli.terminal.errors import AttentionError, CommandError
from ddbreplica_cli.terminal.options import (
    Options,
    archive_option,
    shared_options,
    state_option,
    without_mapping_option,
)
from ddbreplica_cli.terminal.param_type import Name, Number


@click.command()
@click.option("--segments", type=click.IntRange(1, 64), default=4, show_default=True, help="Parallel scans.")
@click.option(
    "--from-export",
    type=Name(),
    metavar="s3://BUCKET/PREFIX",
    help="Take the keys from this full export of the table, in place of a scan; the items are read from the table.",
)
@click.option(
    "--rate",
    type=Number(min=0, min_open=True),
    metavar="UNITS",
    help="Write units a second to use at the replica, its indexes apart.  [default: no limit]",
)
@click.option(
    "--read-rate",
    type=Number(min=0, min_open=True),
    metavar="UNITS",
    help="Read units a second to use at the source."
    f"  [default: {SHARE:.0%} of what is provisioned; no limit on demand]",
)
@state_option(BACKFILL)
@click.option("--no-wait", is_flag=True, help="Leave to a later run what cannot be written yet.")
@without_mapping_option
@archive_option
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

    Then `ddbreplica verify` proves the two equal. Exits with 1 if an item was not copied or, in an archive, needs
    review (deleted or expired), and with 2 if the backfill could not be done.
    """  # noqa: D301  \b is click's: do not wrap
    asked = Wanted(**wanted)
    connection = Connection(options)
    if asked.dry_run:
        copying = _copying(connection, asked)
        estimate = copying.tables.estimate(copying.export)
        document = {"dry_run": True, **copying.tables.names, **estimate.document()}
        output.print_result(document, estimate.text(), as_json=options.as_json)
        return
    path = asked.state or default_path(connection, BACKFILL)
    journal = FileJournal.at(path, command=BACKFILL, clock=connection.clock)
    with journal.kept():
        copying = _copying(connection, asked)
        started = time.perf_counter()
        done = copying.go(journal)
        held = journal.held()
    document = {
        **copying.tables.names,
        **facts(done),
        **copying.undecided.facts(),
        "seconds": time.perf_counter() - started,
    }
    _finish(done, copying, held, document, as_json=options.as_json)


def _copying(connection: Connection, asked: Wanted) -> Copying:
    """What there is to copy. Raises CommandError where that cannot be done, or not safely."""
    source, replica = describe_pair(connection)
    if asked.dry_run:
        print_leftovers(connection, source, replica)
    else:
        connection.clock.refuse_fast()
    tables = Tables(source, replica)
    export = _export(connection, asked.from_export, tables) if asked.from_export else None
    ground = _ground(connection, asked, tables, export)
    ground.warn_of_replicas(source)
    return Copying(connection, asked, tables, export, ground)


def _export(connection: Connection, url: str, tables: Tables) -> Export:
    export = exports.find(connection.buckets, url)
    is_of_source = export.table_arn == tables.source.table.arn
    if not is_of_source or export.taken_at < tables.source.says["CreationDateTime"]:
        raise CommandError(
            f"{export.url} is the export of another table.", hint=f"name one of {tables.source.table.arn}."
        )
    return export


def _ground(connection: Connection, wanted: Wanted, tables: Tables, export: Export | None) -> Ground:
    """Raise CommandError where a change could get lost."""
    if wanted.without_mapping:
        return despite(connection, archive=wanted.archive)
    stream = tables.source.stream
    mapping = refuse_unsafe(
        find_mapping(connection, stream), stream=stream, export=export, now=datetime.now(UTC)
    )
    return Ground.on(mapping, archive=wanted.archive)


def _finish(
    done: Backfill, copying: Copying, held: tuple[int, float], document: Mapping[str, Any], *, as_json: bool
) -> None:
    outside = f" {done.outside:,} are outside the mapping's filter." if done.outside else ""
    copied = f"{done.items - len(done.left):,} items copied in {document['seconds']:.1f} seconds.{outside}"
    if not done.left and not done.damaged and not copying.undecided:
        output.print_result(document, copied, as_json=as_json)
        return
    if not as_json:
        output.print_result(document, copied, as_json=False)
    if done.left:
        output.print_note(*_listed(done))
    ended = CommandError if done.damaged else AttentionError
    raise ended(
        " ".join(_unfinished(done, copying.undecided)),
        hint="; ".join(_to_do(done, copying, held)) + ".",
        facts=document,
    )


def _unfinished(done: Backfill, undecided: Undecided) -> Iterator[str]:
    if done.damaged:
        yield f"{damage(done)}. Some items may not have been copied."
    if done.left:
        yield f"{len(done.left):,} items are not copied yet."
    if undecided:
        yield f"{len(undecided):,} items are gone from the source, deleted or expired: {undecided.path} lists them."


def _to_do(done: Backfill, copying: Copying, held: tuple[int, float]) -> Iterator[str]:
    keys, seconds = held
    if keys:
        yield (
            f"run the same command again after {time_after(seconds)}, since until then a write may still change"
            f" {keys:,} items of the replica"
        )
    if len(done.left) > keys:
        yield "mend what is refused, and run the same command again: it goes on with these"
    if done.damaged:
        yield (
            "export the table again and name the new export, with another --state file or after you remove"
            f" {copying.state}"
        )
    if copying.undecided:
        yield (
            "look at each that is gone: if it was deleted, delete it from the replica too;"
            f" then remove {copying.undecided.path}"
        )


def _listed(done: Backfill) -> Iterator[str]:
    for key, reason in islice(done.left.items(), NAMED):
        shown = ", ".join(f"{bare(name)}={printable(value)}" for name, value in attributes_of(key).items())
        yield f"  {shown}: {reason}"
    if len(done.left) > NAMED:
        yield f"  and {len(done.left) - NAMED:,} more"
