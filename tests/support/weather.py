"""A simulation of two tables with writers, a lagging stream, late writes and kills between any two requests."""

import random
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from ddbreplica.jobs.state.fenced_state import FencedState, Owner
from ddbreplica.jobs.state.journal import StateJournal
from ddbreplica.model import Image, Key, Refusal, State, Write
from ddbreplica.reconcile.algorithm import ReconcileContext, reconcile
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.rescan import Rescan, Shown
from tests.support.clock import Clock
from tests.support.fake_bucket import FakeBucket
from tests.support.fake_replica import THROTTLED, TIMED_OUT, FakeReplica, Request
from tests.support.fake_source import FakeSource
from tests.support.journals import JOB, composed
from tests.support.memory_state import ManualClock, MemoryLines
from tests.support.memory_store import MemoryStore

KEYS = 60


def key(number: int) -> Key:
    return (("PK", "S", str(number)),)


def item(number: int, value: int) -> dict[str, Any]:
    return {"PK": {"S": str(number)}, "v": {"N": str(value)}}


class Killed(BaseException):
    """The command was killed between two requests or within one; its later calls have no effect."""

    def __init__(self, state: Any) -> None:
        self.state = state


class Weather:
    """Both tables. Each request has the next of the `troubles`; `changes` is the probability of a write to the source.

    Each reconcile is part of a run of `command`, with the real journal of that command, or of a worker of a job.
    """

    def __init__(self, chance: random.Random, troubles: list[str], changes: int, command: str) -> None:
        self._command = command
        self._clock = ManualClock()
        self._lines = MemoryLines()
        self._store = MemoryStore()
        self._handed_over = dict[Key, None]()
        self.source = FakeSource(script=self._read)
        self.replica = FakeReplica(script=self._write)
        self.journal = self._opened()
        self._chance = chance
        self._troubles = troubles
        self._changes = changes
        self._stream: deque[tuple[Key, State]] = deque()
        self._late: list[Write] = []
        self._older: dict[Key, Image] = {}
        for number in range(KEYS):
            if chance.random() < 0.7:
                self.source.put(item(number, 1))
            if chance.random() < 0.5:
                self.replica.items[key(number)] = item(number, -1)

    def reconcile(self, keys: Iterable[Key], *, is_page: bool = False) -> bool:
        """Return whether the reconcile was completed; if not, the next one continues from the state.

        Before the keys of a page, the source is scanned, and the range of the page can be scanned once more.
        """
        page: dict[str, Any] = (
            {"seen": dict(self.source.items), "rescan": Rescan(0, self._rescan)} if is_page else {}
        )
        journal = composed(self.journal, self._command, FakeBucket())
        pair = ReconcileContext(self.source, self.replica, journal)
        try:
            reconciled = reconcile(keys, pair, deadline=Clock(1e6).deadline(), **page)
        except Killed as killed:
            self._lines.content, self._store.objects = killed.state
            self._clock = self._clock.next_run()
            self.journal = self._opened()
            return False
        for done in reconciled.confirmed:
            self._handed_over.pop(done, None)
        return True

    def unfinished(self) -> Sequence[Key]:
        """Wait until no write can land any more. Return the keys that a next run or a redrive has to reconcile."""
        self._clock.pass_by(self.journal.held()[1])
        while self._late:
            self._land()
        if isinstance(self.journal, StateJournal):
            self.journal.hand_over(lambda keys: self._handed_over.update(dict.fromkeys(keys)))
        return tuple(self._handed_over | dict.fromkeys(self.journal.open_keys()))

    def run_again(self) -> None:
        """End a run regularly, and start the next one."""
        self.journal.rest()
        self._clock = self._clock.next_run()
        self.journal = self._opened()

    def _opened(self) -> FileJournal | StateJournal:
        self._clock.respond()
        if self._command != JOB:
            return FileJournal(self._lines, command=self._command, clock=self._clock)
        owner = Owner.until(self._clock.aws)
        return StateJournal(FencedState.take(self._store, "state", plan="p", owner=owner), clock=self._clock)

    def _killed(self) -> Killed:
        return Killed((self._lines.content, dict(self._store.objects)))

    def drain(self) -> None:
        """Deliver all records of the stream."""
        while self._stream:
            self._deliver()

    def _next_trouble(self) -> str:
        for _ in range(self._chance.randrange(4)):
            self._chance.choice([self._change, self._deliver, self._land])()
        return self._troubles.pop() if self._troubles else "none"

    def _change(self) -> None:
        if self._changes:
            self._changes -= 1
            number = self._chance.randrange(KEYS)
            if (older := self.source.items.pop(key(number), None)) is not None:
                self._older[key(number)] = older
            if self._chance.random() < 0.6:
                self.source.put(item(number, self._changes + 2))
            self._stream.append((key(number), self.source.items.get(key(number))))

    def _deliver(self) -> None:
        if self._stream:
            changed, state = self._stream.popleft()
            self.replica.items.pop(changed, None)
            if state is not None:
                self.replica.items[changed] = dict(state)

    def _land(self) -> None:
        if self._late:
            self.replica.apply(self._late.pop(self._chance.randrange(len(self._late))))

    def _read(self, keys: Sequence[Key]) -> Sequence[Key] | Refusal:
        match self._next_trouble():
            case "throttled":
                return THROTTLED
            case "unprocessed":
                return keys[self._chance.randrange(len(keys)) :]
            case "killed":
                raise self._killed()
            case _:
                return ()

    def _write(self, request: Request) -> Sequence[Write] | Refusal:
        match self._next_trouble():
            case "throttled":
                return THROTTLED
            case "unprocessed":
                return request[self._chance.randrange(len(request)) :]
            case "lost":
                self._apply_some(request)
                return TIMED_OUT
            case "killed":
                self._apply_some(request)
                raise self._killed()
            case _:
                return ()

    def _rescan(self) -> Shown:
        """Scan while the tables change. An item may be left out, or be shown once more with an older image."""
        shown: list[tuple[Key, Image]] = []
        for one in map(key, range(KEYS)):
            if self._chance.random() < 0.1 and self._next_trouble() == "killed":
                raise self._killed()
            if one in self.source.items and self._chance.random() < 0.8:
                shown.append((one, dict(self.source.items[one])))
                if one in self._older and self._chance.random() < 0.5:
                    shown.insert(self._chance.randrange(len(shown) + 1), (one, self._older[one]))
        return shown

    def _apply_some(self, request: Request) -> None:
        """Apply some writes now, and the others later."""
        for write in request:
            self._chance.choice([self.replica.apply, self._late.append])(write)
