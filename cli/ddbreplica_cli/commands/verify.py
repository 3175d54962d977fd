"""`ddbreplica verify`: compares the replica with the source and, with --repair, repairs the differences."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ddbreplica.dynamodb.connection import Connection
from ddbreplica.errors import TaskError
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.journal_format import VERIFY
from ddbreplica.verify.difference import DifferenceKind
from ddbreplica.verify.grace import LEAST, LONGEST
from ddbreplica.verify.job import VerifyOptions, verified
from ddbreplica.verify.keys_file import KeysFile
from ddbreplica.verify.verdict import INCONCLUSIVE, NOT_EQUAL, Verified
from ddbreplica_cli.terminal import output
from ddbreplica_cli.terminal.driver import TERMINAL, default_path
from ddbreplica_cli.terminal.exit_status import ATTENTION, exit_status
from ddbreplica_cli.terminal.exit_status import INCONCLUSIVE as INCONCLUSIVE_STATUS
from ddbreplica_cli.terminal.exit_status import document as error_document
from ddbreplica_cli.terminal.options import (
    Options,
    archive_option,
    rate_option,
    read_rate_option,
    segments_option,
    shared_options,
    state_option,
)
from ddbreplica_cli.terminal.param_type import Number

_EXIT_STATUS = {NOT_EQUAL: ATTENTION, INCONCLUSIVE: INCONCLUSIVE_STATUS}

_NEXT = {
    (False, False): "run the same command with --repair --dry-run, then with --repair.",
    (True, True): "run the same command without --dry-run.",
    (True, False): "run the same command again; first fix at the source each item that the replica refuses.",
}


@click.command()
@segments_option
@click.option(
    "--sample",
    type=Number(min=0.0001, max=1),
    metavar="FRACTION",
    default=1.0,
    help="Compare a random fraction of each table.",
)
@click.option(
    "--keys-from",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="Compare only the keys in this file: JSON lines, such as a report of --report.",
)
@click.option(
    "--grace",
    type=Number(min=0),
    metavar="SECONDS",
    help="Time to wait for the replica to catch up before a difference is confirmed."
    f"  [default: twice the lag, if it is known; {LEAST:.0f} to {LONGEST:.0f}]",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="How often to wait for an item that keeps changing.",
)
@read_rate_option("each table")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="Maximum number of differences to show.",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write all differences to this file, one line of JSON each.",
)
@click.option("--repair", is_flag=True, help="Give each item that differs the source's present state.")
@click.option(
    "--dry-run", is_flag=True, help="With --repair: show what would be repaired, and write nothing."
)
@rate_option("With --repair: maximum write capacity units per second.")
@state_option(VERIFY, when="With --repair: ")
@click.option(
    "--without-mapping",
    is_flag=True,
    help="Ignore the event source mapping and its filter: compare all keys, and repair even if no mapping replicates"
    " later changes.",
)
@archive_option
@shared_options
def verify(options: Options, /, **values: Any) -> None:
    """Compare the replica with the source, item by item, in both directions.

    The command reads both tables completely with consistent reads; writes may continue. It waits for a grace period
    and reads each item that differs again, so lag does not count as a difference.

    Without --repair the command changes nothing. With --repair it gives each item that differs the source's present
    state, and then compares these items again. It keeps the keys that it is writing in a state file. After Ctrl-C or
    a crash, run the same command again in the same directory; it reconciles these keys too. It removes the file when
    nothing is left to do.

    \b
    Examples:
      ddbreplica verify
      ddbreplica verify --stack-name ddbreplica --json
      ddbreplica verify --source orders --replica orders-copy --sample 0.05
      ddbreplica verify --stack-name ddbreplica --report differences.jsonl
      ddbreplica verify --stack-name ddbreplica --keys-from differences.jsonl --repair

    The last line is `equal` or `repaired` (exit status 0), `NOT EQUAL` (1) or `inconclusive` (3). The command exits
    with 2 if it fails.
    """  # noqa: D301  \b is click's: do not wrap
    _refuse_contradictions(values)
    state = values.pop("state")
    asked = VerifyOptions(**{**values, "keys_from": _keys_file(values["keys_from"])})

    def tell(result: Verified) -> None:
        unreported = _unreported(result)
        output.print_result(
            {**result.document(), **(error_document(unreported) if unreported else {})},
            result.text(),
            as_json=options.as_json,
        )

    connection = Connection(options)
    journal = _journal(connection, state) if asked.repair and not asked.dry_run else None
    result = verified(connection, asked, tell, TERMINAL, journal)
    unreported = _unreported(result)
    _advise(result, asked)
    if unreported:
        output.print_error(unreported, as_json=False)
        raise SystemExit(exit_status(unreported))
    if status := _EXIT_STATUS.get(result.verdict):
        raise SystemExit(status)


def _refuse_contradictions(values: Mapping[str, Any]) -> None:
    """Raise UsageError if options contradict each other."""
    report, keys_from = values["report"], values["keys_from"]
    if values["sample"] < 1 and keys_from is not None:
        raise click.UsageError("--sample and --keys-from cannot be used together.")
    if not values["repair"] and (
        values["dry_run"] or values["rate"] is not None or values["state"] is not None
    ):
        raise click.UsageError("--dry-run, --rate and --state need --repair.")
    if report is not None and keys_from is not None and _is_one(report, keys_from):
        raise click.UsageError("--report and --keys-from name the same file.")


def _is_one(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _journal(connection: Connection, state: Path | None) -> FileJournal:
    path = state or default_path(connection.tables, VERIFY)
    return FileJournal.at(path, command=VERIFY, clock=connection.clock)


def _keys_file(path: Path | None) -> KeysFile | None:
    return None if path is None else KeysFile(str(path), lambda: click.open_file(str(path), "rb"))


def _unreported(verified: Verified) -> TaskError | None:
    """Return an error if the report is not complete. The comparison itself is complete, and its result is printed."""
    report = verified.findings.report
    if report is None or report.failure is None:
        return None
    return TaskError(
        f"the report {report.path} is not complete: {report.failure}. The result printed above is complete.",
        hint="free disk space, or name another file with --report, and run the same command again.",
    )


def _advise(verified: Verified, asked: VerifyOptions) -> None:
    if verified.swept.stopped_early:
        suspects = f"{verified.swept.suspects:,} suspected differences"
        output.print_note(f"Stopped early after {suspects}; the remaining items were not compared.")
    if verified.verdict == INCONCLUSIVE and (
        verified.findings.counts[DifferenceKind.INCONCLUSIVE] or not verified.in_doubt
    ):
        output.print_note("Try: run the command again when there are fewer writes, or with a longer --grace.")
    if verified.findings.undecided:
        output.print_note(
            "Items that need review, since the source no longer has them (deleted or expired):"
            f" {verified.findings.undecided:,}. No later run reports them; --report lists all of them."
            " Try: review each one; if it was deleted at the source, delete it from the replica too."
        )
    if verified.verdict == NOT_EQUAL:
        output.print_note(f"Try: {_NEXT[asked.repair, asked.dry_run]}")
