"""The options that all commands share, and the decorator that gives them to a command."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import click

from ddbreplica.dynamodb.location import REPLICA, SOURCE, Location
from ddbreplica.dynamodb.rate import SHARE
from ddbreplica.errors import TaskError
from ddbreplica_cli.terminal.param_type import Integer, Name, Number

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
    click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
)


@dataclass(frozen=True, slots=True)
class Options(Location):
    """The values of the shared options: the tables, their location, and the output format."""

    as_json: bool


segments_option = click.option(
    "--segments",
    type=Integer(1, 64),
    metavar="N",
    default=4,
    show_default=True,
    help="Number of segments to scan in parallel.",
)


def rate_option(
    text: str = "Maximum write capacity units per second for the replica table. Writes to its indexes are not counted.",
    *,
    of_a_job: bool = True,
) -> Callable[..., Any]:
    """Return the option that limits the write capacity units per second. `text` is its help without the default.

    `of_a_job` is whether it is also an option of a job.
    """
    return _rate_option("--rate", text, "no limit", of_a_job=of_a_job)


def read_rate_option(tables: str, *, of_a_job: bool = True) -> Callable[..., Any]:
    """Return the option that limits the read capacity units per second; its help names the `tables` that are read.

    `of_a_job` is whether it is also an option of a job.
    """
    text = f"Maximum read capacity units per second for {tables}."
    default = f"{SHARE:.0%} of the provisioned capacity, and no limit for on-demand tables"
    return _rate_option("--read-rate", text, default, of_a_job=of_a_job)


def _rate_option(name: str, text: str, default: str, *, of_a_job: bool) -> Callable[..., Any]:
    in_aws = f"; with --in-aws {SHARE:.0%} of the provisioned, maximum or warm throughput" if of_a_job else ""
    return click.option(
        name,
        type=Number(min=0, min_open=True),
        metavar="UNITS",
        help=f"{text}  [default: {default}{in_aws}]",
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


_TRANSFORM = (
    click.option(
        "--transform",
        type=Name(),
        metavar="FILE",
        help="The function's transform, in a file, or `none` if it has none. Needed only if the function's"
        " configuration cannot be read.  [default: the function's]",
    ),
    click.option(
        "--transform-secret-arn",
        type=Name(),
        metavar="ARN",
        help="With --transform FILE: the secret under which the transform hashes.",
    ),
    click.option(
        "--transform-secret-version",
        type=Name(),
        metavar="ID",
        help="With --transform FILE: the version of that secret.",
    ),
)


def transform_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that give the transform of a function whose configuration cannot be read."""
    for option in reversed(_TRANSFORM):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class JobOptions:
    """How to run the work as a job: whether a new one, and whether the command follows it."""

    new_job: bool
    follow: bool


_IN_AWS = click.option(
    "--in-aws",
    is_flag=True,
    help="Run in AWS on the workers of the stack (parameter Workers), as a job that others may follow.",
)
_NEW_JOB = click.option(
    "--new-job", is_flag=True, help="With --in-aws: start a new job, and do not resume an unfinished one."
)
_NO_FOLLOW = click.option("--no-follow", is_flag=True, help="With --in-aws: start the job and exit.")


def in_aws_options(*, is_resumed: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return what adds the options that run the work of a command as a job, which may be one that `is_resumed`."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in (_NO_FOLLOW, *((_NEW_JOB,) if is_resumed else ()), _IN_AWS):
            command = option(command)
        return command

    return add


def job_options(values: dict[str, Any]) -> JobOptions | None:
    """Take the options of a job out of a command's values; None without --in-aws. Raises UsageError."""
    # A redrive is never resumed, and does not have --new-job.
    in_aws, new_job, no_follow = (values.pop(name, False) for name in ("in_aws", "new_job", "no_follow"))
    if in_aws:
        return JobOptions(new_job, follow=not no_follow)
    for option, is_given in (("--new-job", new_job), ("--no-follow", no_follow)):
        if is_given:
            raise click.UsageError(f"{option} requires --in-aws.")
    return None


def shared_options(command: Callable[Concatenate[Options, P], None]) -> Callable[..., None]:
    """Add the shared options to a command. It may raise TaskError, botocore's errors, OSError and KeyboardInterrupt."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        values: dict[str, Any] = {name: kwargs.pop(name) for name in Options.__dataclass_fields__}
        options = Options(**values)
        from ddbreplica_cli.terminal.failures import explained  # noqa: PLC0415  --help needs no library of AWS

        with explained(as_json=options.as_json):
            _refuse_other_systems()
            command(options, *args, **kwargs)

    decorated: Callable[..., None] = run
    # Reversed, since click shows the option that was added last first.
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
