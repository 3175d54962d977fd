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
from ddbreplica.verify.estimate import Estimate, TableSize
from ddbreplica.verify.findings import Findings
from ddbreplica.verify.keyset import KeySet
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
                _repair(
                    connection, options, patience, preflight, tables[0].table, readers, journal, under_way
                ),
                saved,
                Findings(
                    options.limit, stack.enter_context(closing(report)) if report else None, options.no_values
                ),
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


@contextmanager
def _kept(journal: FileJournal | None, under_way: UnderWay) -> Iterator[None]:
    """Keep the state after the block if it has progress or open keys, and record whether no request is under way."""
    if journal is None:
        yield
        return
    with journal.kept():
        try:
            yield
        except BaseException:
            with suppress(TaskError):  # without this record, the next run holds back every open key
                _rest(journal, under_way)
            raise
        _rest(journal, under_way)


def _rest(journal: FileJournal, under_way: UnderWay) -> None:
    if under_way.is_none and journal.open_keys():
        journal.rest()


def _reader(table: Described, options: VerifyOptions, patience: Patience) -> TableReader:
    rate = table.read_rate(options.read_rate)
    return TableReader.of(table.side, table.table, patience, threads=options.segments, read_rate=rate)


def _report(options: VerifyOptions, driver: Driver, *, keep: bool) -> ReportFile | None:
    return ReportFile(options.report, note=driver.note, keep=keep) if options.report else None


def _confirm(
    connection: Connection,
    options: VerifyOptions,
    driver: Driver,
    patience: Patience,
    preflight: Preflight,
    readers: tuple[TableReader, TableReader],
) -> Confirm:
    """Return the function that begins a confirmation."""
    rules = Rules(
        grace=options.grace,
        rounds=options.rounds,
        without_mapping=options.without_mapping,
        is_archive=preflight.is_archive,
        threads=options.segments,
    )
    source, replica = readers
    timer = Timer(connection.clock.local, connection.clock.ticks, patience.interrupt.sleep, random.Random())
    return lambda suspects: Confirmation(
        suspects,
        source=source,
        replica=replica,
        rules=rules,
        witness=StreamWitness(connection, patience),
        ask_lag=partial(lag_during, connection, patience),
        timer=timer,
        note=driver.note,
        progress=driver.progress,
    )


def _repair(
    connection: Connection,
    options: VerifyOptions,
    patience: Patience,
    preflight: Preflight,
    source: Table,
    readers: tuple[TableReader, TableReader],
    journal: FileJournal | None,
    under_way: UnderWay,
) -> Repair | None:
    """Return what repairs keys and records each intended write in the journal; None if nothing is to be written."""
    if journal is None or not options.writes:
        return None
    reconciler = Reconciler.between(
        connection,
        journal=_journal(connection, journal, preflight, source),
        patience=patience,
        is_archive=preflight.is_archive,
        # The scan and the repair share the source's rate, since both read it.
        rates=Rates(Rate(options.rate, sleep=patience.interrupt.sleep), readers[0].rate),
        under_way=under_way,
    )
    return Repair(journal, reconciler.reconcile)


def _journal(connection: Connection, journal: Journal, preflight: Preflight, source: Table) -> Journal:
    """Return a journal that also writes in-doubt keys to the quarantine bucket, so that other machines find them."""
    if preflight.mapping is None or not preflight.mapping.quarantine:
        return journal
    return QuarantiningJournal.of(journal, connection, preflight.mapping.quarantine, source, command=VERIFY)


def estimate(connection: Connection, options: VerifyOptions, driver: Driver) -> Estimate:
    """Estimate what the comparison takes. Both tables are described, and nothing is read from them."""
    tables = describe_pair(connection)
    for note in leftovers(connection, *tables, states=driver.states_of(connection.tables)):
        driver.note(note)
    keys = None
    if options.keys_from is not None:
        with closing(KeySet()) as named:
            named.add(options.keys_from.read(tables[0].table))
            keys = len(named)
    sizes = [TableSize(each.items, each.bytes, each.read_rate(options.read_rate)) for each in tables]
    return Estimate(sizes, sample=options.sample, consistent=options.scans_consistently, keys=keys)
