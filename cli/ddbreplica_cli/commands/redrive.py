"""`ddbreplica redrive`: heals the items whose records were put aside, and clears what is done with out of the way."""

import re
import time
from typing import Any

import click

from ddbreplica.aws.clock import time_after
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.journal_format import REDRIVE
from ddbreplica.redrive import job, report
from ddbreplica.redrive.job import RedriveOptions
from ddbreplica.redrive.objects import ObjectOutcome, Redriven
from ddbreplica_cli.commands import redrive_erasure
from ddbreplica_cli.terminal import output
from ddbreplica_cli.terminal.driver import TERMINAL, default_path
from ddbreplica_cli.terminal.exit_status import ATTENTION
from ddbreplica_cli.terminal.options import (
    Options,
    archive_option,
    rate_option,
    read_rate_option,
    shared_options,
    state_option,
    without_mapping_option,
)
from ddbreplica_cli.terminal.param_type import Name, ParamType

_ADVICE = {
    ObjectOutcome.UNWRITABLE: "fix the items in the source, or the replica's indexes, and run it again.",
    ObjectOutcome.UNSETTLED: "run it again when fewer writes are under way.",
    ObjectOutcome.UNDECIDED: "look at its record: if the item was deleted, delete it from the replica too; then"
    " move the object by hand.",
    ObjectOutcome.EARLIER: "compare these items with `ddbreplica verify --keys-from FILE`; the replica may hold the"
    " only copy. Write each back to the source or delete it from the replica; then move the object by hand.",
    ObjectOutcome.OUTSIDE: "see whether the replica has the item, which no change will reach, and move the object"
    " by hand.",
    ObjectOutcome.KEYLESS: "see with `ddbreplica verify` whether an item differs, and move what has no key by hand.",
    ObjectOutcome.UNREADABLE: "look at the object; a later version of ddbreplica may have written it.",
}
"""For every outcome that leaves something to do."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class _Age(ParamType[float]):
    """`90s`, `15m`, `2h` or `1d`, in seconds."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        age = re.fullmatch(r"(\d{1,6})([smhd])", str(value))
        if age is None:
            self.fail(f"{value!r} is no age such as 90s, 15m, 2h or 1d.", param, ctx)
        return float(age[1]) * _SECONDS[age[2]]


@click.command()
@click.option(
    "--quarantine-bucket",
    type=Name(),
    metavar="BUCKET",
    help="Bucket of quarantined records.  [default: the function's]",
)
@click.option(
    "--on-failure-bucket",
    type=Name(),
    metavar="BUCKET",
    help="Bucket of what Lambda gave up, of any function.  [default: the mapping's, of its function]",
)
@click.option(
    "--older-than",
    type=_Age(),
    metavar="AGE",
    default="0s",
    help="Only objects at least so old: 90s, 15m, 2h or 1d.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N objects, by name.")
@rate_option()
@read_rate_option("the source")
@state_option(REDRIVE)
@without_mapping_option
@archive_option
@click.option(
    "--find",
    multiple=True,
    metavar="KEY",
    help="Reconcile nothing. List the objects that hold this key (in DynamoDB JSON), in done/ and old versions too."
    " May be repeated.",
)
@click.option(
    "--purge-done",
    is_flag=True,
    help="Reconcile nothing. Delete for good what is in done/, with all its versions; with --find, only what"
    " holds a key.",
)
@click.option("--yes", is_flag=True, help="With --purge-done: do not ask for confirmation.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show what would be reconciled or deleted; write, move and delete nothing.",
)
@shared_options
def redrive(options: Options, /, **values: Any) -> None:
    """Heal the items whose records are in quarantine or were given up by Lambda.

    Gives the replica the source's present state of those items; the records' own images are never written. An
    object whose items are all healed is moved to done/ in its bucket; any other stays, and is listed with the
    reason. Keys that are being written are kept in a state file: after Ctrl-C, a crash or a kill run the same command
    again in the same directory, and it reconciles them too. The file is removed when no such key is left.

    \b
    Examples:
      ddbreplica redrive --stack-name ddbreplica --dry-run
      ddbreplica redrive --stack-name ddbreplica
      ddbreplica redrive --source orders --replica orders-copy --older-than 1h --json
      ddbreplica redrive --stack-name ddbreplica --find '{"PK": {"S": "a"}}'

    Exits with 1 if an object or a key is left that requires attention or a later run, and with 2 if the redrive could
    not be done. With --find it exits with 1 if an object holds the key or cannot be read, and with 3 if old versions
    cannot be listed.
    """  # noqa: D301  \b is click's: do not wrap
    erasing = redrive_erasure.asked(
        values.pop("find"),
        purge_done=values.pop("purge_done"),
        yes=values.pop("yes"),
        dry_run=values["dry_run"],
    )
    state = values.pop("state")
    asked = RedriveOptions(**values)
    started = time.perf_counter()
    connection = Connection(options)
    if erasing is not None:
        raise SystemExit(
            erasing.run(
                connection,
                quarantine=asked.quarantine_bucket,
                on_failure=asked.on_failure_bucket,
                as_json=options.as_json,
            )
        )

    def tell(redriven: Redriven) -> None:
        facts = {"dry_run": asked.dry_run, "seconds": time.perf_counter() - started}
        output.print_result(
            {**report.document(redriven), **facts}, report.text(redriven), as_json=options.as_json
        )

    if asked.dry_run:
        redriven = job.foretell(connection, asked, tell, TERMINAL)
    else:
        path = state or default_path(connection.tables, REDRIVE)
        journal = FileJournal.at(path, command=REDRIVE, clock=connection.clock)
        redriven = job.redrive(connection, asked, tell, TERMINAL, journal)
    if _advise(redriven) and not asked.dry_run:
        raise SystemExit(ATTENTION)


def _advise(redriven: Redriven) -> bool:
    """Say what is left to do, if anything is."""
    left = {*redriven.counts, *(outcome for outcome, _ in redriven.open.values())}
    advice = [advice for outcome, advice in _ADVICE.items() if outcome in left]
    if redriven.wait > 0:
        until = time_after(redriven.wait)
        advice.insert(
            0, f"run it again after {until}; until then an in-doubt write may still change the replica."
        )
    for sentence in advice:
        output.print_note(f"Try: {sentence}")
    return bool(advice)
