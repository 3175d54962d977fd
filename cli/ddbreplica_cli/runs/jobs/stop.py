"""Run `ddbreplica jobs stop`: stop a job, and hand over the keys that it was writing."""

from datetime import UTC, datetime
from typing import Final

from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import describe_pair, identity
from ddbreplica.errors import AttentionError, TaskError
from ddbreplica.jobs.control.executions import Execution
from ddbreplica.jobs.control.locate import locate
from ddbreplica.jobs.control.stop import hand_over, writing_plan
from ddbreplica.jobs.control.stop import stop as stop_job
from ddbreplica.jobs.control.workers import Workers
from ddbreplica.jobs.plan import Plan
from ddbreplica.jobs.state.journal import NOTHING_LEFT, LeftOpen
from ddbreplica.mapping.safeguards import shown
from ddbreplica.reconcile.in_doubt_quarantine import KeyQuarantine
from ddbreplica_cli.terminal import output
from ddbreplica_cli.terminal.driver import TERMINAL
from ddbreplica_cli.terminal.options import Options

STOP_SECONDS: Final = 15.0
"""How long workers take to find the stop marker, and to end after the page that they copy."""


def stop(options: Options, job: str) -> None:
    """Stop a job, hand over the keys that it was writing, and print its attempt."""
    connection = Connection(options)
    workers, _ = locate(connection)
    stopped = stop_job(workers, job)
    plan = writing_plan(workers, job)
    if stopped is None and plan is None:
        raise TaskError(
            f"the job {job} does not run.",
            hint=f"`ddbreplica jobs show {job}{options.tables}` shows the job.",
        )
    if stopped is not None and plan is not None:
        _let_workers_end()
    left = _handed_over(connection, workers, job, plan) if plan else NOTHING_LEFT
    _show_stopped(job, stopped, left, as_json=options.as_json)


def _show_stopped(job: str, stopped: Execution | None, left: LeftOpen, *, as_json: bool) -> None:
    """Print what was stopped. Raises AttentionError if keys have to wait."""
    until = datetime.fromtimestamp(left.until, UTC) if left.keys else None
    document = {
        "job": job,
        "attempt": stopped.name if stopped else None,
        "keys_left_open": left.keys,
        "left_open_until": until.isoformat(timespec="seconds") if until else None,
    }
    if not (until and as_json):
        # With --json the error below has the figures, and stdout gets one document, not two.
        text = f"Stopped the job {job}." if stopped else f"The job {job} does not run."
        output.print_result(document, text, as_json=as_json)
    if until is None:
        output.print_note("Try: run the command that has started the job again to resume it.")
        return
    raise AttentionError(
        f"in-doubt writes may still change {left.keys:,} items until {shown(until)}.",
        hint="run the same command again after that time, resume the job, or leave the keys to the scheduled redrive.",
        facts=document,
    )


def _let_workers_end() -> None:
    """Wait until the workers have found the stop marker, so that few keys have to wait."""
    output.print_note(f"Waiting {STOP_SECONDS:.0f} seconds for the workers to end.")
    with TERMINAL.interruptible() as interrupt:
        interrupt.sleep(STOP_SECONDS)
        interrupt.check()


def _handed_over(connection: Connection, workers: Workers, job: str, plan: Plan) -> LeftOpen:
    source, replica = describe_pair(connection)
    quarantine = KeyQuarantine.of(
        connection,
        workers.bucket.name,
        source.table,
        command=plan.what,
        hint="run the same command again.",
    )
    pair = identity(source, replica)
    return hand_over(workers, job, plan, pair, quarantine.keep_interrupted, clock=connection.clock)
