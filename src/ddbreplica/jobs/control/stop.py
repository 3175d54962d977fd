"""Stop a job. Its workers end after the page that they compare, and the job can be resumed."""

from ddbreplica.errors import TaskError
from ddbreplica.jobs.control.catalog import unknown
from ddbreplica.jobs.control.executions import Execution
from ddbreplica.jobs.control.workers import Workers
from ddbreplica.jobs.state.lease import Lease
from ddbreplica.jobs.state.stop_marker import StopMarker


def stop(workers: Workers, job: str) -> Execution:
    """Stop the attempt of a job that runs, and return it. Raises TaskError if the job does not run."""
    attempts = workers.attempts(job)
    if not attempts:
        raise unknown(workers, job)
    running = attempts[-1]
    if not running.is_running:
        raise TaskError(
            f"the job {job} does not run: its last execution is {running.status}.",
            hint=f"`ddbreplica jobs show {job}` shows the job.",
        )
    objects = workers.objects(job)
    # First, since the workers go on when the execution has ended, and AWS Lambda tells them nothing.
    StopMarker(objects.store, objects.folder, attempt=running.name).set()
    workers.executions.stop(running.name, cause="stopped by an operator")
    # No Report releases the lease of an execution that was stopped.
    Lease(objects.store, workers.stack, job).release()
    return running
