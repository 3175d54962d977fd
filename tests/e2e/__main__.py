"""`python -m tests.e2e`: exit code 0 if everything held, 1 if not, 2 if nothing was begun, 128 and more on a signal."""

import sys
from typing import NoReturn

import click
from botocore.exceptions import BotoCoreError, ClientError

from ddbreplica.aws.hints import explain
from ddbreplica.aws.refusal import refusal_of
from ddbreplica.errors import TaskError
from ddbreplica_cli.terminal.console import console_on
from ddbreplica_cli.terminal.output import EscapedCommand, print_error
from tests.e2e import consent, story
from tests.e2e.account import Account
from tests.e2e.endings import InterruptedRunError
from tests.e2e.errors import RefusedError
from tests.e2e.names import SUFFIX, Names
from tests.e2e.programs import SAM
from tests.e2e.run import ROOT, Run


@click.command(cls=EscapedCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--account", metavar="NUMBER", help="Do not ask, if the credentials are for this account.")
@click.option("--quick", is_flag=True, help="Leave out the troubles whose alarms take long to go off.")
@click.option("--keep", is_flag=True, help="Leave the stack, unless the run is interrupted.")
@click.option(
    "--region",
    metavar="REGION",
    help="AWS Region.  [default: AWS_REGION, AWS_DEFAULT_REGION or the profile's]",
)
@click.option("--remove", metavar="SUFFIX", help="Remove what an earlier run has left, and run nothing.")
def main(*, account: str | None, quick: bool, keep: bool, region: str | None, remove: str | None) -> None:
    """Run ddbreplica on a real AWS account, break it, and report what only AWS can confirm.

    It asks first. The credentials are those of AWS's own environment variables and files.

    \b
    Examples:
      python -m tests.e2e
      AWS_PROFILE=sandbox AWS_REGION=eu-west-1 python -m tests.e2e --quick
      python -m tests.e2e --remove 1a2b3c4d --region eu-west-1
    """  # noqa: D301  \b is click's: do not wrap
    try:
        run = Run(console_on(sys.stdout, highlight=False), Account.in_region(region), _names(remove))
        _ = run.region  # raises NoRegionError if there is none
        is_something = _prepare(run, quick=quick) if remove is None else consent.announce_removal(run)
        if is_something:
            consent.ask(run, account=account, is_terminal=sys.stdin.isatty())
    except TaskError as error:
        _refuse(error)
    except (BotoCoreError, ClientError) as error:
        _refuse(explain(refusal_of(error)))
    if not is_something:
        return
    if remove is not None:
        sys.exit(0 if story.clean_up(run) else 1)
    sys.exit(conduct(run, story.quick if quick else story.full, keep=keep))


def conduct(run: Run, steps: story.Steps, *, keep: bool) -> int:
    """Carry the run out, and return its exit status."""
    try:
        return 0 if story.carry_out(run, steps, keep=keep) else 1
    except InterruptedRunError as interrupted:
        return 128 + interrupted.number


def _names(remove: str | None) -> Names:
    if remove is None:
        return Names()
    if not SUFFIX.fullmatch(remove):
        raise click.BadParameter(f"{remove!r} is not of the form {SUFFIX.pattern}.", param_hint="--remove")
    return Names(remove, nonce=None)


def _prepare(run: Run, *, quick: bool) -> bool:
    """Find out what can be found out without creating anything. Raises RefusedError."""
    if not SAM.exists():
        raise RefusedError(f"{SAM.relative_to(ROOT)} is not there.", hint="make e2e")
    consent.announce(run, quick=quick)
    consent.refuse_what_exists(run)
    return True


def _refuse(error: TaskError) -> NoReturn:
    print_error(error, as_json=False)
    sys.exit(RefusedError.exit_code)


if __name__ == "__main__":
    main()
