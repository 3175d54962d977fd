"""Run the steps in their order, then remove everything and write the report, even after an error."""

from collections.abc import Callable
from typing import Final, TypeAlias

from botocore.exceptions import BotoCoreError, ClientError

from demo.errors import DemoError
from tests.e2e import alarms, data, endings, provocation, workers
from tests.e2e.deployment import Deployed, deploy, redeploy
from tests.e2e.errors import E2eError
from tests.e2e.removal import remove
from tests.e2e.run import Run
from tests.e2e.update import update_under_writes

Steps: TypeAlias = Callable[[Run], None]

_LEFT: Final = """The stack {stack} in {region} is kept. To remove everything that the run created:
  {how}"""


def quick(run: Run) -> None:
    """Run the steps without long waits. Raises DidNotHoldError at the first check that fails."""
    deployed = _by_workers(_short(deploy(run)))
    alarms.check_metrics(deployed, _provoked())


def full(run: Run) -> None:
    """Run all steps. Raises DidNotHoldError at the first check that fails."""
    deployed = _short(deploy(run))
    for each in provocation.WAITING:
        provocation.wait_out(deployed, each)
    deployed = _by_workers(deployed)
    alarms.check_metrics(deployed, _provoked(*provocation.WAITING))


def _short(deployed: Deployed) -> Deployed:
    data.load(deployed)
    data.change(deployed)
    data.change_in_parallel(deployed)
    update_under_writes(deployed, redeploy)
    data.quarantine(deployed)
    provocation.discard(deployed)
    provocation.drop(deployed)
    return deployed


def _by_workers(deployed: Deployed) -> Deployed:
    """Do bulk work inside AWS. Return the stack with workers, whose schedules repair what the other steps break."""
    deployed = workers.turn_on(deployed)
    workers.verify(deployed)
    workers.copy(deployed)
    workers.stop(deployed)
    return workers.schedule(deployed)


def _provoked(*others: provocation.Provocation) -> set[str]:
    """Return the alarms whose failures were caused."""
    return {name for each in (provocation.GIVEN_UP, provocation.DROPPED, *others) for name in each.alarms}


def carry_out(run: Run, steps: Steps, *, keep: bool) -> bool:
    """Run the steps, remove everything, and write the report. Return whether all claims held.

    The removal and the report also follow a failed step. After an exception such as Ctrl-C's, `keep` is ignored. A
    signal interrupts the steps, and then raises InterruptedRunError; it never interrupts the removal.
    """
    with endings.handled() as signals:
        try:
            held = _taken(run, steps, signals)
        except BaseException as error:
            run.report.ended = f"The run was interrupted by {str(error) or type(error).__name__}."
            run.say(run.report.ended)
            keep = False
            raise
        finally:
            _end(run, keep=keep)
    return held and run.report.is_good


def clean_up(run: Run) -> bool:
    """Remove what earlier runs with this suffix created. Return whether nothing is left."""
    with endings.handled() as signals:
        signals.disarm()  # a signal must not interrupt the removal
        remove(run)
    return not run.report.left_behind


def _taken(run: Run, steps: Steps, signals: endings.Endings) -> bool:
    """Run the steps, and return whether all were completed. Afterwards signals raise nothing."""
    try:
        steps(run)
    except (DemoError, E2eError, BotoCoreError, ClientError, OSError) as error:
        run.report.ended = f"The run ended early: {error}"
        run.say(run.report.ended)
        return False
    finally:
        signals.disarm()
    return True


def _end(run: Run, *, keep: bool) -> None:
    left = run.report.left_behind
    try:
        if keep:
            how = run.how_to_remove
            run.say(_LEFT.format(stack=run.names.stack, region=run.region, how=how))
            left.append(
                f"the stack {run.names.stack} and its buckets, because of --keep; to remove them: {how}"
            )
        else:
            remove(run)
    except BaseException as error:
        left.append(f"unknown: {type(error).__name__} ended the removal; run {run.how_to_remove}")
        raise
    finally:
        _write_report(run)


def _write_report(run: Run) -> None:
    try:
        run.say(f"Report: {run.report.write(run.home)}")
    except OSError as error:
        run.say(f"The report cannot be written ({error}). This is its text:\n{run.report.text()}")
