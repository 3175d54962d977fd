"""Replay a `reconcile` with the responses so far, and return its next request.

The real `reconcile` runs from its start each time. It gets the same responses again, and the first request without a
response ends the run. So a test can change the tables between any two steps.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeAlias, cast

from ddbreplica.deadline import Deadline
from ddbreplica.model import Image, Key, Pending, Refusal, RefusalKind, State, Table, Write
from ddbreplica.reconcile.algorithm import ReconcileContext, reconcile
from ddbreplica.reconcile.rescan import Rescan, Shown
from ddbreplica.records.decode import key_of

Value: TypeAlias = int | None
"""The number in an item, or None for no item."""

NAMES = "ab"

KEYS = tuple(key_of({"PK": {"S": name}}) for name in NAMES)
_ANSWERS: Mapping[str, Sequence[Write] | Refusal] = {
    "taken": (),
    "broken": Refusal(RefusalKind.TRANSIENT, "EndpointConnectionError", "not sent"),
    "timed out": Refusal(RefusalKind.TRANSIENT, "ReadTimeoutError", "no response in time", in_doubt=True),
}
_FOR_EVER = Deadline(lambda: 1e9, sleep=lambda _: None, jitter=lambda low, _: low)


class Request(NamedTuple):
    """The next request of `reconcile`. `values` are the values to write or, for a read, the values written before.

    A `rescan` has the keys of the page; its response has for each key the values that it shows, which may be none.

    At the `end`, `keys` are the unconfirmed keys; some of them are `undecided`, others `changing`.
    """

    kind: str
    keys: tuple[int, ...]
    values: tuple[Value, ...] = ()
    undecided: frozenset[int] = frozenset()
    changing: frozenset[int] = frozenset()


class Call(NamedTuple):
    """The arguments of one `reconcile`. If it `may_rescan`, a scan of the range of its keys costs less than reads.

    If the rescan `is_early`, it is made before the first write, against the rule.
    """

    keys: tuple[int, ...]
    seen: tuple[tuple[int, int], ...] = ()
    is_archive: bool = False
    may_rescan: bool = False
    is_early: bool = False


class _Unanswered(Exception):  # noqa: N818  it is how a replay ends
    def __init__(self, request: Request) -> None:
        self.request = request


@cache
def next_request(call: Call, answers: tuple[Any, ...]) -> Request:
    """Replay a `reconcile` with these responses, and return its next request."""
    script = _Script(call, answers)
    try:
        result = reconcile(
            [KEYS[key] for key in call.keys],
            ReconcileContext(script, script, script, is_archive=call.is_archive),
            deadline=_FOR_EVER,
            seen={KEYS[key]: _item(key, value) for key, value in call.seen},
            rescan=Rescan(0, script.rescan) if call.may_rescan else None,
        )
    except _Unanswered as unanswered:
        return unanswered.request
    assert not result.refused
    assert not result.failed
    unconfirmed = [*result.changing, *result.in_doubt, *result.undecided]
    undecided, changing = (frozenset(_numbers(keys)) for keys in (result.undecided, result.changing))
    return Request("end", _numbers(unconfirmed), undecided=undecided, changing=changing)


class _Script:
    """Source, replica and journal of one replay."""

    def __init__(self, call: Call, answers: Iterable[Any]) -> None:
        self._call = call
        self._answers = iter(answers)
        self._shown: Shown | None = None
        self._written: dict[int, Value] = {}
        self._unanswered: _Unanswered | None = None

    def read_batch(self, keys: Sequence[Key]) -> Mapping[Key, State]:
        numbers = _numbers(keys)
        written = tuple(self._written[key] for key in numbers if key in self._written)
        values = self._ask("read", keys, written)
        return {KEYS[key]: _state(key, value) for key, value in zip(numbers, values, strict=True)}

    def rescan(self) -> Shown:
        if self._shown is None:
            keys = [KEYS[number] for number in self._call.keys]
            written = tuple(self._written.get(number) for number in self._call.keys)
            shown = self._ask("rescan", keys, written)
            pairs = zip(self._call.keys, shown, strict=True)
            # A flaw may show that there is no item.
            self._shown = [
                (KEYS[n], cast("Image", _state(n, value))) for n, values in pairs for value in values
            ]
        return self._shown

    def start_batch(self, writes: Sequence[Write]) -> Pending:
        if self._call.is_early:
            self.rescan()
        values = tuple(_value(write.change.image) for write in writes)
        assert not (self._call.is_archive and None in values), "an archive loses an item"
        keys = [write.change.key for write in writes]
        answer = self._ask("write", keys, values)
        self._written |= zip(_numbers(keys), values, strict=True)
        return lambda: _ANSWERS[answer]

    def start_one(self, write: Write) -> Pending:
        raise AssertionError("nothing is rejected here")

    def describe(self, *, refresh: bool = False) -> Table | Refusal:
        raise AssertionError("the table is never described")

    def intend(self, keys: Sequence[Key]) -> Sequence[Key]:
        free = self._ask("intend", keys)
        return [key for key, number in zip(keys, _numbers(keys), strict=True) if number in free]

    def mark_in_doubt(self, keys: Sequence[Key]) -> None:
        self._ask("suspect", keys)

    def confirm(self, keys: Sequence[Key]) -> None:
        if keys:
            self._ask("confirm", keys)

    def _ask(self, kind: str, keys: Sequence[Key], values: tuple[Value, ...] = ()) -> Any:
        for answer in self._answers:
            return answer
        # Requests of cleanup code after the end of the replay are ignored.
        self._unanswered = self._unanswered or _Unanswered(Request(kind, _numbers(keys), values))
        raise self._unanswered


def _numbers(keys: Sequence[Key]) -> tuple[int, ...]:
    return tuple(KEYS.index(key) for key in keys)


def _state(key: int, value: Value) -> State:
    return None if value is None else _item(key, value)


def _item(key: int, value: int) -> Image:
    return {"PK": {"S": NAMES[key]}, "v": {"N": str(value)}}


def _value(state: State) -> Value:
    return None if state is None else int(state["v"]["N"])
