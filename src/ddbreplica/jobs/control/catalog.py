"""Find the jobs of a stack by their objects, and the one that a command resumes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from ddbreplica.errors import JobEndedError, TaskError
from ddbreplica.jobs.control.workers import Workers
from ddbreplica.jobs.objects import PLAN, REPORT, JobObjects
from ddbreplica.jobs.plan import Conditions, Plan

RESUMED_WITHIN: Final = timedelta(days=25)
"""How old a job may be that is resumed. Its plan expires after 30 days."""

_THREADS: Final = 10


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """A job that has a plan."""

    job: str
    plan: Plan

    @property
    def began(self) -> datetime:
        """When the plan was made."""
        return datetime.fromisoformat(self.plan.began).astimezone(UTC)


def planned_jobs(workers: Workers) -> Sequence[PlannedJob]:
    """Return the jobs of the stack whose plan this version can read, the newest first."""
    folders = workers.bucket.folders(f"jobs/{workers.stack}/")
    with ThreadPoolExecutor(_THREADS) as pool:
        found = [each for each in pool.map(partial(_planned, workers), folders) if each]
    return sorted(found, key=lambda each: each.began, reverse=True)


def plan_of(objects: JobObjects) -> Plan | None:
    """Return the plan of a job; None if it has none. Raises TaskError if this version cannot read it."""
    body = objects.read(PLAN)
    return None if body is None else Plan.read(body)


def _planned(workers: Workers, job: str) -> PlannedJob | None:
    body = workers.objects(job).read(PLAN)
    try:
        return None if body is None else PlannedJob(job, Plan.read(body))
    except JobEndedError:  # of another version
        return None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a command wants a job to do, and the present conditions, which a job that is resumed must have."""

    what: str
    function: str
    options: Mapping[str, Any]
    conditions: Conditions | None

    def is_done_by(self, plan: Plan) -> bool:
        """Return whether a job with this plan does it."""
        try:
            plan.refuse_other(what=self.what, function=self.function)
            if self.conditions:
                plan.refuse_changed(self.conditions)
        except TaskError:
            return False
        return plan.options == self.options


def resumable(
    jobs: Iterable[PlannedJob],
    wanted: Wanted,
    *,
    now: datetime,
    is_ended: Callable[[str], bool],
) -> PlannedJob | None:
    """Return the newest job that does what is wanted and has not ended. `jobs` has the newest first."""
    return next(_resumable(jobs, wanted, now=now, is_ended=is_ended), None)


def _resumable(
    jobs: Iterable[PlannedJob], wanted: Wanted, *, now: datetime, is_ended: Callable[[str], bool]
) -> Iterator[PlannedJob]:
    return (
        each
        for each in jobs
        if now - each.began < RESUMED_WITHIN and wanted.is_done_by(each.plan) and not is_ended(each.job)
    )


def unknown(workers: Workers, job: str) -> TaskError:
    """Return the error for a job that does not exist."""
    return TaskError(
        f"the job {job} does not exist in the stack {workers.stack}.",
        hint=f"`ddbreplica jobs show --stack-name {workers.stack}` lists the jobs of the last 30 days.",
    )


def has_report(workers: Workers, job: str) -> bool:
    """Return whether a job has ended with a report."""
    return workers.objects(job).read(REPORT) is not None
