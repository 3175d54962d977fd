"""`ddbreplica redrive`: reprocess quarantined records and discarded batches."""

import re
from typing import Any

import click

from ddbreplica_cli.terminal.options import (
    Options,
    archive_option,
    in_aws_options,
    job_options,
    rate_option,
    read_rate_option,
    shared_options,
    state_option,
    transform_options,
    without_mapping_option,
)
from ddbreplica_cli.terminal.param_type import Integer, Name, ParamType

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class _Age(ParamType[float]):
    """`90s`, `15m`, `2h` or `1d`, in seconds."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        age = re.fullmatch(r"(\d{1,6})([smhd])", str(value))
        if age is None:
            self.fail(
                f"invalid age {value!r}; use a number and a unit, such as 90s, 15m, 2h or 1d.", param, ctx
            )
        return float(age[1]) * _SECONDS[age[2]]


@click.command()
@click.option(
    "--quarantine-bucket",
    type=Name(),
    metavar="BUCKET",
    help="Bucket of quarantined records.  [default: from the function's settings]",
)
@click.option(
    "--on-failure-bucket",
    type=Name(),
    metavar="BUCKET",
    help="Bucket of discarded batches. If given, the batches of all functions that read this source are processed."
    "  [default: from the event source mapping]",
)
@click.option(
    "--older-than",
    type=_Age(),
    metavar="AGE",
    default="0s",
    help="Process only objects of at least this age, for example 90s, 15m, 2h or 1d.  [default: 0s]",
)
@click.option("--limit", type=Integer(min=1), metavar="N", help="Process only the first N objects, by name.")
@rate_option(of_a_job=False)
@read_rate_option("the source", of_a_job=False)
@state_option("redrive")
@without_mapping_option
@archive_option
@transform_options
@click.option(
    "--find",
    multiple=True,
    metavar="KEY",
    help="List the objects that hold this key (in DynamoDB JSON), also in done/ and in old versions, and do nothing"
    " else. May be repeated.",
)
@click.option(
    "--purge-done",
    is_flag=True,
    help="Delete the objects in done/ for good, with all their versions, and do nothing else. With --find, delete"
    " only the objects that hold one of the keys.",
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation of --purge-done.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show the objects that would be processed (`due`) or deleted; write, move and delete nothing.",
)
@in_aws_options(is_resumed=False)
@shared_options
def redrive(options: Options, /, **values: Any) -> None:
    """Reprocess quarantined records and discarded batches.

    The function quarantines a record that the replica can never hold. Lambda discards a batch that has failed for
    too long, and sends it to the on-failure bucket. This command gives the replica the source's present state of each
    item in these records. It never writes the images of the records, which may be older than the item. It moves an
    object to done/ in its bucket when all its items are repaired. Other objects stay, and it lists them with the
    reason.

    A state file keeps the keys that are being written. After Ctrl-C, a crash or a kill, run the same command again
    in the same directory to finish them. The command removes the file when no such key is left.

    With --in-aws the workers of the stack do what their schedule does, now: for at most five minutes they reprocess
    in-doubt writes and discarded batches, but no poison records.

    \b
    Examples:
      ddbreplica redrive --stack-name ddbreplica --dry-run
      ddbreplica redrive --stack-name ddbreplica
      ddbreplica redrive --stack-name ddbreplica --in-aws
      ddbreplica redrive --source orders --replica orders-copy --older-than 1h --json
      ddbreplica redrive --stack-name ddbreplica --find '{"PK": {"S": "a"}}'

    Exits with 1 if an operator has to fix an item or an object, or has to run the command again later. Exits with 2
    if the redrive failed. With --find, exits with 1 if an object holds the key or cannot be read. If there is no such
    object, but old versions cannot be listed, --find exits with 3.
    """  # noqa: D301  \b is click's: do not wrap
    job = job_options(values)
    if job is not None:
        from ddbreplica_cli.runs.jobs.in_aws import run as run_in_aws

        run_in_aws("redrive", options, job, values)
        return
    from ddbreplica_cli.runs.redrive import run

    run(options, **values)
