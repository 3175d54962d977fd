"""A small story of a source, its stream and healers → every state that any interleaving of them reaches.

The healers run the real `reconcile`: it is replayed from its start with the answers that it had so far, up to the
first request that has none yet, and that request is then carried out key by key, with any step of anybody else in
between. The stream may deliver any record again at any time, and leave out what a later one supersedes, as long as
it ends with the last. So what holds here holds for every cut, crash and redelivery that Lambda's contract allows.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from typing import Any, NamedTuple, TypeAlias, TypeVar

from ddbreplica.deadline import Deadline
from ddbreplica.decode import key_of
from ddbreplica.model import Key, Kind, Pending, Refusal, State, Table, Write
from ddbreplica.reconcile import Pair, reconcile

Value: TypeAlias = int | None
"""An item that holds this number, or no item."""

_ANSWERS: Mapping[str, Sequence[Write] | Refusal] = {
    "taken": (),
    "broken": Refusal(Kind.TRANSIENT, "ConnectionClosedError", "no answer"),
    "timed out": Refusal(Kind.TRANSIENT, "ReadTimeoutError", "no answer in time", timed_out=True),
}
_FOR_EVER = Deadline(lambda: 1e9, sleep=lambda _: None, jitter=lambda low, _: low)


class Flaw(Enum):
    """One thing done wrong, to see that the explorer finds what comes of it."""

    NO_LAST_READ = auto()
    """What was written is taken for what the source holds."""
    EVENTUAL_LAST_READ = auto()
    """The last read may give what the source held some time before."""
    JOURNAL_LOST = auto()
    """What was open is forgotten when a healer is killed."""
    CURSOR_TOO_EARLY = auto()
    """The cursor passes a page before it was reconciled."""
    SUSPECTS_UNKNOWN = auto()
    """A write that timed out is taken for one that did not reach the replica."""
    NO_PATIENCE = auto()
    """What is held back is tried again while its writes may still land."""
    STREAM_TOO_LATE = auto()
    """A change may be missing from what the stream delivers."""


@dataclass(frozen=True, slots=True)
class Story:
    """What happens. `histories` are the source's states by key: the first is there before the stream is.

    A healer that `scans` reads a page of the source first, and hands it in; one that does not is told the keys.
    Of each healer, so many `kills` and writes of which the answer is lost (`losses`).
    """

    histories: tuple[tuple[Value, ...], ...]
    replica: tuple[Value, ...]
    healers: int = 1
    scans: bool = False
    kills: int = 0
    losses: int = 0
    flaw: Flaw | None = None


@dataclass(frozen=True, slots=True)
class Explored:
    """How many states were reached; and, if an end was, at which the tables differ, the shortest way to it."""

    states: int
    failure: tuple[str, ...] = ()


class _Request(NamedTuple):
    """What `reconcile` asks for next. `values` are those to write or, for a read, those it wrote before.

    At its `end`, the keys are those that were not confirmed.
    """

    kind: str
    keys: tuple[int, ...]
    values: tuple[Value, ...] = ()


class _Call(NamedTuple):
    """The arguments of one `reconcile`."""

    keys: tuple[int, ...]
    seen: tuple[tuple[int, Value], ...] = ()


class _Healer(NamedTuple):
    """A command that heals. `done` is what the request under way has done so far, key by key."""

    kills: int
    losses: int
    has_page: bool
    call: _Call | None = None
    answers: tuple[Any, ...] = ()
    done: tuple[Value, ...] = ()
    opened: frozenset[int] = frozenset()
    held: frozenset[int] = frozenset()

    @property
    def is_idle(self) -> bool:
        return not (self.has_page or self.call or self.opened)


class _World(NamedTuple):
    """Everything that the future depends on; `written` and `delivered` are places in the histories, by key."""

    written: tuple[int, ...]
    delivered: tuple[int, ...]
    replica: tuple[Value, ...]
    healers: tuple[_Healer, ...]
    late: tuple[tuple[int, Value], ...] = ()


_Step: TypeAlias = tuple[str, _World]


def explore(story: Story) -> Explored:
    """Go through all states, the nearest first, up to the first end at which replica and source differ."""
    start = _start(story)
    reached: dict[_World, tuple[str, _World] | None] = {start: None}
    waiting = deque([start])
    while waiting:
        world = waiting.popleft()
        if _is_over(world) and world.replica != _source(story, world):
            return Explored(len(reached), _way_to(world, reached))
        for label, following in _steps(story, world):
            step = (label, world)
            if reached.setdefault(following, step) is step:
                waiting.append(following)
    return Explored(len(reached))


def _start(story: Story) -> _World:
    healer = _Healer(story.kills, story.losses, has_page=True)
    nothing = (0,) * len(story.histories)
    return _World(nothing, nothing, story.replica, (healer,) * story.healers)


def _is_over(world: _World) -> bool:
    """Whether nothing has to happen any more: the writer may stop at any time."""
    return (
        world.delivered == world.written
        and not world.late
        and all(healer.is_idle for healer in world.healers)
    )


def _source(story: Story, world: _World) -> tuple[Value, ...]:
    return tuple(history[place] for history, place in zip(story.histories, world.written, strict=True))


def _way_to(world: _World, reached: Mapping[_World, _Step | None]) -> tuple[str, ...]:
    way: list[str] = []
    step = reached[world]
    while step is not None:
        way.append(step[0])
        step = reached[step[1]]
    return tuple(reversed(way))


def _steps(story: Story, world: _World) -> Iterator[_Step]:
    """Everything that can happen next."""
    yield from _changes(story, world)
    yield from _deliveries(story, world)
    yield from _late_writes(world)
    for number, healer in enumerate(world.healers):
        for label, healed in _heal(story, world, healer):
            healers = _with(world.healers, number, healed.healers[0])
            yield f"healer {number + 1} {label}", healed._replace(healers=healers)


def _changes(story: Story, world: _World) -> Iterator[_Step]:
    for key, place in enumerate(world.written):
        if place + 1 < len(story.histories[key]):
            label = f"source: {_item(key, story.histories[key][place + 1])}"
            written = world._replace(written=_with(world.written, key, place + 1))
            yield label, written
            if story.flaw is Flaw.STREAM_TOO_LATE:
                yield label, written._replace(delivered=written.written)


def _deliveries(story: Story, world: _World) -> Iterator[_Step]:
    for key, written in enumerate(world.written):
        for place in range(1, written + 1):
            value = story.histories[key][place]
            yield (
                f"stream: {_item(key, value)}",
                world._replace(
                    delivered=_with(world.delivered, key, place), replica=_with(world.replica, key, value)
                ),
            )


def _late_writes(world: _World) -> Iterator[_Step]:
    for number, (key, value) in enumerate(world.late):
        rest = world._replace(late=world.late[:number] + world.late[number + 1 :])
        yield f"late: {_item(key, value)}", rest._replace(replica=_with(world.replica, key, value))
        yield f"late: {_item(key, value)} is lost", rest


def _heal(story: Story, world: _World, healer: _Healer) -> Iterator[_Step]:
    """What a healer can do or suffer; the world that is left has it as its only healer."""
    world = world._replace(healers=(healer,))
    if healer.held and (story.flaw is Flaw.NO_PATIENCE or not healer.held & {key for key, _ in world.late}):
        yield "has waited", _healed(world, held=frozenset())
    if healer.call is None:
        yield from _begin(story, world, healer)
    else:
        request = next_request(healer.call, healer.answers)
        yield from _REQUESTS[request.kind](story, world, request)
        if healer.kills:
            yield "is killed", _killed(story, world, request)


def _begin(story: Story, world: _World, healer: _Healer) -> Iterator[_Step]:
    keys = tuple(range(len(story.histories)))
    if healer.has_page and not story.scans:
        yield "begins", _healed(world, call=_Call(keys))
    elif healer.has_page and len(healer.done) < len(keys):
        key = len(healer.done)
        value = _source(story, world)[key]
        yield f"scans {_item(key, value)}", _healed(world, done=(*healer.done, value))
    elif healer.has_page:
        seen = tuple((key, value) for key, value in enumerate(healer.done) if value is not None)
        call = _Call(tuple(key for key, _ in seen), seen)
        has_page = story.flaw is not Flaw.CURSOR_TOO_EARLY
        yield "begins", _healed(world, call=call, done=(), has_page=has_page)
    elif free := healer.opened - healer.held:
        yield "takes up what is open", _healed(world, call=_Call(tuple(sorted(free))))


def _killed(story: Story, world: _World, request: _Request) -> _World:
    (healer,) = world.healers
    opened = frozenset[int]() if story.flaw is Flaw.JOURNAL_LOST else healer.opened
    late = _under_way(healer, request) if request.kind == "write" else ()
    left = healer._replace(kills=healer.kills - 1, call=None, answers=(), done=(), opened=opened, held=opened)
    return world._replace(healers=(left,), late=_sorted((*world.late, *late)))


def _intend(_story: Story, world: _World, request: _Request) -> Iterator[_Step]:
    (healer,) = world.healers
    free = frozenset(request.keys) - healer.held
    yield "opens keys", _answered(world, free, opened=healer.opened | free)


def _suspect(_story: Story, world: _World, request: _Request) -> Iterator[_Step]:
    (healer,) = world.healers
    yield "holds suspects back", _answered(world, None, held=healer.held | frozenset(request.keys))


def _confirm(_story: Story, world: _World, request: _Request) -> Iterator[_Step]:
    (healer,) = world.healers
    yield "confirms", _answered(world, None, opened=healer.opened - frozenset(request.keys))


def _end(_story: Story, world: _World, request: _Request) -> Iterator[_Step]:
    (healer,) = world.healers
    assert healer.call is not None
    assert healer.opened & set(healer.call.keys) == set(request.keys), (
        "what is said is not what the journal has"
    )
    yield "ends", _healed(world, call=None, answers=(), has_page=False)


def _read(story: Story, world: _World, request: _Request) -> Iterator[_Step]:
    (healer,) = world.healers
    place = len(healer.done)
    key = request.keys[place]
    for value in _readable(story, world, key, request.values[place : place + 1]):
        done = (*healer.done, value)
        label = f"reads {_item(key, value)}"
        yield label, _answered(world, done) if len(done) == len(request.keys) else _healed(world, done=done)


def _readable(story: Story, world: _World, key: int, wrote: tuple[Value, ...]) -> Iterable[Value]:
    past = story.histories[key][: world.written[key] + 1]
    if wrote and story.flaw is Flaw.NO_LAST_READ:
        return wrote
    if wrote and story.flaw is Flaw.EVENTUAL_LAST_READ:
        return dict.fromkeys(past)
    return past[-1:]


def _write(story: Story, world: _World, request: _Request) -> Iterator[_Step]:
    (healer,) = world.healers
    under_way = _under_way(healer, request)
    if under_way:
        key, value = under_way[0]
        applied = _healed(world, done=(*healer.done, value))
        yield f"writes {_item(key, value)}", applied._replace(replica=_with(world.replica, key, value))
    else:
        yield "is answered", _answered(world, "taken")
    if healer.losses:
        lost = world._replace(healers=(healer._replace(losses=healer.losses - 1),))
        timed_out = "broken" if story.flaw is Flaw.SUSPECTS_UNKNOWN else "timed out"
        late = _sorted((*world.late, *under_way))
        yield "meets a broken connection", _answered(lost, "broken")
        yield "gives its request up", _answered(lost, timed_out)._replace(late=late)


_REQUESTS = {
    "intend": _intend,
    "read": _read,
    "write": _write,
    "suspect": _suspect,
    "confirm": _confirm,
    "end": _end,
}


def _under_way(healer: _Healer, request: _Request) -> tuple[tuple[int, Value], ...]:
    """The writes of a request that have not been carried out."""
    return tuple(zip(request.keys, request.values, strict=True))[len(healer.done) :]


def _answered(world: _World, answer: Any, **then: Any) -> _World:
    return _healed(world, answers=(*world.healers[0].answers, answer), done=(), **then)


def _healed(world: _World, **then: Any) -> _World:
    return world._replace(healers=(world.healers[0]._replace(**then),))


_T = TypeVar("_T")


def _with(values: tuple[_T, ...], place: int, value: _T) -> tuple[_T, ...]:
    return (*values[:place], value, *values[place + 1 :])


def _sorted(late: Iterable[tuple[int, Value]]) -> tuple[tuple[int, Value], ...]:
    return tuple(sorted(late, key=str))


def _item(key: int, value: Value) -> str:
    return f"{_NAMES[key]} = {value}" if value is not None else f"no {_NAMES[key]}"


_NAMES = "ab"
_KEYS = tuple(key_of({"PK": {"S": name}}) for name in _NAMES)


class _Unanswered(Exception):  # noqa: N818  it is how a replay ends
    def __init__(self, request: _Request) -> None:
        self.request = request


@cache
def next_request(call: _Call, answers: tuple[Any, ...]) -> _Request:
    """Replay a `reconcile` with the answers it has had, and see what it asks for."""
    script = _Script(answers)
    seen = {_KEYS[key]: _state(key, value) for key, value in call.seen}
    try:
        result = reconcile(
            [_KEYS[key] for key in call.keys],
            Pair(script, script, script),
            deadline=_FOR_EVER,
            seen=seen,
        )
    except _Unanswered as unanswered:
        return unanswered.request
    assert not result.refused
    assert not result.failed
    return _Request("end", _numbers([*result.changing, *result.suspects]))


class _Script:
    """Source, replica and journal of one replay."""

    def __init__(self, answers: Iterable[Any]) -> None:
        self._answers = iter(answers)
        self._written: dict[int, Value] = {}

    def read_batch(self, keys: Sequence[Key]) -> Mapping[Key, State]:
        numbers = _numbers(keys)
        written = tuple(self._written[key] for key in numbers if key in self._written)
        values = self._ask("read", keys, written)
        return {_KEYS[key]: _state(key, value) for key, value in zip(numbers, values, strict=True)}

    def start_batch(self, writes: Sequence[Write]) -> Pending:
        values = tuple(_value(write.change.image) for write in writes)
        keys = [write.change.key for write in writes]
        answer = self._ask("write", keys, values)
        self._written |= zip(_numbers(keys), values, strict=True)
        return lambda: _ANSWERS[answer]

    def start_one(self, write: Write) -> Pending:
        raise AssertionError("nothing is rejected here")

    def describe(self, *, afresh: bool = False) -> Table | Refusal:
        raise AssertionError("nobody looks at the table")

    def intend(self, keys: Sequence[Key]) -> Sequence[Key]:
        free = self._ask("intend", keys)
        return [key for key, number in zip(keys, _numbers(keys), strict=True) if number in free]

    def suspect(self, keys: Sequence[Key]) -> None:
        self._ask("suspect", keys)

    def confirm(self, keys: Sequence[Key]) -> None:
        if keys:
            self._ask("confirm", keys)

    def _ask(self, kind: str, keys: Sequence[Key], values: tuple[Value, ...] = ()) -> Any:
        for answer in self._answers:
            return answer
        raise _Unanswered(_Request(kind, _numbers(keys), values))


def _numbers(keys: Sequence[Key]) -> tuple[int, ...]:
    return tuple(_KEYS.index(key) for key in keys)


def _state(key: int, value: Value) -> State:
    return None if value is None else {"PK": {"S": _NAMES[key]}, "v": {"N": str(value)}}


def _value(state: State) -> Value:
    return None if state is None else int(state["v"]["N"])
