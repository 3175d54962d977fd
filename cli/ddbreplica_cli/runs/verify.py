"""Run `ddbreplica verify`: compare the replica with the source, and repair the differences."""

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ddbreplica.dynamodb.connection import Connection
from ddbreplica.errors import TaskError
from ddbreplica.reconcile.journal import FileJournal, left_in
from ddbreplica.reconcile.journal_format import VERIFY
from ddbreplica.verify.job import estimate, verified
from ddbreplica.verify.keys_file import KeysFile
from ddbreplica.verify.options import VerifyOptions
from ddbreplica.verify.result.verdict import Verified
from ddbreplica_cli.runs.transform.document import given_by
from ddbreplica_cli.terminal import output
from ddbreplica_cli.terminal.driver import TERMINAL, default_path
from ddbreplica_cli.terminal.exit_status import document as error_document
from ddbreplica_cli.terminal.exit_status import exit_status
from ddbreplica_cli.terminal.options import Options
from ddbreplica_cli.terminal.verdict import advise, exit_with

_NAME_A_FILE = "To keep it, name another file with --state."

_NEXT = {
    (False, False): "run the same command with --repair --dry-run, then with --repair.",
    (True, True): "run the same command without --dry-run.",
    (True, False): "run the same command again; first fix at the source each item that the replica refuses.",
}


def run(options: Options, /, **values: Any) -> None:
    """Compare the tables, repair them if the options ask for it, and print the result."""
    is_reported_to_stdout = values["report"] == "-"
    values["report"] = _report_path(values["report"])
    _refuse_contradictions(values)
    if is_reported_to_stdout and options.as_json:
        raise click.UsageError(
            "--report - and --json cannot be used together, since both write to stdout."
            " Try: name a file with --report, or leave out --json."
        )
    state, given = values.pop("state"), given_by(values)
    asked = VerifyOptions(**{**values, "keys_from": _keys_file(values["keys_from"])})

    def show(result: Verified) -> None:
        if is_reported_to_stdout:
            output.print_note(*result.text().split("\n"))
            return
        unreported = _unreported(result)
        output.print_result(
            {**result.document(), **(error_document(unreported) if unreported else {})},
            result.text(),
            as_json=options.as_json,
        )

    connection = Connection(options)
    if asked.dry_run and not asked.repair:
        expected = estimate(connection, asked, TERMINAL)
        document = {"dry_run": True, **expected.document()}
        output.print_result(document, expected.text(), as_json=options.as_json)
        return
    journal = _journal(connection, state, is_needed=asked.writes)
    result = verified(connection, asked, show, TERMINAL, journal, given)
    unreported = _unreported(result)
    advise(
        result.document(), undecided=result.findings.undecided, next_step=_NEXT[asked.repair, asked.dry_run]
    )
    if unreported:
        output.print_error(unreported, as_json=False)
        raise SystemExit(exit_status(unreported))
    exit_with(result.verdict)


def _refuse_contradictions(values: Mapping[str, Any]) -> None:
    """Raise UsageError if options contradict each other."""
    report, keys_from = values["report"], values["keys_from"]
    if values["sample"] < 1 and keys_from is not None:
        raise click.UsageError("--sample and --keys-from cannot be used together.")
    if not values["repair"] and values["rate"] is not None:
        raise click.UsageError("--rate requires --repair.")
    # The report is emptied when it is opened, before the keys are read.
    if report is not None and keys_from is not None and _is_one(report, keys_from):
        raise click.UsageError("--report and --keys-from name the same file.")


def _report_path(report: str | None) -> Path | None:
    """Return the path of the report; `-` is stdout, as for other commands. A file of that name is `./-`."""
    return None if report is None else Path("/dev/stdout" if report == "-" else report)


def _is_one(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _journal(connection: Connection, state: Path | None, *, is_needed: bool) -> FileJournal | None:
    """Return the journal in the state file.

    A run that writes nothing can do without: it keeps no progress if the directory cannot be written, if another run
    uses the file, or if an interrupted repair has left keys in it, which only a repair may finish.
    """
    path = state or default_path(connection.tables, VERIFY)
    if is_needed or state is not None:
        return FileJournal.at(path, command=VERIFY, clock=connection.clock)
    try:
        if path.exists() and (left := left_in(path, command=VERIFY, clock=connection.clock)).open:
            if not left.held:  # a note of the verification itself names the file otherwise
                output.print_note(f"The progress is not kept: {path} has keys of a repair. {_NAME_A_FILE}")
            return None
        return FileJournal.at(path, command=VERIFY, clock=connection.clock)
    except TaskError as error:
        output.print_note(f"The progress is not kept: {error.fact} {_NAME_A_FILE}")
        return None


def _keys_file(path: Path | None) -> KeysFile | None:
    return None if path is None else KeysFile(str(path), lambda: click.open_file(str(path), "rb"))


def _unreported(verified: Verified) -> TaskError | None:
    """Return an error if the report is not complete. The comparison itself is complete, and its result is printed."""
    report = verified.findings.report
    if report is None or report.failure is None:
        return None
    hint = "free disk space, or name another file with --report, and run the same command again."
    if report.failure == os.strerror(errno.EPIPE):
        hint = "run the same command again with a program that reads all lines, or name a file with --report."
    return TaskError(
        f"the report {report.path} is not complete: {report.failure}. The comparison itself is complete.",
        hint=hint,
    )
