"""The options that every command takes, and the funnel that every error of a command goes through."""

import functools
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Concatenate, NoReturn, ParamSpec

import click
from botocore.exceptions import BotoCoreError, ClientError

from ddbreplica.aws.botocore_private import MissingPartError
from ddbreplica.aws.refusal import refusal_of
from ddbreplica_cli.terminal import output, signals
from ddbreplica_cli.terminal.errors import CommandError, InterruptedByUserError, explain
from ddbreplica_cli.terminal.param_type import Name

P = ParamSpec("P")

SOURCE = "logfile"
REPLICA = "logfile_replica"

_OPTIONS = (
    click.option(
        "--source", type=Name(), metavar="TABLE", help=f"Source table, by name or ARN.  [default: {SOURCE}]"
    ),
    click.option(
        "--replica",
        type=Name(),
        metavar="TABLE",
        help=f"Replica table, by name or ARN.  [default: {REPLICA}]",
    ),
    click.option(
        "--stack-name",
        type=Name(),
        metavar="STACK",
        help="Read both names from this CloudFormation stack's outputs.",
    ),
    click.option(
        "--region",
        type=Name(),
        metavar="REGION",
        help="AWS Region, unless a table's ARN names one.  [default: AWS_REGION, AWS_DEFAULT_REGION or the profile's]",
    ),
    click.option(
        "--replica-region", type=Name(), metavar="REGION", help="Region of the replica, if it is another."
    ),
    click.option(
        "--profile", type=Name(), metavar="PROFILE", help="Profile of the AWS configuration to use."
    ),
    click.option(
        "--replica-profile",
        type=Name(),
        metavar="PROFILE",
        help="Profile to use for the replica, if it is another.",
    ),
    click.option(
        "--endpoint-url", type=Name(), metavar="URL", help="Send requests here: an AWS to experiment with."
    ),
    click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document."),
)


@dataclass(frozen=True, slots=True)
class Options:
    """Which tables, where, and how to say the result. None leaves it to the stack, boto3 or the default."""

    source: str | None
    replica: str | None
    stack_name: str | None
    region: str | None
    replica_region: str | None
    profile: str | None
    replica_profile: str | None
    endpoint_url: str | None
    as_json: bool

    @property
    def tables(self) -> str:
        """The options that name the same tables in another command, each after a space."""
        named = {
            "--stack-name": self.stack_name,
            "--source": self.source,
            "--replica": self.replica,
            "--replica-region": self.replica_region,
            "--replica-profile": self.replica_profile,
        }
        return _spelt(named) + self.place

    @property
    def place(self) -> str:
        """Those that name where they are, which AWS's own commands take as well."""
        return _spelt(
            {"--region": self.region, "--profile": self.profile, "--endpoint-url": self.endpoint_url}
        )

    @property
    def replica_place(self) -> str:
        """Those that name where the replica is, for AWS's own commands."""
        return _spelt(
            {
                "--region": self.replica_region or self.region,
                "--profile": self.replica_profile or self.profile,
                "--endpoint-url": self.endpoint_url,
            }
        )


def state_option(command: str, *, when: str = "") -> Callable[..., Any]:
    """The option that names the state file of a command; `when` begins its help where it needs another option."""
    return click.option(
        "--state",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help=f"{when}State file: run the command again with it to resume."
        f"  [default: SOURCE-REPLICA.{command}, in this directory]",
    )


without_mapping_option = click.option(
    "--without-mapping", is_flag=True, help="Go ahead even if nothing brings later changes to the replica."
)
archive_option = click.option(
    "--archive",
    is_flag=True,
    help="The replica keeps what has expired at the source.  [default: as the function's settings say]",
)


def _spelt(named: Mapping[str, str | None]) -> str:
    return "".join(f" {option} {shlex.quote(value)}" for option, value in named.items() if value is not None)


def shared_options(command: Callable[Concatenate[Options, P], None]) -> Callable[..., None]:
    """Give a command the shared options; it may raise CommandError, botocore's errors, OSError, KeyboardInterrupt."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        values: dict[str, Any] = {name: kwargs.pop(name) for name in Options.__dataclass_fields__}
        options = Options(**values)
        with _explained(as_json=options.as_json):
            _refuse_other_systems()
            command(options, *args, **kwargs)

    decorated: Callable[..., None] = run
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def _refuse_other_systems() -> None:
    """What locks a state file is missing on Windows."""
    if find_spec("fcntl") is None:
        raise CommandError(
            "the commands of ddbreplica run on Linux and macOS.",
            hint="run this command there, in AWS CloudShell, or in the Windows Subsystem for Linux.",
        )


@contextmanager
def _explained(*, as_json: bool) -> Iterator[None]:
    with signals.handled() as handler:
        try:
            yield
        except (
            *(CommandError, MissingPartError, BotoCoreError, ClientError),
            *(OSError, KeyboardInterrupt),
        ) as raised:
            with handler.noted(_is_over):
                _end(raised, handler, as_json=as_json)


def _is_over(_: int) -> None:
    """Nothing is left to interrupt."""


def _end(raised: BaseException, handler: signals.Signals, *, as_json: bool) -> NoReturn:
    if isinstance(raised, OSError):
        output.discard_stdout()
    # A terminal that was closed takes no output any more, and its signal is why.
    is_by_signal = isinstance(raised, InterruptedByUserError | KeyboardInterrupt | OSError)
    if handler.first is not None and is_by_signal:
        ended = raised if isinstance(raised, InterruptedByUserError) else _interrupted()
        output.print_error(ended, as_json=as_json)
        output.discard_stdout()
        sys.exit(handler.exit_status)
    error = _as_command_error(raised)
    if not isinstance(raised, BrokenPipeError):  # who reads the output has had enough
        output.print_error(error, as_json=as_json)
    sys.exit(error.exit_code)


def _interrupted() -> InterruptedByUserError:
    return InterruptedByUserError("interrupted.", hint="run the same command again.")


def _as_command_error(raised: BaseException) -> CommandError:
    if isinstance(raised, CommandError):
        return raised
    if isinstance(raised, BotoCoreError | ClientError):
        return explain(refusal_of(raised))
    if isinstance(raised, MissingPartError):
        return CommandError(_begun_small(raised.fact), hint=_begun_small(raised.hint))
    if isinstance(raised, OSError):
        return _of_system(raised)
    return _interrupted()


def _begun_small(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _of_system(error: OSError) -> CommandError:
    what = f"{error.filename}: " if error.filename else ""
    return CommandError(
        f"{what}{error.strerror or error}.", hint="make room, or check the file and its permissions."
    )
