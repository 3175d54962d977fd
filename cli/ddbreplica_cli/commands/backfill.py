"""`ddbreplica backfill`: copy existing items from the source to the replica, while both are in use."""

from typing import Any

import click

from ddbreplica_cli.terminal.options import (
    Options,
    archive_option,
    in_aws_options,
    job_options,
    rate_option,
    read_rate_option,
    segments_option,
    shared_options,
    state_option,
    transform_options,
    without_mapping_option,
)
from ddbreplica_cli.terminal.param_type import Name


@click.command()
@segments_option
@click.option(
    "--from-export",
    type=Name(),
    metavar="s3://BUCKET/PREFIX",
    multiple=True,
    help=(
        "Take the keys from this export to S3 instead of a scan. With incremental exports, only items that changed in"
        " their time windows are copied; repeat the option for several. The items are still read from the table."
    ),
)
@rate_option()
@read_rate_option("the source")
@state_option("backfill")
@click.option(
    "--no-wait", is_flag=True, help="Exit instead of waiting for in-doubt writes; a later run finishes them."
)
@without_mapping_option
@archive_option
@transform_options
@click.option(
    "--dry-run", is_flag=True, help="Show the estimated capacity units, cost and time; write nothing."
)
@in_aws_options()
@shared_options
def backfill(options: Options, /, **values: Any) -> None:
    """Copy existing items from the source to the replica.

    A stream has only the changes of the last 24 hours. This command copies every item of the source: it gives the
    replica each item's present state, while writers and the function continue. It keeps its progress in a state
    file. After Ctrl-C, a crash or a kill, run the same command again to resume. It removes the file when all items
    are copied.

    A write that gets no response is in doubt: it may still land. At its end the command waits until such writes can
    no longer land, up to 30 minutes, and copies their items again.

    With --in-aws the workers of the stack copy the items as a job, and the command follows the job. Ctrl-C ends the
    command and not the job. Run the same command again to follow the job, or to resume it if it has failed. A job has
    the options --rate, --read-rate, --without-mapping and --archive.

    \b
    Examples:
      ddbreplica backfill --stack-name ddbreplica --dry-run
      ddbreplica backfill --stack-name ddbreplica
      ddbreplica backfill --source orders --replica orders-copy --rate 500
      ddbreplica backfill --stack-name ddbreplica --in-aws
      ddbreplica backfill --stack-name ddbreplica --from-export s3://exports/AWSDynamoDB/01234-abc
      ddbreplica backfill --stack-name ddbreplica \\
        --from-export s3://exports/AWSDynamoDB/01235-bcd --from-export s3://exports/AWSDynamoDB/01236-cde

    Then compare the tables with `ddbreplica verify`. Exits with 1 if an item was not copied or, in an archive, needs
    review (deleted or expired), and with 2 if the backfill failed.
    """  # noqa: D301  \b is click's: do not wrap
    job = job_options(values)
    if job is not None:
        from ddbreplica_cli.runs.jobs.in_aws import run as run_in_aws

        run_in_aws("backfill", options, job, values)
        return
    from ddbreplica_cli.runs.backfill import run

    run(options, **values)
