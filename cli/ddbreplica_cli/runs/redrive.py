"""Run `ddbreplica redrive`: reprocess quarantined records and discarded batches."""

import time
from typing import Any

from ddbreplica.aws.clock import time_after
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.journal_format import REDRIVE
from ddbreplica.redrive import job, report
from ddbreplica.redrive.job import RedriveOptions
from ddbreplica.redrive.objects import ObjectOutcome, Redriven
from ddbreplica_cli.runs import redrive_erasure
from ddbreplica_cli.runs.transform.document import given_by
from ddbreplica_cli.terminal import output
from ddbreplica_cli.terminal.driver import TERMINAL, default_path
from ddbreplica_cli.terminal.exit_status import ATTENTION
from ddbreplica_cli.terminal.options import Options

_ADVICE = {
    ObjectOutcome.UNWRITABLE: "fix the items in the source, or the replica's indexes, and run redrive again.",
    ObjectOutcome.UNSETTLED: "run redrive again when the source has fewer writes.",
    ObjectOutcome.UNDECIDED: "review the undecided items; if an item was deleted at the source, delete it from the"
    " replica too. Then move the object to done/.",
    ObjectOutcome.EARLIER: "compare the earlier items with `ddbreplica verify --keys-from FILE`; the replica may"
    " hold the only copy. Write each back to the source, or delete it from the replica. Then move the object to done/.",
    ObjectOutcome.OUTSIDE: "check whether the replica has the items outside the filter; no later change reaches"
    " them. Then move the object to done/.",
    ObjectOutcome.KEYLESS: "repair with `ddbreplica verify --repair`, then move the keyless objects to done/.",
    ObjectOutcome.UNREADABLE: "look at the unreadable object; a later version of ddbreplica may have written it.",
}
"""What to do about each outcome that requires attention or a later run."""


def run(options: Options, /, **values: Any) -> None:
    """Reprocess the objects, or find and delete copies, and print the result."""
    erasing = redrive_erasure.asked(
        values.pop("find"),
        purge_done=values.pop("purge_done"),
        yes=values.pop("yes"),
        dry_run=values["dry_run"],
    )
    state = values.pop("state")
    asked = RedriveOptions(transform=given_by(values), **values)
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

    def show(redriven: Redriven) -> None:
        facts = {"dry_run": asked.dry_run, "seconds": time.perf_counter() - started}
        output.print_result(
            {**report.document(redriven), **facts}, report.text(redriven), as_json=options.as_json
        )

    if asked.dry_run:
        redriven = job.preview(connection, asked, show, TERMINAL)
    else:
        path = state or default_path(connection.tables, REDRIVE)
        journal = FileJournal.at(path, command=REDRIVE, clock=connection.clock)
        redriven = job.redrive(connection, asked, show, TERMINAL, journal)
    if _advise(redriven) and not asked.dry_run:
        raise SystemExit(ATTENTION)


def _advise(redriven: Redriven) -> bool:
    """Print what is left to do, and return whether anything is."""
    left = {*redriven.counts, *(outcome for outcome, _ in redriven.open.values())}
    advice = [advice for outcome, advice in _ADVICE.items() if outcome in left]
    if redriven.wait > 0:
        until = time_after(redriven.wait)
        advice.insert(
            0, f"run redrive again after {until}; until then an in-doubt write may still change the replica."
        )
    for sentence in advice:
        output.print_note(f"Try: {sentence}")
    return bool(advice)
