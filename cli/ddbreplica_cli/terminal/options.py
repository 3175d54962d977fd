"""The options that every command takes, and the funnel that every error of a command goes through."""

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Concatenate, NoReturn, ParamSpec

import click
from botocore.exceptions import BotoCoreError, ClientError

from ddbreplica.aws.botocore_private import MissingPartError
from ddbreplica.aws.hints import explain
from ddbreplica.aws.refusal import refusal_of
from ddbreplica.dynamodb.connection import REPLICA, SOURCE, Location
from ddbreplica.dynamodb.describe import SHARE
from ddbreplica.errors import StoppedError, TaskError
from ddbreplica_cli.terminal import output, signals
from ddbreplica_cli.terminal.exit_status import exit_status
from ddbreplica_cli.terminal.param_type import Name, Number

P = ParamSpec("P")

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
class Options(Location):
    """Which tables, where, and how to say the result."""

    as_json: bool


segments_option = click.option(
    "--segments", type=click.IntRange(1, 64), default=4, show_default=True, help="Parallel scans."
)


def rate_option(
    text: str = "Write units a second to use at the replica, its indexes apart.  [default: no limit]",
) -> Callable[..., Any]:
    """The option that limits the write units a second; `text` is its help."""
    return click.option("--rate", type=Number(min=0, min_open=True), metavar="UNITS", help=text)


def read_rate_option(use: str) -> Callable[..., Any]:
    """The option that limits the read units a second; `use` says from which tables they are taken."""
    return click.option(
        "--read-rate",
        type=Number(min=0, min_open=True),
        metavar="UNITS",
        help=f"Read units a second to {use}.  [default: {SHARE:.0%} of what is provisioned; no limit on demand]",
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


def shared_options(command: Callable[Concatenate[Options, P], None]) -> Callable[..., None]:
    """Give a command the shared options; it may raise TaskError, botocore's errors, OSError, KeyboardInterrupt."""

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
        raise TaskError(
            "the commands of ddbreplica run on Linux and macOS.",
            hint="run this command there, in AWS CloudShell, or in the Windows Subsystem for Linux.",
        )


@contextmanager
def _explained(*, as_json: bool) -> Iterator[None]:
    with signals.handled() as handler:
        try:
            yield
        except (
            *(TaskError, MissingPartError, BotoCoreError, ClientError),
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
    is_by_signal = isinstance(raised, StoppedError | KeyboardInterrupt | OSError)
    if handler.first is not None and is_by_signal:
        ended = raised if isinstance(raised, StoppedError) else _interrupted()
        output.print_error(ended, as_json=as_json)
        output.discard_stdout()
        sys.exit(handler.exit_status)
    error = _as_command_error(raised)
    if not isinstance(raised, BrokenPipeError):  # who reads the output has had enough
        output.print_error(error, as_json=as_json)
    sys.exit(exit_status(error))


def _interrupted() -> StoppedError:
    return StoppedError("interrupted.", hint="run the same command again.")


def _as_command_error(raised: BaseException) -> TaskError:
    if isinstance(raised, TaskError):
        return raised
    if isinstance(raised, BotoCoreError | ClientError):
        return explain(refusal_of(raised))
    if isinstance(raised, MissingPartError):
        return TaskError(_begun_small(raised.fact), hint=_begun_small(raised.hint))
    if isinstance(raised, OSError):
        return _of_system(raised)
    return _interrupted()


def _begun_small(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _of_system(error: OSError) -> TaskError:
    what = f"{error.filename}: " if error.filename else ""
    return TaskError(
        f"{what}{error.strerror or error}.", hint="make room, or check the file and its permissions."
    )
