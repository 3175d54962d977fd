"""The options that all commands share, and the one place that turns errors into messages and exit statuses."""

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
        "--source",
        type=Name(),
        metavar="TABLE",
        help=f"Name or ARN of the source table.  [default: {SOURCE}]",
    ),
    click.option(
        "--replica",
        type=Name(),
        metavar="TABLE",
        help=f"Name or ARN of the replica table.  [default: {REPLICA}]",
    ),
    click.option(
        "--stack-name",
        type=Name(),
        metavar="STACK",
        help="CloudFormation stack whose outputs name both tables.",
    ),
    click.option(
        "--region",
        type=Name(),
        metavar="REGION",
        help="AWS Region, unless a table ARN contains one.  [default: AWS_REGION, AWS_DEFAULT_REGION or the profile's]",
    ),
    click.option(
        "--replica-region", type=Name(), metavar="REGION", help="AWS Region of the replica, if it differs."
    ),
    click.option("--profile", type=Name(), metavar="PROFILE", help="AWS profile to use."),
    click.option(
        "--replica-profile",
        type=Name(),
        metavar="PROFILE",
        help="AWS profile to use for the replica, if it differs.",
    ),
    click.option(
        "--endpoint-url",
        type=Name(),
        metavar="URL",
        help="Send all requests to this URL, for example to a local emulator.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document."),
)


@dataclass(frozen=True, slots=True)
class Options(Location):
    """The values of the shared options: the tables, their location, and the output format."""

    as_json: bool


segments_option = click.option(
    "--segments",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="Number of segments to scan in parallel.",
)


def rate_option(
    text: str = "Maximum write capacity units per second at the replica, without its indexes.  [default: no limit]",
) -> Callable[..., Any]:
    """Return the option that limits the write capacity units per second. `text` is its help."""
    return click.option("--rate", type=Number(min=0, min_open=True), metavar="UNITS", help=text)


def read_rate_option(tables: str) -> Callable[..., Any]:
    """Return the option that limits the read capacity units per second; its help names the `tables` that are read."""
    return click.option(
        "--read-rate",
        type=Number(min=0, min_open=True),
        metavar="UNITS",
        help=f"Maximum read capacity units per second at {tables}."
        f"  [default: {SHARE:.0%} of the provisioned capacity; no limit for on-demand tables]",
    )


def state_option(command: str, *, when: str = "") -> Callable[..., Any]:
    """Return the option that names the state file of a command. `when` begins the help if it needs another option."""
    text = f"{when}state file; run the same command again to resume."
    return click.option(
        "--state",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help=f"{text[0].upper()}{text[1:]}  [default: SOURCE-REPLICA.{command}, in this directory]",
    )


without_mapping_option = click.option(
    "--without-mapping",
    is_flag=True,
    help="Continue even if no event source mapping replicates later changes.",
)
archive_option = click.option(
    "--archive",
    is_flag=True,
    help="Treat the replica as an archive, which keeps items that expire at the source."
    "  [default: the function's setting]",
)


def shared_options(command: Callable[Concatenate[Options, P], None]) -> Callable[..., None]:
    """Add the shared options to a command. It may raise TaskError, botocore's errors, OSError and KeyboardInterrupt."""

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
    """Refuse to run where a state file cannot be locked: Windows has no `fcntl`."""
    if find_spec("fcntl") is None:
        raise TaskError(
            "ddbreplica runs on Linux and macOS only.",
            hint="run the command in AWS CloudShell or in the Windows Subsystem for Linux.",
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
    """Ignore the signal: the command has already ended."""


def _end(raised: BaseException, handler: signals.Signals, *, as_json: bool) -> NoReturn:
    if isinstance(raised, OSError):
        output.discard_stdout()
    # A closed terminal sends SIGHUP and refuses output. The signal is the cause, so its exit status counts.
    is_by_signal = isinstance(raised, StoppedError | KeyboardInterrupt | OSError)
    if handler.first is not None and is_by_signal:
        ended = raised if isinstance(raised, StoppedError) else _interrupted()
        output.print_error(ended, as_json=as_json)
        output.discard_stdout()
        sys.exit(handler.exit_status)
    error = _as_command_error(raised)
    if not isinstance(
        raised, BrokenPipeError
    ):  # the reader of the output, such as `head`, has closed the pipe
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
        return TaskError(_lower_first(raised.fact), hint=_lower_first(raised.hint))
    if isinstance(raised, OSError):
        return _of_system(raised)
    return _interrupted()


def _lower_first(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _of_system(error: OSError) -> TaskError:
    what = f"{error.filename}: " if error.filename else ""
    return TaskError(
        f"{what}{error.strerror or error}.", hint="free disk space, or check the file and its permissions."
    )
