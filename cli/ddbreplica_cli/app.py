"""The `ddbreplica` command: a group of the operator's commands, one module each."""

import click

from ddbreplica_cli.commands.backfill import backfill
from ddbreplica_cli.commands.load import load
from ddbreplica_cli.commands.redrive import redrive
from ddbreplica_cli.commands.status import status
from ddbreplica_cli.commands.tail import tail
from ddbreplica_cli.commands.verify import verify
from ddbreplica_cli.terminal.output import EscapedGroup


@click.group(cls=EscapedGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ddbreplica", prog_name="ddbreplica")
def main() -> None:
    """Operate a DynamoDB table and the replica that ddbreplica keeps equal to it.

    \b
    Examples:
      ddbreplica load data/logfile_stream.csv
      ddbreplica verify --stack-name ddbreplica

    \b
    Exit status:
      0  equal, or done
      1  different, or something requires attention
      2  usage error, or it could not be done
      3  inconclusive
      129, 130, 143  ended by a hangup, Ctrl-C or SIGTERM
    If two apply: 2 before 1 before 3.
    """  # noqa: D301  \b is click's: do not wrap


for _command in (backfill, load, redrive, status, tail, verify):
    main.add_command(_command)
