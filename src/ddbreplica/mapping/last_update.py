"""Wait after an update of the function, until no invocation with its earlier settings can be under way.

Such an invocation may still write with an earlier transform, over what a backfill has written with the present one.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from math import ceil
from typing import Final

from ddbreplica.driver import Driver, Interrupt
from ddbreplica.errors import TaskError
from ddbreplica.mapping.event_source_mapping import MappingState
from ddbreplica.mapping.safeguards import shown

MARGIN: Final = timedelta(seconds=60)
"""Added to the function's timeout: an update takes effect somewhat later than its time says."""

_MAX_TIMEOUT: Final = 900
_ASK_AGAIN_SECONDS: Final = 5.0


def seconds_left(mapping: MappingState, *, now: datetime) -> float:
    """Return for how many seconds an invocation with earlier settings may be under way; `now` is AWS's time.

    Raises TaskError if the last update has failed: Lambda then uses the settings from before it.
    """
    if mapping.update_status == "Failed":
        raise TaskError(
            f"the last update of the function {mapping.function_name} failed: its settings may be those of before.",
            hint="deploy the stack again.",
        )
    longest = timedelta(seconds=mapping.settings.get("Timeout", _MAX_TIMEOUT)) + MARGIN
    if mapping.update_status != "Successful":
        return longest.total_seconds()
    if mapping.updated_at is None:
        return 0.0
    return max(0.0, (mapping.updated_at + longest - now).total_seconds())


def wait_for_update(
    mapping: MappingState,
    read_again: Callable[[], MappingState],
    *,
    now: Callable[[], datetime],
    driver: Driver,
    interrupt: Interrupt,
) -> MappingState:
    """Wait until no invocation with earlier settings can be under way. Return the mapping as it is then.

    Raises KeyboardInterrupt if the task is interrupted, and TaskError as `seconds_left` and `read_again` do.
    """
    left = seconds_left(mapping, now=now())
    if not left:
        return mapping
    at = f" at {shown(mapping.updated_at)}" if mapping.updated_at else ""
    driver.note(
        f"The function {mapping.function_name} was updated{at}. The work begins in {ceil(left)} seconds, when no"
        " invocation with its earlier settings can be under way."
    )
    with driver.progress("waiting (seconds)", about=ceil(left)) as advance:
        while left:
            pause = min(_ASK_AGAIN_SECONDS, left)
            interrupt.sleep(pause)
            interrupt.check()
            advance(ceil(pause))
            mapping = read_again()
            left = seconds_left(mapping, now=now())
    return mapping
