"""`ddbreplica verify`: proves that the replica equals the source, or says where it does not, and repairs it if told."""

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
    (False, False): "the same with --repair --dry-run, then with --repair.",
    (True, True): "the same without --dry-run.",
    (True, False): "the same again; what the replica refuses has to be mended at the source first.",
}


@click.command()
@segments_option
@click.option(
    "--sample",
    type=Number(min=0.0001, max=1),
    metavar="FRACTION",
    default=1.0,
    help="Look at this share of either table only, chosen at random.",
)
@click.option(
    "--keys-from",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="Look at these keys only: JSON lines, as --report writes them.",
)
@click.option(
    "--grace",
    type=Number(min=0),
    metavar="SECONDS",
    help="Time for the replica to catch up before a difference counts."
    f"  [default: twice what it is behind, if that is known; {LEAST:.0f} to {LONGEST:.0f}]",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="How often to wait for an item that is being written.",
)
@read_rate_option("take from each table")
@click.option(
    "--limit", type=click.IntRange(min=0), default=10, show_default=True, help="How many differences to show."
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write every difference here, a line of JSON each.",
)
@click.option("--repair", is_flag=True, help="Give the replica the source's state of what differs.")
@click.option("--dry-run", is_flag=True, help="With --repair: say what would be done, and write nothing.")
@rate_option("With --repair: write units a second at most.")
@state_option(VERIFY, when="With --repair: ")
@click.option(
    "--without-mapping",
    is_flag=True,
    help="As if there were none: compare every key, and repair even if later changes do not arrive.",
)
@archive_option
@shared_options
def verify(options: Options, /, **values: Any) -> None:
    """Compare the replica with the source, both ways, item by item.

    Reads both tables from end to end, consistently, while writes go on. An item that differs is read again after
    a grace, so that lag is no difference. Changes nothing, unless --repair is given: then the replica gets the
    source's present state of exactly what differs, and that is verified again. Keys that are being repaired are kept
    in a state file: after Ctrl-C, a crash or a kill run the same command again in the same directory, and it
    reconciles them, equal or not. The file is removed when no such key is left.

    \b
    Examples:
      ddbreplica verify
      ddbreplica verify --stack-name ddbreplica --json
      ddbreplica verify --source orders --replica orders-copy --sample 0.05
      ddbreplica verify --stack-name ddbreplica --report differences.jsonl
      ddbreplica verify --stack-name ddbreplica --keys-from differences.jsonl --repair

    Ends with `equal` or `repaired` (exit status 0), `NOT EQUAL` (1) or `inconclusive` (3). Exits with 2 if the tables
    could not be compared.
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
    """Raise UsageError for what does not go together."""
    report, keys_from = values["report"], values["keys_from"]
    if values["sample"] < 1 and keys_from is not None:
        raise click.UsageError("--sample and --keys-from do not go together.")
    if not values["repair"] and (
        values["dry_run"] or values["rate"] is not None or values["state"] is not None
    ):
        raise click.UsageError("--dry-run, --rate and --state go with --repair.")
    if report is not None and keys_from is not None and _is_one(report, keys_from):
        raise click.UsageError("--report would overwrite the file of --keys-from.")


def _is_one(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _journal(connection: Connection, state: Path | None) -> FileJournal:
    path = state or default_path(connection.tables, VERIFY)
    return FileJournal.at(path, command=VERIFY, clock=connection.clock)


def _keys_file(path: Path | None) -> KeysFile | None:
    return None if path is None else KeysFile(str(path), lambda: click.open_file(str(path), "rb"))


def _unreported(verified: Verified) -> TaskError | None:
    """Why the report is not complete, if it is not: then it was not done as asked, though the verdict stands."""
    report = verified.findings.report
    if report is None or report.failure is None:
        return None
    return TaskError(
        f"the report {report.path} is not complete: {report.failure}. The verdict stands.",
        hint="make room, or name another file with --report, and run the same command again.",
    )


def _advise(verified: Verified, asked: VerifyOptions) -> None:
    if verified.swept.stopped_early:
        suspects = f"{verified.swept.suspects:,} keys that looked different"
        output.print_note(f"Stopped early, after {suspects}; the rest was not compared.")
    if verified.verdict == INCONCLUSIVE and (
        verified.findings.counts[DifferenceKind.INCONCLUSIVE] or not verified.in_doubt
    ):
        output.print_note("Try: run it again when fewer writes are under way, or with a longer --grace.")
    if verified.findings.undecided:
        output.print_note(
            f"{verified.findings.undecided:,} items are undecided, which is told only now (--report lists them all)."
            " Try: look at each; if it was deleted, delete it from the replica too."
        )
    if verified.verdict == NOT_EQUAL:
        output.print_note(f"Try: {_NEXT[asked.repair, asked.dry_run]}")
