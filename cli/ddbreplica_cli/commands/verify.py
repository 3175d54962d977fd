"""`ddbreplica verify`: compares the replica with the source and, with --repair, repairs the differences."""

from pathlib import Path
from typing import Any

import click

from ddbreplica.verify.grace import LEAST, LONGEST
from ddbreplica_cli.terminal.options import (
    Options,
    archive_option,
    rate_option,
    read_rate_option,
    segments_option,
    shared_options,
    state_option,
)
from ddbreplica_cli.terminal.param_type import Integer, Number


@click.command()
@segments_option
@click.option(
    "--sample",
    # With the most segments, 64, this divides a table into 640,000. DynamoDB allows 1,000,000.
    type=Number(min=0.0001, max=1),
    metavar="FRACTION",
    default=1.0,
    help="Compare a random fraction of each table.",
)
@click.option(
    "--keys-from",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="Compare only the keys in this file of JSON lines, for example one that --report has written. With -, read"
    " them from stdin.",
)
@click.option(
    "--grace",
    type=Number(min=0),
    metavar="SECONDS",
    help="Seconds to wait for the replica to catch up before a difference is confirmed."
    f"  [default: twice the lag, from {LEAST:.0f} to {LONGEST:.0f}; {LEAST:.0f} if the lag is unknown]",
)
@click.option(
    "--rounds",
    type=Integer(min=1),
    metavar="N",
    default=3,
    show_default=True,
    help="Maximum number of grace periods to wait for an item that keeps changing.",
)
@read_rate_option("each table")
@click.option(
    "--limit",
    type=Integer(min=0),
    metavar="N",
    default=10,
    show_default=True,
    help="Maximum number of differences to show.",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="Write all differences to this file, one line of JSON each. With -, write them to stdout, and the result to"
    " stderr.",
)
@click.option(
    "--no-values",
    is_flag=True,
    help="Leave item values out of the screen, of --json and of --report. Keys and attribute names remain.",
)
@click.option("--repair", is_flag=True, help="Give each item that differs the source's present state.")
@click.option(
    "--dry-run", is_flag=True, help="With --repair: show what would be repaired, and write nothing."
)
@rate_option(
    "With --repair: maximum write capacity units per second for the replica table.  [default: no limit]"
)
@state_option("verify", when="With --repair: ")
@click.option(
    "--without-mapping",
    is_flag=True,
    help="Ignore the event source mapping and its filter: compare all keys, and repair even if no mapping replicates"
    " later changes.",
)
@archive_option
@shared_options
def verify(options: Options, /, **values: Any) -> None:
    """Compare the replica with the source, and repair differences.

    The command reads both tables completely with consistent reads, while writes may continue. It reads each
    item that differs again after a grace period, so lag does not count as a difference.

    Without --repair the command changes nothing. With --repair it gives each item that differs the source's present
    state, and then compares these items again. It keeps the keys that it is writing in a state file. After Ctrl-C or
    a crash, run the same command again in the same directory; it reconciles these keys too. It removes the file when
    nothing is left to do. A write that gets no response is in doubt: it may still land within 30 minutes. Run the same
    command again after that time.

    \b
    Examples:
      ddbreplica verify
      ddbreplica verify --stack-name ddbreplica --json
      ddbreplica verify --source orders --replica orders-copy --sample 0.05
      ddbreplica verify --stack-name ddbreplica --report differences.jsonl
      ddbreplica verify --stack-name ddbreplica --keys-from differences.jsonl --repair

    The last line begins with `equal` or `repaired` (exit status 0), `NOT EQUAL` (1) or `inconclusive` (3). With
    --sample or --keys-from it also says which items were compared. The command exits with 2 if it fails.
    """  # noqa: D301  \b is click's: do not wrap
    from ddbreplica_cli.runs.verify import run

    run(options, **values)
