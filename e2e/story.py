"""The steps of a run, in their order, and how it ends whatever happens."""

from collections.abc import Callable
from typing import Final, TypeAlias

from botocore.exceptions import BotoCoreError, ClientError

from demo.errors import DemoError
from e2e import alarms, data, provocation
from e2e.deployment import Deployed, deploy, redeploy
from e2e.errors import E2eError
from e2e.removal import remove
from e2e.run import Run
from e2e.update import update_under_writes

Steps: TypeAlias = Callable[[Run], None]

_LEFT: Final = """The stack {stack} is left as it is. To remove it:
  aws cloudformation delete-stack --stack-name {stack}
  and the buckets whose names begin with {stack}"""


def quick(run: Run) -> None:
    """Take the steps that need no long waiting. Raises DidNotHoldError at the first promise that is not kept."""
    deployed = _short(deploy(run))
    alarms.check_metrics(deployed, _provoked())


def full(run: Run) -> None:
    """Take all steps. Raises DidNotHoldError at the first promise that is not kept."""
    deployed = _short(deploy(run))
    for each in provocation.WAITING:
        provocation.wait_out(deployed, each)
    alarms.check_metrics(deployed, _provoked(*provocation.WAITING))


def _short(deployed: Deployed) -> Deployed:
    data.load(deployed)
    data.change(deployed)
    data.change_in_parallel(deployed)
    update_under_writes(deployed, redeploy)
    data.quarantine(deployed)
    provocation.give_up(deployed)
    provocation.drop(deployed)
    return deployed


def _provoked(*others: provocation.Provocation) -> set[str]:
    """The alarms that had reason to go off."""
    return {name for each in (provocation.GIVEN_UP, provocation.DROPPED, *others) for name in each.alarms}


def carry_out(run: Run, steps: Steps, *, keep: bool) -> bool:
    """Take the steps, remove everything, write the report; return whether all that was seen held.

    Also where a step fails, or an exception such as Ctrl-C's passes through: then without `keep`.
    """
    try:
        steps(run)
    except (DemoError, E2eError, BotoCoreError, ClientError) as error:
        run.report.ended = f"The run ended early: {error}"
        run.say(run.report.ended)
        return False
    except BaseException as error:
        run.report.ended = f"The run was interrupted by {type(error).__name__}."
        run.say(run.report.ended)
        keep = False
        raise
    finally:
        _end(run, keep=keep)
    return run.report.is_good


def _end(run: Run, *, keep: bool) -> None:
    left = run.report.left_behind
    try:
        if keep:
            run.say(_LEFT.format(stack=run.names.stack))
            left.append(f"the stack {run.names.stack}, and the buckets of its name, as asked for")
        else:
            remove(run)
    except BaseException as error:
        left.append(f"unknown: the removal was ended by {type(error).__name__}; look for {run.names.stack}")
        raise
    finally:
        run.say(f"Report: {run.report.write(run.home)}")
