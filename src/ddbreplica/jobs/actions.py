"""Do what the state machine asks for, and return what it needs to go on."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from ddbreplica.deadline import Deadline
from ddbreplica.driver import Note
from ddbreplica.errors import TaskError
from ddbreplica.jobs import planning
from ddbreplica.jobs.fenced_state import SupersededError
from ddbreplica.jobs.job import Job, Pair
from ddbreplica.jobs.payload import Payload
from ddbreplica.jobs.plan import JobEndedError
from ddbreplica.jobs.verify import gather, piece, report, segment

SUPERSEDED_SECONDS: Final = 30
"""How long a worker waits whose state another one has taken. That one may be a repetition that nobody waits for."""

_STOPPED = "the job was stopped."
_TOO_LONG = "the invocation had not enough time."


def act(
    payload: Payload, pair_of: Callable[[str], Pair], *, deadline: Deadline, note: Note
) -> Mapping[str, Any]:
    """Return the response to a payload. `failed` is why the job, or its segment, cannot go on; empty if it can.

    `pair_of` returns the pair of a function. Raises TaskError if the work on a segment or a piece failed and may be
    tried again.
    """
    members, run = _ACTIONS[payload.action]
    try:
        job = Job.of(payload, pair_of(payload.function), deadline=deadline, note=note)
        return {**members, **_ended(job, run)}
    except TaskError as error:
        if payload.action in _TRIED_AGAIN and not isinstance(error, JobEndedError):
            raise
        return {**members, "failed": error.fact}


def _ended(job: Job, run: Callable[[Job], Mapping[str, Any]]) -> Mapping[str, Any]:
    try:
        return run(job)
    except SupersededError:
        return {"wait_seconds": SUPERSEDED_SECONDS, "failed": ""}
    except KeyboardInterrupt:
        return {"failed": _STOPPED if job.ending.was_stopped else _TOO_LONG}


def _plan(job: Job) -> Mapping[str, Any]:
    planning.make_plan(job)
    return {"failed": ""}


def _work(job: Job) -> Mapping[str, Any]:
    return _gone_on(job, is_done=segment.work(job, job.plan(), job.payload.numbers))


def _gather(job: Job) -> Mapping[str, Any]:
    return {"pieces": len(gather.gather(job, job.plan()).pieces), "failed": ""}


def _confirm(job: Job) -> Mapping[str, Any]:
    return _gone_on(job, is_done=piece.confirm(job, job.plan(), job.payload.numbers))


def _report(job: Job) -> Mapping[str, Any]:
    report.report(job, job.plan())
    return {"failed": ""}


def _gone_on(job: Job, *, is_done: bool) -> Mapping[str, Any]:
    return {"done": is_done, "failed": _STOPPED if job.ending.was_stopped and not is_done else ""}


_ACTIONS: Final[Mapping[str, tuple[Mapping[str, Any], Callable[[Job], Mapping[str, Any]]]]] = {
    "plan": ({}, _plan),
    "work": ({"done": False, "wait_seconds": 0}, _work),
    "gather": ({"pieces": 0}, _gather),
    "confirm": ({"done": False, "wait_seconds": 0}, _confirm),
    "report": ({}, _report),
}
"""For each action, the other members of its response where it fails, and what does it."""

_TRIED_AGAIN: Final = frozenset({"work", "confirm"})
"""The actions whose failures the state machine tries again before it gives a segment or a piece up."""
