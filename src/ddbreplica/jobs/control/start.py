"""Start a job, or resume the last one that did the same and has not ended."""

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeAlias

from ddbreplica.errors import TaskError
from ddbreplica.jobs.control import names
from ddbreplica.jobs.control.catalog import Wanted, has_report, planned_jobs, resumable
from ddbreplica.jobs.control.executions import RUNNING
from ddbreplica.jobs.control.names import Started
from ddbreplica.jobs.control.workers import Workers
from ddbreplica.jobs.plan import REDRIVE

Complete: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Return options with their defaults. Raises TaskError for one that is not valid."""

_MOST_RUNNING: Final = 10


def start_new(
    workers: Workers,
    wanted: Wanted,
    *,
    now: datetime,
    token: Callable[[], str] = lambda: secrets.token_hex(3),
) -> Started:
    """Start a new job that does what is wanted."""
    job = names.new_job(wanted.what, now=now, token=token())
    return Started(job, workers.start(job, 1, _given(wanted)))


def resume(workers: Workers, wanted: Wanted, *, complete: Complete, now: datetime) -> Started | None:
    """Return the job that runs and does what is wanted, or resume the last one that has not ended; None if none is.

    Raises TaskError if a job runs that does something else.
    """
    if running := _running(workers, wanted, complete):
        return running
    refuse_running(workers)
    earlier = resumable(planned_jobs(workers), wanted, now=now, is_ended=partial(has_report, workers))
    if earlier is None:
        return None
    number = len(workers.attempts(earlier.job)) + 1
    return Started(earlier.job, workers.start(earlier.job, number, _given(wanted)), earlier.began)


def refuse_running(workers: Workers) -> None:
    """Raise TaskError if a verification or a backfill of the stack runs, whose lease would make another one fail."""
    for listed in workers.executions.list(RUNNING, most=_MOST_RUNNING):
        execution = workers.executions.find(listed.name)
        if execution and execution.is_running and execution.given.get("what") != REDRIVE:
            job = names.job_of(execution.name)
            raise TaskError(
                f"the job {job} of the stack {workers.stack} runs.",
                hint="wait until it has ended, or stop it with"
                f" `ddbreplica jobs stop --stack-name {workers.stack} {job}`.",
            )


def _given(wanted: Wanted) -> Mapping[str, Any]:
    return {"what": wanted.what, "options": dict(wanted.options)}


def _running(workers: Workers, wanted: Wanted, complete: Complete) -> Started | None:
    """Return an execution that does what is wanted, also one that has no plan yet."""
    for listed in workers.executions.list(RUNNING, most=_MOST_RUNNING):
        execution = workers.executions.find(listed.name)
        if execution and _is_same(execution.given, wanted, complete):
            job = names.job_of(execution.name)
            return Started(job, execution.name, execution.started, was_running=True)
    return None


def _is_same(given: Mapping[str, Any], wanted: Wanted, complete: Complete) -> bool:
    try:
        return given.get("what") == wanted.what and complete(given.get("options", {})) == wanted.options
    except TaskError:
        return False
