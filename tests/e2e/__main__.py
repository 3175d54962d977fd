"""`python -m tests.e2e`: exit code 0 if all claims held, 1 if not, 2 if nothing was created, 128+ on a signal."""

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
@click.option(
    "--account", metavar="NUMBER", help="Skip the question if the credentials are for this account."
)
@click.option("--quick", is_flag=True, help="Leave out the failures whose alarms take long to fire.")
@click.option("--keep", is_flag=True, help="Keep the stack, unless the run is interrupted.")
@click.option(
    "--region",
    metavar="REGION",
    help="AWS Region.  [default: AWS_REGION, AWS_DEFAULT_REGION or the profile's]",
)
@click.option("--remove", metavar="SUFFIX", help="Only remove the resources of an earlier run.")
def main(*, account: str | None, quick: bool, keep: bool, region: str | None, remove: str | None) -> None:
    """Run ddbreplica on a real AWS account, cause failures, and report what only AWS can confirm.

    It asks for consent first. It uses the credentials of AWS's environment variables and files.

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
    """Run the steps, and return the exit status."""
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
    """Announce the run, and check that none of its names exists. Raises RefusedError."""
    if not SAM.exists():
        raise RefusedError(f"{SAM.relative_to(ROOT)} does not exist.", hint="make e2e")
    consent.announce(run, quick=quick)
    consent.refuse_what_exists(run)
    return True


def _refuse(error: TaskError) -> NoReturn:
    print_error(error, as_json=False)
    sys.exit(RefusedError.exit_code)


if __name__ == "__main__":
    main()
