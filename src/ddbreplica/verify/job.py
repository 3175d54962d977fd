"""Compare two tables, or a part of them, and repair the differences if the options ask for it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ddbreplica.driver import Advance, Driver, Patience
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described, describe_pair
from ddbreplica.dynamodb.rate import Rate
from ddbreplica.dynamodb.scan import TableReader
from ddbreplica.errors import StoppedError, TaskError
from ddbreplica.mapping.lag import lag
from ddbreplica.mapping.preflight import Preflight, to_compare, to_repair
from ddbreplica.model import Journal, Key, Table
from ddbreplica.reconcile.in_doubt_quarantine import QuarantiningJournal
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.journal_format import VERIFY
from ddbreplica.reconcile.reconciler import Rates, Reconciler
from ddbreplica.reconcile.requests_under_way import UnderWay
from ddbreplica.reconcile.unfinished_runs import leftovers
from ddbreplica.verify.difference import Difference, Swept
from ddbreplica.verify.findings import Findings
from ddbreplica.verify.grace import grace, is_longer
from ddbreplica.verify.keys_file import KeysFile
from ddbreplica.verify.keyset import KeySet
from ddbreplica.verify.recheck import Patient, archived, recheck
from ddbreplica.verify.repair import Look, Repair, RepairStep, State, foretell, leave, repairing, settle
from ddbreplica.verify.report_file import ReportFile
from ddbreplica.verify.sweep import MAX_SUSPECTS, Sweep
from ddbreplica.verify.verdict import EVERYTHING, Verified

_AGAIN = "nothing was changed"
_UNSEEN = (
    "The event source mapping cannot be read ({why}). Its filter is ignored, and items that only the replica has are"
    " reported as extra, unless --archive is given."
)
_AGAIN_AFTER_REPAIR = "it finds the remaining differences"


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """The options of a verification."""

    segments: int
    sample: float
    keys_from: KeysFile | None
    grace: float | None
    rounds: int
    read_rate: float | None
    limit: int
    report: Path | None
    no_values: bool
    repair: bool
    dry_run: bool
    rate: float | None
    without_mapping: bool
    archive: bool

    def looked_at(self, preflight: Preflight) -> str:
        """Describe the items to which the verdict applies."""
        of_all = EVERYTHING if self.sample == 1 else f"a sample of {self.sample:.4g}"
        looked_at = of_all if self.keys_from is None else f"the keys of {self.keys_from.path}"
        within = " within the filter" if preflight.key_filter.patterns else ""
        return f"{looked_at}{within}{', as an archive' if preflight.is_archive else ''}"

    @property
    def max_suspects(self) -> int | None:
        """The number of suspected differences at which to stop early; None if all differences are wanted."""
        return None if self.report or self.repair else MAX_SUSPECTS


def verified(
    connection: Connection,
    options: VerifyOptions,
    show: Callable[[Verified], None],
    driver: Driver,
    journal: FileJournal | None,
) -> Verified:
    """Compare the tables, and repair them if there is a journal. `show` prints the result.

    Raises TaskError if the verification fails.
    """
    started = connection.clock.ticks()
    with _state(journal) as state:
        source, replica = describe_pair(connection)
        if state is None:
            for note in leftovers(connection, source, replica, states=driver.states_of(connection.tables)):
                driver.note(note)
        else:
            state.resume(connection, source, replica, note=driver.note)
        preflight = _preflight(connection, options, driver)
        preflight.warn_of_replicas(source, note=driver.note)
        with (
            driver.interruptible() as interrupt,
            _written(options.report, driver) as report,
            closing(KeySet()) as suspects,
        ):
            patience = Patience(interrupt)
            readers = _reader(source, options, patience), _reader(replica, options, patience)
            findings = Findings(options.limit, report, without_values=options.no_values)
            # The scan and the repair share the source's rate, since both read it.
            rates = Rates(Rate(options.rate, sleep=interrupt.sleep), readers[0].rate)
            repair = _repair(connection, state, preflight, source.table, patience, rates) if state else None
            work = _Work(
                connection, options, driver, patience, preflight, repair, readers, suspects, findings
            )
            try:
                swept = work.run(table=source.table, items=source.items + replica.items)
            finally:
                # Also after an error: an operator has to know until when the replica may change.
                if state and (in_doubt := state.in_doubt()):
                    driver.note(in_doubt)
        result = Verified(
            source.side.name,
            replica.side.name,
            options.looked_at(preflight),
            swept,
            findings,
            options.repair,
            connection.clock.ticks() - started,
            in_doubt=state.journal.held()[0] if state else 0,
        )
        show(result)
        if repair:
            # Only after the result was printed, since no later run reports these keys.
            repair.close_undecided()
    return result


def _repair(
    connection: Connection, state: State, preflight: Preflight, table: Table, patience: Patience, rates: Rates
) -> Repair:
    """Return the object that repairs keys and records each intended write in the journal."""
    reconciler = Reconciler.between(
        connection,
        journal=_journal(connection, state.journal, preflight, table),
        patience=patience,
        is_archive=preflight.is_archive,
        rates=rates,
        under_way=state.under_way,
    )
    return Repair(state.journal, reconciler.reconcile)


@contextmanager
def _state(journal: FileJournal | None) -> Iterator[State | None]:
    """Yield the state of a repair, or None if this run writes nothing."""
    if journal is None:
        yield None
        return
    under_way = UnderWay()
    with journal.leaving(is_at_rest=lambda: under_way.is_none):
        yield State(journal, under_way)


@dataclass(frozen=True, slots=True)
class _Work:
    """The steps of a verification, and the objects that they share."""

    connection: Connection
    options: VerifyOptions
    driver: Driver
    patience: Patience
    preflight: Preflight
    repair: Repair | None
    readers: tuple[TableReader, TableReader]
    suspects: KeySet
    findings: Findings

    def run(self, *, table: Table, items: int) -> Swept:
        """Run all steps. `items` is the estimated number of items in both tables."""
        swept = self._sweep(table, items)
        if self.suspects:
            if self.preflight.unseen:
                self.driver.note(_UNSEEN.format(why=self.preflight.unseen))
            self._settle(swept)
        if self.repair is not None:
            self._resume(self.repair, swept)
        return swept

    def _sweep(self, table: Table, items: int) -> Swept:
        """Collect suspected differences."""
        with closing(KeySet()) as keys:
            if self.options.keys_from is not None:
                keys.add(self.options.keys_from.read(table))
                _refuse_none(keys, self.options.keys_from)
            about = 2 * len(keys) if keys else round(items * self.options.sample)
            with self.driver.progress(f"comparing{self._at()}", about=about) as advance:
                sweep = Sweep(
                    self.readers,
                    self.suspects,
                    advance=advance,
                    key_filter=self.preflight.key_filter,
                    archived=self.findings.archive if self.preflight.is_archive else None,
                    max_suspects=self.options.max_suspects,
                )
                try:
                    self._run(sweep, keys)
                except KeyboardInterrupt as pressed:
                    raise self._interrupted(sweep.swept) from pressed
        return sweep.swept

    def _at(self) -> str:
        """Return the lower of the two read rates, which may explain a long duration."""
        rates = [reader.rate.per_second for reader in self.readers if reader.rate.per_second is not None]
        return f" at {min(rates):g} read capacity units per second" if rates else ""

    def _run(self, sweep: Sweep, keys: KeySet) -> None:
        if self.options.keys_from is None:
            sweep.over_tables(segments=self.options.segments, sample=self.options.sample)
        else:
            sweep.over_keys(keys, threads=self.options.segments)

    def _settle(self, swept: Swept) -> None:
        """Confirm the suspected differences, and repair them if the options ask for it."""
        source, replica = self.readers
        about = len(self.suspects)
        with self.driver.progress("rechecking suspected differences", about=about) as advance:
            try:
                again = partial(recheck, source=source, replica=replica, patient=self._patient())
                look = (lambda keys: archived(again(keys))) if self.preflight.is_archive else again
                for difference, repair in settle(
                    self.suspects, look=_counted(look, advance), repair_step=self._repair_step(look)
                ):
                    self.findings.add(difference, repair)
            except KeyboardInterrupt as pressed:
                raise self._interrupted(swept) from pressed

    def _patient(self) -> Patient:
        behind = lag(self.connection)
        seconds = grace(behind) if self.options.grace is None else self.options.grace
        is_enough = is_longer(seconds, behind)
        if not is_enough:
            self.driver.note(
                f"The lag of {behind:.0f} seconds is longer than the grace period of {seconds:.0f} seconds; differences"
                " are inconclusive."
            )
        return Patient(
            seconds, self.options.rounds if is_enough else 1, self.patience.interrupt.sleep, is_enough
        )

    def _repair_step(self, look: Look) -> RepairStep:
        if self.repair is not None:
            return repairing(self.repair.of_differences, look)
        return foretell if self.options.repair else leave

    def _resume(self, repair: Repair, swept: Swept) -> None:
        """Reconcile the keys that an earlier run has left open."""
        try:
            for difference, outcome in repair.of_open_keys(self.preflight.key_filter):
                self.findings.add(difference, outcome)
        except KeyboardInterrupt as pressed:
            raise self._interrupted(swept) from pressed

    def _interrupted(self, swept: Swept) -> StoppedError:
        compared = f"{swept.source_items:,} items of the source and {swept.replica_items:,} of the replica"
        repaired = f"; repaired: {self.findings.repaired:,}" if self.options.repair else ""
        return StoppedError(
            f"interrupted after comparing {compared}; suspected differences: {len(self.suspects):,}{repaired}.",
            hint=f"run the same command again; {_AGAIN_AFTER_REPAIR if self.options.repair else _AGAIN}.",
            facts={
                "source_items": swept.source_items,
                "replica_items": swept.replica_items,
                "suspects": len(self.suspects),
                **({"repaired": self.findings.repaired} if self.options.repair else {}),
            },
        )


def _counted(look: Look, advance: Advance) -> Look:
    """Return `look` with progress: it counts the keys of each chunk that is complete."""

    def counting(keys: Sequence[Key]) -> Iterator[Difference]:
        yield from look(keys)
        advance(len(keys))

    return counting


def _reader(described: Described, options: VerifyOptions, patience: Patience) -> TableReader:
    rate = described.read_rate(options.read_rate)
    return TableReader.of(described.side, described.table, patience, threads=options.segments, read_rate=rate)


@contextmanager
def _written(path: Path | None, driver: Driver) -> Iterator[ReportFile | None]:
    if path is None:
        yield None
        return
    with closing(ReportFile(path, note=driver.note)) as report:
        yield report


def _refuse_none(keys: KeySet, file: KeysFile) -> None:
    """Raise TaskError if the file has no keys: nothing would be compared, and the verdict would be `equal`."""
    if not keys:
        raise TaskError(
            f"{file.name} contains no keys.",
            hint="write one key per line, or omit --keys-from to compare all items.",
        )


def _preflight(connection: Connection, options: VerifyOptions, driver: Driver) -> Preflight:
    find = to_repair if options.repair else to_compare
    return find(
        connection, without_mapping=options.without_mapping, archive=options.archive, note=driver.note
    )


def _journal(connection: Connection, journal: Journal, preflight: Preflight, source: Table) -> Journal:
    """Return a journal that also writes in-doubt keys to the quarantine bucket, so that other machines find them."""
    if preflight.mapping is None or not preflight.mapping.quarantine:
        return journal
    return QuarantiningJournal.of(journal, connection, preflight.mapping.quarantine, source, command=VERIFY)
