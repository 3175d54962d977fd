"""The journal of a worker's open keys, in the state of its part of a job.

Each save replaces the whole state. So one save opens the keys of the next page and closes those that were confirmed
since the last save: a worker that passes PAGE_KEYS keys at a time saves once for each of these pages. The content:

    {"progress": …                      what the worker noted, such as the position of its scan
     "clock_ahead_seconds": s           the most that the owner's clock was ahead of AWS's clock; null if unknown
     "open": [key, …]                   keys that the owner may be writing
     "held": [{"keys": [key, …], "until": t}, …]
                                        those of them whose in-doubt writes may land until t, by AWS's clock
     "predecessors": [{"keys": [key, …], "until": t}, …]
                                        keys that an earlier owner may have been writing when another worker took the
                                        state; they stay until they are reconciled or in quarantine
     "handed_over": n}                  how many keys were put into quarantine for a redrive
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Final, TypeAlias

from ddbreplica.aws.clock import UNKNOWN_HOLD_SECONDS, Clock, hold_seconds, time_after
from ddbreplica.errors import AttentionError, TaskError
from ddbreplica.jobs.state.fenced_state import FencedState, SavedState
from ddbreplica.model import Key
from ddbreplica.reconcile.journal_format import as_json
from ddbreplica.records.decode import MalformedError, key_of

PAGE_KEYS: Final = 2000
"""The number of keys to open with one save."""

_HANDED_OVER_AT_ONCE = 100
"""Keys that are quarantined between two looks at the time: each takes one request."""

Quarantining: TypeAlias = Callable[[Sequence[Key]], None]
"""Keep keys in the quarantine bucket, for a redrive. Raises TaskError if one of them cannot be kept."""

_Times: TypeAlias = dict[Key, float]
"""A time for each key, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class LeftOpen:
    """How many keys earlier workers left open that are not in quarantine yet, and until when their writes may land.

    `until` is in seconds since the epoch, and 0.0 if there are no keys.
    """

    keys: int
    until: float

    @property
    def moment(self) -> str | None:
        """The time until which writes may land, in ISO 8601; None if there are no keys."""
        return datetime.fromtimestamp(self.until, UTC).isoformat(timespec="seconds") if self.keys else None


NOTHING_LEFT: Final = LeftOpen(0, 0.0)


@dataclass(frozen=True, slots=True)
class _Saved:
    """The content of a state."""

    progress: Any
    ahead: float | None
    opened: dict[Key, None]
    held: _Times
    predecessors: _Times
    handed_over: int = 0


class StateJournal:
    """The open keys of a state that this worker owns, and a note of its progress. All times are AWS's."""

    def __init__(self, state: FencedState, *, clock: Clock) -> None:
        """Read the state. `clock` has to observe the responses of both tables.

        If the last owner may have been writing when this worker took the state, its open keys are held back until no
        write of any earlier owner can land. Raises TaskError if the state is damaged.
        """
        self._state = state
        self._clock = clock
        self._lock = Lock()
        saved = _saved(state.content)
        self._progress = saved.progress
        self._opened, self._predecessors = saved.opened, saved.predecessors
        self._until, self._in_doubt_since = saved.held, dict[Key, float]()
        self._handed_over = saved.handed_over
        if not state.was_at_rest:
            self._predecessors |= self._replaced(saved)
            self._opened = {}
        self._is_at_rest = True  # as long as this worker has not opened a key

    @property
    def progress(self) -> Any:
        """The JSON value that was noted last, by this or an earlier owner; None if there is none."""
        return self._progress

    def note(self, progress: Any) -> None:
        """Note a JSON value. The next save stores it, so that it always matches the keys that are open."""
        with self._lock:
            self._progress = progress

    def advance(self, progress: Any, keys: Sequence[Key]) -> None:
        """Open keys, and note the progress that has them behind it, in one save.

        If the save is not confirmed, the earlier progress remains noted. Keys that are held back are not opened: they
        are in the state already.
        """
        before = self._progress
        self.note(progress)
        try:
            self.intend(keys)
        except BaseException:
            # Otherwise the next save would have the progress without the keys, and nobody would ever write them.
            self.note(before)
            raise

    def open_keys(self) -> Sequence[Key]:
        """Return the keys that this worker has to confirm. Those of earlier owners are not among them."""
        with self._lock:
            return tuple(self._opened)

    def unconfirmed(self) -> Sequence[Key]:
        """Return the keys that are open, of this worker and of earlier ones."""
        with self._lock:
            return tuple(dict.fromkeys((*self._opened, *self._predecessors)))

    def free_keys(self) -> Sequence[Key]:
        """Return the keys that may be written now, of this worker and of earlier ones."""
        with self._lock:
            return self._free(dict.fromkeys((*self._opened, *self._predecessors)))

    def leave(self) -> None:
        """Leave the open keys as an earlier owner does, for `hand_over`. No write of this worker may be under way."""
        with self._lock:
            self._predecessors |= {key: self._free_at(key) for key in self._opened}
            self._opened = {}

    def held(self) -> tuple[int, float]:
        """Return how many keys are held back, and for how many seconds at most."""
        with self._lock:
            keys = (*self._opened, *self._predecessors)
            left = [seconds for key in keys if (seconds := self._free_at(key) - self._now) > 0]
            return len(left), max(left, default=0.0)

    def intend(self, keys: Sequence[Key]) -> Sequence[Key]:
        """Open keys, and return those that are not held back. The state has them when this returns."""
        with self._lock:
            free = self._free(keys)
            opened = self._opened | dict.fromkeys(free)
            # The state must not be at rest while a key of it is written, even if it has the key already.
            if free and (self._is_at_rest or len(opened) > len(self._opened)):
                self._save(opened, at_rest=False)
            self._opened = opened
            for key in free:
                self._forget(key)
            return free

    def mark_in_doubt(self, keys: Sequence[Key]) -> None:
        """Hold open keys back from now on."""
        with self._lock:
            # Not saved: the keys are open in the state, and whoever takes it holds all open keys back.
            self._in_doubt_since |= dict.fromkeys(keys, self._now)

    def confirm(self, keys: Sequence[Key]) -> None:
        """Close keys. The next save removes them from the state."""
        with self._lock:
            for key in keys:
                self._opened.pop(key, None)

    def rest(self) -> None:
        """Save that no request is under way, and until when keys are held back."""
        with self._lock:
            self._save(self._opened, at_rest=True)

    def hand_over(self, quarantine: Quarantining, *, continues: Callable[[], bool] = lambda: True) -> int:
        """Quarantine the keys that earlier owners left open, if their writes can no longer land. Return their number.

        The next save removes them from the state. It stops early, between two requests, if `continues` returns False.
        """
        with self._lock:
            due = self._free(self._predecessors)
        for start in range(0, len(due), _HANDED_OVER_AT_ONCE):
            if not continues():
                return start
            piece = due[start : start + _HANDED_OVER_AT_ONCE]
            quarantine(piece)
            with self._lock:
                self._handed_over += len(piece)
                for key in piece:
                    self._predecessors.pop(key, None)
        return len(due)

    def _free(self, keys: Iterable[Key]) -> list[Key]:
        return [key for key in keys if self._free_at(key) <= self._now]

    def _free_at(self, key: Key) -> float:
        """Return when a key may be written."""
        since = self._in_doubt_since.get(key)
        # Computed each time: a later response may show that the clock is further ahead, which makes holds longer.
        own = 0.0 if since is None else since + self._clock.hold_seconds
        return max(own, self._until.get(key, 0.0), self._predecessors.get(key, 0.0))

    def _forget(self, key: Key) -> None:
        """Hold a key back no longer."""
        for times in (self._in_doubt_since, self._until, self._predecessors):
            times.pop(key, None)

    def _replaced(self, saved: _Saved) -> _Times:
        """Return until when the writes of the last owner may land. It may still run, although it lost the state."""
        return _until(saved, written_until=max(self._now, self._state.latest_deadline))

    @property
    def _now(self) -> float:
        return self._clock.moment.timestamp()

    def _save(self, opened: Mapping[Key, None], *, at_rest: bool) -> None:
        held = {key: until for key in self._opened if (until := self._free_at(key))}
        content = {
            "progress": self._progress,
            "clock_ahead_seconds": self._clock.ahead,
            "open": as_json(opened),
            "held": _as_json(held),
            "predecessors": _as_json(
                {key: until for key, until in self._predecessors.items() if key not in opened}
            ),
            "handed_over": self._handed_over,
        }
        # Before the save, which may be stored although it fails.
        self._is_at_rest |= at_rest
        self._state.save(content, at_rest=at_rest)
        self._is_at_rest = at_rest


def left_open(state: SavedState) -> LeftOpen:
    """Return what a state says about keys that may still be written, if no worker has it now. Raises TaskError."""
    saved, since = _saved(state.content), state.written_until
    waiting = {**saved.predecessors, **(saved.held if since is None else _until(saved, written_until=since))}
    return LeftOpen(len(waiting), max(waiting.values(), default=0.0))


def unconfirmed(state: SavedState) -> int:
    """Return how many keys of a state are open or in quarantine, and not confirmed. Raises TaskError."""
    saved = _saved(state.content)
    return len(saved.opened.keys() | saved.predecessors.keys()) + saved.handed_over


def _until(saved: _Saved, *, written_until: float) -> _Times:
    """Return until when writes of the open keys may land, if a worker may have been writing them until a time."""
    until = written_until + min(hold_seconds(saved.ahead), UNKNOWN_HOLD_SECONDS)
    return {key: max(until, saved.held.get(key, 0.0)) for key in saved.opened}


def all_left_open(left: Iterable[LeftOpen]) -> LeftOpen:
    """Return the keys of several states together."""
    every = [each for each in left if each.keys]
    return LeftOpen(sum(each.keys for each in every), max((each.until for each in every), default=0.0))


def has_open_keys(content: Any) -> bool:
    """Return whether the content of a state has a key that is not confirmed. Raises TaskError."""
    saved = _saved(content)
    return bool(saved.opened or saved.predecessors)


def progress_of(content: Any) -> Any:
    """Return the progress that the content of a state has; None if there is none. Raises TaskError."""
    return _saved(content).progress


def attention(left: Iterable[LeftOpen]) -> AttentionError | None:
    """Return the error of a job that ends while keys of earlier workers are neither reconciled nor in quarantine."""
    every = all_left_open(left)
    if not every.keys:
        return None
    seconds = every.until - datetime.now(UTC).timestamp()
    return AttentionError(
        f"workers that ended early left {every.keys:,} keys open; their writes may land until {time_after(seconds)}.",
        hint="start the job again after that time, which hands these keys over to the quarantine bucket.",
        facts={"keys_left_open": every.keys, "left_open_until": every.until},
    )


def _as_json(until: _Times) -> list[Any]:
    """Return keys and times in the form of the content; keys of the same time are listed together."""
    alike: dict[float, list[Key]] = {}
    for key, time in until.items():
        alike.setdefault(time, []).append(key)
    return [{"keys": as_json(keys), "until": time} for time, keys in alike.items()]


def _saved(content: Any) -> _Saved:
    if content is None:
        return _Saved(None, None, {}, {}, {})
    try:
        ahead = content["clock_ahead_seconds"]
        return _Saved(
            content["progress"],
            None if ahead is None else float(ahead),
            dict.fromkeys(map(key_of, content["open"])),
            _times(content["held"]),
            _times(content["predecessors"]),
            int(content.get("handed_over", 0)),  # a redrive's state may be of an earlier version
        )
    except (KeyError, TypeError, ValueError, MalformedError) as error:
        raise TaskError(
            "the state of the job has no valid list of open keys: it was not written by this version of ddbreplica.",
            hint="resume the job with the version that started it, or start a new job.",
        ) from error


def _times(lines: Any) -> _Times:
    return {key_of(key): float(line["until"]) for line in lines for key in line["keys"]}
