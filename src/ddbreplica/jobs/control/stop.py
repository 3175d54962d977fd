"""Stop a job, and hand the keys that its workers left open to the quarantine bucket.

The workers end after the page that they compare or copy, and the job can be resumed.
"""

from collections.abc import Mapping

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


def stop(workers: Workers, job: str) -> Execution | None:
    """Stop the attempt of a job that runs, and return it; None if it does not run. Raises TaskError for no job."""
    attempts = workers.attempts(job)
    if not attempts:
        raise unknown(workers, job)
    last = attempts[-1]
    if last.status == SUCCEEDED:
        return None
    objects = workers.objects(job)
    # First, since the workers go on when the execution has ended, and AWS Lambda tells them nothing.
    StopMarker(objects.store, objects.folder, attempt=last.name).set()
    if last.is_running:
        workers.executions.stop(last.name, cause="stopped by an operator")
    # No Report releases the lease of an execution that was stopped, here or by another tool, or that timed out.
    Lease(objects.store, workers.stack, job).release()
    return last if last.is_running else None


def writing_plan(workers: Workers, job: str) -> Plan | None:
    """Return the plan of a job whose workers write to the replica; None if they do not, or if it has no plan."""
    plan = plan_of(workers.objects(job))
    return plan if plan and plan.write_rate else None


def hand_over(
    workers: Workers, job: str, plan: Plan, pair: Mapping[str, str], quarantine: Quarantining, *, clock: Clock
) -> LeftOpen:
    """Quarantine the open keys of a job whose writes can no longer land, and return those that have to wait.

    `pair` are the present tables, and `clock` has AWS's time. Raises TaskError if the job is of other tables.
    """
    if plan.pair != pair:
        raise TaskError(
            f"the job {job} is of other tables, so that the keys which it left open are not reconciled.",
            hint="compare the tables with `ddbreplica verify`.",
        )
    return take_over(workers.objects(job), plan, clock=clock, quarantine=quarantine)
