"""Do what the state machine asks for, and return what it needs to go on."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from ddbreplica.deadline import Deadline
from ddbreplica.driver import Note
from ddbreplica.errors import JobEndedError, TaskError
from ddbreplica.jobs import planning
from ddbreplica.jobs.backfill import report as backfill_report
from ddbreplica.jobs.backfill import segment as backfill_segment
from ddbreplica.jobs.ending import YIELD_SECONDS, YieldError
from ddbreplica.jobs.job import Job, Pair
from ddbreplica.jobs.payload import CONFIRM, GATHER, PLAN, REDRIVE, REPORT, WORK, Payload
from ddbreplica.jobs.plan import BACKFILL
from ddbreplica.jobs.redrive import run as redrive
from ddbreplica.jobs.state.fenced_state import SupersededError
from ddbreplica.jobs.state.lease import Lease
from ddbreplica.jobs.verify import gather, piece, report, segment

SUPERSEDED_SECONDS: Final = 30
"""How long a worker waits whose state another one has taken. That one may be a repetition that nobody waits for."""

_STOPPED = "the job was stopped."
_TOO_LONG = "the invocation had not enough time."


def act(
    payload: Payload, pair_of: Callable[[str], Pair], *, deadline: Deadline, note: Note
) -> Mapping[str, Any]:
    """Return the response to a payload. `failed` is why the job, or its segment, cannot go on; empty if it can.

    `skipped` is whether a scheduled job does nothing, since another one runs. `pair_of` returns the pair of a function.
    Raises TaskError if the state machine may try the same again.
    """
    members, run = _ACTIONS[payload.action]
    lease: Lease | None = None
    try:
        job = Job.of(payload, pair_of(payload.function), deadline=deadline, note=note)
        lease = job.lease
        response = {**members, **_response(job, run)}
    except TaskError as error:
        # Nothing is lost by a plan that fails, and the person who starts a job waits for the reason.
        if payload.action != PLAN and not isinstance(error, JobEndedError):
            raise
        response = {**members, "failed": error.fact}
    if lease and _ends_execution(payload.action, response):
        with suppress(TaskError):  # it ends by itself, only later
            lease.release()
    return response


def refusal(error: TaskError) -> Mapping[str, Any]:
    """Return the response to a payload that is not valid. As its action may be unknown, it has the members of all."""
    every = {name: value for members, _ in _ACTIONS.values() for name, value in members.items()}
    return {**every, "failed": error.fact}


def _response(job: Job, run: Callable[[Job], Mapping[str, Any]]) -> Mapping[str, Any]:
    try:
        return run(job)
    except SupersededError:
        return {"wait_seconds": SUPERSEDED_SECONDS}
    except YieldError:
        return {"wait_seconds": YIELD_SECONDS}
    except KeyboardInterrupt:
        return {"failed": _STOPPED if job.ending.was_stopped else _TOO_LONG}


def _ends_execution(action: str, response: Mapping[str, Any]) -> bool:
    return action == REPORT or (action in (PLAN, GATHER) and bool(response["failed"]))


def _plan(job: Job) -> Mapping[str, Any]:
    return {"skipped": not planning.make_plan(job)}


def _work(job: Job) -> Mapping[str, Any]:
    job.lease.renew(now=job.pair.clock.moment.timestamp())
    plan, numbers = job.plan(), job.payload.numbers
    if plan.what == BACKFILL:
        wait = backfill_segment.work(job, plan, numbers)
        return _gone_on(job, is_done=wait is None, wait_seconds=wait or 0)
    return _gone_on(job, is_done=segment.work(job, plan, numbers))


def _gather(job: Job) -> Mapping[str, Any]:
    plan = job.plan()
    # A backfill looks for no differences. Its report says what is not done.
    return {"pieces": 0 if plan.what == BACKFILL else len(gather.gather(job, plan).pieces)}


def _confirm(job: Job) -> Mapping[str, Any]:
    job.lease.renew(now=job.pair.clock.moment.timestamp())
    wait = piece.confirm(job, job.plan(), job.payload.numbers)
    return _gone_on(job, is_done=wait is None, wait_seconds=wait or 0)


def _report(job: Job) -> Mapping[str, Any]:
    plan = job.plan()
    if plan.what == BACKFILL:
        backfill_report.report(job, plan)
    else:
        report.report(job, plan)
    return {}


def _redrive(job: Job) -> Mapping[str, Any]:
    redrive.redrive(job)
    return {}


def _gone_on(job: Job, *, is_done: bool, wait_seconds: int = 0) -> Mapping[str, Any]:
    failed = _STOPPED if job.ending.was_stopped and not is_done else ""
    return {"done": is_done, "wait_seconds": wait_seconds, "failed": failed}


_ACTIONS: Final[Mapping[str, tuple[Mapping[str, Any], Callable[[Job], Mapping[str, Any]]]]] = {
    PLAN: ({"skipped": False, "failed": ""}, _plan),
    WORK: ({"done": False, "wait_seconds": 0, "failed": ""}, _work),
    GATHER: ({"pieces": 0, "failed": ""}, _gather),
    CONFIRM: ({"done": False, "wait_seconds": 0, "failed": ""}, _confirm),
    REPORT: ({"failed": ""}, _report),
    REDRIVE: ({"failed": ""}, _redrive),
}
"""For each action all members of its response, and what does it. A Choice on a missing member ends an execution."""
