"""Explore every state that a source, its stream and reconcilers can reach in any order of their steps.

The reconcilers run the real `reconcile` with the real journal of their command (`journals`). Each step replays it from
its start with the responses so far, up to the first request without a response. That request is then performed key by
key, and others may act between two keys. The writes in progress of a killed reconciler may land later, at any time
until AWS would reject them. The stream may deliver any record again at any time, and may skip a record before a later
one, but delivers the last one at the end. So a result covers every batch, crash and redelivery that Lambda's contract
allows.

A scan that confirms a page shows each key's present item, in the order of the keys. But it may leave out any item, and
may show it once more with an older image, before or after the present one.

A worker inside AWS may also be replaced. It does not learn of that, and goes on with the keys that it has opened, until
its deadline at the latest. Its writes may land as late as those of one that was killed.

For an archive, the stream only leaves out that an item expired; it still delivers the image before that.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from ddbreplica.reconcile.journal_format import BACKFILL, REDRIVE, VERIFY
from tests.support import journals
from tests.support.breadth_first import Explored, explored
from tests.support.journals import JOB
from tests.support.replay import NAMES, Call, Request, Value, next_request

EXPIRED: Final = 0
"""In the history of an archive's source: the item has expired. None is a delete that the stream delivers."""


class Flaw(Enum):
    """A deliberate error, to test that the explorer finds its consequences."""

    NO_LAST_READ = auto()
    """The written values are used as the result of the last read of the source."""
    EVENTUAL_LAST_READ = auto()
    """The last read is eventually consistent."""
    RESCAN_BEFORE_THE_WRITES = auto()
    """The scan that confirms a page begins before the last response to a write of the page."""
    EVENTUAL_RESCAN = auto()
    """The scan that confirms a page is eventually consistent."""
    NOT_SHOWN_IS_UNCHANGED = auto()
    """An item that this scan does not show is confirmed."""
    NOT_SHOWN_IS_ABSENT = auto()
    """An item that this scan does not show counts as deleted or expired."""
    LAST_SHOWN_COUNTS = auto()
    """Of an item that this scan shows several times, only the last image counts."""
    JOURNAL_IN_MEMORY = auto()
    """A killed reconciler loses its open keys."""
    ALWAYS_AT_REST = auto()
    """A killed run is recorded as one that ended regularly."""
    CURSOR_TOO_EARLY = auto()
    """The checkpoint moves past a page before the page is reconciled."""
    SUSPECTS_UNKNOWN = auto()
    """A write that timed out is treated as a write that was not sent."""
    NO_PATIENCE = auto()
    """A held key is retried while its writes may still land."""
    DEADLINE_IGNORED = auto()
    """A held key is retried while a worker that was replaced may still write it."""
    STREAM_TOO_LATE = auto()
    """The stream may leave out a change."""
    ABSENCE_DELETES = auto()
    """An archive is reconciled like a replica that is no archive."""
    ABSENCE_CONFIRMS = auto()
    """An undecided key counts as confirmed."""
    EXPIRY_SUPERSEDES = auto()
    """An expiry is left out together with the earlier changes of its key in the batch."""


@dataclass(frozen=True, slots=True)
class Story:
    """A scenario to explore. `histories` are the source's states by key; the first is older than the stream.

    A `backfill` first scans a page of the source, and confirms it by one more scan, or `by_key`. A `job` does
    the same as a worker inside AWS, which may be replaced wherever it may be killed. A `redrive` gets the keys from
    objects, which stay until all keys are confirmed. A `verify` first reads both tables, in each run. `kills` and
    `losses` limit how often each reconciler is killed, and how many of its writes get no response.
    """

    histories: tuple[tuple[Value, ...], ...]
    replica: tuple[Value, ...]
    reconcilers: int = 1
    command: str = REDRIVE
    kills: int = 0
    losses: int = 0
    by_key: bool = False
    is_archive: bool = False
    flaw: Flaw | None = None

    @property
    def begun(self) -> Call:
        """Return a `reconcile` without keys."""
        return Call((), is_archive=self.is_archive and self.flaw is not Flaw.ABSENCE_DELETES)


class _Reconciler(NamedTuple):
    """A command that reconciles. `done` has the results of the current request so far, key by key."""

    kills: int
    losses: int
    has_page: bool
    journal: journals.Process
    call: Call | None = None
    answers: tuple[Any, ...] = ()
    done: tuple[Any, ...] = ()

    @property
    def opened(self) -> frozenset[int]:
        return journals.opened(self.journal)

    @property
    def held(self) -> frozenset[int]:
        return journals.held(self.journal)

    @property
    def is_idle(self) -> bool:
        return not (self.has_page or self.call or self.opened)


class _World(NamedTuple):
    """The whole state. `written` and `delivered` are positions in the histories, by key.

    `replaced` are workers that no longer own their state, and go on. For an archive, `certain` and `undecided` are the
    keys that a reconciler has reported so.
    """

    written: tuple[int, ...]
    delivered: tuple[int, ...]
    replica: tuple[Value, ...]
    reconcilers: tuple[_Reconciler, ...]
    late: tuple[tuple[int, Value], ...] = ()
    replaced: tuple[_Reconciler, ...] = ()
    certain: frozenset[int] = frozenset()
    undecided: frozenset[int] = frozenset()


_Step: TypeAlias = tuple[str, _World]


def explore(story: Story) -> Explored:
    """Visit all states in order of their distance, up to the first wrong end state."""
    return explored(
        _start(story), partial(_steps, story), lambda world: _is_over(world) and not _is_well(story, world)
    )


def _start(story: Story) -> _World:
    reconciler = _Reconciler(story.kills, story.losses, has_page=True, journal=journals.begun(story.command))
    nothing = (0,) * len(story.histories)
    return _World(nothing, nothing, story.replica, (reconciler,) * story.reconcilers)


def _is_over(world: _World) -> bool:
    """Return whether no step is required any more; the writer may stop at any time."""
    return (
        world.delivered == world.written
        and not world.late
        and not world.replaced
        and all(reconciler.is_idle for reconciler in world.reconcilers)
    )


def _is_well(story: Story, world: _World) -> bool:
    """Return whether the replica equals the source, or the archive is right for all keys reported as certain.

    A key may be certain for one reconciler and undecided for another. It was reported then, and requires attention.
    """
    if not story.is_archive:
        return world.replica == _source(story, world)
    archived = _archived(story, world)
    return all(world.replica[key] == archived[key] for key in world.certain - world.undecided)


def _source(story: Story, world: _World) -> tuple[Value, ...]:
    return tuple(_present(past[-1]) for past in _pasts(story, world))


def _archived(story: Story, world: _World) -> tuple[Value, ...]:
    """Return what an archive must contain: the source, and the last image of each expired item."""
    return tuple([value for value in past if value != EXPIRED][-1] for past in _pasts(story, world))


def _pasts(story: Story, world: _World) -> Iterator[tuple[Value, ...]]:
    return (history[: place + 1] for history, place in zip(story.histories, world.written, strict=True))


def _present(value: Value) -> Value:
    """Return what a read returns."""
    return None if value == EXPIRED else value


def _steps(story: Story, world: _World) -> Iterator[_Step]:
    """Yield all possible next steps."""
    yield from _changes(story, world)
    yield from _deliveries(story, world)
    yield from _late_writes(world)
    for number, reconciler in enumerate(world.reconcilers):
        for label, reconciled in _reconcile(story, world, reconciler):
            reconcilers = _with(world.reconcilers, number, reconciled.reconcilers[0])
            yield f"reconciler {number + 1} {label}", reconciled._replace(reconcilers=reconcilers)
    for number, reconciler in enumerate(world.replaced):
        others = world.replaced[:number] + world.replaced[number + 1 :]
        for label, stepped in _go_on(story, world._replace(reconcilers=(reconciler,))):
            left = stepped._replace(reconcilers=world.reconcilers, replaced=(*others, *stepped.reconcilers))
            yield f"replaced worker {label}", left


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
            label = f"stream: {_item(key, value)}"
            delivered = world._replace(delivered=_with(world.delivered, key, place))
            if value != EXPIRED:
                yield label, delivered._replace(replica=_with(world.replica, key, value))
            elif story.flaw is Flaw.EXPIRY_SUPERSEDES or world.delivered[key] == place - 1:
                yield label, delivered


def _late_writes(world: _World) -> Iterator[_Step]:
    for number, (key, value) in enumerate(world.late):
        rest = world._replace(late=world.late[:number] + world.late[number + 1 :])
        yield f"late: {_item(key, value)}", rest._replace(replica=_with(world.replica, key, value))
        yield f"late: {_item(key, value)} is lost", rest


def _reconcile(story: Story, world: _World, reconciler: _Reconciler) -> Iterator[_Step]:
    """Yield the next steps of one reconciler, as worlds with this reconciler only."""
    world = world._replace(reconcilers=(reconciler,))
    if reconciler.held:
        yield from _wait(story, world, reconciler)
    if reconciler.call is None:
        yield from _begin(story, world, reconciler)
    else:
        request = next_request(reconciler.call, reconciler.answers)
        yield from _REQUESTS[request.kind](story, world, request)
        if reconciler.kills:
            yield "is killed", _killed(story, world, request)
            if story.command == JOB:
                yield "is replaced", _replaced(story, world)


def _go_on(story: Story, world: _World) -> Iterator[_Step]:
    """Yield the next steps of a worker that was replaced. A world without a reconciler is one where it has stopped."""
    (reconciler,) = world.reconcilers
    stopped = world._replace(reconcilers=())
    if reconciler.call is None:
        yield "stops", stopped
        if free := reconciler.opened - reconciler.held:
            yield (
                "continues with its keys",
                _reconciled(world, call=story.begun._replace(keys=tuple(sorted(free)))),
            )
        return
    request = next_request(reconciler.call, reconciler.answers)
    late = _under_way(reconciler, request) if request.kind == "write" else ()
    yield "reaches its deadline", stopped._replace(late=_sorted((*world.late, *late)))
    for label, following in _REQUESTS[request.kind](story, world, request):
        saves = journals.state(following.reconcilers[0].journal) != journals.state(reconciler.journal)
        yield label, stopped if saves else following


def _replaced(story: Story, world: _World) -> _World:
    (reconciler,) = world.reconcilers
    successor = _killed(story, world, Request("none", ()))
    return successor._replace(
        replaced=(*world.replaced, reconciler._replace(kills=0, losses=0, has_page=False))
    )


def _wait(story: Story, world: _World, reconciler: _Reconciler) -> Iterator[_Step]:
    """Continue when no write of a held key can land any more, in this run or the next; or start the next run now."""
    late = {key for key, _ in world.late} if story.flaw is not Flaw.NO_PATIENCE else set()
    if story.flaw is not Flaw.DEADLINE_IGNORED:
        late.update(*(each.opened for each in world.replaced))
    can_land = reconciler.held & late
    if not can_land:
        yield "has waited", _reconciled(world, journal=journals.step(reconciler.journal, "wait")[0])
    if reconciler.call is None:
        has_page = reconciler.has_page or story.command == VERIFY
        yield (
            "is run again",
            _reconciled(
                world, journal=journals.ended(reconciler.journal, is_late=False), has_page=has_page, done=()
            ),
        )
        if not can_land:
            later = journals.ended(reconciler.journal, is_late=True)
            yield "is run again later", _reconciled(world, journal=later, has_page=has_page, done=())


def _begin(story: Story, world: _World, reconciler: _Reconciler) -> Iterator[_Step]:
    keys = tuple(range(len(story.histories)))
    if reconciler.has_page and story.command == REDRIVE:
        yield "begins", _reconciled(world, call=story.begun._replace(keys=keys))
    elif reconciler.has_page and story.command == VERIFY:
        yield from _look(story, world, reconciler)
    elif reconciler.has_page and len(reconciler.done) < len(keys):
        key = len(reconciler.done)
        value = _source(story, world)[key]
        yield f"scans {_item(key, value)}", _reconciled(world, done=(*reconciler.done, value))
    elif reconciler.has_page:
        seen = tuple((key, value) for key, value in enumerate(reconciler.done) if value is not None)
        call = story.begun._replace(
            keys=tuple(key for key, _ in seen),
            seen=seen,
            may_rescan=not story.by_key,
            is_early=story.flaw is Flaw.RESCAN_BEFORE_THE_WRITES,
        )
        has_page = story.flaw is not Flaw.CURSOR_TOO_EARLY
        yield "begins", _reconciled(world, call=call, done=(), has_page=has_page)
    elif free := reconciler.opened - reconciler.held:
        yield (
            "continues with the open keys",
            _reconciled(world, call=story.begun._replace(keys=tuple(sorted(free)))),
        )


def _look(story: Story, world: _World, reconciler: _Reconciler) -> Iterator[_Step]:
    """Compare source and replica, key by key, and reconcile the keys that differ."""
    keys = range(len(story.histories))
    key, is_replica = divmod(len(reconciler.done), 2)
    if key in keys:
        value = (world.replica if is_replica else _source(story, world))[key]
        yield f"compares {_item(key, value)}", _reconciled(world, done=(*reconciler.done, value))
        return
    pairs = zip(keys, reconciler.done[::2], reconciler.done[1::2], strict=True)
    differing = tuple(
        k for k, theirs, ours in pairs if theirs != ours and not (story.begun.is_archive and theirs is None)
    )
    if differing:
        yield "finds differences", _reconciled(world, call=story.begun._replace(keys=differing), done=())
    else:
        yield "finds no difference", _reconciled(world, done=(), has_page=False)


def _killed(story: Story, world: _World, request: Request) -> _World:
    (reconciler,) = world.reconcilers
    match story.flaw:
        case Flaw.JOURNAL_IN_MEMORY:
            journal = journals.begun(story.command)
        case Flaw.ALWAYS_AT_REST:
            journal = journals.ended(reconciler.journal, is_late=False)
        case _:
            journal = journals.killed(reconciler.journal)
    late = _under_way(reconciler, request) if request.kind == "write" else ()
    has_page = reconciler.has_page or story.command == VERIFY
    if story.command == JOB:
        has_page = not journals.is_done(journal)
    left = reconciler._replace(
        kills=reconciler.kills - 1, call=None, answers=(), done=(), journal=journal, has_page=has_page
    )
    return world._replace(reconcilers=(left,), late=_sorted((*world.late, *late)))


def _intend(story: Story, world: _World, request: Request) -> Iterator[_Step]:
    if story.command == JOB:
        # The save that opens the keys of a page has the position behind it.
        journal, _ = journals.step(world.reconcilers[0].journal, "note")
        world = _reconciled(world, journal=journal)
    journal, free = _journalled(world, request)
    yield "opens keys", _answered(world, free, journal=journal)


def _in_doubt_record(_story: Story, world: _World, request: Request) -> Iterator[_Step]:
    journal, _ = _journalled(world, request)
    yield "holds in-doubt keys", _answered(world, None, journal=journal)


def _confirm(story: Story, world: _World, request: Request) -> Iterator[_Step]:
    keys = frozenset(request.keys)
    said = world._replace(certain=world.certain | keys) if story.is_archive else world
    journal, _ = _journalled(world, request)
    yield "confirms", _answered(said, None, journal=journal)


def _journalled(world: _World, request: Request) -> tuple[journals.Process, frozenset[int]]:
    return journals.step(world.reconcilers[0].journal, request.kind, request.keys)


def _end(story: Story, world: _World, request: Request) -> Iterator[_Step]:
    """Report and close the undecided keys. Also close keys that an object or the next run still contains."""
    (reconciler,) = world.reconcilers
    assert reconciler.call is not None
    assert reconciler.opened & set(reconciler.call.keys) == set(request.keys), (
        "the reported keys differ from the journal's"
    )
    pasts = tuple(_pasts(story, world))
    assert all({None, EXPIRED} & set(pasts[key]) for key in request.undecided), (
        "the item existed all the time"
    )
    what = "certain" if story.flaw is Flaw.ABSENCE_CONFIRMS else "undecided"
    said = world._replace(**{what: getattr(world, what) | request.undecided})
    label = "ends, undecided" if request.undecided else "ends"
    is_found_again = story.command not in (BACKFILL, JOB)
    closed = request.undecided | (request.changing if is_found_again else frozenset())
    journal = reconciler.journal
    if closed:
        journal, _ = journals.step(journal, "confirm", tuple(sorted(closed)))
    has_page = is_found_again and bool(set(request.keys) - request.undecided)
    yield label, _reconciled(said, call=None, answers=(), has_page=has_page, journal=journal)


def _read(story: Story, world: _World, request: Request) -> Iterator[_Step]:
    (reconciler,) = world.reconcilers
    place = len(reconciler.done)
    key = request.keys[place]
    for value in _readable(story, world, key, request.values[place : place + 1]):
        done = (*reconciler.done, value)
        label = f"reads {_item(key, value)}"
        yield (
            label,
            _answered(world, done) if len(done) == len(request.keys) else _reconciled(world, done=done),
        )


def _readable(story: Story, world: _World, key: int, wrote: tuple[Value, ...]) -> Iterable[Value]:
    past = [_present(value) for value in story.histories[key][: world.written[key] + 1]]
    if wrote and story.flaw is Flaw.NO_LAST_READ:
        return wrote
    if wrote and story.flaw is Flaw.EVENTUAL_LAST_READ:
        return dict.fromkeys(past)
    return past[-1:]


def _rescan(story: Story, world: _World, request: Request) -> Iterator[_Step]:
    """Show the next key of a page, or leave it out."""
    (reconciler,) = world.reconcilers
    place = len(reconciler.done)
    key = request.keys[place]
    past = [_present(value) for value in story.histories[key][: world.written[key] + 1]]
    for values in _showings(past, is_eventual=story.flaw is Flaw.EVENTUAL_RESCAN):
        label = (
            " and ".join(f"shows {_item(key, value)}" for value in values) or f"does not show {NAMES[key]}"
        )
        done = (*reconciler.done, _flawed(story.flaw, values, request.values[place]))
        yield (
            label,
            _answered(world, done) if len(done) == len(request.keys) else _reconciled(world, done=done),
        )


def _showings(past: Sequence[Value], *, is_eventual: bool) -> Iterable[tuple[Value, ...]]:
    """Return what a scan may show of a key with these states: its image once or twice, or nothing."""
    images = dict.fromkeys(value for value in past if value is not None)
    if is_eventual:
        return [(), *((image,) for image in images)]
    if past[-1] is None:
        return [()]
    present = past[-1]
    older = [image for image in images if image != present]
    return [(present,), (), *((present, image) for image in older), *((image, present) for image in older)]


def _flawed(flaw: Flaw | None, values: tuple[Value, ...], wrote: Value) -> tuple[Value, ...]:
    """Return what a flawed `reconcile` makes of the values that are shown of a key."""
    match flaw:
        case Flaw.NOT_SHOWN_IS_UNCHANGED:
            return values or (wrote,)
        case Flaw.NOT_SHOWN_IS_ABSENT:
            return values or (None,)
        case Flaw.LAST_SHOWN_COUNTS:
            return values[-1:]
        case _:
            return values


def _write(story: Story, world: _World, request: Request) -> Iterator[_Step]:
    (reconciler,) = world.reconcilers
    under_way = _under_way(reconciler, request)
    if under_way:
        key, value = under_way[0]
        applied = _reconciled(world, done=(*reconciler.done, value))
        yield f"writes {_item(key, value)}", applied._replace(replica=_with(world.replica, key, value))
    else:
        yield "gets a response", _answered(world, "taken")
    if reconciler.losses:
        lost = world._replace(reconcilers=(reconciler._replace(losses=reconciler.losses - 1),))
        timed_out = "broken" if story.flaw is Flaw.SUSPECTS_UNKNOWN else "timed out"
        late = _sorted((*world.late, *under_way))
        yield "cannot connect", _answered(lost, "broken")
        yield "gets no response in time", _answered(lost, timed_out)._replace(late=late)


_REQUESTS = {
    "intend": _intend,
    "read": _read,
    "rescan": _rescan,
    "write": _write,
    "suspect": _in_doubt_record,
    "confirm": _confirm,
    "end": _end,
}


def _under_way(reconciler: _Reconciler, request: Request) -> tuple[tuple[int, Value], ...]:
    """Return the writes of a request that have not been performed."""
    return tuple(zip(request.keys, request.values, strict=True))[len(reconciler.done) :]


def _answered(world: _World, answer: Any, **then: Any) -> _World:
    return _reconciled(world, answers=(*world.reconcilers[0].answers, answer), done=(), **then)


def _reconciled(world: _World, **then: Any) -> _World:
    return world._replace(reconcilers=(world.reconcilers[0]._replace(**then),))


_T = TypeVar("_T")


def _with(values: tuple[_T, ...], place: int, value: _T) -> tuple[_T, ...]:
    return (*values[:place], value, *values[place + 1 :])


def _sorted(late: Iterable[tuple[int, Value]]) -> tuple[tuple[int, Value], ...]:
    return tuple(sorted(late, key=str))


def _item(key: int, value: Value) -> str:
    if value == EXPIRED:
        return f"{NAMES[key]} expires"
    return f"{NAMES[key]} = {value}" if value is not None else f"no {NAMES[key]}"
