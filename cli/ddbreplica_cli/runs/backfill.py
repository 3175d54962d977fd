"""Run `ddbreplica backfill`: copy the items of the source to the replica, or estimate what that takes."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ddbreplica.aws.clock import time_after
from ddbreplica.backfill.job import NAMED, BackfillOptions, backfilled, damage, facts, prepare
from ddbreplica.backfill.pages import Backfill
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.errors import AttentionError, TaskError
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.journal_format import BACKFILL
from ddbreplica.reconcile.review_list import Undecided
from ddbreplica.records.decode import attributes_of
from ddbreplica.records.text import key_text
from ddbreplica_cli.runs.transform.document import given_by
from ddbreplica_cli.terminal import output
from ddbreplica_cli.terminal.driver import TERMINAL, default_path
from ddbreplica_cli.terminal.options import Options


def run(options: Options, /, **values: Any) -> None:
    """Copy the items with these options, and print the result."""
    state = values.pop("state")
    asked = BackfillOptions(transform=given_by(values), **values)
    connection = Connection(options)
    if asked.dry_run:
        copying = prepare(connection, asked, TERMINAL)
        estimate = copying.tables.estimate(copying.exports)
        rates = {"rate": asked.rate, "read_rate": copying.read_rate}
        document = {"dry_run": True, **copying.tables.names, **estimate.document(**rates)}
        output.print_result(document, estimate.text(**rates), as_json=options.as_json)
        return
    path = state or default_path(connection.tables, BACKFILL)
    journal = FileJournal.at(path, command=BACKFILL, clock=connection.clock)
    with journal.kept():
        started = time.perf_counter()
        undecided = Undecided.beside(path, note=output.print_note)
        copying, done = backfilled(connection, asked, TERMINAL, journal, undecided)
        ended = _Ended(done, path, undecided, *journal.held())
    document = {
        **copying.tables.names,
        **facts(done),
        **undecided.facts(),
        "seconds": time.perf_counter() - started,
    }
    ended.finish(document, as_json=options.as_json)


@dataclass(frozen=True, slots=True)
class _Ended:
    """A completed backfill and its files. In-doubt writes may still change `in_doubt` keys."""

    done: Backfill
    state: Path
    undecided: Undecided
    in_doubt: int
    in_doubt_seconds: float

    def finish(self, document: Mapping[str, Any], *, as_json: bool) -> None:
        """Print the result. Raises AttentionError or TaskError if an operator has to act."""
        done = self.done
        outside = f" The mapping's filter excludes {done.outside:,} items." if done.outside else ""
        copied = (
            f"{done.items - len(done.left):,} items copied in {document['seconds']:.1f} seconds.{outside}"
        )
        if not done.left and not done.damaged and not self.undecided:
            output.print_result(document, copied, as_json=as_json)
            return
        if not as_json:
            # With --json the error below has the figures, and stdout gets one document, not two.
            output.print_result(document, copied, as_json=False)
        if done.left:
            output.print_note(*_listed(done))
        ended = TaskError if done.damaged else AttentionError
        raise ended(" ".join(self._unfinished()), hint="; ".join(self._to_do()) + ".", facts=document)

    def _unfinished(self) -> Iterator[str]:
        if self.done.damaged:
            yield f"{damage(self.done)}. Some items may not have been copied."
        if self.done.left:
            yield (
                "1 item was not copied."
                if len(self.done.left) == 1
                else f"{len(self.done.left):,} items were not copied."
            )
        if self.undecided:
            gone = (
                "1 item no longer exists"
                if len(self.undecided) == 1
                else f"{len(self.undecided):,} items no longer exist"
            )
            yield f"{gone} in the source (deleted or expired); see {self.undecided.path}."

    def _to_do(self) -> Iterator[str]:
        if self.in_doubt:
            yield (
                f"run the same command again after {time_after(self.in_doubt_seconds)}: until then, in-doubt writes may"
                f" still change {self.in_doubt:,} items of the replica"
            )
        if len(self.done.left) > self.in_doubt:
            yield "fix the refused items, and run the same command again to copy them"
        if self.done.damaged:
            yield (
                f"export the table again, remove {self.state} or name another file with --state, and run the command"
                " with the new export"
            )
        if self.undecided:
            yield (
                f"review the items in {self.undecided.path}, delete those from the replica that were deleted at the"
                " source, and remove the file"
            )


def _listed(done: Backfill) -> Iterator[str]:
    for key, reason in islice(done.left.items(), NAMED):
        yield f"  {key_text(attributes_of(key))}: {reason}"
    if len(done.left) > NAMED:
        yield f"  and {len(done.left) - NAMED:,} more"
