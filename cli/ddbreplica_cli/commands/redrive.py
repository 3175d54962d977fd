"""`ddbreplica redrive`: heals the items whose records were put aside, and clears what is done with out of the way."""

import re
from typing import Any

import click

from ddbreplica_cli.terminal.options import (
    Options,
    archive_option,
    rate_option,
    read_rate_option,
    shared_options,
    state_option,
    without_mapping_option,
)
from ddbreplica_cli.terminal.param_type import Name, ParamType

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


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
@rate_option()
@read_rate_option("the source")
@state_option("redrive")
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
def redrive(options: Options, /, **values: Any) -> None:
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
    from ddbreplica_cli.runs.redrive import run

    run(options, **values)
