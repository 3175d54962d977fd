"""What the lines of a state amount to: notes, open keys and what is held back; and how these are written. Pure.

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
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ddbreplica.aws.clock import UNKNOWN_HOLD_SECONDS, Clock, hold_seconds
from ddbreplica.errors import TaskError
from ddbreplica.model import Key
from ddbreplica.records.decode import MalformedError, attributes_of, key_of

BACKFILL = "backfill"
VERIFY = "verify"
REDRIVE = "redrive"
COMMANDS = (BACKFILL, VERIFY, REDRIVE)

DAMAGED = (
    "wait until 30 minutes after its command ended, since the state may name writes that can still land; then remove"
    " the file, run the command again, and compare the tables with `ddbreplica verify`."
)
"""What to do about a state that cannot be read to its end."""

VERSION = 2
AT_REST = {"rest": True}
IDENTITY = "identity"
_IDENTITIES = frozenset({IDENTITY, BACKFILL})
"""The notes that say of which tables a state is; the second as version 1 names it."""
_IN_A_LINE = 1000


@dataclass(frozen=True, slots=True)
class Hold:
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


class Contents:
    """What the lines of a state amount to. `ahead` is what they record of the clock; None is nothing."""

    def __init__(self) -> None:
        self.notes: dict[str, Any] = {}
        self.opened: dict[Key, None] = {}
        self.held: dict[Key, Hold] = {}
        self.ahead: float | None = None
        self._is_at_rest = True

    def open(self, keys: Iterable[Key]) -> None:
        """Open keys, which are then no longer held back."""
        for key in keys:
            self.opened[key] = None
            self.held.pop(key, None)

    def hold(self, held: Mapping[Key, Hold]) -> None:
        """Hold keys back."""
        self.held |= held

    def close(self, keys: Iterable[Key]) -> None:
        """Close keys."""
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
        if self._is_at_rest:
            self.held = {key: replace(hold, since=now) for key, hold in self.held.items()}
        else:
            least = min(hold_seconds(self.ahead), UNKNOWN_HOLD_SECONDS)
            longer = {key: Hold(now, max(least, hold.seconds)) for key, hold in self.held.items()}
            self.held = dict.fromkeys(self.opened, Hold(now, least)) | longer
        self.ahead, self._is_at_rest = None, True

    def until(self, clock: Clock) -> Mapping[Key, Hold]:
        """The same keys held back, until a time of AWS's clock where that is known."""
        found = {}
        for key, hold in self.held.items():
            left = hold.left(clock)
            until = None if clock.now is None else clock.now + left
            found[key] = Hold(hold.since, max(hold.seconds, clock.hold_seconds), until)
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
        yield from hold_lines(self.held)


def read(lines: Iterable[bytes], name: str, command: str) -> Contents:
    """What lines hold, without a last one that a kill has torn."""
    kept = Contents()
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
        kept.notes[IDENTITY] = {name: _in_utc(value) for name, value in kept.notes.pop(BACKFILL).items()}
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
            raise TaskError(
                f"{name} was written by another version of ddbreplica: its state has version {version}.",
                hint=f"resume it with that version, or {hint}",
            )
        case _:
            raise ValueError(head)
    if of != command:
        raise TaskError(f"{name} is the state of {of}, not of {command}.", hint=hint)


def _foreign(name: str, number: int) -> TaskError:
    fact = f"{name}, line {number + 1}: ddbreplica has not written this line."
    return TaskError(fact, hint=DAMAGED if number else "name another file with --state.")


def _held(line: Mapping[str, Any]) -> Hold:
    """Of version 1, whose clock may have been set since, and whose skew nobody knows, only that it is held back."""
    seconds, until = line.get("seconds"), line["until"]
    if seconds is None:
        return Hold(0, UNKNOWN_HOLD_SECONDS)
    if not math.isfinite(seconds) or not math.isfinite(until or 0):
        raise ValueError(line)
    return Hold(0, min(float(seconds), UNKNOWN_HOLD_SECONDS), until)


def hold_lines(held: Mapping[Key, Hold]) -> Iterator[Mapping[str, Any]]:
    """The lines that hold keys back, with those of one hold together."""
    keys: dict[tuple[float, float | None], list[Key]] = {}
    for key, hold in held.items():
        keys.setdefault((hold.seconds, hold.until), []).append(key)
    for (seconds, until), alike in keys.items():
        yield from ({"hold": piece, "seconds": seconds, "until": until} for piece in _pieces(alike))


def as_json(keys: Iterable[Key]) -> list[Any]:
    """Keys in DynamoDB JSON."""
    return [attributes_of(key) for key in keys]


def _pieces(keys: Iterable[Key]) -> Iterator[list[Any]]:
    every = list(keys)
    return (as_json(every[start : start + _IN_A_LINE]) for start in range(0, len(every), _IN_A_LINE))


def as_line(line: Mapping[str, Any]) -> bytes:
    """A line as it is written, with its end."""
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"
