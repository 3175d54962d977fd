"""Read what jobs of a function run, and when the next verification does, for its status. Nothing is written."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from ddbreplica.aws.hints import explain
from ddbreplica.aws.request import ask, known
from ddbreplica.bucket.bucket_store import BucketStore
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.jobs.control import names
from ddbreplica.jobs.control.executions import RUNNING, Execution
from ddbreplica.jobs.control.facts import JobFacts, RunningJob, Schedule, Scheduled
from ddbreplica.jobs.control.locate import NoWorkersError, resource_of, workers_of
from ddbreplica.jobs.control.workers import Workers
from ddbreplica.jobs.state.skipped import last_skipped
from ddbreplica.mapping.event_source_mapping import MappingState

SCHEDULE: Final = "VerifySchedule"
"""The logical id of the schedule of verifications in template.yaml."""

_MOST: Final = 10


def observe_jobs(connection: Connection, mapping: MappingState) -> JobFacts | None:
    """Return the jobs of the function's stack; None if it has no workers. Raises TaskError if that is unknown."""
    try:
        workers = workers_of(connection, mapping)
    except NoWorkersError:
        return None
    return JobFacts(
        running=known(lambda: _running(workers)),
        scheduled=known(lambda: _scheduled(connection, workers.stack)),
        skipped=known(lambda: last_skipped(BucketStore(workers.bucket), workers.stack)),
    )


def _running(workers: Workers) -> Sequence[RunningJob]:
    listed = workers.executions.list(RUNNING, most=_MOST)
    return [_running_job(workers.executions.find(each.name) or each) for each in listed]


def _running_job(execution: Execution) -> RunningJob:
    job = str(execution.given.get("job") or names.job_of(execution.name))
    return RunningJob(job, str(execution.given.get("what", "unknown")), execution.started)


def _scheduled(connection: Connection, stack: str) -> Scheduled | None:
    name = resource_of(connection, stack, SCHEDULE)
    if name is None:
        return None
    refused = partial(explain, doing=f"the schedule {name} cannot be read")
    return ask(
        lambda: _read(connection.schedules.get_schedule(Name=name, GroupName="default")), refused=refused
    )


def _read(response: Any) -> Scheduled:
    given = json.loads(response["Target"]["Input"])
    schedule = Schedule(
        response["ScheduleExpression"],
        response["CreationDate"],
        response.get("State", "ENABLED") == "ENABLED",
    )
    return Scheduled(schedule, is_consistent=not given["options"].get("eventually_consistent", False))
