"""Run the work of a command as a job in AWS: start the job, follow it, and print its result."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any, Final

import click
from click.core import ParameterSource

from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import describe_pair
from ddbreplica.errors import AttentionError
from ddbreplica.jobs.backfill import options as backfill_options
from ddbreplica.jobs.backfill.progress import copied
from ddbreplica.jobs.control.catalog import Wanted
from ddbreplica.jobs.control.follow import Follower
from ddbreplica.jobs.control.locate import locate
from ddbreplica.jobs.control.names import Started
from ddbreplica.jobs.control.start import refuse_running, resume, start_new
from ddbreplica.jobs.control.workers import Workers
from ddbreplica.jobs.job import conditions
from ddbreplica.jobs.plan import BACKFILL, REDRIVE, VERIFY
from ddbreplica.jobs.verify import options as verify_options
from ddbreplica.mapping.event_source_mapping import MappingState
from ddbreplica.mapping.last_update import seconds_left
from ddbreplica.mapping.preflight import Preflight
from ddbreplica.mapping.safeguards import shown
from ddbreplica.mapping.source_transform import transform_of
from ddbreplica.records.text import key_text
from ddbreplica.verify.result.text import text_of
from ddbreplica_cli.terminal import output
from ddbreplica_cli.terminal.driver import TERMINAL
from ddbreplica_cli.terminal.options import JobOptions, Options
from ddbreplica_cli.terminal.verdict import advise, exit_with


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of jobs: its name, the names of its options, what completes them, and what prints the result."""

    what: str
    name: str
    options: tuple[str, ...]
    complete: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    finish: Callable[[Mapping[str, Any], Mapping[str, Any], Options], None]


def run(what: str, options: Options, job: JobOptions, values: Mapping[str, Any]) -> None:
    """Start a job or resume one, follow it, and print its result."""
    kind = _KINDS[what]
    _refuse_others(kind)
    if values.get("rate") is not None and not values.get("repair", True):
        raise click.UsageError("--rate requires --repair.")
    given = kind.complete({name: values[name] for name in kind.options})
    connection = Connection(options)
    workers, mapping = locate(connection)
    started = _started(connection, workers, mapping, kind, given, is_new=job.new_job)
    text = _started_text(started)
    if not job.follow:
        output.print_result(started.document, text, as_json=options.as_json)
        output.print_note(
            f"Try: `ddbreplica jobs show {started.job}{options.tables}` shows how far it has come."
        )
        return
    output.print_note(text)
    again = "run the same command again" + (" without --new-job" if job.new_job else "")
    if what == REDRIVE:  # the same command would start another one
        again = f"run `ddbreplica jobs show {started.job}{options.tables}`"
    follower = Follower(workers, started, TERMINAL, again, options.tables)
    if what == REDRIVE:
        follower.end()
        kind.finish(started.document, given, options)
    else:
        kind.finish(follower.report(), given, options)


def _started(
    connection: Connection,
    workers: Workers,
    mapping: MappingState,
    kind: _Kind,
    given: Mapping[str, Any],
    *,
    is_new: bool,
) -> Started:
    if kind.what == REDRIVE:
        # It has no plan: it does what is due, and ends at once if another one runs.
        wanted = Wanted(REDRIVE, workers.function, given, None)
        return start_new(workers, wanted, now=connection.clock.moment)
    tables = describe_pair(connection)
    preflight = Preflight.of_job(mapping, without_mapping=given["without_mapping"], archive=given["archive"])
    transform = transform_of(mapping.environment, of=mapping.function_name)
    now = conditions(tables, preflight, transform.digest if transform else None, mapping.updated_at)
    wanted = Wanted(kind.what, workers.function, given, now)
    if kind.what == BACKFILL and (left := ceil(seconds_left(mapping, now=connection.clock.moment))):
        output.print_note(f"The function was updated, so that a new job begins to copy after {left} seconds.")
    return _resumed_or_new(workers, wanted, kind, now=connection.clock.moment, is_new=is_new)


def _resumed_or_new(workers: Workers, wanted: Wanted, kind: _Kind, *, now: datetime, is_new: bool) -> Started:
    if is_new:
        refuse_running(workers)
        return start_new(workers, wanted, now=now)
    return resume(workers, wanted, complete=kind.complete, now=now) or start_new(workers, wanted, now=now)


def _started_text(started: Started) -> str:
    if started.since is None:
        return f"Started the job {started.job}."
    if started.was_running:
        return f"The job {started.job} has been running since {shown(started.since)}."
    return f"Resumed the job {started.job}, which was planned at {shown(started.since)}."


def _refuse_others(kind: _Kind) -> None:
    """Raise UsageError if an option was given that a job does not have."""
    context = click.get_current_context()
    others = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name not in {*kind.options, *Options.__dataclass_fields__, *_OF_JOBS}
        and context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
    ]
    if others:
        raise click.UsageError(
            f"a {kind.name} that runs in AWS does not have {', '.join(others)}."
            " Try: leave it out, or run the command without --in-aws."
        )


def _finish_verification(report: Mapping[str, Any], given: Mapping[str, Any], options: Options) -> None:
    output.print_result(report, text_of(report), as_json=options.as_json)
    for sentence in report.get("attention", ()):
        output.print_note(f"Note: {sentence}")
    advise(report, undecided=0, next_step=_NEXT[bool(given.get("repair"))])
    exit_with(report["verdict"])


def _finish_backfill(report: Mapping[str, Any], given: Mapping[str, Any], options: Options) -> None:
    del given
    outside = f" The mapping's filter excludes {report['outside']:,} items." if report["outside"] else ""
    text = f"{copied(report):,} items copied in {report['seconds']:.1f} seconds.{outside}"
    if handed_over := report.get("handed_over"):
        text += f" {handed_over:,} were put into the quarantine bucket when the job was stopped; a redrive copies them."
    attention = report["attention"]
    if not (attention and options.as_json):
        # With --json the error below has the figures, and stdout gets one document, not two.
        output.print_result(report, text, as_json=options.as_json)
    if not attention:
        return
    output.print_note(*_listed(report))
    sentences = " ".join(f"{each[0].upper()}{each[1:]}" for each in attention)
    raise AttentionError(
        sentences, hint="run `ddbreplica redrive` or wait for the scheduled one, then verify.", facts=report
    )


def _listed(report: Mapping[str, Any]) -> Iterator[str]:
    for each in report["left_items"]:
        yield f"  {key_text(each['key'])}: {each['reason']}"
    if more := report["left"] - len(report["left_items"]):
        yield f"  and {more:,} more"
    for name in report["undecided_objects"]:
        yield f"  items that need review: {name}"


def _finish_redrive(started: Mapping[str, Any], given: Mapping[str, Any], options: Options) -> None:
    del given
    output.print_result(started, "The redrive has ended.", as_json=options.as_json)
    output.print_note(f"Try: `ddbreplica status{options.tables}` shows the objects that stay.")


def _no_options(options: Mapping[str, Any]) -> Mapping[str, Any]:
    return options


_OF_JOBS: Final = frozenset({"in_aws", "new_job", "no_follow"})
_NEXT: Final = {
    False: "run the same command with --repair.",
    True: "run the same command again; first fix at the source each item that the replica refuses.",
}
_KINDS: Final = {
    kind.what: kind
    for kind in (
        _Kind(
            VERIFY,
            "verification",
            tuple(verify_options.OPTIONS),
            verify_options.complete,
            _finish_verification,
        ),
        _Kind(
            BACKFILL,
            "backfill",
            tuple(backfill_options.OPTIONS),
            backfill_options.complete,
            _finish_backfill,
        ),
        _Kind(REDRIVE, "redrive", (), _no_options, _finish_redrive),
    )
}
