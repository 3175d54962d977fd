"""Two tables → whether they are equal, as far as was wanted; and what differs, repaired if that was wanted too."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from ddbreplica.driver import Patience, noting_interrupts
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described, describe_pair
from ddbreplica.dynamodb.rate import Rate
from ddbreplica.dynamodb.scan import TableReader
from ddbreplica.mapping.lag import grace, is_longer, lag
from ddbreplica.mapping.preflight import Ground, to_compare, to_heal
from ddbreplica.model import Journal, Key, Table
from ddbreplica.reconcile.in_doubt import QuarantiningJournal
from ddbreplica.reconcile.journal import VERIFY, FileJournal
from ddbreplica.reconcile.leftover import print_leftovers
from ddbreplica.reconcile.reconciler import Healer, Rates, UnderWay
from ddbreplica.reconcile.state import default_path
from ddbreplica.verify import keys_file
from ddbreplica.verify.findings import Findings
from ddbreplica.verify.keyset import KeySet
from ddbreplica.verify.recheck import Patient, archived, recheck
from ddbreplica.verify.repair import Look, Mend, foretell, leave, repairing, settle
from ddbreplica.verify.repair_state import Repair, State
from ddbreplica.verify.report_file import ReportFile
from ddbreplica.verify.sweep import MAX_SUSPECTS, Sweep, Swept
from ddbreplica.verify.verdict import EVERYTHING, Verified
from ddbreplica_cli.terminal import output
from ddbreplica_cli.terminal.errors import CommandError, InterruptedByUserError, naming
from ddbreplica_cli.terminal.progress import progress_bar

_AGAIN = "verifying changes nothing"
_UNSEEN = (
    "The mapping cannot be seen ({why}): keys were compared whatever its filter, and what only the replica has is"
    " extra, unless --archive is given."
)
_AGAIN_AFTER_REPAIR = "what was not repaired still differs, and is found again"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for, option by option."""

    segments: int
    sample: float
    keys_from: Path | None
    grace: float | None
    rounds: int
    read_rate: float | None
    limit: int
    report: Path | None
    repair: bool
    dry_run: bool
    rate: float | None
    state: Path | None
    without_mapping: bool
    archive: bool

    def check(self) -> None:
        """Raise UsageError for what does not go together."""
        if self.sample < 1 and self.keys_from is not None:
            raise click.UsageError("--sample and --keys-from do not go together.")
        if not self.repair and (self.dry_run or self.rate is not None or self.state is not None):
            raise click.UsageError("--dry-run, --rate and --state go with --repair.")
        if self.report is not None and self.keys_from is not None and _is_one(self.report, self.keys_from):
            raise click.UsageError("--report would overwrite the file of --keys-from.")

    def looked_at(self, ground: Ground) -> str:
        """What the verdict is about."""
        of_all = EVERYTHING if self.sample == 1 else f"a sample of {self.sample:.4g}"
        looked_at = of_all if self.keys_from is None else f"the keys of {self.keys_from}"
        within = " within the filter" if ground.key_filter.patterns else ""
        return f"{looked_at}{within}{', as an archive' if ground.is_archive else ''}"

    @property
    def max_suspects(self) -> int | None:
        """Where to end early: not if every difference is wanted."""
        return None if self.report or self.repair else MAX_SUSPECTS


def verified(connection: Connection, wanted: Wanted, tell: Callable[[Verified], None]) -> Verified:
    """Compare, and repair if that is wanted; `tell` prints the result. Raises CommandError where it cannot be done."""
    started = time.perf_counter()
    with _state(connection, wanted) as state:
        source, replica = describe_pair(connection)
        if state is None:
            print_leftovers(connection, source, replica)
        else:
            state.resume(connection, source, replica)
        ground = _ground(connection, wanted)
        ground.warn_of_replicas(source)
        with (
            noting_interrupts() as interrupt,
            _written(wanted.report) as report,
            closing(KeySet()) as suspects,
        ):
            patience = Patience(interrupt)
            readers = _reader(source, wanted, patience), _reader(replica, wanted, patience)
            findings = Findings(wanted.limit, report)
            rates = Rates(Rate(wanted.rate, sleep=interrupt.sleep), readers[0].rate)
            repair = _repair(connection, state, ground, source.table, patience, rates) if state else None
            work = _Work(connection, wanted, patience, ground, repair, readers, suspects, findings)
            try:
                swept = work.run(table=source.table, items=source.items + replica.items)
            finally:
                if state and (said := state.in_doubt()):
                    output.print_note(said)
        result = Verified(
            source.side.name,
            replica.side.name,
            wanted.looked_at(ground),
            swept,
            findings,
            wanted.repair,
            time.perf_counter() - started,
            in_doubt=state.journal.held()[0] if state else 0,
        )
        tell(result)
        if repair:
            repair.told()
    return result


def _repair(
    connection: Connection, state: State, ground: Ground, table: Table, patience: Patience, rates: Rates
) -> Repair:
    """What gives the replica the source's state of keys, with its intentions in the state."""
    healer = Healer(
        connection,
        journal=_journal(connection, state.journal, ground, table),
        patience=patience,
        is_archive=ground.is_archive,
        rates=rates,
        under_way=state.under_way,
    )
    return Repair(state.journal, healer.heal)


@contextmanager
def _state(connection: Connection, wanted: Wanted) -> Iterator[State | None]:
    """None for a run that writes nothing."""
    if not wanted.repair or wanted.dry_run:
        yield None
        return
    under_way = UnderWay()
    path = wanted.state or default_path(connection, VERIFY)
    journal = FileJournal.at(path, command=VERIFY, clock=connection.clock)
    with journal.leaving(is_at_rest=lambda: under_way.is_none):
        yield State(journal, under_way)


@dataclass(frozen=True, slots=True)
class _Work:
    """The steps of a verification, and what they share."""

    connection: Connection
    wanted: Wanted
    patience: Patience
    ground: Ground
    repair: Repair | None
    readers: tuple[TableReader, TableReader]
    suspects: KeySet
    findings: Findings

    def run(self, *, table: Table, items: int) -> Swept:
        """All of them. `items` is about how many there are on both sides."""
        swept = self._sweep(table, items)
        if self.suspects:
            if self.ground.unseen:
                output.print_note(_UNSEEN.format(why=self.ground.unseen))
            self._settle(swept)
        if self.repair is not None:
            self._resume(self.repair, swept)
        return swept

    def _sweep(self, table: Table, items: int) -> Swept:
        """Find what may differ."""
        with closing(KeySet()) as keys:
            if self.wanted.keys_from is not None:
                keys.add(_read(self.wanted.keys_from, table))
                _refuse_none(keys, self.wanted.keys_from)
            about = 2 * len(keys) if keys else round(items * self.wanted.sample)
            with progress_bar(f"comparing{self._at()}", about=about) as advance:
                sweep = Sweep(
                    self.readers,
                    self.suspects,
                    advance=advance,
                    key_filter=self.ground.key_filter,
                    archived=self.findings.archive if self.ground.is_archive else None,
                    max_suspects=self.wanted.max_suspects,
                )
                try:
                    self._run(sweep, keys)
                except KeyboardInterrupt as pressed:
                    raise self._interrupted(sweep.swept) from pressed
        return sweep.swept

    def _at(self) -> str:
        """The lower of the two rates, since it may explain why this takes so long."""
        rates = [reader.rate.per_second for reader in self.readers if reader.rate.per_second is not None]
        return f" at {min(rates):g} read units a second" if rates else ""

    def _run(self, sweep: Sweep, keys: KeySet) -> None:
        if self.wanted.keys_from is None:
            sweep.over_tables(segments=self.wanted.segments, sample=self.wanted.sample)
        else:
            sweep.over_keys(keys, threads=self.wanted.segments)

    def _settle(self, swept: Swept) -> None:
        """Find what does differ, and mend it as wanted."""
        source, replica = self.readers
        with progress_bar(f"suspects: {len(self.suspects):,}; reading again", about=None):
            try:
                again = partial(recheck, source=source, replica=replica, patient=self._patient())
                look = (lambda keys: archived(again(keys))) if self.ground.is_archive else again
                for difference, repair in settle(self.suspects, look=look, mend=self._mend(look)):
                    self.findings.add(difference, repair)
            except KeyboardInterrupt as pressed:
                raise self._interrupted(swept) from pressed

    def _patient(self) -> Patient:
        behind = lag(self.connection)
        seconds = grace(behind) if self.wanted.grace is None else self.wanted.grace
        is_enough = is_longer(seconds, behind)
        if not is_enough:
            output.print_note(
                f"The replica is {behind:.0f} seconds behind, longer than the grace of {seconds:.0f}."
            )
        return Patient(
            seconds, self.wanted.rounds if is_enough else 1, self.patience.interrupt.sleep, is_enough
        )

    def _mend(self, look: Look) -> Mend:
        if self.repair is not None:
            return repairing(self.repair.of_differences, look)
        return foretell if self.wanted.repair else leave

    def _resume(self, repair: Repair, swept: Swept) -> None:
        """Reconcile what an earlier run left open."""
        try:
            for difference, said in repair.of_open_keys(self.ground.key_filter):
                self.findings.add(difference, said)
        except KeyboardInterrupt as pressed:
            raise self._interrupted(swept) from pressed

    def _interrupted(self, swept: Swept) -> InterruptedByUserError:
        compared = f"{swept.source_items:,} items of the source and {swept.replica_items:,} of the replica"
        repaired = f", {self.findings.repaired:,} repaired" if self.wanted.repair else ""
        return InterruptedByUserError(
            f"interrupted; {compared} were compared; looked different until then: {len(self.suspects):,}{repaired}.",
            hint=f"run the same command again; {_AGAIN_AFTER_REPAIR if self.wanted.repair else _AGAIN}.",
            facts={
                "source_items": swept.source_items,
                "replica_items": swept.replica_items,
                "suspects": len(self.suspects),
                **({"repaired": self.findings.repaired} if self.wanted.repair else {}),
            },
        )


def _reader(described: Described, wanted: Wanted, patience: Patience) -> TableReader:
    rate = described.read_rate(wanted.read_rate)
    return TableReader.of(described, patience, threads=wanted.segments, read_rate=rate)


def _is_one(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


@contextmanager
def _written(path: Path | None) -> Iterator[ReportFile | None]:
    if path is None:
        yield None
        return
    with closing(ReportFile(path)) as report:
        yield report


def _read(path: Path, table: Table) -> Iterator[Key]:
    with naming(_name(path)), click.open_file(str(path), "rb") as file:
        yield from keys_file.read(keys_file.lines_of(file), table)


def _name(path: Path) -> str:
    return "standard input" if str(path) == "-" else str(path)


def _refuse_none(keys: KeySet, path: Path) -> None:
    """Without a key nothing is compared, which must not read as `equal`."""
    if not keys:
        raise CommandError(
            f"{_name(path)} has no keys.",
            hint="write one key a line, or leave out --keys-from to compare everything.",
        )


def _ground(connection: Connection, wanted: Wanted) -> Ground:
    find = to_heal if wanted.repair else to_compare
    return find(connection, without_mapping=wanted.without_mapping, archive=wanted.archive)


def _journal(connection: Connection, journal: Journal, ground: Ground, source: Table) -> Journal:
    """Whose in-doubt keys are found from any machine, where there is a place for them."""
    if ground.mapping is None or not ground.mapping.quarantine:
        return journal
    return QuarantiningJournal.of(journal, connection, ground.mapping.quarantine, source, command=VERIFY)
