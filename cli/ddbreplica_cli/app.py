"""The `ddbreplica` command: a group of the operator's commands, one module each."""

import click

from ddbreplica_cli.backfill import backfill
from ddbreplica_cli.load import load
from ddbreplica_cli.redrive import redrive
from ddbreplica_cli.status import status
from ddbreplica_cli.tail import tail
from ddbreplica_cli.verify import verify


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ddbreplica", prog_name="ddbreplica")
def main() -> None:
    """Operate a DynamoDB table and the replica that ddbreplica keeps equal to it.

    \b
    Examples:
      ddbreplica load data/logfile_stream.csv
      ddbreplica verify --stack-name ddbreplica

    Exit status: 0 fine, 1 a difference or a failure, 2 a wrong command line, 130 interrupted.
    """  # noqa: D301  \b is click's: do not wrap


for _command in (backfill, load, redrive, status, tail, verify):
    main.add_command(_command)
