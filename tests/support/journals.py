"""The real journal of a command in memory, identified by a number: a state file, and the steps since it was opened.

The journal has its lines, and its bucket if the command uses one, in memory. It is replayed from its start for each new
step. So a process can be at any point of its work, and be killed there. Processes without a relevant difference have
the same number. Keys are numbers too.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple, NewType, TypeAlias

from ddbreplica.bucket.quarantine import Quarantine
from ddbreplica.model import Journal, Key, Table
from ddbreplica.reconcile.in_doubt_quarantine import QuarantiningJournal
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.journal_format import BACKFILL
from tests.support.fake_bucket import FakeBucket
from tests.support.memory_state import ManualClock, MemoryLines
from tests.support.replay import KEYS

Process = NewType("Process", int)
"""A run of a command at some point of its work."""

_Step: TypeAlias = tuple[str, tuple[int, ...]]

_SOURCE = Table("arn:aws:dynamodb:us-east-1:123456789012:table/source", "ACTIVE", frozenset())
_MUCH_LATER = 1e6


class _Run(NamedTuple):
    """The first state and the steps of a run. `is_late`: no write of an earlier run can land any more."""

    command: str
    state: bytes = b""
    steps: tuple[_Step, ...] = ()
    is_late: bool = False


class _Seen(NamedTuple):
    """The result of the last step, the open and the held keys, and the current state."""

    answer: frozenset[int]
    opened: frozenset[int]
    held: frozenset[int]
    state: bytes


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


def _numbered(run: _Run) -> tuple[Process, frozenset[int]]:
    seen = _replayed(run)
    next_run = MemoryLines(seen.state)
    FileJournal(next_run, command=run.command, clock=ManualClock())
    same = (run.command, run.is_late, seen.opened, seen.held, next_run.content)
    if same not in _NUMBERS:
        _NUMBERS[same] = Process(len(_RUNS))
        _RUNS.append(run)
        _SEEN.append(seen)
    return _NUMBERS[same], seen.answer


def _replayed(run: _Run) -> _Seen:
    clock = ManualClock()
    clock.pass_by(_MUCH_LATER if run.is_late else 0)
    clock.respond()
    lines = MemoryLines(run.state)
    file = FileJournal(lines, command=run.command, clock=clock)
    bucket = FakeBucket()
    journal = composed(file, run.command, bucket)
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
                file.rest()
            case _:
                clock.pass_by(file.held()[1])
    held = [key for key, hold in file._kept.held.items() if hold.left(clock) > 0]
    return _Seen(_numbers(answer), _numbers(file.open_keys()), _numbers(held), lines.content)


def composed(file: FileJournal, command: str, bucket: FakeBucket) -> Journal:
    """Return the journal as the command composes it."""
    if command == BACKFILL:
        return file
    quarantine = Quarantine("bucket", table="replica", connect=bucket.connect)
    return QuarantiningJournal(file, quarantine, source=_SOURCE, command=command)


def _in_doubt_record(journal: Journal, keys: Sequence[Key], bucket: FakeBucket | None) -> None:
    before = len(bucket.objects) if bucket else 0
    journal.mark_in_doubt(keys)
    assert bucket is None or len(bucket.objects) == before + len(keys), (
        "a run on another machine does not find them"
    )


def _numbers(keys: Sequence[Key]) -> frozenset[int]:
    return frozenset(map(KEYS.index, keys))
