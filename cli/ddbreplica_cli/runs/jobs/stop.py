"""Run `ddbreplica jobs stop`: stop a job, and hand over the keys that it was writing."""

from datetime import UTC, datetime
from math import ceil
from typing import Final

from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import describe_pair, identity
from ddbreplica.errors import AttentionError, TaskError
from ddbreplica.jobs.control.executions import SUCCEEDED, Execution
from ddbreplica.jobs.control.locate import locate
from ddbreplica.jobs.control.stop import HandedOver, hand_over, seconds_to_wait, writing_plan
from ddbreplica.jobs.control.stop import stop as stop_job
from ddbreplica.jobs.control.workers import Workers
from ddbreplica.jobs.plan import Plan
from ddbreplica.jobs.state.journal import NOTHING_LEFT
from ddbreplica.mapping.safeguards import shown
from ddbreplica.reconcile.in_doubt_quarantine import KeyQuarantine
from ddbreplica_cli.terminal import output
from ddbreplica_cli.terminal.driver import TERMINAL
from ddbreplica_cli.terminal.options import Options

_NONE: Final = HandedOver(0, NOTHING_LEFT)


def stop(options: Options, job: str) -> None:
    """Stop a job, hand over the keys that it was writing, and print its attempt."""
    connection = Connection(options)
    workers, _ = locate(connection)
    attempt = stop_job(workers, job)
    plan = writing_plan(workers, job)
    handed_over = _NONE
    if plan:
        _let_workers_end(seconds_to_wait(workers, job, attempt))
        handed_over = _handed_over(connection, workers, job, plan)
    if attempt.status == SUCCEEDED and handed_over == _NONE:
        raise TaskError(
            f"the job {job} has ended, and there is nothing to stop.",
            hint=f"`ddbreplica jobs show {job}{options.tables}` shows its result.",
        )
    _show_stopped(job, attempt, handed_over, as_json=options.as_json)


def _show_stopped(job: str, attempt: Execution, handed_over: HandedOver, *, as_json: bool) -> None:
    """Print what was stopped. Raises AttentionError if keys have to wait."""
    left = handed_over.left
    until = datetime.fromtimestamp(left.until, UTC) if left.keys else None
    document = {
        "job": job,
        "attempt": attempt.name if attempt.is_running else None,
        "keys_quarantined": handed_over.keys,
        "keys_left_open": left.keys,
        "left_open_until": until.isoformat(timespec="seconds") if until else None,
    }
    if not (until and as_json):
        # With --json the error below has the figures, and stdout gets one document, not two.
        output.print_result(document, _text(job, attempt, handed_over.keys), as_json=as_json)
    if until:
        raise AttentionError(
            f"in-doubt writes may still change {left.keys:,} items until {shown(until)}.",
            hint="run the same command again after that time, resume the job, or leave the keys to the scheduled"
            " redrive.",
            facts=document,
        )
    if attempt.status != SUCCEEDED:
        output.print_note("Try: run the command that has started the job again to resume it.")


def _text(job: str, attempt: Execution, quarantined: int) -> str:
    if attempt.is_running:
        text = f"Stopped the job {job}."
    else:
        text = f"The job {job} {'has ended' if attempt.status == SUCCEEDED else 'does not run'}."
    return f"{text} {quarantined:,} keys are in the quarantine bucket now." if quarantined else text


def _let_workers_end(seconds: float) -> None:
    """Wait until the workers have found the stop marker, so that few keys have to wait."""
    if not seconds:
        return
    output.print_note(f"Waiting {ceil(seconds)} seconds for the workers to end.")
    with TERMINAL.interruptible() as interrupt:
        interrupt.sleep(seconds)
        interrupt.check()


def _handed_over(connection: Connection, workers: Workers, job: str, plan: Plan) -> HandedOver:
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
