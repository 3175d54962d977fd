"""Run the work of a command as a job in AWS: start the job, follow it, and print its result."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final

import click
from click.core import ParameterSource

from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import describe_pair, identity
from ddbreplica.jobs.control.catalog import Wanted
from ddbreplica.jobs.control.follow import Follower
from ddbreplica.jobs.control.locate import locate
from ddbreplica.jobs.control.names import Started
from ddbreplica.jobs.control.start import resume, start_new
from ddbreplica.jobs.control.workers import Workers
from ddbreplica.jobs.plan import VERIFY
from ddbreplica.jobs.verify.options import OPTIONS, complete
from ddbreplica.mapping.preflight import Preflight
from ddbreplica.mapping.safeguards import shown
from ddbreplica.verify.result.text import text_of
from ddbreplica_cli.terminal import output
from ddbreplica_cli.terminal.driver import TERMINAL
from ddbreplica_cli.terminal.options import JobOptions, Options
from ddbreplica_cli.terminal.verdict import advise, exit_with

_NEXT: Final = "run the same command without --in-aws and with --repair --dry-run, then with --repair."


def verify_in_aws(options: Options, job: JobOptions, values: Mapping[str, Any]) -> None:
    """Start a verification or resume one, follow it, and print its result."""
    _refuse_others(OPTIONS, what="verification")
    given = complete({name: values[name] for name in OPTIONS})
    connection = Connection(options)
    workers, mapping = locate(connection)
    tables = describe_pair(connection)
    preflight = Preflight.of_job(mapping, without_mapping=given["without_mapping"], archive=given["archive"])
    wanted = Wanted(
        VERIFY,
        workers.function,
        given,
        identity(*tables),
        preflight.key_filter.patterns,
        preflight.is_archive,
        tables[0].stream,
    )
    started = _started(workers, wanted, job, now=connection.clock.moment)
    text = _started_text(started)
    if not job.follow:
        output.print_result(started.document, text, as_json=options.as_json)
        output.print_note(
            f"Try: `ddbreplica jobs show {started.job}{options.tables}` shows how far it has come."
        )
        return
    output.print_note(text)
    report = _follower(workers, started, job, options).report()
    output.print_result(report, text_of(report), as_json=options.as_json)
    advise(report, undecided=0, next_step=_NEXT)
    exit_with(report["verdict"])


def _started(workers: Workers, wanted: Wanted, job: JobOptions, *, now: datetime) -> Started:
    resumed = None if job.new_job else resume(workers, wanted, now=now)
    return resumed or start_new(workers, wanted, now=now)


def _follower(workers: Workers, started: Started, job: JobOptions, options: Options) -> Follower:
    again = "run the same command again" + (" without --new-job" if job.new_job else "")
    return Follower(workers, started, TERMINAL, again, options.tables)


def _started_text(started: Started) -> str:
    if started.since is None:
        return f"Started the job {started.job}."
    if started.was_running:
        return f"The job {started.job} has been running since {shown(started.since)}."
    return f"Resumed the job {started.job}, which was planned at {shown(started.since)}."


def _refuse_others(known: Collection[str], *, what: str) -> None:
    """Raise UsageError if an option was given that a job does not have."""
    context = click.get_current_context()
    others = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name not in {*known, *Options.__dataclass_fields__, "in_aws", "new_job", "no_follow"}
        and context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
    ]
    if others:
        raise click.UsageError(
            f"a {what} that runs in AWS does not have {', '.join(others)}."
            " Try: leave it out, or run the command without --in-aws."
        )
