"""The `ddbreplica` command group. Each command has a module of its own."""

import click

# Help and completion import all of these modules, so each of them imports its module of `runs` only when it runs.
from ddbreplica_cli.commands.backfill import backfill
from ddbreplica_cli.commands.jobs import jobs
from ddbreplica_cli.commands.load import load
from ddbreplica_cli.commands.redrive import redrive
from ddbreplica_cli.commands.status import status
from ddbreplica_cli.commands.tail import tail
from ddbreplica_cli.commands.transform import transform
from ddbreplica_cli.commands.verify import verify
from ddbreplica_cli.terminal.output import EscapedGroup


@click.group(cls=EscapedGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ddbreplica", prog_name="ddbreplica")
def main() -> None:
    """Operate ddbreplica, which replicates one DynamoDB table into another.

    \b
    Examples:
      ddbreplica status --stack-name ddbreplica
      ddbreplica verify --stack-name ddbreplica

    \b
    Exit status:
      0    success; the tables are equal, or nothing requires attention
      1    the tables differ, or something requires attention
      2    usage error, or the command failed
      3    the result is inconclusive
      129  ended by a hangup (SIGHUP)
      130  ended by Ctrl-C (SIGINT)
      143  ended by SIGTERM
    If more than one applies, 2 takes precedence over 1, and 1 over 3.
    """  # noqa: D301  \b is click's: do not wrap


for _command in (backfill, jobs, load, redrive, status, tail, transform, verify):
    main.add_command(_command)
