"""`ddbreplica status`: shows health, lag and problems, and the command that fixes each problem."""

import click

from ddbreplica_cli.terminal.options import Options, shared_options
from ddbreplica_cli.terminal.param_type import Number

_INTERVAL = 10.0


@click.command()
@click.option(
    "--all",
    "fleet",
    is_flag=True,
    help="Show all replications of the Region, one line for each pair of tables.",
)
@click.option(
    "--watch",
    type=Number(min=1),
    is_flag=False,
    flag_value=_INTERVAL,
    metavar="SECONDS",
    help=f"Repeat until Ctrl-C, every SECONDS seconds ({_INTERVAL:g} if omitted).",
)
@shared_options
def status(options: Options, *, fleet: bool, watch: float | None) -> None:
    """Show health, lag, problems, and the command that fixes each.

    The command reads the tables, the event source mapping, its function, CloudWatch metrics and both buckets. It
    changes nothing. It also shows the last complete verification, and what was written to the source since. For a
    stack with workers it shows the jobs that run, and the next scheduled verification with its cost. Values that
    cannot be read are shown as unknown, with the reason. With --watch and --json each status is one line.

    With --all the command finds the functions that have the tag `ddbreplica`, and shows one line for each pair of
    tables, the worst first, with its jobs below. In this case --replica-profile is used for replicas in other
    accounts only.

    \b
    Examples:
      ddbreplica status --stack-name ddbreplica
      ddbreplica status --source orders --replica orders-copy --json
      ddbreplica status --stack-name ddbreplica --watch
      ddbreplica status --all

    The last line begins with `replicating` (exit status 0), `NEEDS ATTENTION` or `NOT REPLICATING` (1) or, with
    --all, `UNKNOWN` (3). The command exits with 2 if it fails.
    """  # noqa: D301  \b is click's: do not wrap
    from ddbreplica_cli.runs.status import run

    run(options, fleet=fleet, watch=watch)
