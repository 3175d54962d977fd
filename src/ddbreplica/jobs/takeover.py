"""Take over what the workers of a job left behind, and hand the keys that they left open to the quarantine bucket.

For a job that was stopped, or that nobody resumes. A job that is started again finishes these keys by itself.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from ddbreplica.aws.clock import Clock
from ddbreplica.errors import TaskError
from ddbreplica.jobs.objects import PIECE, SEGMENT, SUSPECTS, JobObjects
from ddbreplica.jobs.plan import BACKFILL, Plan
from ddbreplica.jobs.state.fenced_state import FencedState, Owner, SavedState, SupersededError, saved_in
from ddbreplica.jobs.state.journal import (
    LeftOpen,
    Quarantining,
    StateJournal,
    all_left_open,
    has_open_keys,
    left_open,
)
from ddbreplica.jobs.verify.progress import Suspects, repairs

_THREADS: Final = 10
_CHUNK: Final = 100
"""States that are read at a time. Each may have some hundred kilobytes."""


def take_over(
    objects: JobObjects,
    plan: Plan,
    *,
    clock: Clock,
    quarantine: Quarantining,
    check: Callable[[], None] = lambda: None,
) -> LeftOpen:
    """Quarantine the open keys of a job whose writes can no longer land, and return those that have to wait.

    `clock` has to have AWS's time already. `check` is called before each state; it may raise. A worker of the job that
    still runs loses its state, and stops. Raises TaskError if a worker takes a state meanwhile, or if a key cannot be
    quarantined. Keys that are not in quarantine stay in the states.
    """
    left: list[LeftOpen] = []
    for name, saved in _saved(objects, plan, check):
        now = _taken_over(objects, name, plan, clock, quarantine) if has_open_keys(saved.content) else saved
        left.append(left_open(now))
    return all_left_open(left)


def _saved(objects: JobObjects, plan: Plan, check: Callable[[], None]) -> Iterator[tuple[str, SavedState]]:
    """Yield the names of the states whose workers write to the replica, and what was saved in them."""
    names = list(_journals(objects, plan))
    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(names), _CHUNK):
            check()
            chunk = names[start : start + _CHUNK]
            every = pool.map(lambda name: saved_in(objects.store, name, plan=plan.digest), chunk)
            for name, saved in zip(chunk, list(every), strict=True):
                check()
                yield name, saved


def _journals(objects: JobObjects, plan: Plan) -> Iterator[str]:
    """Yield the names of the states whose workers write to the replica."""
    if plan.what == BACKFILL:
        yield from (objects.state(SEGMENT, number) for number in range(plan.segments))
    elif repairs(plan) and (body := objects.read(SUSPECTS)) is not None:
        pieces = Suspects.read(json.loads(body)).pieces
        yield from (objects.state(PIECE, number) for number in range(len(pieces)))


def _taken_over(
    objects: JobObjects, name: str, plan: Plan, clock: Clock, quarantine: Quarantining
) -> SavedState:
    """Take a state, hand its keys over, and return what is saved in it then."""
    # The new owner writes nothing to the replica, so that no later one has to wait for it.
    owner = Owner.until(clock.moment.timestamp())
    try:
        state = FencedState.take(objects.store, name, plan=plan.digest, owner=owner)
        journal = StateJournal(state, clock=clock)
        journal.leave()
        # Saved first, so that a takeover that fails and is repeated does not begin the hold again.
        journal.rest()
        journal.hand_over(quarantine)
        journal.rest()
    except SupersededError as error:
        raise TaskError(
            f"the job {objects.job} still runs: a worker has taken the state {name}.",
            hint="stop the job, and run the same command again.",
        ) from error
    return state.saved
