"""Run `ddbreplica jobs`: show and stop the jobs that run in AWS."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import describe_pair, identity
from ddbreplica.errors import AttentionError, TaskError
from ddbreplica.jobs.control import overview
from ddbreplica.jobs.control.executions import Execution
from ddbreplica.jobs.control.locate import locate
from ddbreplica.jobs.control.overview import Detail, Summary
from ddbreplica.jobs.control.progress import Progress
from ddbreplica.jobs.control.stop import hand_over, writing_plan
from ddbreplica.jobs.control.stop import stop as stop_job
from ddbreplica.jobs.control.workers import Workers
from ddbreplica.jobs.plan import Plan
from ddbreplica.jobs.state.journal import NOTHING_LEFT, LeftOpen
from ddbreplica.mapping.safeguards import shown
from ddbreplica.reconcile.in_doubt_quarantine import KeyQuarantine
from ddbreplica.records.text import duration, lines
from ddbreplica.verify.result.text import text_of
from ddbreplica_cli.terminal import output
from ddbreplica_cli.terminal.driver import TERMINAL
from ddbreplica_cli.terminal.options import Options

STOP_SECONDS: Final = 15.0
"""How long workers take to find the stop marker, and to end after the page that they copy."""


def show(options: Options, job: str | None, *, most: int) -> None:
    """Print the newest jobs, or one job in detail."""
    workers, _ = locate(Connection(options))
    if job is None:
        found = overview.recent(workers, most=most)
        document = {"stack": workers.stack, "jobs": [_summary_document(each) for each in found]}
        output.print_result(document, _list_text(workers.stack, found), as_json=options.as_json)
        return
    detail = overview.detail(workers, job)
    output.print_result({"stack": workers.stack, **_document(detail)}, _text(detail), as_json=options.as_json)
    if detail.cause:
        output.print_note(
            "Try: fix the cause, and run the command that has started the job again to resume it."
        )


def stop(options: Options, job: str) -> None:
    """Stop a job, hand over the keys that it was writing, and print its attempt."""
    connection = Connection(options)
    workers, _ = locate(connection)
    stopped = stop_job(workers, job)
    plan = writing_plan(workers, job)
    if stopped is None and plan is None:
        raise TaskError(
            f"the job {job} does not run.",
            hint=f"`ddbreplica jobs show {job}{options.tables}` shows the job.",
        )
    if stopped is not None and plan is not None:
        _let_workers_end()
    left = _handed_over(connection, workers, job, plan) if plan else NOTHING_LEFT
    _show_stopped(job, stopped, left, as_json=options.as_json)


def _show_stopped(job: str, stopped: Execution | None, left: LeftOpen, *, as_json: bool) -> None:
    """Print what was stopped. Raises AttentionError if keys have to wait."""
    until = datetime.fromtimestamp(left.until, UTC) if left.keys else None
    document = {
        "job": job,
        "attempt": stopped.name if stopped else None,
        "keys_left_open": left.keys,
        "left_open_until": until.isoformat(timespec="seconds") if until else None,
    }
    if not (until and as_json):
        # With --json the error below has the figures, and stdout gets one document, not two.
        text = f"Stopped the job {job}." if stopped else f"The job {job} does not run."
        output.print_result(document, text, as_json=as_json)
    if until is None:
        output.print_note("Try: run the command that has started the job again to resume it.")
        return
    raise AttentionError(
        f"in-doubt writes may still change {left.keys:,} items until {shown(until)}.",
        hint="run the same command again after that time, resume the job, or leave the keys to the scheduled redrive.",
        facts=document,
    )


def _let_workers_end() -> None:
    """Wait until the workers have found the stop marker, so that few keys have to wait."""
    output.print_note(f"Waiting {STOP_SECONDS:.0f} seconds for the workers to end.")
    with TERMINAL.interruptible() as interrupt:
        interrupt.sleep(STOP_SECONDS)
        interrupt.check()


def _handed_over(connection: Connection, workers: Workers, job: str, plan: Plan) -> LeftOpen:
    source, replica = describe_pair(connection)
    quarantine = KeyQuarantine.of(
        connection,
        workers.bucket.name,
        source.table,
        command=plan.what,
        hint="run the same command again.",
    )
    pair = identity(source, replica)
    return hand_over(workers, job, plan, pair, quarantine.keep_interrupted, clock=connection.clock)


def _summary_document(summary: Summary) -> Mapping[str, Any]:
    return {**asdict(summary), "began": summary.began.isoformat()}


def _list_text(stack: str, found: Sequence[Summary]) -> str:
    if not found:
        return f"The stack {stack} has no jobs."
    rows = [("job", "what", "state", "began", "items"), *map(_row, found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return lines(
        "  ".join(f"{value:<{width}}" for value, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _row(summary: Summary) -> tuple[str, str, str, str, str]:
    items = "" if summary.items is None else f"{summary.items:,}"
    if summary.items is not None and summary.state == "running":
        items = f"{items} of about {summary.about:,}"
    return summary.job, summary.what, summary.state, f"{summary.began:%Y-%m-%d %H:%M} UTC", items


def _document(detail: Detail) -> Mapping[str, Any]:
    plan = detail.plan
    return {
        "job": detail.job,
        "what": detail.what,
        "state": detail.state,
        "cause": detail.cause or None,
        "plan": asdict(plan) if plan else None,
        "segments": _progress_document(detail.segments),
        "pieces": _progress_document(detail.pieces),
        "attempts": [_attempt_document(each) for each in detail.attempts],
        "report": detail.report,
    }


def _progress_document(progress: Progress | None) -> Mapping[str, Any] | None:
    if progress is None:
        return None
    return {
        "done": progress.done,
        "of": progress.all_parts,
        "items": progress.items,
        "about_items": progress.about,
        "failures": {f"{number}": failure for number, failure in progress.failures.items()},
    }


def _attempt_document(attempt: Execution) -> Mapping[str, Any]:
    return {
        "name": attempt.name,
        "status": attempt.status,
        "started": attempt.started.isoformat(),
        "ended": attempt.ended.isoformat() if attempt.ended else None,
        "cause": attempt.cause or None,
    }


def _text(detail: Detail) -> str:
    rows = lines(f"{name:<12}{value}".rstrip() for name, value in _rows(detail))
    report = detail.report
    return f"{rows}\n\n{text_of(report)}" if report and "verdict" in report else rows


def _rows(detail: Detail) -> Iterator[tuple[str, str]]:
    yield "job", detail.job
    yield "state", detail.state
    if detail.cause:
        yield "cause", detail.cause
    yield "what", detail.what
    if detail.plan:
        yield from _plan_rows(detail.plan)
    if detail.segments:
        yield "items", f"{detail.segments.items:,} of about {detail.segments.about:,}"
    for progress in filter(None, (detail.segments, detail.pieces)):
        if progress.all_parts:
            yield "progress", progress.text()
        for number, failure in progress.failures.items():
            yield "", f"{progress.what} {number:,}: {failure}"
    for sentence in detail.report.get("attention", ()) if detail.report else ():
        yield "attention", sentence
    for attempt in detail.attempts:
        yield "attempt", _attempt_text(attempt)


def _plan_rows(plan: Plan) -> Iterator[tuple[str, str]]:
    yield "source", plan.pair["source"]
    yield "replica", plan.pair["replica"]
    yield "began", shown(datetime.fromisoformat(plan.began))
    given = {name: value for name, value in plan.options.items() if value is not None and value is not False}
    yield "options", ", ".join(f"{name}={value}" for name, value in given.items())
    yield "workers", f"{plan.workers:,}"
    yield "read rate", " and ".join(f"{rate:,g}" for rate in plan.read_rates) + " units per second"
    if plan.write_rate:
        yield "write rate", f"{plan.write_rate:,g} units per second"
    yield "estimate", f"{plan.estimate['read_units']:,} read units, ${plan.estimate['dollars']:,.4f}"


def _attempt_text(attempt: Execution) -> str:
    took = f" after {duration((attempt.ended - attempt.started).total_seconds())}" if attempt.ended else ""
    cause = f": {attempt.cause}" if attempt.cause else ""
    return f"{attempt.name}, {attempt.status}{took}, started at {shown(attempt.started)}{cause}"
