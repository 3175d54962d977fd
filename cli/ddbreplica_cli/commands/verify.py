"""`ddbreplica verify`: compares the replica with the source and, with --repair, repairs the differences."""

from pathlib import Path
from typing import Any

import click

from ddbreplica.verify.confirm.plan import DEFAULT_GRACE
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
    "--eventually-consistent",
    is_flag=True,
    help="Scan with eventually consistent reads, for half the read capacity units. What looks different is read again"
    " consistently.",
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
    help="Seconds to wait for the replica to catch up before a difference is confirmed, instead of asking the event"
    f" source mapping for its lag.  [default: {DEFAULT_GRACE:.0f}, and longer if the lag is longer]",
)
@click.option(
    "--rounds",
    type=Integer(min=1),
    metavar="N",
    default=3,
    show_default=True,
    help="Maximum number of times to watch an item that keeps changing.",
)
@read_rate_option("each table")
@click.option(
    "--limit",
    type=Integer(min=0),
    metavar="N",
    default=10,
    show_default=True,
    help="Maximum number of differences to show; with --in-aws at most 100.",
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
    "--dry-run",
    is_flag=True,
    help="Show the estimated read capacity units, cost and time, and read no item. With --repair: compare, show what"
    " would be repaired, and write nothing.",
)
@rate_option("With --repair: maximum write capacity units per second for the replica table.")
@state_option("verify")
@click.option(
    "--without-mapping",
    is_flag=True,
    help="Ignore the event source mapping and its filter: compare all keys, and repair even if no mapping replicates"
    " later changes.",
)
@archive_option
@transform_options
@in_aws_options()
@shared_options
def verify(options: Options, /, **values: Any) -> None:
    """Compare the replica with the source, and repair differences.

    The command scans both tables side by side, while writes may continue. It looks again at each item that differs,
    after a grace period, and reads the source's stream, so lag does not count as a difference. The verdict is about
    what was so when the first scan began.

    Without --repair the command changes nothing. With --repair it gives each item that differs the source's present
    state, and then compares these items again. It keeps its progress, and the keys that it is writing, in a state
    file. After Ctrl-C, a crash or a kill, run the same command again in the same directory to resume. It removes the
    file when nothing is left to do. A write that gets no response is in doubt: it may still land within 30 minutes.
    Run the same command again after that time.

    With --in-aws the workers of the stack compare the tables as a job, and the command follows the job. Ctrl-C ends
    the command and not the job. Run the same command again to follow the job, or to resume it if it has failed.
    `ddbreplica jobs` shows and stops jobs. A job has these options: --eventually-consistent, --grace, --rounds,
    --read-rate, --limit, --no-values, --repair, --rate, --without-mapping and --archive.

    \b
    Examples:
      ddbreplica verify
      ddbreplica verify --stack-name ddbreplica --dry-run
      ddbreplica verify --stack-name ddbreplica --json
      ddbreplica verify --source orders --replica orders-copy --sample 0.05
      ddbreplica verify --stack-name ddbreplica --report differences.jsonl
      ddbreplica verify --stack-name ddbreplica --keys-from differences.jsonl --repair
      ddbreplica verify --stack-name ddbreplica --in-aws --eventually-consistent

    The last line begins with `equal` or `repaired` (exit status 0), `NOT EQUAL` (1) or `inconclusive` (3). If not all
    items were compared, or the scans were eventually consistent, it says so. The command exits with 2 if it fails.
    """  # noqa: D301  \b is click's: do not wrap
    job = job_options(values)
    if job is not None:
        from ddbreplica_cli.runs.jobs.in_aws import run as run_in_aws

        run_in_aws("verify", options, job, values)
        return
    from ddbreplica_cli.runs.verify import run

    run(options, **values)
