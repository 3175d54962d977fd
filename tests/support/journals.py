"""The real journal of a command or a worker in memory, identified by a number: its state, and the steps since then.

The journal has its lines or its object, and its bucket if it uses one, in memory. It is replayed from its start for
each new step. So a process can be at any point of its work, and be killed there. Processes without a relevant
difference have the same number. Keys are numbers too.
"""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple, NewType, Protocol, TypeAlias

from ddbreplica.bucket.quarantine import Quarantine
from ddbreplica.jobs.state.fenced_state import FencedState, Owner
from ddbreplica.jobs.state.journal import StateJournal
from ddbreplica.model import Journal, Key, Table
from ddbreplica.reconcile.in_doubt_quarantine import QuarantiningJournal
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.journal_format import BACKFILL
from tests.support.fake_bucket import FakeBucket
from tests.support.memory_state import ManualClock, MemoryLines
from tests.support.memory_store import MemoryStore
from tests.support.replay import KEYS

Process = NewType("Process", int)
"""A run of a command at some point of its work."""

_Step: TypeAlias = tuple[str, tuple[int, ...]]

JOB = "job"
"""In place of a command: a worker of a backfill inside AWS. Each run takes the state of the run before."""

_SOURCE = Table("arn:aws:dynamodb:us-east-1:123456789012:table/source", "ACTIVE", frozenset())
_MUCH_LATER = 1e6
_STATE = "state"
_INVOCATION_SECONDS = 600.0


class _Run(NamedTuple):
    """The first state and the steps of a run. `is_late`: no write of an earlier run can land any more."""

    command: str
    state: bytes = b""
    steps: tuple[_Step, ...] = ()
    is_late: bool = False


class _Seen(NamedTuple):
    """The result of the last step, the open and the held keys, the current state, and what else makes a difference."""

    answer: frozenset[int]
    opened: frozenset[int]
    held: frozenset[int]
    state: bytes
    difference: Any


_RUNS: list[_Run] = []
_SEEN: list[_Seen] = []
_NUMBERS: dict[tuple[Any, ...], Process] = {}


@cache
def begun(command: str) -> Process:
    """Return the first run of a command."""
    return _numbered(_Run(command))[0]


def opened(process: Process) -> frozenset[int]:
    """Return the open keys."""
    return _SEEN[process].opened


def held(process: Process) -> frozenset[int]:
    """Return the keys that are held because their writes may still land."""
    return _SEEN[process].held


def state(process: Process) -> bytes:
    """Return the state as it is stored."""
    return _SEEN[process].state


def is_done(process: Process) -> bool:
    """Return whether a worker's state says that the page is done."""
    return bool(json.loads(state(process))["content"]["progress"])


@cache
def step(process: Process, kind: str, keys: tuple[int, ...] = ()) -> tuple[Process, frozenset[int]]:
    """Perform one step, and return its result. `wait` lasts until no key is held."""
    run = _RUNS[process]
    return _numbered(run._replace(steps=(*run.steps, (kind, keys))))


@cache
def killed(process: Process) -> Process:
    """Return the next run, started right after this one was killed."""
    return _numbered(_Run(_RUNS[process].command, _SEEN[process].state))[0]


@cache
def ended(process: Process, *, is_late: bool) -> Process:
    """Return the next run, started right after this one ended, or when no write of it can land any more."""
    run = _RUNS[process]
    state = _replayed(run._replace(steps=(*run.steps, ("rest", ())))).state
    return _numbered(_Run(run.command, state, is_late=is_late))[0]


def forget() -> None:
    """Forget all processes, since the code of a journal has changed."""
    for each in (begun, step, killed, ended):
        each.cache_clear()
    for numbered in (_RUNS, _SEEN, _NUMBERS):
        numbered.clear()


def _numbered(run: _Run) -> tuple[Process, frozenset[int]]:
    seen = _replayed(run)
    same = (run.command, run.is_late, seen.opened, seen.held, seen.difference)
    if same not in _NUMBERS:
        _NUMBERS[same] = Process(len(_RUNS))
        _RUNS.append(run)
        _SEEN.append(seen)
    return _NUMBERS[same], seen.answer


class _Kept(Protocol):
    """A journal, and what the explorer asks about it."""

    @property
    def journal(self) -> FileJournal | StateJournal: ...

    def opened(self) -> Sequence[Key]: ...

    def held(self) -> Sequence[Key]: ...

    def state(self) -> bytes: ...

    def difference(self) -> Any: ...


class _OfCommand:
    """The journal of a command, on the lines of a state file."""

    def __init__(self, run: _Run, clock: ManualClock) -> None:
        self._command = run.command
        self._clock = clock
        self._lines = MemoryLines(run.state)
        self.journal = FileJournal(self._lines, command=run.command, clock=clock)

    def opened(self) -> Sequence[Key]:
        return self.journal.open_keys()

    def held(self) -> Sequence[Key]:
        return [key for key, hold in self.journal._kept.held.items() if hold.left(self._clock) > 0]

    def state(self) -> bytes:
        return self._lines.content

    def difference(self) -> Any:
        """Return the state as the next run reads it."""
        next_run = MemoryLines(self.state())
        FileJournal(next_run, command=self._command, clock=ManualClock())
        return next_run.content


class _OfWorker:
    """The journal of a worker, in the state that it took from an earlier owner."""

    def __init__(self, run: _Run, clock: ManualClock) -> None:
        self._clock = clock
        self._store = MemoryStore()
        if run.state:
            earlier = json.loads(run.state)
            self._take("earlier").save(earlier["content"], at_rest=earlier["at_rest"])
        self.journal = StateJournal(self._take("present"), clock=clock)
        if not run.state:
            self.journal.rest()

    def opened(self) -> Sequence[Key]:
        return [*self.journal.open_keys(), *self.journal._predecessors]

    def held(self) -> Sequence[Key]:
        return [key for key in self.opened() if self.journal._free_at(key) > self.journal._now]

    def state(self) -> bytes:
        document = json.loads(self._store.objects[_STATE])
        return json.dumps({name: document[name] for name in ("at_rest", "content")}).encode()

    def difference(self) -> Any:
        """Return the state, and what the worker knows beyond it."""
        keys = frozenset(self.journal.open_keys()), frozenset(self.journal._predecessors)
        return self.state(), self.journal.progress, self.journal._is_at_rest, *keys

    def _take(self, nonce: str) -> FencedState:
        owner = Owner(nonce, self._clock.aws + _INVOCATION_SECONDS)
        return FencedState.take(self._store, _STATE, plan="plan", owner=owner)


def _replayed(run: _Run) -> _Seen:
    clock = ManualClock()
    clock.pass_by(_MUCH_LATER if run.is_late else 0)
    clock.respond()
    kept: _Kept = _OfWorker(run, clock) if run.command == JOB else _OfCommand(run, clock)
    bucket = FakeBucket()
    journal = composed(kept.journal, run.command, bucket)
    answer: Sequence[Key] = ()
    for kind, numbers in run.steps:
        keys = [KEYS[number] for number in numbers]
        match kind:
            case "intend":
                answer = journal.intend(keys)
            case "suspect":
                _in_doubt_record(journal, keys, None if run.command == BACKFILL else bucket)
            case "confirm":
                journal.confirm(keys)
            case "rest":
                kept.journal.rest()
            case "note":
                assert isinstance(kept.journal, StateJournal)
                kept.journal.note(True)
            case _:
                clock.pass_by(kept.journal.held()[1])
    return _Seen(
        _numbers(answer), _numbers(kept.opened()), _numbers(kept.held()), kept.state(), kept.difference()
    )


def composed(kept: FileJournal | StateJournal, command: str, bucket: FakeBucket) -> Journal:
    """Return the journal as the command or the worker composes it."""
    if command == BACKFILL:
        return kept
    quarantine = Quarantine("bucket", table="replica", connect=bucket.connect)
    return QuarantiningJournal(kept, quarantine, source=_SOURCE, command=command)


def _in_doubt_record(journal: Journal, keys: Sequence[Key], bucket: FakeBucket | None) -> None:
    before = len(bucket.objects) if bucket else 0
    journal.mark_in_doubt(keys)
    assert bucket is None or len(bucket.objects) == before + len(keys), (
        "a run on another machine does not find them"
    )


def _numbers(keys: Sequence[Key]) -> frozenset[int]:
    return frozenset(map(KEYS.index, keys))
