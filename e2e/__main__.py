"""`python -m e2e`: exit code 0 if everything held, 1 if not, 2 if nothing was begun, 128 and more on a signal."""

import signal
import sys
from types import FrameType
from typing import NoReturn

import click
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from ddbreplica.refusal import refusal_of
from ddbreplica_cli.errors import CommandError, explain
from ddbreplica_cli.output import print_error
from e2e import consent, story
from e2e.account import Account
from e2e.errors import RefusedError
from e2e.names import SUFFIX, Names
from e2e.programs import SAM
from e2e.run import ROOT, Run


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--quick", is_flag=True, help="Leave out the troubles whose alarms take long to go off.")
@click.option("--keep", is_flag=True, help="Leave the stack, unless the run is interrupted.")
@click.option(
    "--region",
    metavar="REGION",
    help="AWS Region.  [default: AWS_REGION, AWS_DEFAULT_REGION or the profile's]",
)
@click.option("--suffix", metavar="TEXT", help="What all names end in or contain; made up unless given.")
def main(*, yes: bool, quick: bool, keep: bool, region: str | None, suffix: str | None) -> None:
    """Run ddbreplica on a real AWS account, break it, and report what only AWS can confirm.

    It asks first. The credentials are those of AWS's own environment variables and files.

    \b
    Examples:
      python -m e2e
      AWS_PROFILE=sandbox AWS_REGION=eu-west-1 python -m e2e --quick
    """  # noqa: D301  \b is click's: do not wrap
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _leave)
    names = _names(suffix)
    try:
        run = Run(Console(highlight=False), Account.in_region(region), names)
        _ = run.region  # raises NoRegionError if there is none
        _prepare(run, yes=yes, quick=quick)
    except CommandError as error:
        _refuse(error)
    except (BotoCoreError, ClientError) as error:
        _refuse(explain(refusal_of(error)))
    try:
        held = story.carry_out(run, story.quick if quick else story.full, keep=keep)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    sys.exit(0 if held else 1)


def _names(suffix: str | None) -> Names:
    if suffix is None:
        return Names()
    if not SUFFIX.fullmatch(suffix):
        raise click.BadParameter(f"{suffix!r} is not of the form {SUFFIX.pattern}.", param_hint="--suffix")
    return Names(suffix)


def _prepare(run: Run, *, yes: bool, quick: bool) -> None:
    """Find out what can be found out without making anything, and ask."""
    if not SAM.exists():
        raise RefusedError(f"{SAM.relative_to(ROOT)} is not there.", hint="make e2e")
    consent.announce(run, quick=quick)
    consent.refuse_what_exists(run)
    consent.ask(yes=yes, is_terminal=sys.stdin.isatty())


def _refuse(error: CommandError) -> NoReturn:
    print_error(error, as_json=False)
    sys.exit(RefusedError.exit_code)


def _leave(number: int, _frame: FrameType | None) -> None:
    # An exception, so that everything is removed on the way out.
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
