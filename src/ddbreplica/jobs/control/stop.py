"""Stop a job, and hand the keys that its workers left open to the quarantine bucket.

The workers end after the page that they compare or copy, and the job can be resumed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ddbreplica.aws.clock import Clock
from ddbreplica.errors import TaskError
from ddbreplica.jobs.control.catalog import plan_of, unknown
from ddbreplica.jobs.control.executions import SUCCEEDED, Execution
from ddbreplica.jobs.control.workers import Workers
from ddbreplica.jobs.plan import Plan
from ddbreplica.jobs.state.journal import LeftOpen, Quarantining
from ddbreplica.jobs.state.lease import Lease
from ddbreplica.jobs.state.stop_marker import StopMarker
from ddbreplica.jobs.takeover import take_over
from ddbreplica.model import Key

STOP_SECONDS: Final = 15.0
"""How long workers take to find the stop marker, and to end after the page that they copy."""


@dataclass(frozen=True, slots=True)
class HandedOver:
    """How many keys were quarantined, and which have to wait."""

    keys: int
    left: LeftOpen


def stop(workers: Workers, job: str) -> Execution:
    """Stop the last attempt of a job, and return it as it was before.

    A job that has ended is left as it is. Raises TaskError for no job.
    """
    attempts = workers.attempts(job)
    if not attempts:
        raise unknown(workers, job)
    last = attempts[-1]
    if last.status != SUCCEEDED:
        _stop(workers, job, last)
    return last


def _stop(workers: Workers, job: str, attempt: Execution) -> None:
    objects = workers.objects(job)
    # First, since the workers go on when the execution has ended, and AWS Lambda tells them nothing.
    _marker(workers, job, attempt).set()
    if attempt.is_running:
        workers.executions.stop(attempt.name, cause="stopped by an operator")
    # No Report releases the lease of an execution that was stopped, here or by another tool, or that timed out.
    Lease(objects.store, workers.stack, job).release()


def _marker(workers: Workers, job: str, attempt: Execution) -> StopMarker:
    objects = workers.objects(job)
    return StopMarker(objects.store, objects.folder, attempt=attempt.name)


def seconds_to_wait(workers: Workers, job: str, attempt: Execution) -> float:
    """Return for how long the workers of an attempt that was stopped may still work, by S3's clock."""
    name = _marker(workers, job, attempt).name
    ages = [listed.age for listed in workers.bucket.list(name) if listed.name == name]
    return max(0.0, STOP_SECONDS - ages[0]) if ages else 0.0


def writing_plan(workers: Workers, job: str) -> Plan | None:
    """Return the plan of a job whose workers write to the replica; None if they do not, or if it has no plan."""
    plan = plan_of(workers.objects(job))
    return plan if plan and plan.write_rate else None


def hand_over(
    workers: Workers, job: str, plan: Plan, pair: Mapping[str, str], quarantine: Quarantining, *, clock: Clock
) -> HandedOver:
    """Quarantine the open keys of a job whose writes can no longer land.

    `pair` are the present tables, and `clock` has AWS's time. Raises TaskError if the job is of other tables.
    """
    if plan.pair != pair:
        raise TaskError(
            f"the job {job} is of other tables, so that the keys which it left open are not reconciled.",
            hint="compare the tables with `ddbreplica verify`.",
        )
    handed_over = 0

    def counted(keys: Sequence[Key]) -> None:
        nonlocal handed_over
        quarantine(keys)
        handed_over += len(keys)

    left = take_over(workers.objects(job), plan, clock=clock, quarantine=counted)
    return HandedOver(handed_over, left)
