"""Prepare a verification with the options of the command, run it, and keep its progress in a state file."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial

from ddbreplica.driver import Driver, Patience
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described, describe_pair, identity
from ddbreplica.dynamodb.rate import Rate
from ddbreplica.dynamodb.scan import TableReader
from ddbreplica.errors import TaskError
from ddbreplica.mapping.preflight import Preflight, to_compare, to_repair
from ddbreplica.model import Journal, Table
from ddbreplica.reconcile.in_doubt_quarantine import QuarantiningJournal
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.journal_format import VERIFY
from ddbreplica.reconcile.reconciler import Rates, Reconciler
from ddbreplica.reconcile.requests_under_way import UnderWay
from ddbreplica.reconcile.unfinished_runs import leftovers
from ddbreplica.verify.confirm.confirm import Confirmation, Rules
from ddbreplica.verify.findings import Findings
from ddbreplica.verify.options import VerifyOptions
from ddbreplica.verify.repair import Repair
from ddbreplica.verify.report_file import ReportFile
from ddbreplica.verify.saved_progress import SavedProgress
from ddbreplica.verify.verdict import Verified
from ddbreplica.verify.verification import Confirm, Parts, Verification


def verified(
    connection: Connection,
    options: VerifyOptions,
    show: Callable[[Verified], None],
    driver: Driver,
    journal: FileJournal | None,
) -> Verified:
    """Compare the tables, and repair them if the options ask for it. `show` prints the result.

    The journal keeps the progress, and the keys of a repair, which needs one. Raises TaskError, with what is known so
    far, if the verification fails or is interrupted.
    """
    started = connection.clock.ticks()
    under_way = UnderWay()
    with _kept(journal, under_way):
        tables = describe_pair(connection)
        if journal is not None:
            journal.resume(identity(*tables))
        if options.writes:
            connection.clock.refuse_fast()
        else:
            for note in leftovers(connection, *tables, states=driver.states_of(connection.tables)):
                driver.note(note)
        find = to_repair if options.repair else to_compare
        preflight = find(
            connection, without_mapping=options.without_mapping, archive=options.archive, note=driver.note
        )
        preflight.warn_of_replicas(tables[0], note=driver.note)
        saved = SavedProgress(journal if options.keys_from is None else None)
        with ExitStack() as stack:
            patience = Patience(stack.enter_context(driver.interruptible()))
            readers = _reader(tables[0], options, patience), _reader(tables[1], options, patience)
            report = _report(options, driver, keep=saved.is_begun)
            parts = Parts(
                connection,
                options,
                driver,
                patience,
                preflight,
                tables,
                readers,
                _confirm(connection, options, driver, patience, preflight, readers),
                _repair(connection, options, patience, preflight, tables[0].table, readers, journal, under_way),
                saved,
                Findings(options.limit, stack.enter_context(closing(report)) if report else None, options.no_values),
            )
            verification = Verification(parts, started=started)
            verification.run()
            result = verification.result
        show(result)
        # Only after the result was printed, since no later run reports these keys.
        if parts.repair is not None:
            parts.repair.close_undecided()
        saved.forget()
    return result
