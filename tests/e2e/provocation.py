"""Troubles brought about one after the other: the alarms go off, and afterwards the replica equals the source."""

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
    """A trouble, the alarms that have to go off, and how many items are changed at each look meanwhile."""

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
    "The function fails, and Lambda gives up after one retry", _given_up_soon, ("RecordsGivenUpAlarm",)
)
DROPPED: Final = Provocation(
    "The same, while the on-failure bucket refuses objects",
    _dropped,
    ("DestinationBrokenAlarm", "RecordsDroppedAlarm"),
)
WAITING: Final = (
    Provocation(
        "The replica takes one write a second",
        short_of_capacity,
        ("RecordsRetriedAlarm", "ReplicaIndexThrottledAlarm", "ReplicaTableThrottledAlarm"),
        changes=40,
    ),
    Provocation("The function is given no concurrency", not_invoked, ("FunctionThrottledAlarm",)),
    Provocation(
        "The function fails, and Lambda goes on retrying",
        misdirected,
        ("FunctionFailsAlarm", "ReplicaLateAlarm"),
    ),
    Provocation("The mapping is disabled", stalled, ("MappingStalledAlarm",)),
)
"""After these problems nothing needs a repair: the changes made meanwhile have waited."""


def wait_out(deployed: Deployed, provocation: Provocation) -> None:
    """Bring the trouble about until its alarms have gone off; afterwards everything arrives by itself."""
    _provoke(deployed, provocation)
    deployed.wait_until_equal()
    deployed.run.found(Claim.WAITED, f"Equal when it was over: {provocation.title}.")


def discard(deployed: Deployed) -> None:
    """Make Lambda discard records, check the objects that it stores, and repair the items."""
    changed = _provoke(deployed, GIVEN_UP)
    source = deployed.pair.items(deployed.pair.source)
    kept: list[DiscardedBatch] = []
    lost: set[str] = set()

    def all_kept() -> bool:
        # What was still under way when the trouble ended may yet arrive, or be given up.
        lost.clear()
        lost.update(deployed.differing() or ())
        kept[:] = discarded(deployed.run.account.s3, deployed.outputs["OnFailureBucketName"])
        # The rows are of text and numbers, which an image and boto3 spell alike.
        return bool(lost) and all(any(each.images.get(key) == source[key] for each in kept) for key in lost)

    _wait(deployed, all_kept, "Some items differ, and the on-failure bucket has each as it is at the source")
    _check_changed(lost, changed)
    conditions = ", ".join(sorted({each.condition for each in kept}))
    deployed.run.found(
        Claim.KEPT, f"{len(kept)} objects ({conditions}) have each of the {len(lost)} items that differ."
    )
    repair(deployed, lost)


def drop(deployed: Deployed) -> None:
    """Make Lambda drop records, and repair the items that `verify` lists."""
    changed = _provoke(deployed, DROPPED)
    lost: set[str] = set()

    def some_differ() -> bool:
        lost.update(deployed.differing() or ())
        return bool(lost)

    _wait(deployed, some_differ, "`verify` names what was dropped")
    _check_changed(lost, changed)
    deployed.run.found(Claim.DROPPED, f"`verify` names {len(lost)} items, all of them changed meanwhile.")
    repair(deployed, lost)


def repair(deployed: Deployed, keys: set[str]) -> None:
    """Change the items at the source again, so that they are replicated again."""
    traffic.update(deployed.pair, sorted(keys))
    deployed.wait_until_equal()
    deployed.run.found(Claim.REPAIRED, f"Equal after {len(keys)} items were changed at the source once more.")


def _provoke(deployed: Deployed, provocation: Provocation) -> set[str]:
    """Return the keys of what was changed while the trouble lasted."""
    deployed.run.begin(f"{provocation.title}: {', '.join(provocation.alarms)} should go off")
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
            f"Only what was changed meanwhile differs: {sorted(lost - changed)} do as well."
        )
