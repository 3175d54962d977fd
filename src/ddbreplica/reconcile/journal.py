"""The keys that a command reconciles, and its notes: the Journal protocol in a state that outlives the process.

A state is JSON lines, appended to, and written again as a whole when it is opened and whenever it has grown. Its first
line says what it is: {"ddbreplica": "state", "version": 2, "command": "redrive"}. Each other line is one of

    {"note": name, "value": …}              a fact, in the place of what was noted under this name before
    {"open": [key, …]}                      keys that may be written from now on
    {"hold": [key, …], "seconds": s, "until": t}
                                            keys of which a write may still land: hold them back for s seconds after
                                            this line is read, or until t, by AWS's clock, if that is no null
    {"close": [key, …]}                     keys that are confirmed
    {"clock_ahead_seconds": s}              how far the writer's clock was ahead of AWS's, at most, so far
    {"rest": true}                          no request is under way

Notes and keys stand together, so that how far the work has come and the keys that were open then are never apart.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from ddbreplica.aws.clock import Clock
from ddbreplica.aws.skew import UNKNOWN_HOLD_SECONDS, hold_seconds
from ddbreplica.model import Key
from ddbreplica.reconcile.state import Lines, StateFile, lines_of
from ddbreplica.records.decode import MalformedError, attributes_of, key_of
from ddbreplica_cli.terminal.errors import CommandError

GROWN = 16 * 1024 * 1024
"""Bytes appended after which the state is written again as a whole, so that it stays small however long the work is."""

BACKFILL = "backfill"
VERIFY = "verify"
REDRIVE = "redrive"
COMMANDS = (BACKFILL, VERIFY, REDRIVE)

DAMAGED = (
    "wait until 30 minutes after its command ended, since the state may name writes that can still land; then remove"
    " the file, run the command again, and compare the tables with `ddbreplica verify`."
)
"""What to do about a state that cannot be read to its end."""

_VERSION = 2
_AT_REST = {"rest": True}
_IDENTITY = "identity"
_IDENTITIES = frozenset({_IDENTITY, BACKFILL})
"""The notes that say of which tables a state is; the second as version 1 names it."""
_IN_A_LINE = 1000


@dataclass(frozen=True, slots=True)
class _Hold:
    """A key held back: `since` then for `seconds` at least, or `until` a time of AWS's clock, if that is known."""

    since: float
    seconds: float
    until: float | None = None

    def left(self, clock: Clock) -> float:
        """For how long it still is."""
        left = self.since + max(self.seconds, clock.hold_seconds) - clock.ticks()
        if self.until is None or clock.now is None:
            return left
        return min(left, self.until - clock.now)


class FileJournal:
    """Open keys and notes. What is held back is so across runs, however the local clock is set meanwhile."""

    def __init__(self, lines: Lines, *, command: str, clock: Clock) -> None:
        """Read back what an earlier run of the command left.

        If that run was killed, each key that it left open is held back from now on, for as long as a write of that run
        may still land. Raises CommandError where the lines are damaged, of something else, or cannot be written.
        """
        self._lines = lines
        self._command = command
        self._clock = clock
        self._lock = Lock()
        try:
            self._kept = _read(lines.read(), lines.name, command)
            self._kept.find(now=clock.ticks())
            self._replace(_AT_REST)
        except CommandError:
            lines.close()
            raise

    @classmethod
    def at(cls, path: Path, *, command: str, clock: Clock) -> "FileJournal":
        """The journal in a file, which is created if there is none."""
        return cls(StateFile(path), command=command, clock=clock)

    @property
    def name(self) -> str:
        """How messages name the state."""
        return self._lines.name

    @property
    def notes(self) -> Mapping[str, Any]:
        """What was noted last under each name."""
        return self._kept.notes

    def open_keys(self) -> Sequence[Key]:
        """The keys that are open."""
        with self._lock:
            return tuple(self._kept.opened)

    def held(self) -> tuple[int, float]:
        """How many keys are held back, and for how many seconds at most."""
        with self._lock:
            return self._kept.longest(self._clock)

    def resume(self, identity: Mapping[str, Any]) -> bool:
        """Return whether an earlier run of the same work left this state. Raises CommandError for other work."""
        before = self.notes.get(_IDENTITY)
        if before is None:
            self.note(_IDENTITY, identity)
            return False
        for name, now in identity.items():
            if before.get(name) != now:
                raise CommandError(
                    f"{self.name} is the state of another {self._command}: its {name} is {before.get(name)}, and"
                    f" not {now}.",
                    hint="use the same tables and options to resume it, or name another file with --state.",
                )
        return True

    def note(self, name: str, value: Any) -> None:
        """Remember a fact, as JSON, in the place of what was noted under this name before.

        A crash of the machine may lose it, but only with everything that came later.
        """
        with self._lock:
            self._append({"note": name, "value": value})
            self._kept.notes[name] = value

    def intend(self, keys: Sequence[Key]) -> Sequence[Key]:
        """Open keys, durably when it returns; return those that are not held back."""
        with self._lock:
            held = self._kept.held
            free = [key for key in keys if key not in held or held[key].left(self._clock) <= 0]
            if free:
                self._append(*self._ahead(), {"open": _as_json(free)}, durably=True)
                self._kept.open(free)
            return free

    def suspect(self, keys: Sequence[Key]) -> None:
        """Hold keys back from now on, in this run and the next ones."""
        if not keys:
            return
        with self._lock:
            held = dict.fromkeys(keys, _Hold(self._clock.ticks(), self._clock.hold_seconds))
            self._kept.hold(held)
            self._append(*self._ahead(), *_hold_lines(held))

    def confirm(self, keys: Sequence[Key]) -> None:
        """Close keys."""
        if not keys:
            return
        with self._lock:
            self._append({"close": _as_json(keys)})
            self._kept.close(keys)
            if self._lines.appended > GROWN:
                self._replace()

    def rest(self) -> None:
        """Record that no request is under way, and until when keys are held back.

        What is open and not held back may then be written by the next run at once.
        """
        with self._lock:
            held = self._kept.until(self._clock)
            self._append(*self._ahead(), *_hold_lines(held), _AT_REST, durably=True)

    @contextmanager
    def leaving(self, *, is_at_rest: Callable[[], bool]) -> Iterator[None]:
        """Let the state, when the block ends, say what the next run has to know; remove it if that is nothing."""
        try:
            yield
        except BaseException:
            with suppress(CommandError):  # not at rest then: the next run holds back what is open
                self._leave(is_at_rest=is_at_rest())
            raise
        else:
            self._leave(is_at_rest=is_at_rest())
        finally:
            self.close()

    def _leave(self, *, is_at_rest: bool) -> None:
        if self.open_keys():
            if is_at_rest:
                self.rest()
        else:
            self.remove()

    @property
    def says_more(self) -> bool:
        """Whether the state says anything but of which work it is."""
        return bool(self.open_keys() or self.notes.keys() - {_IDENTITY})

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the state, when the block ends, if it says anything but of which work it is."""
        try:
            yield
        finally:
            if self.says_more:
                self.close()
            else:
                self.remove()

    def forget(self) -> None:
        """Forget all notes: the work is done."""
        with self._lock:
            self._kept.notes.clear()

    def close(self) -> None:
        """Let another process have the state."""
        self._lines.close()

    def remove(self) -> None:
        """Forget everything, and the state."""
        self._lines.remove()

    def _ahead(self) -> Iterator[Mapping[str, Any]]:
        """How far the local clock is ahead, if that is more than what was recorded."""
        ahead, recorded = self._clock.ahead, self._kept.ahead
        if ahead is not None and (recorded is None or ahead >= recorded + 1):
            self._kept.ahead = ahead
            yield {"clock_ahead_seconds": ahead}

    def _append(self, *lines: Mapping[str, Any], durably: bool = False) -> None:
        self._lines.append(b"".join(map(_line, lines)), durably=durably)

    def _replace(self, *more: Mapping[str, Any]) -> None:
        head = {"ddbreplica": "state", "version": _VERSION, "command": self._command}
        self._lines.replace(map(_line, (head, *self._kept.lines(), *more)))


@dataclass(frozen=True, slots=True)
class Left:
    """What a state file would hold back if it were resumed: how many keys, for how long at most, of which tables."""

    held: int
    seconds: float
    identity: Mapping[str, Any]


def left_in(path: Path, *, command: str, clock: Clock) -> Left:
    """What a command would find in a state file if it resumed now; nothing is changed. Raises CommandError."""
    kept = _read(lines_of(path), str(path), command)
    kept.find(now=clock.ticks())
    return Left(*kept.longest(clock), kept.notes.get(_IDENTITY, {}))


class _Kept:
    """What the lines of a state amount to. `ahead` is what they record of the clock; None is nothing."""

    def __init__(self) -> None:
        self.notes: dict[str, Any] = {}
        self.opened: dict[Key, None] = {}
        self.held: dict[Key, _Hold] = {}
        self.ahead: float | None = None
        self._is_at_rest = True

    def open(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self.opened[key] = None
            self.held.pop(key, None)

    def hold(self, held: Mapping[Key, _Hold]) -> None:
        self.held |= held

    def close(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self.opened.pop(key, None)
            self.held.pop(key, None)

    def take(self, line: Mapping[str, Any]) -> None:
        """Do again what a line says was done."""
        match line:
            case {"note": str(name), "value": value} if name not in _IDENTITIES or isinstance(value, dict):
                self.notes[name] = value
            case {"open": keys}:
                self.open(map(key_of, keys))
                self._is_at_rest = False
            case {"hold": keys}:
                self.hold(dict.fromkeys(map(key_of, keys), _held(line)))
            case {"close": keys}:
                self.close(map(key_of, keys))
            case {"clock_ahead_seconds": ahead}:
                self.ahead = float(ahead)
            case {"rest": True}:
                self._is_at_rest = True
            case _:
                raise ValueError(line)

    def find(self, *, now: float) -> None:
        """Hold back from now on what earlier runs leave: all of it, if the last of them was killed."""
        if not self._is_at_rest:
            least = min(hold_seconds(self.ahead), UNKNOWN_HOLD_SECONDS)
            self.held = {
                key: _Hold(0, max(least, self.held[key].seconds if key in self.held else 0))
                for key in self.opened
            }
        self.held = {key: replace(hold, since=now) for key, hold in self.held.items()}
        self.ahead, self._is_at_rest = None, True

    def until(self, clock: Clock) -> Mapping[Key, _Hold]:
        """The same keys held back, until a time of AWS's clock where that is known."""
        found = {}
        for key, hold in self.held.items():
            left = hold.left(clock)
            until = None if clock.now is None else clock.now + left
            found[key] = _Hold(hold.since, max(hold.seconds, clock.hold_seconds), until)
        return found

    def longest(self, clock: Clock) -> tuple[int, float]:
        """How many keys are held back, and for how many seconds at most."""
        left = [seconds for hold in self.held.values() if (seconds := hold.left(clock)) > 0]
        return len(left), max(left, default=0.0)

    def lines(self) -> Iterator[Mapping[str, Any]]:
        """The fewest lines that amount to the same."""
        if self.ahead is not None:
            yield {"clock_ahead_seconds": self.ahead}
        yield from ({"note": name, "value": value} for name, value in self.notes.items())
        yield from ({"open": keys} for keys in _pieces(self.opened))
        yield from _hold_lines(self.held)


def _read(lines: Iterable[bytes], name: str, command: str) -> _Kept:
    """What lines hold, without a last one that a kill has torn."""
    kept = _Kept()
    for number, line in enumerate(lines):
        if not line.endswith(b"\n"):
            if line and not number:  # the head is never torn: a state's first lines are written as a whole
                raise _foreign(name, number)
            break
        try:
            content = json.loads(line)
            if number:
                kept.take(content)
            else:
                _check_head(content, name, command)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError, MalformedError) as error:
            raise _foreign(name, number) from error
    if BACKFILL in kept.notes:  # as version 1 names it
        kept.notes[_IDENTITY] = {name: _in_utc(value) for name, value in kept.notes.pop(BACKFILL).items()}
    return kept


def _in_utc(value: Any) -> Any:
    """Of version 1, which spells the time of a table's creation in the zone of its machine."""
    if not isinstance(value, str) or " of " not in value:
        return value
    arn, _, created = value.partition(" of ")
    try:
        return f"{arn} of {datetime.fromisoformat(created).astimezone(UTC)}"
    except ValueError:
        return value


def _check_head(head: Mapping[str, Any], name: str, command: str) -> None:
    hint = "name another file with --state."
    match head:
        case {"ddbreplica": "state", "version": 2, "command": str(of)}:
            pass
        case {"ddbreplica": "journal", "version": 1}:
            of = BACKFILL
        case {"ddbreplica": "state", "version": version}:
            raise CommandError(
                f"{name} was written by another version of ddbreplica: its state has version {version}.",
                hint=f"resume it with that version, or {hint}",
            )
        case _:
            raise ValueError(head)
    if of != command:
        raise CommandError(f"{name} is the state of {of}, not of {command}.", hint=hint)


def _foreign(name: str, number: int) -> CommandError:
    fact = f"{name}, line {number + 1}: ddbreplica has not written this line."
    return CommandError(fact, hint=DAMAGED if number else "name another file with --state.")


def _held(line: Mapping[str, Any]) -> _Hold:
    """Of version 1, whose clock may have been set since, and whose skew nobody knows, only that it is held back."""
    seconds, until = line.get("seconds"), line["until"]
    if seconds is None:
        return _Hold(0, UNKNOWN_HOLD_SECONDS)
    if not math.isfinite(seconds) or not math.isfinite(until or 0):
        raise ValueError(line)
    return _Hold(0, min(float(seconds), UNKNOWN_HOLD_SECONDS), until)


def _hold_lines(held: Mapping[Key, _Hold]) -> Iterator[Mapping[str, Any]]:
    keys: dict[tuple[float, float | None], list[Key]] = {}
    for key, hold in held.items():
        keys.setdefault((hold.seconds, hold.until), []).append(key)
    for (seconds, until), alike in keys.items():
        yield from ({"hold": piece, "seconds": seconds, "until": until} for piece in _pieces(alike))


def _as_json(keys: Iterable[Key]) -> list[Any]:
    return [attributes_of(key) for key in keys]


def _pieces(keys: Iterable[Key]) -> Iterator[list[Any]]:
    every = list(keys)
    return (_as_json(every[start : start + _IN_A_LINE]) for start in range(0, len(every), _IN_A_LINE))


def _line(line: Mapping[str, Any]) -> bytes:
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"
