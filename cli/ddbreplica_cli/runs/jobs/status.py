"""Format the jobs of a replication for its status: those that run, and the next verification. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from ddbreplica.aws.request import Known, Unknown
from ddbreplica.inspect.facts import Facts, LastVerification, TableFacts
from ddbreplica.jobs.control.facts import JobFacts, RunningJob, Scheduled
from ddbreplica.jobs.state.skipped import Skipped
from ddbreplica.mapping.safeguards import shown
from ddbreplica.records.text import bare
from ddbreplica.verify.estimate import Estimate, TableSize


def with_jobs(
    document: Mapping[str, Any], facts: Facts, jobs: Known[JobFacts | None], *, now: datetime
) -> Mapping[str, Any]:
    """Return the document of a status with the member `jobs`, which is null without workers or if it is unknown."""
    unknown = {**document["unknown"], **{name: each.why for name, each in _unknowns(jobs)}}
    known_jobs = jobs if isinstance(jobs, JobFacts) else None
    return {
        **document,
        "jobs": known_jobs and _document(known_jobs, facts, now),
        "unknown": unknown,
    }


def job_rows(facts: Facts, jobs: Known[JobFacts | None], *, now: datetime) -> Iterator[tuple[str, str]]:
    """Yield the rows of a status; there are none without workers."""
    if isinstance(jobs, Unknown):
        yield "jobs", f"unknown: {jobs.why}"
    elif jobs is not None:
        yield from _running_rows(jobs.running)
        yield "next verify", _scheduled_text(jobs.scheduled, facts, now)
        if skipped := _skipped(jobs, facts):
            yield "", _skipped_text(skipped)


def job_lines(facts: Facts, jobs: Known[JobFacts | None], *, now: datetime) -> Iterator[str]:
    """Yield lines for a pair among others: the jobs that run, the next verification, and what is unknown of them."""
    yield from (f"unknown: {name} ({bare(each.why)})" for name, each in _unknowns(jobs))
    if not isinstance(jobs, JobFacts):
        return
    if not isinstance(jobs.running, Unknown):
        yield from (f"running: {each.job} ({each.what})" for each in jobs.running)
    if isinstance(jobs.scheduled, Scheduled):
        yield f"next verification: {_scheduled_text(jobs.scheduled, facts, now)}"
    if skipped := _skipped(jobs, facts):
        yield f"skipped: {_skipped_text(skipped)}"


def _unknowns(jobs: Known[JobFacts | None]) -> Iterator[tuple[str, Unknown]]:
    if isinstance(jobs, Unknown):
        yield "the jobs", jobs
    elif jobs is not None:
        if isinstance(jobs.running, Unknown):
            yield "the jobs that run", jobs.running
        if isinstance(jobs.scheduled, Unknown):
            yield "the next verification", jobs.scheduled
        if isinstance(jobs.skipped, Unknown):
            yield "the last verification that was skipped", jobs.skipped


def _skipped(jobs: JobFacts, facts: Facts) -> Skipped | None:
    """Return the last scheduled verification that was skipped, unless a complete one ended since."""
    last, skipped = facts.verification, jobs.skipped
    if not isinstance(skipped, Skipped):
        return None
    return None if isinstance(last, LastVerification) and last.record.ended >= skipped.at else skipped


def _skipped_text(skipped: Skipped) -> str:
    return f"the scheduled one of {shown(skipped.at)} was skipped, since the job {skipped.other} ran"


def _running_rows(running: Known[Sequence[RunningJob]]) -> Iterator[tuple[str, str]]:
    if isinstance(running, Unknown):
        yield "jobs", f"unknown: {running.why}"
        return
    texts = [f"{each.job} ({each.what}) has been running since {shown(each.started)}" for each in running]
    for number, text in enumerate(texts or ["none is running"]):
        yield "" if number else "jobs", text


def _scheduled_text(scheduled: Known[Scheduled | None], facts: Facts, now: datetime) -> str:
    if isinstance(scheduled, Unknown):
        return f"unknown: {scheduled.why}"
    if scheduled is None:
        return "not scheduled"
    schedule = scheduled.schedule
    at = schedule.next_after(now)
    when = f"about {shown(at)}, by the schedule {schedule.expression}" if at else schedule.expression
    if schedule.has_unknown_times:
        when = f"{when}, whose times are not computed"
    cost = _cost_text(scheduled, facts)
    return f"{when}; {cost}" if cost else when


def _cost_text(scheduled: Scheduled, facts: Facts) -> str:
    each, month = _dollars(scheduled, facts), _dollars_a_month(scheduled, facts)
    if month is not None:
        return f"about ${month:,.2f} a month for read units"
    return "" if each is None else f"about ${each:,.2f} for the read units of each"


def _document(jobs: JobFacts, facts: Facts, now: datetime) -> Mapping[str, Any]:
    running, scheduled, skipped = jobs.running, jobs.scheduled, _skipped(jobs, facts)
    return {
        "running": None
        if isinstance(running, Unknown)
        else [{"job": each.job, "what": each.what, "started": each.started.isoformat()} for each in running],
        "next_verification": _scheduled_document(scheduled, facts, now)
        if isinstance(scheduled, Scheduled)
        else None,
        "skipped": skipped and {"job": skipped.job, "other": skipped.other, "at": skipped.at.isoformat()},
    }


def _scheduled_document(scheduled: Scheduled, facts: Facts, now: datetime) -> Mapping[str, Any]:
    at = scheduled.schedule.next_after(now)
    return {
        "schedule": scheduled.schedule.expression,
        "enabled": scheduled.schedule.is_enabled,
        "at": at.isoformat() if at else None,
        "dollars": _dollars(scheduled, facts),
        "dollars_a_month": _dollars_a_month(scheduled, facts),
    }


def _dollars_a_month(scheduled: Scheduled, facts: Facts) -> float | None:
    """Return what the read capacity units of the scans cost on demand in a month, if that is known."""
    dollars = _dollars(scheduled, facts)
    return None if dollars is None else scheduled.schedule.dollars_a_month(dollars)


def _dollars(scheduled: Scheduled, facts: Facts) -> float | None:
    """Return what the read capacity units of the two scans of a verification cost on demand, if that is known."""
    tables = [table for table in (facts.source, facts.replica) if isinstance(table, TableFacts)]
    if len(tables) < 2:
        return None
    sizes = [TableSize(table.items, table.bytes, None) for table in tables]
    return Estimate(sizes, consistent=scheduled.is_consistent).dollars
