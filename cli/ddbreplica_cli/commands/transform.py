"""`ddbreplica transform`: checks the rules of a copy that has other attributes than its source."""

from pathlib import Path

import click

from ddbreplica_cli.terminal.options import Options, shared_options
from ddbreplica_cli.terminal.param_type import Integer

_SAMPLES = 5


@click.group()
def transform() -> None:
    """Check the rules of a copy that has other attributes than its source.

    A transform hashes, concatenates, sets, keeps, drops or renames attributes. It is the parameter Transform of
    template.yaml.

    \b
    Examples:
      ddbreplica transform check masked.json
      ddbreplica transform check masked.json --source orders --limit 3
    """  # noqa: D301  \b is click's: do not wrap


@transform.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--event",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="EVENT.json",
    help="Show the items of this event of a DynamoDB stream, before and after.",
)
@click.option(
    "--limit",
    type=Integer(min=1, max=1000),
    metavar="N",
    default=_SAMPLES,
    show_default=True,
    help="Maximum number of items to read from the table of --source or --stack-name.",
)
@shared_options
def check(options: Options, *, file: Path, event: Path | None, limit: int) -> None:
    """Check a transform, and show what it makes of items.

    FILE is a JSON object with the members hash, concat, set, keep, drop and rename; docs/commands.md describes them.
    The command shows the size of the transform, its digest, and the line for parameter_overrides in samconfig.toml.

    With --source or --stack-name the command reads some items of the source table, and shows each attribute at the
    source and at the replica. It does so for the items of --event, too. Only then does it check that no rule changes
    a key attribute. It never reads the secret: a hash is shown as `(hash)`. It writes nothing to AWS.

    \b
    Examples:
      ddbreplica transform check masked.json
      ddbreplica transform check masked.json --event events/insert.json
      ddbreplica transform check masked.json --source orders --limit 3 --json

    Exits with 1 if a rule cannot take the value of an item, and with 2 if the transform is not valid.
    """  # noqa: D301  \b is click's: do not wrap
    from ddbreplica_cli.runs.transform.check import run

    run(options, file=file, event=event, limit=limit)
