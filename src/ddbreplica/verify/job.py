"""Run a verification with the options of the command, and keep its progress in a state file until it is complete."""

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property

from ddbreplica.bucket import verifications
from ddbreplica.driver import Driver, Patience
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described, describe_pair, identity
from ddbreplica.dynamodb.rate import Rate
from ddbreplica.dynamodb.scan import TableReader
from ddbreplica.errors import TaskError, TransformChangedError
from ddbreplica.mapping import preflight as ground
from ddbreplica.mapping.event_source_mapping import MappingState
from ddbreplica.mapping.lag import LagReader
from ddbreplica.mapping.preflight import Preflight
from ddbreplica.mapping.source_transform import to_compare, to_write
from ddbreplica.model import Journal, Key
from ddbreplica.reconcile.in_doubt_quarantine import QuarantiningJournal
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.journal_format import VERIFY
from ddbreplica.reconcile.reconciler import Rates, Reconciler
from ddbreplica.reconcile.requests_under_way import UnderWay
from ddbreplica.reconcile.unfinished_runs import leftovers
from ddbreplica.transform.deployed import Given
from ddbreplica.transform.same_transform import SameTransform, begin_again_once
from ddbreplica.transform.view import AS_IT_IS, View
from ddbreplica.verify.confirm.confirm import Confirmation, Rules
from ddbreplica.verify.confirm.look import Look
from ddbreplica.verify.confirm.stream_witness import StreamWitness
from ddbreplica.verify.confirm.timer import Timer
from ddbreplica.verify.estimate import Estimate, TableSize
from ddbreplica.verify.keyset import KeySet
from ddbreplica.verify.options import VerifyOptions
from ddbreplica.verify.repair import ENOUGH, Repair
from ddbreplica.verify.result.findings import Findings
from ddbreplica.verify.result.record import record_of
from ddbreplica.verify.result.report_file import ReportFile
from ddbreplica.verify.result.verdict import Verified
from ddbreplica.verify.saved_progress import SavedProgress
from ddbreplica.verify.verification import Parts, Verification


def verified(
    connection: Connection,
    options: VerifyOptions,
    show: Callable[[Verified], None],
    driver: Driver,
    journal: FileJournal | None,
    given: Given | None = None,
) -> Verified:
    """Compare the tables, and repair them if the options ask for it. `show` prints the result.

    The journal keeps the progress, and the keys of a repair, which needs one. `given` is the transform that an option
    gives. A repair begins again, once, if the function's transform was changed meanwhile. Raises TaskError, with what
    is known so far, if the verification fails or is interrupted.
    """
    state = _State(journal, UnderWay())
    # The state is kept until the end: what begins again uses it as well.
    with state.kept():
        return begin_again_once(
            lambda: _verified(connection, options, show, driver, state, given), driver.note
        )


def _verified(
    connection: Connection,
    options: VerifyOptions,
    show: Callable[[Verified], None],
    driver: Driver,
    state: "_State",
    given: Given | None,
) -> Verified:
    started, journal = connection.clock.ticks(), state.journal
    with ExitStack() as stack:
        tables = describe_pair(connection)
        saved = SavedProgress(journal if options.keys_from is None else None)
        if journal is not None and journal.resume(identity(*tables)) and journal.open_keys():
            driver.note(f"Resuming the repair in {journal.name}.")
        _prepare(connection, options, driver, tables)
        preflight = _preflight(connection, options, driver)
        preflight.warn_of_replicas(tables[0], note=driver.note)
        patience = Patience(stack.enter_context(driver.interruptible()))
        transform = _transform(connection, options, driver, preflight.mapping, tables[0], given)
        if saved.forget_other(transform.view.digest):
            driver.note(f"The function's transform was changed since {saved.name} began: beginning again.")
        report = _report(options, driver, saved, stack)
        pair = _Pair(connection, options, driver, patience, preflight, tables, transform)
        findings = Findings(options.limit, report, without_values=options.no_values)
        parts = pair.parts(saved, findings, pair.repair(journal, state.under_way))
        verification = Verification(parts, started=started)
        try:
            verification.run()
        except TransformChangedError:
            # What was found is not of the present transform.
            saved.forget()
            raise
        result = verification.result
        stack.close()
        _record(result, parts, preflight.mapping)
        show(result)
        if parts.repair is not None:
            # Only after the result was printed, since no later run reports these keys.
            parts.repair.close_undecided()
        saved.forget()
    return result


def _prepare(
    connection: Connection,
    options: VerifyOptions,
    driver: Driver,
    tables: tuple[Described, Described],
) -> None:
    """Refuse a repair by a clock that is ahead. Without a repair, note what earlier runs have left open."""
    if options.writes:
        connection.clock.refuse_fast()
    else:
        for note in leftovers(connection, *tables, states=driver.states_of(connection.tables)):
            driver.note(note)


def _report(
    options: VerifyOptions, driver: Driver, saved: SavedProgress, stack: ExitStack
) -> ReportFile | None:
    """Open the report, which the stack closes. A resumed run adds its lines to those of the runs before."""
    if options.report is None:
        return None
    report = ReportFile(options.report, note=driver.note, keep=saved.is_begun)
    return stack.enter_context(closing(report))


def _preflight(connection: Connection, options: VerifyOptions, driver: Driver) -> Preflight:
    find = ground.to_repair if options.repair else ground.to_compare
    return find(
        connection, without_mapping=options.without_mapping, archive=options.archive, note=driver.note
    )


def _transform(
    connection: Connection,
    options: VerifyOptions,
    driver: Driver,
    mapping: MappingState | None,
    source: Described,
    given: Given | None,
) -> SameTransform:
    if options.writes:
        return to_write(connection, mapping, source, given=given)
    return to_compare(connection, mapping, source, given=given, note=driver.note)


@dataclass(frozen=True)
class _Pair:
    """The two tables as the confirmation and the repair see them."""

    connection: Connection
    options: VerifyOptions
    driver: Driver
    patience: Patience
    preflight: Preflight
    tables: tuple[Described, Described]
    transform: SameTransform

    @cached_property
    def readers(self) -> tuple[TableReader, TableReader]:
        """The readers of both tables, each with its rate."""
        source, replica = self.tables
        return self._reader(source, self.transform.view), self._reader(replica, AS_IT_IS)

    def _reader(self, table: Described, view: View) -> TableReader:
        threads, rate = self.options.segments, table.read_rate(self.options.read_rate)
        return TableReader.of(
            table.side, table.table, self.patience, threads=threads, read_rate=rate, view=view
        )

    def parts(self, saved: SavedProgress, findings: Findings, repair: Repair | None) -> Parts:
        """Return what the verification works with."""
        return Parts(
            self.connection,
            self.options,
            self.driver,
            self.patience.interrupt.sleep,
            self.tables,
            self.readers,
            self.preflight.key_filter,
            self.preflight.is_archive,
            self.preflight.unseen,
            self.confirmation,
            self.unequal,
            self.transform,
            repair,
            saved,
            findings,
        )

    def confirmation(self, suspects: KeySet) -> Confirmation:
        """Return the confirmation of suspected differences."""
        clock, options, interrupt = self.connection.clock, self.options, self.patience.interrupt
        rules = Rules(
            grace=options.grace,
            rounds=options.rounds,
            without_mapping=options.without_mapping,
            is_archive=self.preflight.is_archive,
            threads=options.segments,
            enough=ENOUGH if options.writes else None,
        )
        return Confirmation(
            suspects=suspects,
            source=self.readers[0],
            replica=self.readers[1],
            rules=rules,
            witness=StreamWitness.of(self.connection, interrupt),
            ask_lag=LagReader.of(self.connection, now=lambda: clock.moment, interrupt=interrupt),
            # The moments of looks are no secret.
            timer=Timer(lambda: clock.moment, clock.ticks, interrupt.sleep, random.Random()),  # noqa: S311
            note=self.driver.note,
            progress=self.driver.progress,
        )

    def unequal(self, keys: Sequence[Key]) -> Collection[Key]:
        """Look at keys once, and return those that differ."""
        look = Look(*self.readers, self.preflight.is_archive)
        return [key for key, sight in look(keys).items() if sight.is_suspect]

    def repair(self, journal: FileJournal | None, under_way: UnderWay) -> Repair | None:
        """Return what repairs keys, and opens each in the journal before its write; None if nothing is written."""
        if journal is None or not self.options.writes:
            return None
        reconciler = Reconciler.between(
            self.connection,
            self.tables,
            journal=self._quarantining(journal),
            patience=self.patience,
            is_archive=self.preflight.is_archive,
            transform=self.transform,
            # The scan and the repair share the source's rate, since both read it.
            rates=Rates(Rate(self.options.rate, sleep=self.patience.interrupt.sleep), self.readers[0].rate),
            under_way=under_way,
        )
        return Repair(journal, reconciler.reconcile, self.transform.check_now)

    def _quarantining(self, journal: Journal) -> Journal:
        """Return a journal that also writes in-doubt keys to the quarantine bucket, so that others find them."""
        mapping = self.preflight.mapping
        if mapping is None or not mapping.quarantine:
            return journal
        source = self.tables[0].table
        return QuarantiningJournal.of(journal, self.connection, mapping.quarantine, source, command=VERIFY)


def _record(result: Verified, parts: Parts, mapping: MappingState | None) -> None:
    """Record a verification of all items in the mapping's bucket, if there is one."""
    options = parts.options
    if mapping is None or not mapping.quarantine or not options.is_whole or result.stopped_early:
        return
    record = record_of(
        result,
        parts.tables,
        options,
        key_filter=parts.key_filter,
        is_archive=parts.is_archive,
        ended=parts.connection.clock.moment,
    )
    versioned = replace(record, version=verifications.version())
    verifications.keep(parts.connection, mapping.quarantine, versioned, note=parts.driver.note)


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


@dataclass(frozen=True, slots=True)
class _State:
    """The state file, if there is one, and the requests that are under way."""

    journal: FileJournal | None
    under_way: UnderWay

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the state if the block leaves progress or open keys in it, and record that no request is under way."""
        if self.journal is None:
            yield
            return
        with self.journal.kept():
            try:
                yield
            except BaseException:
                with suppress(TaskError):  # without this record, the next run holds back every open key
                    self._rest(self.journal)
                raise
            self._rest(self.journal)

    def _rest(self, journal: FileJournal) -> None:
        if self.under_way.is_none and journal.open_keys():
            journal.rest()
