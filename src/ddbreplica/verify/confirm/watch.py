"""Look at suspected differences many times, at random moments."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import heapify, heappop, heappush
from itertools import islice

from ddbreplica.driver import Advance, Progress
from ddbreplica.dynamodb.read import MAX_KEYS
from ddbreplica.model import Key
from ddbreplica.verify.confirm.look import Look
from ddbreplica.verify.confirm.plan import Plan
from ddbreplica.verify.confirm.seen import Seen
from ddbreplica.verify.confirm.timer import Timer
from ddbreplica.verify.threads import IsOver, run

KEEP_UP_SECONDS = 60.0
"""How often the witness reads the stream during a watch."""


@dataclass(slots=True)
class Watched:
    """The result of a watch: the keys that were unequal at every look, the archived ones, and how many were equal."""

    unequal: dict[Key, Seen]
    archived: list[Key]
    excused: int


class _Group:
    """Up to MAX_KEYS keys that one request reads, so that they are looked at together."""

    def __init__(self, seen: dict[Key, Seen], plan: Plan, timer: Timer) -> None:
        self.seen = seen
        self.archived: list[Key] = []
        self.excused = 0
        self._plan = plan
        self._timer = timer
        self._looks = 0
        self._first: float | None = None
        self.due = timer.ticks() + self._pause()
        for each in self.seen.values():
            each.begin_round()

    @property
    def is_over(self) -> bool:
        """Whether there were enough looks, or every key was equal."""
        return self._looks >= self._plan.looks or not self.seen

    def look(self, look: Look) -> None:
        """Look at the keys that were unequal so far."""
        started = self._timer.ticks()
        for key, sight in look(list(self.seen)).items():
            seen = self.seen[key]
            seen.add(sight)
            if self._first is not None:
                seen.seconds = started - self._first
            if not sight.is_suspect:
                del self.seen[key]
                self.excused += sight.is_equal
                self.archived += [key] if sight.is_archived else []
        self._looks += 1
        now = self._timer.ticks()
        self._first = now if self._first is None else self._first
        # The last look is after the end of the planned time.
        is_last = self._looks == self._plan.looks - 1
        earliest = max(now, self._first + self._plan.seconds) if is_last else now
        self.due = earliest + self._pause()

    def _pause(self) -> float:
        # At random, and counted from the end of the last look: a fixed pause, or one that the duration of a request
        # sets, could be in step with an item that flips.
        return self._timer.random.uniform(0, 2 * self._plan.pause)


@dataclass(frozen=True, slots=True)
class Watch:
    """Looks at keys as often and for as long as planned, each group of them at moments of its own."""

    look: Look
    timer: Timer
    threads: int
    progress: Progress

    def __call__(self, keys: dict[Key, Seen], plan: Plan, keep_up: Callable[[], object]) -> Watched:
        """Watch keys for a round. A key that is equal at a look leaves the watch.

        `keep_up` is called about once in `KEEP_UP_SECONDS`, in this thread. Raises the errors of reading.
        """
        groups = [_Group(piece, plan, self.timer) for piece in _pieces(keys)]
        shares = [groups[first :: self.threads] for first in range(min(self.threads, len(groups)))]
        # One thread calls the witness, and it is this one, which takes the first share.
        calls = {0: _every(KEEP_UP_SECONDS, keep_up, self.timer)}
        with self.progress("watching suspected differences", about=plan.looks * len(keys)) as advance:
            run(
                [
                    partial(self._follow, share, advance, calls.get(number, _nothing))
                    for number, share in enumerate(shares)
                ]
            )
        return Watched(
            unequal={key: each for group in groups for key, each in group.seen.items()},
            archived=[key for group in groups for key in group.archived],
            excused=sum(group.excused for group in groups),
        )

    def _follow(
        self, groups: Sequence[_Group], advance: Advance, meanwhile: Callable[[], None], is_over: IsOver
    ) -> None:
        """Look at the groups of one thread, whichever is due next, until all are over."""
        # The number decides between groups that are due at the same moment, which cannot be compared.
        due = [(group.due, number, group) for number, group in enumerate(groups)]
        heapify(due)
        while due and not is_over():
            moment, number, group = heappop(due)
            meanwhile()  # also if there is nothing to wait for
            self.timer.wait(moment, is_over=is_over, meanwhile=meanwhile)
            if is_over():
                return
            keys = len(group.seen)
            group.look(self.look)
            advance(keys)
            if not group.is_over:
                heappush(due, (group.due, number, group))


def _pieces(keys: dict[Key, Seen]) -> Iterator[dict[Key, Seen]]:
    every = iter(keys.items())
    while piece := dict(islice(every, MAX_KEYS)):
        yield piece


def _every(seconds: float, call: Callable[[], object], timer: Timer) -> Callable[[], None]:
    """Return a function that makes the call if the last one was so long ago."""
    last = timer.ticks()

    def meanwhile() -> None:
        nonlocal last
        if timer.ticks() - last >= seconds:
            call()
            last = timer.ticks()

    return meanwhile


def _nothing() -> None:
    """Do nothing."""
