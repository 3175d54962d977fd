"""Explore every order in which a function's transform is changed while a command writes to the replica.

A command begins with the earlier transform, or at any later time. It runs the real `reconcile` with its real journal,
reads the function's transform when the real SameTransform says so, and may pause before any step, or be killed. An
invocation of the function may still write with the earlier transform, for as long as AWS lets it. A backfill with the
present one begins when the real `seconds_left` allows it. At the end the replica must hold what the present transform
makes of the source, unless the key is open in a journal or its object is still in the bucket.

Time passes in steps of half a minute. Of an item only a number counts, which the present transform makes larger by ten.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from math import ceil
from typing import Any, Final, NamedTuple, TypeAlias

from ddbreplica.errors import TransformChangedError
from ddbreplica.mapping.last_update import seconds_left
from ddbreplica.model import Key
from ddbreplica.reconcile.journal_format import BACKFILL, REDRIVE
from ddbreplica.reconcile.reconciler import _CheckedJournal
from ddbreplica.transform import same_transform
from ddbreplica.transform.same_transform import SameTransform
from ddbreplica.transform.view import View
from tests.support import journals
from tests.support.breadth_first import Explored, explored
from tests.support.fake_journal import FakeJournal
from tests.support.journals import JOB
from tests.support.redriven import mapping
from tests.support.replay import KEYS, Call, Request, Value, next_request

STEP_SECONDS: Final = 30.0

TIMEOUT_SECONDS: Final = 30
_OLD_INVOCATION_STEPS: Final = 2
"""An update takes effect some seconds after its time; an invocation from before then may last for its timeout."""

_UPDATED_AT: Final = datetime(2026, 11, 30, 12, tzinfo=UTC)
_LONGEST_STEPS: Final = 3
_KEY: Final = (0,)


@dataclass(frozen=True, slots=True)
class Change:
    """A scenario: the source's states of one key, of which the first is older than the stream, and a command."""

    history: tuple[Value, ...]
    command: str
    kills: int = 0
    losses: int = 0


class _Command(NamedTuple):
    """A command at work. `age` counts the steps since it has read the transform; None if it has not.

    `phase` is "new", "working", "written" (after its last write), "done", "failed" or "killed".
    """

    name: str
    journal: journals.Process
    kills: int = 0
    losses: int = 0
    phase: str = "new"
    view: int = 0
    age: int | None = None
    seen: Value = None
    call: Call | None = None
    answers: tuple[Any, ...] = ()
    has_begun_again: bool = False
    has_object: bool = False

    @property
    def is_over(self) -> bool:
        return self.phase in ("new", "done", "failed", "killed")


class _World(NamedTuple):
    """The whole state. `since` counts the steps since the transform was changed; None before that."""

    written: int
    delivered: int
    replica: Value
    command: _Command
    backfill: _Command
    since: int | None = None
    late: tuple[Value, ...] = ()

    @property
    def deployed(self) -> int:
        return int(self.since is not None)


_Step: TypeAlias = tuple[str, _World]


def explore(change: Change) -> Explored:
    """Visit all states in order of their distance, up to the first wrong end state."""
    return explored(
        _start(change), partial(_steps, change), lambda world: _is_over(world) and not _is_well(change, world)
    )


def _start(change: Change) -> _World:
    command = _Command(
        change.command,
        journals.begun(change.command),
        kills=change.kills,
        losses=change.losses,
        has_object=change.command == REDRIVE,
    )
    return _World(0, 0, None, command, _Command(BACKFILL, journals.begun(BACKFILL)))


def _is_over(world: _World) -> bool:
    return world.delivered == world.written and world.command.is_over and world.backfill.phase == "done"


def _is_well(change: Change, world: _World) -> bool:
    is_known = bool(journals.opened(world.command.journal)) or world.command.has_object
    return is_known or world.replica == _through(world.deployed, change.history[world.written])


def _through(view: int, value: Value) -> Value:
    return None if value is None else value + 10 * view


def _steps(change: Change, world: _World) -> Iterator[_Step]:
    yield from _around(change, world)
    for number, value in enumerate(world.late):
        rest = world._replace(late=world.late[:number] + world.late[number + 1 :])
        yield f"late: {value}", rest._replace(replica=value)
    for label, command, changed in _of_command(change, world, world.command):
        yield f"command {label}", changed._replace(command=command)
    if world.backfill.phase != "new" or _may_begin(world):
        for label, backfill, changed in _of_command(change, world, world.backfill):
            yield f"backfill {label}", changed._replace(backfill=backfill)


def _around(change: Change, world: _World) -> Iterator[_Step]:
    """Yield the steps of the source, the function and time."""
    if world.written + 1 < len(change.history):
        value = change.history[world.written + 1]
        yield f"source: {value}", world._replace(written=world.written + 1)
    for place in range(1, world.written + 1):
        for view in _views_of_the_function(world):
            value = _through(view, change.history[place])
            yield f"function: {value}", world._replace(delivered=place, replica=value)
    if world.since is None:
        yield "the transform is changed", world._replace(since=0)
    later = _later(world)
    if later != world:
        yield "half a minute passes", later


def _views_of_the_function(world: _World) -> Sequence[int]:
    if world.since is None:
        return (0,)
    return (0, 1) if world.since <= _OLD_INVOCATION_STEPS else (1,)


def _later(world: _World) -> _World:
    since = world.since
    return world._replace(
        since=None if since is None else min(since + 1, _LONGEST_STEPS),
        command=_aged(world.command),
        backfill=_aged(world.backfill),
    )


def _aged(command: _Command) -> _Command:
    most = ceil(same_transform.CHECK_SECONDS / STEP_SECONDS)
    return command if command.age is None else command._replace(age=min(command.age + 1, most))


def _may_begin(world: _World) -> bool:
    """Return whether a backfill begins: after the change, when the function's last update allows it."""
    if world.since is None:
        return False
    function = replace(mapping(), settings={"Timeout": TIMEOUT_SECONDS}, updated_at=_UPDATED_AT)
    return not seconds_left(function, now=_UPDATED_AT + timedelta(seconds=world.since * STEP_SECONDS))


_Stepped: TypeAlias = Iterator[tuple[str, _Command, _World]]


def _of_command(change: Change, world: _World, command: _Command) -> _Stepped:
    match command.phase:
        case "new":
            yield "begins", command._replace(phase="working", view=world.deployed), world
        case "working" if command.call is None:
            yield from _call(change, world, command)
        case "working":
            yield from _request(change, world, command)
        case "written":
            yield from _finish(world, command)
        case "killed" | "done":
            yield from _run_again(world, command)
    if command.kills and command.phase in ("working", "written"):
        late = _under_way(command)
        yield (
            "is killed",
            command._replace(
                phase="killed",
                kills=command.kills - 1,
                call=None,
                answers=(),
                journal=journals.killed(command.journal),
            ),
            world._replace(late=_sorted((*world.late, *late))),
        )


def _sorted(late: Sequence[Value]) -> tuple[Value, ...]:
    return tuple(sorted(late, key=str))


def _under_way(command: _Command) -> Sequence[Value]:
    if command.call is None:
        return ()
    request = next_request(command.call, command.answers)
    return request.values if request.kind == "write" else ()


def _call(change: Change, world: _World, command: _Command) -> _Stepped:
    """Begin a `reconcile`: a backfill scans the item before it, the others are given its key."""
    keys: tuple[int, ...] = _KEY
    seen: tuple[tuple[int, int], ...] = ()
    if command.name in (BACKFILL, JOB) and not journals.opened(command.journal):
        value = _through(command.view, change.history[world.written])
        seen = () if value is None else ((0, value),)
        keys = () if value is None else keys
    checked = _checked(world, command, lambda same: same.check())
    if checked is None:
        yield "notices the change", _begun_again(world, command), world
    else:
        yield "is about to reconcile", checked._replace(call=Call(keys, seen=seen)), world


def _checked(world: _World, command: _Command, check: Any) -> _Command | None:
    """Return the command after a check of the transform; None if it was changed."""
    age = 0 if command.age is None else command.age
    same = SameTransform(View(str(command.view)), lambda: str(world.deployed), lambda: age * STEP_SECONDS)
    if command.age is not None:
        same._next = same_transform.CHECK_SECONDS
    before = same._next
    try:
        check(same)
    except TransformChangedError:
        return None
    return command if same._next == before else command._replace(age=0)


def _begun_again(world: _World, command: _Command) -> _Command:
    """Return the command as it begins again. A job ends instead: its plan is of the earlier transform."""
    if command.name == JOB or command.has_begun_again:
        return command._replace(
            phase="failed", call=None, answers=(), journal=journals.ended(command.journal, is_late=False)
        )
    return command._replace(
        phase="working", call=None, answers=(), view=world.deployed, age=None, has_begun_again=True
    )


def _request(change: Change, world: _World, command: _Command) -> _Stepped:
    assert command.call is not None
    request = next_request(command.call, command.answers)
    match request.kind:
        case "read":
            value = _through(command.view, change.history[world.written])
            yield f"reads {value}", _answered(command, (value,)), world
        case "write":
            yield from _write(world, command, request)
        case "confirm":
            yield from _confirm(world, command, request)
        case "end":
            yield "has written", command._replace(phase="written", call=None, answers=()), world
        case kind:
            journal = command.journal
            if command.name == JOB and kind == "intend":
                journal, _ = journals.step(journal, "note")
            journal, free = journals.step(journal, kind, request.keys)
            yield kind, _answered(command, free)._replace(journal=journal), world


def _write(world: _World, command: _Command, request: Request) -> _Stepped:
    (value,) = request.values
    yield f"writes {value}", _answered(command, "taken"), world._replace(replica=value)
    if command.losses:
        late = world._replace(late=_sorted((*world.late, value)))
        lost = _answered(command, "timed out")._replace(losses=command.losses - 1)
        yield "gets no response in time", lost, late


def _confirm(world: _World, command: _Command, request: Request) -> _Stepped:
    """Close keys in the journal as the Reconciler does."""
    kept = FakeJournal()
    keys: Sequence[Key] = [KEYS[number] for number in request.keys]
    kept.intend(keys)
    checked = _checked(world, command, lambda same: _CheckedJournal(kept, same.check).confirm(keys))
    if checked is None:
        assert list(kept.opened) == keys
        yield "notices the change before it confirms", _begun_again(world, command), world
    else:
        assert not kept.opened
        journal, _ = journals.step(command.journal, "confirm", request.keys)
        yield "confirms", _answered(checked, None)._replace(journal=journal), world


def _answered(command: _Command, answer: Any) -> _Command:
    return command._replace(answers=(*command.answers, answer))


def _finish(world: _World, command: _Command) -> _Stepped:
    """End, unless the transform was changed: what was written with the earlier one is not done."""
    if _checked(world, command, lambda same: same.check_now()) is None:
        yield "notices the change at its end", _begun_again(world, command), world
        return
    done = command._replace(phase="done")
    if not journals.opened(command.journal):
        done = done._replace(has_object=False)
    yield "is done", done, world


def _run_again(world: _World, command: _Command) -> _Stepped:
    """Run the command again while it has open keys, when no write of them can land any more."""
    if command.name == JOB or not journals.opened(command.journal) or world.late:
        return
    waited, _ = journals.step(command.journal, "wait")
    again = command._replace(
        phase="working", journal=waited, view=world.deployed, age=None, has_begun_again=False
    )
    yield "is run again", again, world
