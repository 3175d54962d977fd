"""`ddbreplica backfill`: copies what was in the source before its stream, while everything goes on."""

from typing import Any

import click

from ddbreplica_cli.terminal.options import (
    Options,
    archive_option,
    rate_option,
    read_rate_option,
    segments_option,
    shared_options,
    state_option,
    without_mapping_option,
)
from ddbreplica_cli.terminal.param_type import Name


@click.command()
@segments_option
@click.option(
    "--from-export",
    type=Name(),
    metavar="s3://BUCKET/PREFIX",
    help="Take the keys from this full export of the table, in place of a scan; the items are read from the table.",
)
@rate_option()
@read_rate_option("the source")
@state_option("backfill")
@click.option("--no-wait", is_flag=True, help="Leave to a later run what cannot be written yet.")
@without_mapping_option
@archive_option
@click.option("--dry-run", is_flag=True, help="Say what it will use and cost, and write nothing.")
@shared_options
def backfill(options: Options, /, **values: Any) -> None:
    """Copy to the replica what was in the source before its stream.

    Goes through the source, and gives the replica each item's present state, while writers and the stream go on.
    How far it has come is kept in a file: after Ctrl-C, a crash or a kill the same command goes on where it was.
    The file is removed once all is done.

    \b
    Examples:
      ddbreplica backfill --stack-name ddbreplica --dry-run
      ddbreplica backfill --stack-name ddbreplica
      ddbreplica backfill --source orders --replica orders-copy --rate 500
      ddbreplica backfill --stack-name ddbreplica --from-export s3://exports/AWSDynamoDB/01234-abc

    Then `ddbreplica verify` proves the two equal. Exits with 1 if an item was not copied or, in an archive, needs
    review (deleted or expired), and with 2 if the backfill could not be done.
    """  # noqa: D301  \b is click's: do not wrap
    from ddbreplica_cli.runs.backfill import run

    run(options, **values)
