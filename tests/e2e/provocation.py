"""Cause failures one at a time: their alarms fire, and afterwards the replica equals the source."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Final, TypeAlias

from demo import traffic
from demo.errors import DidNotHoldError
from demo.pair import wait_until
from tests.e2e import alarms
from tests.e2e.deployment import Deployed
from tests.e2e.on_failure import DiscardedBatch, discarded
from tests.e2e.report import Claim
from tests.e2e.trouble import (
    destination_denied,
    mapping_set,
    misdirected,
    not_invoked,
    short_of_capacity,
    stalled,
)

Trouble: TypeAlias = Callable[[Deployed], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Provocation:
    """A failure, the alarms that must fire, and the number of items changed at each poll during it."""

    title: str
    trouble: Trouble
    alarms: tuple[str, ...]
    changes: int = 1


@contextmanager
def _given_up_soon(deployed: Deployed) -> Iterator[None]:
    with mapping_set(deployed, MaximumRetryAttempts=1), misdirected(deployed):
        yield


@contextmanager
def _dropped(deployed: Deployed) -> Iterator[None]:
    with destination_denied(deployed), _given_up_soon(deployed):
        yield


GIVEN_UP: Final = Provocation(
    "The function fails, and Lambda discards batches after one retry",
    _given_up_soon,
    ("RecordsGivenUpAlarm",),
)
DROPPED: Final = Provocation(
    "The same, while the on-failure bucket rejects objects",
    _dropped,
    ("DestinationBrokenAlarm", "RecordsDroppedAlarm"),
)
WAITING: Final = (
    Provocation(
        "The replica has one write capacity unit per second",
        short_of_capacity,
        ("RecordsRetriedAlarm", "ReplicaIndexThrottledAlarm", "ReplicaTableThrottledAlarm"),
        changes=40,
    ),
    Provocation("The function's reserved concurrency is 0", not_invoked, ("FunctionThrottledAlarm",)),
    Provocation(
        "The function fails, and Lambda continues to retry",
        misdirected,
        ("FunctionFailsAlarm", "ReplicaLateAlarm"),
    ),
    Provocation("The mapping is disabled", stalled, ("MappingStalledAlarm",)),
)
"""After these failures nothing needs a repair: the changes wait in the stream."""


def wait_out(deployed: Deployed, provocation: Provocation) -> None:
    """Cause the failure until its alarms have fired, then wait until all changes are replicated."""
    _provoke(deployed, provocation)
    deployed.wait_until_equal()
    deployed.run.found(Claim.WAITED, f"Equal after the failure: {provocation.title}.")


def discard(deployed: Deployed) -> None:
    """Make Lambda discard records, check the objects that it stores, and repair the items."""
    changed = _provoke(deployed, GIVEN_UP)
    source = deployed.pair.items(deployed.pair.source)
    kept: list[DiscardedBatch] = []
    lost: set[str] = set()

    def all_kept() -> bool:
        # A batch in progress at the end of the failure may still be replicated or discarded.
        lost.clear()
        lost.update(deployed.differing() or ())
        kept[:] = discarded(deployed.run.account.s3, deployed.outputs["OnFailureBucketName"])
        # The rows have strings and numbers only, which are the same in an image and in boto3.
        return bool(lost) and all(any(each.images.get(key) == source[key] for each in kept) for key in lost)

    _wait(deployed, all_kept, "Some items differ, and the on-failure bucket has the source's image of each")
    _check_changed(lost, changed)
    conditions = ", ".join(sorted({each.condition for each in kept}))
    deployed.run.found(
        Claim.KEPT, f"{len(kept)} objects ({conditions}) contain all {len(lost)} items that differ."
    )
    repair(deployed, lost)


def drop(deployed: Deployed) -> None:
    """Make Lambda drop records, and repair the items that `verify` lists."""
    changed = _provoke(deployed, DROPPED)
    lost: set[str] = set()

    def some_differ() -> bool:
        lost.update(deployed.differing() or ())
        return bool(lost)

    _wait(deployed, some_differ, "`verify` reports the dropped items")
    _check_changed(lost, changed)
    deployed.run.found(
        Claim.DROPPED, f"`verify` reports {len(lost)} items, all of them changed during the failure."
    )
    repair(deployed, lost)


def repair(deployed: Deployed, keys: set[str]) -> None:
    """Update the items in the source, so that they are replicated again."""
    traffic.update(deployed.pair, sorted(keys))
    deployed.wait_until_equal()
    deployed.run.found(Claim.REPAIRED, f"Equal after {len(keys)} items were updated in the source again.")


def _provoke(deployed: Deployed, provocation: Provocation) -> set[str]:
    """Cause the failure until its alarms have fired. Return the keys that were changed during it."""
    deployed.run.begin(f"{provocation.title}: expect {', '.join(provocation.alarms)}")
    keys = cycle(deployed.keys())
    changed: set[str] = set()

    def change() -> None:
        chosen = list(islice(keys, provocation.changes))
        traffic.update(deployed.pair, chosen)
        changed.update(chosen)

    since = alarms.moments(deployed)
    with provocation.trouble(deployed):
        alarms.wait_for(deployed, provocation.alarms, since=since, meanwhile=change)
    return changed


def _wait(deployed: Deployed, condition: Callable[[], bool], promise: str) -> None:
    pace = deployed.run.pace
    wait_until(condition, promise, every=pace.look, within=pace.data)


def _check_changed(lost: set[str], changed: set[str]) -> None:
    if not lost <= changed:
        raise DidNotHoldError(
            f"Only items changed during the failure may differ, but these do too: {sorted(lost - changed)}."
        )
