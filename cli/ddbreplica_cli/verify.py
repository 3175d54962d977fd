"""`ddbreplica verify`: proves that the replica equals the source, or says where it does not, and repairs it if told."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from ddbreplica.model import Key, Table
from ddbreplica_cli import keylines, output
from ddbreplica_cli.connection import Connection
from ddbreplica_cli.errors import CommandError, InterruptedByUserError
from ddbreplica_cli.findings import Findings
from ddbreplica_cli.grace import LEAST, LONGEST, grace, is_longer, lag
from ddbreplica_cli.heal import Healer
from ddbreplica_cli.journal import MemoryJournal
from ddbreplica_cli.keyset import KeySet
from ddbreplica_cli.mapping import find_mapping, latest_stream
from ddbreplica_cli.options import Options, shared_options
from ddbreplica_cli.patience import Patience, noting_interrupts
from ddbreplica_cli.progress import progress_bar
from ddbreplica_cli.rate import Rate
from ddbreplica_cli.recheck import Patient, recheck
from ddbreplica_cli.repair import Look, Mend, foretell, leave, repairing, settle
from ddbreplica_cli.sweep import MAX_SUSPECTS, Sweep, Swept
from ddbreplica_cli.tables import SHARE, Extent, TableReader, describe, extent, reading, refuse_unlike
from ddbreplica_cli.verdict import EVERYTHING, INCONCLUSIVE, NOT_EQUAL, Verified

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_AGAIN = "verifying changes nothing"
_AGAIN_AFTER_REPAIR = "what was not repaired still differs, and is found again"
_NEXT = {
    (False, False): "the same with --repair --dry-run, then with --repair.",
    (True, True): "the same without --dry-run.",
    (True, False): "the same again; what the replica refuses has to be mended at the source first.",
}


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
    without_mapping: bool

    def check(self) -> None:
        """Raise UsageError for what does not go together."""
        if self.sample < 1 and self.keys_from is not None:
            raise click.UsageError("--sample and --keys-from do not go together.")
        if not self.repair and (self.dry_run or self.without_mapping or self.rate is not None):
            raise click.UsageError("--dry-run, --rate and --without-mapping go with --repair.")
        if self.report is not None and self.keys_from is not None and _is_one(self.report, self.keys_from):
            raise click.UsageError("--report would overwrite the file of --keys-from.")

    @property
    def looked_at(self) -> str:
        """What the verdict is about."""
        if self.keys_from is not None:
            return f"the keys of {self.keys_from}"
        return EVERYTHING if self.sample == 1 else f"a sample of {self.sample:.4g}"

    @property
    def max_suspects(self) -> int | None:
        """Where to end early: not if every difference is wanted."""
        return None if self.report or self.repair else MAX_SUSPECTS


@dataclass(frozen=True, slots=True)
class _Side:
    name: str
    table: Table
    extent: Extent
    client: "DynamoDBClient"

    def reader(self, patience: Patience, wanted: Wanted) -> TableReader:
        rate = self.extent.read_rate(wanted.read_rate)
        return TableReader(self.client, self.name, self.table, patience, read_rate=rate)


@click.command()
@click.option("--segments", type=click.IntRange(1, 64), default=4, show_default=True, help="Parallel scans.")
@click.option(
    "--sample",
    type=click.FloatRange(min=0.0001, max=1),
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
    type=click.FloatRange(min=0),
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
@click.option(
    "--read-rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="UNITS",
    help="Read units a second to take from each table."
    f"  [default: {SHARE:.0%} of what is provisioned; no limit on demand]",
)
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
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="UNITS",
    help="With --repair: write units a second at most.",
)
@click.option(
    "--without-mapping",
    is_flag=True,
    help="With --repair: even if nothing brings later changes to the replica.",
)
@shared_options
def verify(options: Options, /, **wanted: Any) -> None:
    """Compare the replica with the source, both ways, item by item.

    Reads both tables from end to end, consistently, while writes go on. An item that differs is read again after
    a grace, so that lag is no difference. Changes nothing, unless --repair is given: then the replica gets the
    source's present state of exactly what differs, and that is verified again.

    \b
    Examples:
      ddbreplica verify
      ddbreplica verify --stack-name ddbreplica --json
      ddbreplica verify --source orders --replica orders-copy --sample 0.05
      ddbreplica verify --stack-name ddbreplica --report differences.jsonl
      ddbreplica verify --stack-name ddbreplica --keys-from differences.jsonl --repair

    Ends with `equal` or `repaired` (exit status 0), `NOT EQUAL` or `inconclusive` (1).
    """  # noqa: D301  \b is click's: do not wrap
    asked = Wanted(**wanted)
    asked.check()
    verified = _verify(Connection(options), asked)
    output.print_result(verified.document(), verified.text(), as_json=options.as_json)
    _advise(verified, asked)
    if not verified.is_fine:
        raise SystemExit(1)


def _verify(connection: Connection, wanted: Wanted) -> Verified:
    started = time.perf_counter()
    source = _side(connection, connection.source, "--source", wanted.segments)
    replica = _side(connection, connection.replica, "--replica", wanted.segments)
    refuse_unlike(source.table, replica.table)
    if wanted.repair and not wanted.without_mapping:
        _check_mapping(connection)
    with noting_interrupts() as interrupt, _written(wanted.report) as report, closing(KeySet()) as suspects:
        patience = Patience(interrupt)
        readers = source.reader(patience, wanted), replica.reader(patience, wanted)
        findings = Findings(wanted.limit, report)
        work = _Work(connection, wanted, patience, readers, suspects, findings)
        swept = work.sweep(table=source.table, items=source.extent.items + replica.extent.items)
        if suspects:
            work.settle(swept)
    seconds = time.perf_counter() - started
    return Verified(source.name, replica.name, wanted.looked_at, swept, findings, wanted.repair, seconds)


@dataclass(frozen=True, slots=True)
class _Work:
    """The steps of a verification, and what they share."""

    connection: Connection
    wanted: Wanted
    patience: Patience
    readers: tuple[TableReader, TableReader]
    suspects: KeySet
    findings: Findings

    def sweep(self, *, table: Table, items: int) -> Swept:
        """Find what may differ. `items` is about how many there are on both sides."""
        with closing(KeySet()) as keys:
            if self.wanted.keys_from is not None:
                keys.add(_read(self.wanted.keys_from, table))
            about = 2 * len(keys) if keys else round(items * self.wanted.sample)
            with progress_bar(f"comparing{self._at()}", about=about) as advance:
                sweep = Sweep(
                    *self.readers,
                    self.suspects,
                    segments=self.wanted.segments,
                    advance=advance,
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
            sweep.over_tables(sample=self.wanted.sample)
        else:
            sweep.over_keys(keys)

    def settle(self, swept: Swept) -> None:
        """Find what does differ, and mend it as wanted."""
        source, replica = self.readers
        with progress_bar(f"suspects: {len(self.suspects):,}; reading again", about=None):
            try:
                look = partial(recheck, source=source, replica=replica, patient=self._patient())
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
        if not self.wanted.repair:
            return leave
        if self.wanted.dry_run:
            return foretell
        healer = Healer(
            self.connection,
            journal=MemoryJournal(),
            patience=self.patience,
            rate=Rate(self.wanted.rate, sleep=self.patience.interrupt.sleep),
            read_rate=self.readers[0].rate,
        )
        return repairing(healer.heal, look)

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


def _side(connection: Connection, name: str, option: str, segments: int) -> _Side:
    client = connection.dynamodb(name, config=reading(segments))
    return _Side(name, describe(client, name, option=option), extent(client, name), client)


def _is_one(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


@contextmanager
def _written(path: Path | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise CommandError(
            f"{path} cannot be written: {error.strerror}.", hint="name another file."
        ) from error
    with file:
        yield file


def _read(path: Path, table: Table) -> Iterator[Key]:
    with click.open_file(str(path), encoding="utf-8", errors="surrogateescape") as lines:
        yield from keylines.read(lines, table)


def _check_mapping(connection: Connection) -> None:
    """Raise CommandError where a repair would not last, or would delete what is meant to stay."""
    mapping = find_mapping(connection, latest_stream(connection))
    if mapping is None:
        raise CommandError(
            "no mapping brings the source's changes to the replica; what changes after the repair would not arrive.",
            hint="see `ddbreplica status`; --without-mapping repairs all the same.",
        )
    if not mapping.replicates_ttl_deletes:
        raise CommandError(
            "the replica is an archive (REPLICATE_TTL_DELETES is not true): what the source has no more may be meant"
            " to stay there, and a repair would delete it.",
            hint="verify without --repair; this version cannot repair an archive.",
        )
    if not mapping.is_enabled:
        output.print_note(
            f"The mapping {mapping.uuid} is {mapping.state}: what changes from now on arrives when it is enabled, if"
            " that is within a day."
        )


def _advise(verified: Verified, wanted: Wanted) -> None:
    if verified.swept.stopped_early:
        suspects = f"{verified.swept.suspects:,} keys that looked different"
        output.print_note(f"Stopped early, after {suspects}; the rest was not compared.")
    if verified.verdict == INCONCLUSIVE:
        output.print_note("Try: run it again when fewer writes are under way, or with a longer --grace.")
    if verified.verdict == NOT_EQUAL:
        output.print_note(f"Try: {_NEXT[wanted.repair, wanted.dry_run]}")
