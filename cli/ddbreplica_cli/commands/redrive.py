"""`ddbreplica redrive`: heals the items whose records were put aside, and clears what is done with out of the way."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import click

from ddbreplica.aws.clock import time_after
from ddbreplica.driver import Interrupt, Patience, noting_interrupts
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import SHARE, describe_pair, identity
from ddbreplica.dynamodb.rate import Rate
from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.mapping.preflight import Ground, to_heal
from ddbreplica.model import Key
from ddbreplica.reconcile.in_doubt import QuarantiningJournal
from ddbreplica.reconcile.journal import REDRIVE, FileJournal
from ddbreplica.reconcile.leftover import print_leftovers
from ddbreplica.reconcile.primitive import Reconciled
from ddbreplica.reconcile.reconciler import Healer, Rates, UnderWay
from ddbreplica.reconcile.state import default_path
from ddbreplica.redrive.objects import LISTED_AT_A_TIME, Found, Heal, Outcome, Redriven, Redriver, find
from ddbreplica.redrive.places import Buckets
from ddbreplica_cli.commands import erasure
from ddbreplica_cli.commands import redriven as result
from ddbreplica_cli.terminal import output
from ddbreplica_cli.terminal.errors import ATTENTION, CommandError, InterruptedByUserError
from ddbreplica_cli.terminal.options import (
    Options,
    archive_option,
    shared_options,
    state_option,
    without_mapping_option,
)
from ddbreplica_cli.terminal.param_type import Name, Number, ParamType
from ddbreplica_cli.terminal.progress import progress_bar

_Tell: TypeAlias = Callable[[Redriven], None]

_ADVICE = {
    Outcome.UNWRITABLE: "mend the items at the source, or the replica's indexes, and run it again.",
    Outcome.UNSETTLED: "run it again when fewer writes are under way.",
    Outcome.UNDECIDED: "look at its record: if the item was deleted, delete it from the replica too; then move the"
    " object by hand.",
    Outcome.EARLIER: "compare these items with `ddbreplica verify --keys-from FILE`; the replica may hold the only"
    " copy. Write each back to the source or delete it from the replica; then move the object by hand.",
    Outcome.OUTSIDE: "see whether the replica has the item, which no change will reach, and move the object by hand.",
    Outcome.KEYLESS: "see with `ddbreplica verify` whether an item differs, and move what has no key by hand.",
    Outcome.UNREADABLE: "look at the object; a later version of ddbreplica may have written it.",
}
"""For every outcome that leaves something to do."""

_TOLD_ONCE = frozenset({Outcome.UNDECIDED, Outcome.OUTSIDE})
"""Of a key that no object has: a person has to look at it, and no later run will know more."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the command line asks for, option by option."""

    quarantine_bucket: str | None
    on_failure_bucket: str | None
    older_than: float
    limit: int | None
    rate: float | None
    read_rate: float | None
    state: Path | None
    without_mapping: bool
    archive: bool
    dry_run: bool
    find: tuple[str, ...]
    purge_done: bool
    yes: bool


class _Age(ParamType[float]):
    """`90s`, `15m`, `2h` or `1d`, in seconds."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        age = re.fullmatch(r"(\d{1,6})([smhd])", str(value))
        if age is None:
            self.fail(f"{value!r} is no age such as 90s, 15m, 2h or 1d.", param, ctx)
        return float(age[1]) * _SECONDS[age[2]]


@click.command()
@click.option(
    "--quarantine-bucket",
    type=Name(),
    metavar="BUCKET",
    help="Bucket of quarantined records.  [default: the function's]",
)
@click.option(
    "--on-failure-bucket",
    type=Name(),
    metavar="BUCKET",
    help="Bucket of what Lambda gave up, of any function.  [default: the mapping's, of its function]",
)
@click.option(
    "--older-than",
    type=_Age(),
    metavar="AGE",
    default="0s",
    help="Only objects at least so old: 90s, 15m, 2h or 1d.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N objects, by name.")
@click.option(
    "--rate",
    type=Number(min=0, min_open=True),
    metavar="UNITS",
    help="Write units a second to use at the replica, its indexes apart.  [default: no limit]",
)
@click.option(
    "--read-rate",
    type=Number(min=0, min_open=True),
    metavar="UNITS",
    help="Read units a second to use at the source."
    f"  [default: {SHARE:.0%} of what is provisioned; no limit on demand]",
)
@state_option(REDRIVE)
@without_mapping_option
@archive_option
@click.option(
    "--find",
    multiple=True,
    metavar="KEY",
    help="Reconcile nothing. List the objects that hold this key (in DynamoDB JSON), in done/ and old versions too."
    " May be repeated.",
)
@click.option(
    "--purge-done",
    is_flag=True,
    help="Reconcile nothing. Delete for good what is in done/, with all its versions; with --find, only what"
    " holds a key.",
)
@click.option("--yes", is_flag=True, help="With --purge-done: do not ask for confirmation.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show what would be reconciled or deleted; write, move and delete nothing.",
)
@shared_options
def redrive(options: Options, /, **wanted: Any) -> None:
    """Heal the items whose records are in quarantine or were given up by Lambda.

    Gives the replica the source's present state of those items; the records' own images are never written. An
    object whose items are all healed is moved to done/ in its bucket; any other stays, and is listed with the
    reason. Keys that are being written are kept in a state file: after Ctrl-C, a crash or a kill run the same command
    again in the same directory, and it reconciles them too. The file is removed when no such key is left.

    \b
    Examples:
      ddbreplica redrive --stack-name ddbreplica --dry-run
      ddbreplica redrive --stack-name ddbreplica
      ddbreplica redrive --source orders --replica orders-copy --older-than 1h --json
      ddbreplica redrive --stack-name ddbreplica --find '{"PK": {"S": "a"}}'

    Exits with 1 if an object or a key is left that requires attention or a later run, and with 2 if the redrive could
    not be done. With --find it exits with 1 if an object holds the key or cannot be read, and with 3 if old versions
    cannot be listed.
    """  # noqa: D301  \b is click's: do not wrap
    asked = _Wanted(**wanted)
    started = time.perf_counter()
    erasing = erasure.wanted(asked.find, purge_done=asked.purge_done, yes=asked.yes, dry_run=asked.dry_run)
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

    def tell(redriven: Redriven) -> None:
        facts = {"dry_run": asked.dry_run, "seconds": time.perf_counter() - started}
        output.print_result(
            {**result.document(redriven), **facts}, result.text(redriven), as_json=options.as_json
        )

    redriven = _foretell(connection, asked, tell) if asked.dry_run else _redrive(connection, asked, tell)
    if _advise(redriven) and not asked.dry_run:
        raise SystemExit(ATTENTION)


def _advise(redriven: Redriven) -> bool:
    """Say what is left to do, if anything is."""
    left = {*redriven.counts, *(outcome for outcome, _ in redriven.open.values())}
    advice = [advice for outcome, advice in _ADVICE.items() if outcome in left]
    if redriven.wait > 0:
        until = time_after(redriven.wait)
        advice.insert(
            0, f"run it again after {until}; until then an in-doubt write may still change the replica."
        )
    for sentence in advice:
        output.print_note(f"Try: {sentence}")
    return bool(advice)


def _redrive(connection: Connection, wanted: _Wanted, tell: _Tell) -> Redriven:
    path = wanted.state or default_path(connection, REDRIVE)
    under_way = UnderWay()
    journal = FileJournal.at(path, command=REDRIVE, clock=connection.clock)
    with journal.leaving(is_at_rest=lambda: under_way.is_none):
        source, replica = describe_pair(connection)
        if journal.resume(identity(source, replica)):
            output.print_note(f"Resuming from {path}.")
        connection.clock.refuse_fast()
        ground = to_heal(connection, without_mapping=wanted.without_mapping, archive=wanted.archive)
        buckets = _buckets(ground, wanted)
        places = tuple(buckets.places(connection, source, ground.key_filter))
        with noting_interrupts() as interrupt:
            healer = Healer(
                connection,
                journal=QuarantiningJournal.of(
                    journal, connection, buckets.quarantine, source.table, command=REDRIVE
                ),
                patience=Patience(interrupt),
                is_archive=ground.is_archive,
                rates=Rates(
                    write=Rate(wanted.rate, sleep=interrupt.sleep),
                    read=Rate(source.read_rate(wanted.read_rate), sleep=interrupt.sleep),
                ),
                under_way=under_way,
            )
            work = _Work(_Open(journal, ground.key_filter, healer.heal), interrupt)
            redriven = work.through(find(places, older_than=wanted.older_than, limit=wanted.limit))
        tell(redriven)
        journal.confirm([key for key, (outcome, _) in redriven.open.items() if outcome in _TOLD_ONCE])
    return redriven


def _foretell(connection: Connection, wanted: _Wanted, tell: _Tell) -> Redriven:
    """A dry run, which writes nothing and so needs no state."""
    source, replica = describe_pair(connection)
    ground = to_heal(connection, without_mapping=wanted.without_mapping, archive=wanted.archive)
    places = tuple(_buckets(ground, wanted).places(connection, source, ground.key_filter))
    print_leftovers(connection, source, replica)
    with noting_interrupts() as interrupt:
        work = _Work(None, interrupt)
        redriven = work.through(find(places, older_than=wanted.older_than, limit=wanted.limit))
    tell(redriven)
    return redriven


def _buckets(ground: Ground, wanted: _Wanted) -> Buckets:
    return Buckets.of(
        ground.mapping, quarantine=wanted.quarantine_bucket, on_failure=wanted.on_failure_bucket
    )


@dataclass(frozen=True, slots=True)
class _Open:
    """The keys that are open in a state, and how they are reconciled."""

    journal: FileJournal
    key_filter: KeyFilter
    heal: Heal

    def heal_of_objects(self, keys: Sequence[Key]) -> Reconciled:
        """Reconcile keys; close those that their objects have still, unless a write of theirs may land."""
        reconciled = self.heal(keys)
        refused = (key for key, _ in reconciled.refused)
        self.journal.confirm([*reconciled.changing, *reconciled.undecided, *refused])
        return reconciled

    def resume(self, redriver: Redriver) -> None:
        """Reconcile those that no object has any more."""
        keys = self.journal.open_keys()
        redriver.leave_outside([key for key in keys if not self.key_filter.passes(key)])
        redriver.resume([key for key in keys if self.key_filter.passes(key)], self.heal)


@dataclass(frozen=True, slots=True)
class _Work:
    """A run over objects; without `open` it is a dry run."""

    open: _Open | None
    interrupt: Interrupt

    def through(self, found: Iterator[Found]) -> Redriven:
        """Work through them. Raises CommandError with what was done until then."""
        heal = self.open.heal_of_objects if self.open else None
        redriver = Redriver(heal, interrupt=self.interrupt)
        piece = tuple(islice(found, LISTED_AT_A_TIME))
        objects = 0
        try:
            while piece:
                objects += len(piece)
                with progress_bar("redriving", about=len(piece)) as advance:
                    redriver.run(piece, advance)
                piece = tuple(islice(found, LISTED_AT_A_TIME))
            if self.open:
                self.open.resume(redriver)
        except KeyboardInterrupt as pressed:
            hint = "run the same command again: it goes on with the objects that are still there."
            error = InterruptedByUserError("interrupted", hint=hint)
            raise self._ended(redriver.redriven, objects, error) from pressed
        except CommandError as error:
            raise self._ended(redriver.redriven, objects, error) from error
        return self._counted(redriver.redriven)

    def _counted(self, redriven: Redriven) -> Redriven:
        if self.open:
            redriven.in_doubt, redriven.in_doubt_seconds = self.open.journal.held()
        return redriven

    def _ended(self, redriven: Redriven, objects: int, why: CommandError) -> CommandError:
        """The same error, with what was done until then."""
        done = f"{redriven.counts[Outcome.HEALED]:,} of {objects:,} objects were healed and moved"
        facts = result.document(self._counted(redriven))
        return type(why)(f"{why.fact.rstrip('.')}; {done}.", hint=why.hint, facts=facts)
