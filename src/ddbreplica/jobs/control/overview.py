"""Look at the jobs of a stack: the newest of them, or one in detail with the reason why it failed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ddbreplica.jobs.backfill.progress import copied
from ddbreplica.jobs.control import names
from ddbreplica.jobs.control.catalog import PlannedJob, plan_of, planned_jobs, unknown
from ddbreplica.jobs.control.executions import ABORTED, FAILED, RUNNING, SUCCEEDED, TIMED_OUT, Execution
from ddbreplica.jobs.control.progress import Progress, ProgressReader
from ddbreplica.jobs.control.workers import Workers
from ddbreplica.jobs.objects import REPORT, JobObjects
from ddbreplica.jobs.plan import REDRIVE, Plan
from ddbreplica.jobs.state.skipped import last_skipped

UNFINISHED: Final = "unfinished"
"""The state of a job that has no report, and whose execution is not known to run or to have failed."""

DONE: Final = "done"
ATTENTION: Final = "requires attention"
"""The states of a job without a verdict that has ended."""

SKIPPED: Final = "skipped"
"""The state of a scheduled job that did nothing, since another job of the stack ran."""

_STATES: Final[Mapping[str, str]] = {
    RUNNING: "running",
    FAILED: "failed",
    TIMED_OUT: "timed out",
    ABORTED: "stopped",
}
"""The states by the status of the last execution, if the job has no report."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A job of the list. `items` were copied, or compared in both tables; `about` is their estimated number."""

    job: str
    what: str
    state: str
    began: datetime
    items: int | None = None
    about: int | None = None


@dataclass(frozen=True, slots=True)
class Detail:
    """A job in detail. A job that failed before it was planned has no plan, and no progress.

    `other` is the job that ran when this one was skipped, if this was the last one that was skipped.
    """

    job: str
    state: str
    attempts: Sequence[Execution]
    plan: Plan | None
    segments: Progress | None
    pieces: Progress | None
    report: Mapping[str, Any] | None
    other: str | None = None

    @property
    def what(self) -> str:
        """The kind of work."""
        return self.plan.what if self.plan else str(self.attempts[-1].given.get("what", "unknown"))

    @property
    def cause(self) -> str:
        """Why the last attempt failed; empty if it did not."""
        return "" if self.report or not self.attempts else self.attempts[-1].cause


def recent(workers: Workers, *, most: int) -> Sequence[Summary]:
    """Return the newest jobs of the stack, the newest first. Redrives are among them if they run or failed."""
    planned = planned_jobs(workers)
    latest = _latest(workers, most)
    known = {each.job for each in planned}
    summaries = [
        *(_planned(workers, each, latest.get(each.job)) for each in planned[:most]),
        *(_unplanned(workers, job, latest[job]) for job in latest.keys() - known),
    ]
    return sorted(summaries, key=lambda each: each.began, reverse=True)[:most]


def _latest(workers: Workers, most: int) -> Mapping[str, Execution]:
    """Return the newest execution of each job, of those that run or did not succeed."""
    listed = [each for status in _STATES for each in workers.executions.list(status, most=most)]
    return {names.job_of(each.name): each for each in sorted(listed, key=lambda each: each.started)}


def _planned(workers: Workers, job: PlannedJob, latest: Execution | None) -> Summary:
    objects, plan = workers.objects(job.job), job.plan
    report = _report(objects)
    state = _state(latest, report)
    items = _items(report) if report else None
    if state == _STATES[RUNNING]:
        items = ProgressReader(workers.bucket, objects, plan).segments().items
    return Summary(job.job, plan.what, state, job.began, items, plan.estimate["items"])


def _unplanned(workers: Workers, job: str, latest: Execution) -> Summary:
    described = workers.executions.find(latest.name) or latest
    what = str(described.given.get("what", "unknown"))
    return Summary(job, what, _state(latest, None), latest.started)


def detail(workers: Workers, job: str) -> Detail:
    """Return a job in detail. Raises TaskError if it does not exist, or is the job of another function."""
    attempts = workers.attempts(job)
    objects = workers.objects(job)
    plan = plan_of(objects) if names.is_job(job) else None
    if plan is None and not attempts:
        raise unknown(workers, job)
    if plan is None:
        state = _state_without_plan(attempts[-1])
        other = _other(objects, job) if state == SKIPPED else None
        return Detail(job, state, attempts, None, None, None, None, other)
    plan.refuse_other(what=plan.what, function=workers.function)
    report = _report(objects)
    reader = ProgressReader(workers.bucket, objects, plan)
    state = _state(attempts[-1] if attempts else None, report)
    return Detail(job, state, attempts, plan, reader.segments(), reader.pieces(), report)


def _state(latest: Execution | None, report: Mapping[str, Any] | None) -> str:
    if latest and latest.is_running:
        return _STATES[RUNNING]
    if report:
        return str(report.get("verdict") or (ATTENTION if report.get("attention") else DONE))
    return _STATES.get(latest.status, UNFINISHED) if latest else UNFINISHED


def _state_without_plan(latest: Execution) -> str:
    if latest.status != SUCCEEDED:
        return _state(latest, None)
    return DONE if latest.given.get("what") == REDRIVE else SKIPPED


def _other(objects: JobObjects, job: str) -> str | None:
    skipped = last_skipped(objects.store, objects.stack)
    return skipped.other if skipped and skipped.job == job else None


def _items(report: Mapping[str, Any]) -> int:
    """Return how many items were copied, or compared in both tables."""
    if "items" in report:
        return copied(report)
    return int(report["source_items"]) + int(report["replica_items"])


def _report(objects: JobObjects) -> Mapping[str, Any] | None:
    body = objects.read(REPORT)
    return None if body is None else json.loads(body)
