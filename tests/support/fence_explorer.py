"""Explore every state that the workers of one segment can reach in any order of their requests.

The workers run the real FencedState. Each step replays a worker from its start with the responses so far, up to the
first request without a response. Workers are never told that they were replaced: one that was goes on at any time. A
write may get no response, whether it is stored, is not, or is stored later; it may be refused as a race; and the job
may be removed. The ETag is the hash of the content.

A worker compares items in pages of its own size. For each page it writes a part under a name, and lists it in the state
with the position of the next item. So the result is right if the listed parts have each item once.
"""

import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from ddbreplica.bucket.store import Conflict, Stored
from ddbreplica.errors import TaskError
from ddbreplica.jobs.state.fenced_state import FencedState, Owner, SupersededError
from tests.support.breadth_first import way_to
from tests.support.memory_store import etag_of

ITEMS = 2
"""The number of items of the segment."""

_NAME = "state"
_DEADLINES = (900.0, 800.0, 1000.0)
"""When the workers have to end. The second one has to end before the first one."""


@dataclass(frozen=True, slots=True)
class Story:
    """A scenario to explore: the page sizes of the workers, and how many writes go wrong.

    The job may be removed once if it `is_removed`. Two errors that the explorer has to find: if it `shares_names`, the
    parts of all workers have the same names; if it `shares_owner`, all workers have the same nonce and deadline.
    """

    pages: tuple[int, ...] = (2, 1)
    faults: int = 1
    is_removed: bool = False
    shares_names: bool = False
    shares_owner: bool = False


@dataclass(frozen=True, slots=True)
class Explored:
    """The number of states, how workers ended, and the shortest path to a wrong state, if there is one."""

    states: int
    ends: frozenset[str] = frozenset()
    failure: tuple[str, ...] = ()


class _Request(NamedTuple):
    """A request of a worker: `read`, `create`, `replace`, or `part`."""

    kind: str
    worker: int
    name: str = _NAME
    body: bytes = b""
    etag: str = ""


class _World(NamedTuple):
    """The whole state. `owners` have written the state, in this order. `parts` are the items by the name of a part."""

    body: bytes | None
    workers: tuple[tuple[Any, ...], ...]
    faults: int
    late: tuple[_Request, ...] = ()
    owners: tuple[int, ...] = ()
    parts: frozenset[tuple[str, tuple[int, ...]]] = frozenset()
    is_removed: bool = False


_Step: TypeAlias = tuple[str, _World]


class _Unanswered(Exception):  # noqa: N818  it is how a replay ends
    def __init__(self, request: _Request) -> None:
        self.request = request


class _Wrong(Exception):  # noqa: N818  it is what the explorer looks for
    """A state that must never be reached."""


def explore(story: Story) -> Explored:
    """Visit all states in order of their distance, up to the first wrong one."""
    return _Explorer(story).explored()


@dataclass
class _Explorer:
    story: Story
    ends: set[str] = field(default_factory=set)
    replayed: dict[tuple[int, tuple[Any, ...]], "_Request | str"] = field(default_factory=dict)

    def explored(self) -> Explored:
        start = _World(None, ((),) * len(self.story.pages), self.story.faults)
        reached: dict[_World, tuple[str, _World] | None] = {start: None}
        waiting = deque([start])
        while waiting:
            world = waiting.popleft()
            label = ""
            try:
                for label, following in self._steps(world):
                    if following not in reached:
                        self._check(world, following)
                        reached[following] = (label, world)
                        waiting.append(following)
            except _Wrong as wrong:
                return Explored(len(reached), failure=(*way_to(world, reached), label, str(wrong)))
        return Explored(len(reached), frozenset(self.ends))

    def _check(self, before: _World, after: _World) -> None:
        """Raise _Wrong if a step has a wrong result."""
        if after.body is not None and after.body != before.body:
            self._check_document(before, json.loads(after.body), after)
        for number, (earlier, now) in enumerate(zip(before.workers, after.workers, strict=True)):
            if earlier != now and (end := self._next(number, now)) in _ENDS:
                self.ends.add(str(end))
                if end == _DONE and sorted(_listed(after)) != list(range(ITEMS)):
                    raise _Wrong(f"worker {number + 1} is done, and the listed items are {_listed(after)}")

    def _check_document(self, before: _World, document: Mapping[str, Any], after: _World) -> None:
        earlier = _parts(before)
        if _parts(after)[: len(earlier)] != earlier:
            raise _Wrong(f"the state no longer lists {earlier}")
        if after.owners.count(after.owners[-1]) > 1:
            raise _Wrong(f"worker {after.owners[-1] + 1} writes the state of another worker")
        if document["latest_deadline"] != max(self._owner(number).deadline for number in after.owners):
            raise _Wrong("the state has not the latest deadline of its owners")

    def _steps(self, world: _World) -> Iterator[_Step]:
        for number, answers in enumerate(world.workers):
            # Each begins after the one before, so that no worker is the same as another.
            if number and not world.workers[number - 1]:
                return
            request = self._next(number, answers)
            if isinstance(request, _Request):
                for label, following in self._answers(world, number, request):
                    yield f"worker {number + 1} {label}", following
        for place, request in enumerate(world.late):
            rest = world._replace(late=world.late[:place] + world.late[place + 1 :])
            yield f"a late {request.kind} lands", _stored(rest, request)[0]
        if self.story.is_removed and world.body is not None and not world.is_removed:
            yield "the job is removed", world._replace(body=None, owners=(), is_removed=True)

    def _answers(self, world: _World, number: int, request: _Request) -> Iterator[_Step]:
        """Yield what may become of a request."""
        if request.kind == "read":
            yield "reads", _answered(world, number, world.body)
        elif request.kind == "part":
            # As S3 does with `If-None-Match: *`: the part that was written first stays.
            is_new = request.name not in dict(world.parts)
            parts = world.parts | {(request.name, tuple(request.body))} if is_new else world.parts
            yield f"writes {request.name}", _answered(world._replace(parts=parts), number, "")
        else:
            written, answer = _stored(world, request)
            yield f"sends a {request.kind}", _answered(written, number, answer)
            if world.faults:
                yield from _faulty(world._replace(faults=world.faults - 1), number, request)

    def _next(self, number: int, answers: tuple[Any, ...]) -> _Request | str:
        if (number, answers) not in self.replayed:
            self.replayed[number, answers] = self._replay(number, answers)
        return self.replayed[number, answers]

    def _replay(self, number: int, answers: tuple[Any, ...]) -> _Request | str:
        store = _Script(number, answers)
        try:
            self._work(number, store)
        except _Unanswered as unanswered:
            return unanswered.request
        except SupersededError:
            return _SUPERSEDED
        except TaskError:
            return _FAILED
        return _DONE

    def _owner(self, number: int) -> Owner:
        which = 0 if self.story.shares_owner else number
        return Owner(str(which), _DEADLINES[which])

    def _work(self, number: int, store: "_Script") -> None:
        state = FencedState.take(store, _NAME, plan="p", owner=self._owner(number))
        progress = state.content or {"next": 0, "parts": []}
        while progress["next"] < ITEMS:
            end = min(ITEMS, progress["next"] + self.story.pages[number])
            place = len(progress["parts"])
            name = f"part {place}" if self.story.shares_names else f"part {place} of worker {number + 1}"
            store.write_part(name, range(progress["next"], end))
            progress = {"next": end, "parts": [*progress["parts"], name]}
            state.save(progress)


_DONE, _SUPERSEDED, _FAILED = _ENDS = ("done", "superseded", "failed")


class _Script:
    """The store of one replay."""

    def __init__(self, worker: int, answers: tuple[Any, ...]) -> None:
        self._worker = worker
        self._answers = iter(answers)

    def read(self, name: str) -> Stored | None:
        body = self._ask(_Request("read", self._worker, name))
        return None if body is None else Stored(body, etag_of(body))

    def create(self, name: str, body: bytes) -> str | Conflict:
        answer: str | Conflict = self._ask(_Request("create", self._worker, name, body))
        return answer

    def replace(self, name: str, body: bytes, *, etag: str) -> str | Conflict:
        answer: str | Conflict = self._ask(_Request("replace", self._worker, name, body, etag))
        return answer

    def write_part(self, name: str, items: range) -> None:
        self._ask(_Request("part", self._worker, name, bytes(items)))

    def _ask(self, request: _Request) -> Any:
        for answer in self._answers:
            return answer
        raise _Unanswered(request)


def _faulty(world: _World, number: int, request: _Request) -> Iterator[_Step]:
    """Yield what may go wrong with a write of the state."""
    stored, _ = _stored(world, request)
    lost, race = Conflict.NO_RESPONSE, Conflict.RACE
    yield f"gets no response to a {request.kind} that was stored", _answered(stored, number, lost)
    yield f"gets no response to a {request.kind} that was not sent", _answered(world, number, lost)
    later = world._replace(late=(*world.late, request))
    yield f"gets no response to a {request.kind} that is late", _answered(later, number, lost)
    yield f"sends a {request.kind} in a race", _answered(world, number, race)


def _stored(world: _World, request: _Request) -> tuple[_World, str | Conflict]:
    """Return what a write of the state does, and its response."""
    if request.kind == "create" and world.body is not None:
        return world, Conflict.CHANGED
    if request.kind == "replace" and world.body is None:
        return world, Conflict.GONE
    if request.kind == "replace" and request.etag != etag_of(world.body or b""):
        return world, Conflict.CHANGED
    is_owner = world.owners[-1:] == (request.worker,)
    owners = world.owners if is_owner else (*world.owners, request.worker)
    return world._replace(body=request.body, owners=owners), etag_of(request.body)


def _answered(world: _World, number: int, answer: Any) -> _World:
    workers = list(world.workers)
    workers[number] = (*workers[number], answer)
    return world._replace(workers=tuple(workers))


def _parts(world: _World) -> list[str]:
    """Return the parts that the state lists."""
    content = json.loads(world.body)["content"] if world.body else None
    return content["parts"] if content else []


def _listed(world: _World) -> list[int]:
    """Return the items of the parts that the state lists."""
    parts = dict(world.parts)
    return [item for name in _parts(world) for item in parts[name]]
