"""Run `ddbreplica jobs show`: print the newest jobs of a stack, or one in detail."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from ddbreplica.dynamodb.connection import Connection
from ddbreplica.jobs.control import overview
from ddbreplica.jobs.control.executions import Execution
from ddbreplica.jobs.control.locate import locate
from ddbreplica.jobs.control.overview import Detail, Summary
from ddbreplica.jobs.control.progress import Progress
from ddbreplica.jobs.plan import BACKFILL, VERIFY, Plan
from ddbreplica.jobs.state.journal import NOTHING_LEFT, LeftOpen
from ddbreplica.mapping.safeguards import shown
from ddbreplica.records.text import duration, identity_text, lines
from ddbreplica.verify.result.text import text_of
from ddbreplica_cli.terminal import output
from ddbreplica_cli.terminal.options import Options

_DONE: Final = {VERIFY: "compared", BACKFILL: "copied"}


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
        first = "" if detail.state == "stopped" else "fix the cause, and "
        output.print_note(f"Try: {first}run the command that has started the job again to resume it.")


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
    if items:
        items = f"{items} {_DONE[summary.what]}"
    return summary.job, summary.what, summary.state, f"{summary.began:%Y-%m-%d %H:%M} UTC", items


def _document(detail: Detail) -> Mapping[str, Any]:
    plan = detail.plan
    return {
        "job": detail.job,
        "what": detail.what,
        "state": detail.state,
        "cause": detail.cause or None,
        "other": detail.other,
        "plan": asdict(plan) if plan else None,
        "segments": _progress_document(detail.segments, is_running=detail.state == "running"),
        "pieces": _progress_document(detail.pieces, is_running=detail.state == "running"),
        "attempts": [_attempt_document(each) for each in detail.attempts],
        "report": detail.report,
    }


def _progress_document(progress: Progress | None, *, is_running: bool) -> Mapping[str, Any] | None:
    if progress is None:
        return None
    # The workers of a job that runs confirm the keys that they have opened.
    left = NOTHING_LEFT if is_running else progress.open
    return {
        "done": progress.done,
        "of": progress.all_parts,
        "items": progress.items,
        "excluded": progress.excluded,
        "about_items": progress.about,
        "failures": {f"{number}": failure for number, failure in progress.failures.items()},
        "keys_left_open": left.keys,
        "left_open_until": left.moment,
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
    if detail.other:
        yield "since", f"the job {detail.other} ran"
    yield "what", detail.what
    if detail.plan:
        yield from _plan_rows(detail.plan)
    yield from _progress_rows(detail)
    for sentence in detail.report.get("attention", ()) if detail.report else ():
        yield "attention", sentence
    for attempt in detail.attempts:
        yield "attempt", _attempt_text(attempt)


def _progress_rows(detail: Detail) -> Iterator[tuple[str, str]]:
    if detail.segments:
        yield "items", _items_text(detail.what, detail.segments)
    for progress in filter(None, (detail.segments, detail.pieces)):
        if progress.all_parts:
            yield "progress", progress.text()
        for number, failure in progress.failures.items():
            yield "", f"{progress.what} {number:,}: {failure}"
        if progress.open.keys and detail.state != "running":
            yield "waiting", _waiting_text(progress.open)


def _items_text(what: str, progress: Progress) -> str:
    where = " in both tables" if what == VERIFY else ""
    excluded = f", and {progress.excluded:,} excluded by the filter" if progress.excluded else ""
    return f"{progress.items:,} of about {progress.about:,} {_DONE[what]}{where}{excluded}"


def _waiting_text(left: LeftOpen) -> str:
    return f"{left.keys:,} keys, whose writes may land until {shown(datetime.fromtimestamp(left.until, UTC))}"


def _plan_rows(plan: Plan) -> Iterator[tuple[str, str]]:
    yield "source", identity_text(plan.pair["source"])
    yield "replica", identity_text(plan.pair["replica"])
    yield "began", shown(datetime.fromisoformat(plan.began))
    given = {name: value for name, value in plan.options.items() if value is not None and value is not False}
    if given:
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
