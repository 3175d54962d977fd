"""`ddbreplica redrive`: heals the items whose records were put aside, and clears what is done with out of the way."""

import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

import click

from ddbreplica.model import Table
from ddbreplica_cli import output
from ddbreplica_cli import redriven as result
from ddbreplica_cli.bucket import Bucket
from ddbreplica_cli.connection import Connection
from ddbreplica_cli.described import describe
from ddbreplica_cli.errors import CommandError, InterruptedByUserError
from ddbreplica_cli.heal import Healer
from ddbreplica_cli.mapping import MappingState, find_mapping, latest_stream
from ddbreplica_cli.options import Options, shared_options
from ddbreplica_cli.patience import Interrupt, Patience, noting_interrupts
from ddbreplica_cli.progress import progress_bar
from ddbreplica_cli.quarantining import QuarantiningJournal
from ddbreplica_cli.redriving import Found, Heal, Outcome, Place, Redriven, Redriver, find
from ddbreplica_cli.safeguards import pause, refuse_unhealable
from ddbreplica_cli.unpack import given_up, quarantined, within

_ON_FAILURE_PREFIX = "aws/lambda/"
_S3_ARN = ":s3:::"

_ADVICE = {
    Outcome.WAITING: "run it again in 15 minutes; until then a write that was not answered may still land.",
    Outcome.UNWRITABLE: "mend the items at the source, or the replica's indexes, and run it again.",
    Outcome.UNSETTLED: "run it again when fewer writes are under way.",
    Outcome.OUTSIDE: "see whether the replica has the item, which no change will reach, and move the object by hand.",
    Outcome.KEYLESS: "see with `ddbreplica verify` whether an item differs, and move what has no key by hand.",
    Outcome.UNREADABLE: "look at the object; a later version of ddbreplica may have written it.",
}
"""For every outcome that leaves something to do."""

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class _Age(click.ParamType[float]):
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
@click.option("--dry-run", is_flag=True, help="Say what would be healed; write and move nothing.")
@shared_options
def redrive(
    options: Options,
    *,
    quarantine_bucket: str | None,
    on_failure_bucket: str | None,
    older_than: float,
    limit: int | None,
    dry_run: bool,
) -> None:
    """Heal the items whose records are in quarantine or were given up by Lambda.

    Gives the replica the source's present state of those items; the records' own images are never written. An
    object whose items are all healed is moved to done/ in its bucket; any other stays, and is listed with the
    reason.

    \b
    Examples:
      ddbreplica redrive --stack-name ddbreplica --dry-run
      ddbreplica redrive --stack-name ddbreplica
      ddbreplica redrive --source orders --replica orders-copy --older-than 1h --json

    Exit status 1 where an object stays that somebody has to see to. To go on after an interruption, run it again.
    """  # noqa: D301  \b is click's: do not wrap
    started = time.perf_counter()
    connection = Connection(options)
    source = describe(connection.source).table
    mapping = _mapping(connection)
    quarantine = quarantine_bucket or _quarantine_of(mapping)
    places = tuple(_places(connection, source, mapping, quarantine, on_failure_bucket))
    with noting_interrupts() as interrupt:
        patience = Patience(interrupt)
        journal = QuarantiningJournal(
            connection.buckets, quarantine, replica=connection.replica.short_name, source=source
        )
        healer = Healer(connection, journal=journal, patience=patience)
        found = find(places, older_than=older_than, limit=limit)
        redriven = _redrive(found, None if dry_run else healer.heal, interrupt)
    facts = {"dry_run": dry_run, "seconds": time.perf_counter() - started}
    output.print_result(
        {**result.document(redriven), **facts}, result.text(redriven), as_json=options.as_json
    )
    if _advise(redriven) and not dry_run:
        raise SystemExit(1)


def _advise(redriven: Redriven) -> bool:
    """Say what is left to do, if anything is."""
    advice = [advice for outcome, advice in _ADVICE.items() if redriven.counts[outcome]]
    for sentence in advice:
        output.print_note(f"Try: {sentence}")
    return bool(advice)


def _mapping(connection: Connection) -> MappingState:
    """The mapping whose function put the records aside, if it is one that can be healed under."""
    mapping = refuse_unhealable(find_mapping(connection, latest_stream(connection)), otherwise="")
    if said := pause(mapping):
        output.print_note(said)
    return mapping


def _quarantine_of(mapping: MappingState) -> str:
    if bucket := mapping.environment.get("QUARANTINE_BUCKET"):
        return bucket
    raise CommandError(
        f"the function {mapping.function_name} does not say where it keeps records (QUARANTINE_BUCKET).",
        hint="name the bucket with --quarantine-bucket, and mend the function's settings.",
    )


def _on_failure_of(mapping: MappingState) -> str | None:
    if mapping.on_failure is not None and _S3_ARN in mapping.on_failure:
        return mapping.on_failure.rpartition(_S3_ARN)[2]
    destination = mapping.on_failure or "not set"
    output.print_note(
        f"Lambda's on-failure destination is {destination}, and no bucket: what it gave up is not looked at."
    )
    return None


def _places(
    connection: Connection, source: Table, mapping: MappingState, quarantine: str, on_failure: str | None
) -> Iterator[Place]:
    kept = Bucket(connection.buckets, quarantine, option="--quarantine-bucket")
    keys = mapping.key_filter
    yield Place(kept, f"quarantine/{connection.replica.short_name}/", within(keys, quarantined(source.arn)))
    # A bucket that is named may be of a stack that is gone: its function was another, and its tables were these.
    function = None if on_failure else mapping.function_arn
    if bucket := on_failure or _on_failure_of(mapping):
        lambdas = Bucket(connection.buckets, bucket, option="--on-failure-bucket")
        yield Place(lambdas, _ON_FAILURE_PREFIX, within(keys, given_up(source.arn, function=function)))


def _redrive(found: Sequence[Found], heal: Heal | None, interrupt: Interrupt) -> Redriven:
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
