"""`ddbreplica status`: whether changes flow to the replica, what is in the way, and what to run next."""

import click

from ddbreplica_cli.terminal.options import Options, shared_options
from ddbreplica_cli.terminal.param_type import Number

_INTERVAL = 10.0


@click.command()
@click.option(
    "--all", "fleet", is_flag=True, help="Show every replica that is kept from this Region, a line each."
)
@click.option(
    "--watch",
    type=Number(min=1),
    is_flag=False,
    flag_value=_INTERVAL,
    metavar="SECONDS",
    help=f"Look again every so many seconds ({_INTERVAL:g} if none are named), until Ctrl-C.",
)
@shared_options
def status(options: Options, *, fleet: bool, watch: float | None) -> None:
    """Show whether changes flow to the replica, and what to run if they do not.

    Looks at the tables, the mapping and its function, CloudWatch's metrics and both buckets; changes nothing. What
    may not or cannot be seen is said to be unknown, and why. With --watch and --json each look is one line.

    With --all it finds the functions by their tag `ddbreplica`, and shows a line for each pair of tables, the worst
    first. --replica-profile is then used for replicas in another account.

    \b
    Examples:
      ddbreplica status --stack-name ddbreplica
      ddbreplica status --source orders --replica orders-copy --json
      ddbreplica status --stack-name ddbreplica --watch
      ddbreplica status --all

    Ends with `replicating` (exit status 0), `NEEDS ATTENTION` or `NOT REPLICATING` (1) or, with --all, `UNKNOWN` (3).
    Exits with 2 if the status could not be read.
    """  # noqa: D301  \b is click's: do not wrap
    from ddbreplica_cli.runs.status import run

    run(options, fleet=fleet, watch=watch)
