"""`ddbreplica redrive`: heals the items whose records were put aside, and clears what is done with out of the way."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from ddbreplica_cli import output
from ddbreplica_cli import redriven as result
from ddbreplica_cli.connection import Connection
from ddbreplica_cli.described import SHARE, describe
from ddbreplica_cli.errors import ATTENTION, CommandError, InterruptedByUserError
from ddbreplica_cli.ground import to_heal
from ddbreplica_cli.heal import Healer
from ddbreplica_cli.options import Options, archive_option, shared_options, without_mapping_option
from ddbreplica_cli.param_type import ParamType
from ddbreplica_cli.patience import Interrupt, Patience, noting_interrupts
from ddbreplica_cli.places import Buckets
from ddbreplica_cli.progress import progress_bar
from ddbreplica_cli.quarantining import QuarantiningJournal
from ddbreplica_cli.rate import Rate
from ddbreplica_cli.redriving import Found, Heal, Outcome, Redriven, Redriver, find

_ADVICE = {
    Outcome.WAITING: "run it again in 15 minutes; until then a write that was not answered may still land.",
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
    without_mapping: bool
    archive: bool
    dry_run: bool


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
    "--quarantine-bucket", metavar="BUCKET", help="Bucket of quarantined records.  [default: the function's]"
)
@click.option(
    "--on-failure-bucket",
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
    type=click.FloatRange(min=0, min_open=True),
    metavar="UNITS",
    help="Write units a second to use at the replica, its indexes apart.  [default: no limit]",
)
@click.option(
    "--read-rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="UNITS",
    help="Read units a second to use at the source."
    f"  [default: {SHARE:.0%} of what is provisioned; no limit on demand]",
)
@without_mapping_option
@archive_option
@click.option("--dry-run", is_flag=True, help="Say what would be healed; write and move nothing.")
@shared_options
def redrive(options: Options, /, **wanted: Any) -> None:
    """Heal the items whose records are in quarantine or were given up by Lambda.

    Gives the replica the source's present state of those items; the records' own images are never written. An
    object whose items are all healed is moved to done/ in its bucket; any other stays, and is listed with the
    reason.

    \b
    Examples:
      ddbreplica redrive --stack-name ddbreplica --dry-run
      ddbreplica redrive --stack-name ddbreplica
      ddbreplica redrive --source orders --replica orders-copy --older-than 1h --json

    Exits with 1 if an object stays that requires attention or a later run, and with 2 if the redrive could not be
    done. To resume after an interruption, run it again.
    """  # noqa: D301  \b is click's: do not wrap
    asked = _Wanted(**wanted)
    started = time.perf_counter()
    redriven = _redrive(Connection(options), asked)
    facts = {"dry_run": asked.dry_run, "seconds": time.perf_counter() - started}
    output.print_result(
        {**result.document(redriven), **facts}, result.text(redriven), as_json=options.as_json
    )
    if _advise(redriven) and not asked.dry_run:
        raise SystemExit(ATTENTION)


def _advise(redriven: Redriven) -> bool:
    """Say what is left to do, if anything is."""
    advice = [advice for outcome, advice in _ADVICE.items() if redriven.counts[outcome]]
    for sentence in advice:
        output.print_note(f"Try: {sentence}")
    return bool(advice)


def _redrive(connection: Connection, wanted: _Wanted) -> Redriven:
    source = describe(connection.source)
    ground = to_heal(connection, without_mapping=wanted.without_mapping, archive=wanted.archive)
    buckets = Buckets.of(
        ground.mapping, quarantine=wanted.quarantine_bucket, on_failure=wanted.on_failure_bucket
    )
    places = tuple(buckets.places(connection, source, ground.key_filter))
    with noting_interrupts() as interrupt:
        healer = Healer(
            connection,
            journal=QuarantiningJournal.of(connection, buckets.quarantine, source.table, command="redrive"),
            patience=Patience(interrupt),
            is_archive=ground.is_archive,
            rate=Rate(wanted.rate, sleep=interrupt.sleep),
            read_rate=Rate(source.read_rate(wanted.read_rate), sleep=interrupt.sleep),
        )
        found = find(places, older_than=wanted.older_than, limit=wanted.limit)
        return _work_through(found, None if wanted.dry_run else healer.heal, interrupt)


def _work_through(found: Sequence[Found], heal: Heal | None, interrupt: Interrupt) -> Redriven:
    with progress_bar("redriving", about=len(found)) as advance:
        redriver = Redriver(heal, interrupt=interrupt, advance=advance)
        try:
            redriver.run(found)
        except KeyboardInterrupt as pressed:
            hint = "run the same command again: it goes on with the objects that are still there."
            raise _ended(
                redriver.redriven, found, InterruptedByUserError("interrupted", hint=hint)
            ) from pressed
        except CommandError as error:
            raise _ended(redriver.redriven, found, error) from error
    return redriver.redriven


def _ended(redriven: Redriven, found: Sequence[Found], why: CommandError) -> CommandError:
    """The same error, with what was done until then."""
    done = f"{redriven.counts[Outcome.HEALED]:,} of {len(found):,} objects were healed and moved"
    return type(why)(f"{why.fact.rstrip('.')}; {done}.", hint=why.hint, facts=result.document(redriven))
