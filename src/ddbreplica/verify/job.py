"""Run a verification with the options of the command, and keep its progress in a state file until it is complete."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

from ddbreplica.driver import Driver, Patience
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import describe_pair, identity
from ddbreplica.errors import TaskError
from ddbreplica.mapping.preflight import to_compare, to_repair
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.requests_under_way import UnderWay
from ddbreplica.reconcile.unfinished_runs import leftovers
from ddbreplica.verify.estimate import Estimate, TableSize
from ddbreplica.verify.findings import Findings
from ddbreplica.verify.keyset import KeySet
from ddbreplica.verify.options import VerifyOptions
from ddbreplica.verify.parts import Parts
from ddbreplica.verify.report_file import ReportFile
from ddbreplica.verify.saved_progress import SavedProgress
from ddbreplica.verify.verdict import Verified
from ddbreplica.verify.verification import Verification


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
    with _kept(journal, under_way), ExitStack() as stack:
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
        patience = Patience(stack.enter_context(driver.interruptible()))
        parts = Parts.between(
            connection, tables, options, preflight=preflight, driver=driver, patience=patience
        )
        saved = SavedProgress(journal if options.keys_from is None else None)
        report = None
        if options.report is not None:
            # A resumed run adds its lines to those of the runs before.
            report = ReportFile(options.report, note=driver.note, keep=saved.is_begun)
            stack.enter_context(closing(report))
        findings = Findings(options.limit, report, without_values=options.no_values)
        repair = parts.repair(journal, under_way)
        verification = Verification(parts, repair, saved, findings, started=started)
        verification.run()
        result = verification.result
        stack.close()
        show(result)
        if repair is not None:
            # Only after the result was printed, since no later run reports these keys.
            repair.close_undecided()
        saved.forget()
    return result


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
