"""Read and write the lines of a state file: notes, open keys, and keys that are held back. Pure.

A state file consists of JSON lines. Lines are appended; the file is compacted when it is opened and whenever it has
grown. The first line identifies it: {"ddbreplica": "state", "version": 2, "command": "redrive"}. Each other line is
one of these:

    {"note": name, "value": …}              a note, which replaces an earlier one of this name
    {"open": [key, …]}                      keys that may be written from now on
    {"hold": [key, …], "seconds": s, "until": t}
                                            keys whose in-doubt writes may still land: hold them back for s seconds
                                            after this line is read, or until t by AWS's clock, if t is not null
    {"close": [key, …]}                     keys that are confirmed
    {"clock_ahead_seconds": s}              the most that the writer's clock was ahead of AWS's clock, so far
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
    "wait until 30 minutes after its command ended, since its writes may land until then; then remove the file, run"
    " the command again, and compare the tables with `ddbreplica verify`."
)
"""The hint for a state file with a damaged line."""

VERSION = 2
AT_REST = {"rest": True}
IDENTITY = "identity"
_IDENTITIES = frozenset({IDENTITY, BACKFILL})
"""The notes that identify the tables of a state; version 1 uses the second name."""
_IN_A_LINE = 1000


@dataclass(frozen=True, slots=True)
class Hold:
    """A key is held back `since` a time for at least `seconds`, or `until` a time of AWS's clock, if that is known."""

    since: float
    seconds: float
    until: float | None = None

    def left(self, clock: Clock) -> float:
        """Return for how many seconds the key is still held back."""
        left = self.since + max(self.seconds, clock.hold_seconds) - clock.ticks()
        if self.until is None or clock.now is None:
            return left
        return min(left, self.until - clock.now)


class Contents:
    """The contents of a state file. `ahead` is the lead of the clock in seconds; None if no line has it."""

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
        """Apply one line."""
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
        """Hold back, from now on, what earlier runs held back; and every open key, if the last run was killed."""
        if self._is_at_rest:
            # From now on again: of the time between two runs only AWS's clock (`until`) gives a reliable measure.
            self.held = {key: replace(hold, since=now) for key, hold in self.held.items()}
        else:
            # The last run was killed, so any key that it opened may have a write under way.
            least = min(hold_seconds(self.ahead), UNKNOWN_HOLD_SECONDS)
            longer = {key: Hold(now, max(least, hold.seconds)) for key, hold in self.held.items()}
            self.held = dict.fromkeys(self.opened, Hold(now, least)) | longer
        self.ahead, self._is_at_rest = None, True

    def until(self, clock: Clock) -> Mapping[Key, Hold]:
        """Return the keys held back, until a time of AWS's clock if that clock is known."""
        found = {}
        for key, hold in self.held.items():
            left = hold.left(clock)
            until = None if clock.now is None else clock.now + left
            found[key] = Hold(hold.since, max(hold.seconds, clock.hold_seconds), until)
        return found

    def longest(self, clock: Clock) -> tuple[int, float]:
        """Return the number of keys that are held back, and the seconds until none is."""
        left = [seconds for hold in self.held.values() if (seconds := hold.left(clock)) > 0]
        return len(left), max(left, default=0.0)

    def lines(self) -> Iterator[Mapping[str, Any]]:
        """Return the fewest lines that have the same contents."""
        if self.ahead is not None:
            yield {"clock_ahead_seconds": self.ahead}
        yield from ({"note": name, "value": value} for name, value in self.notes.items())
        yield from ({"open": keys} for keys in _pieces(self.opened))
        yield from hold_lines(self.held)


def read(lines: Iterable[bytes], name: str, command: str) -> Contents:
    """Return the contents of lines. A last line that is incomplete because of a kill is ignored."""
    kept = Contents()
    for number, line in enumerate(lines):
        if not line.endswith(b"\n"):
            if line and not number:  # the head is never incomplete: it is written together with other lines
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
    if BACKFILL in kept.notes:  # the name in version 1
        kept.notes[IDENTITY] = {name: _in_utc(value) for name, value in kept.notes.pop(BACKFILL).items()}
    return kept


def _in_utc(value: Any) -> Any:
    """Return a value of version 1 with its time in UTC; version 1 writes times in the zone of the machine."""
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
                f"{name} was written by a different version of ddbreplica: its format is version {version}.",
                hint=f"resume it with that version of ddbreplica, or {hint}",
            )
        case _:
            raise ValueError(head)
    if of != command:
        raise TaskError(
            f"{name} is the state file of `ddbreplica {of}`, not of `ddbreplica {command}`.", hint=hint
        )


def _foreign(name: str, number: int) -> TaskError:
    fact = f"{name}:{number + 1}: this line was not written by ddbreplica, or is damaged."
    return TaskError(fact, hint=DAMAGED if number else "name another file with --state.")


def _held(line: Mapping[str, Any]) -> Hold:
    """Return the hold of a line. A line of version 1 has no seconds: hold its keys back for the longest time."""
    seconds, until = line.get("seconds"), line["until"]
    if seconds is None:
        return Hold(0, UNKNOWN_HOLD_SECONDS)
    if not math.isfinite(seconds) or not math.isfinite(until or 0):
        raise ValueError(line)
    return Hold(0, min(float(seconds), UNKNOWN_HOLD_SECONDS), until)


def hold_lines(held: Mapping[Key, Hold]) -> Iterator[Mapping[str, Any]]:
    """Return the lines that hold keys back; keys of equal holds share lines."""
    keys: dict[tuple[float, float | None], list[Key]] = {}
    for key, hold in held.items():
        keys.setdefault((hold.seconds, hold.until), []).append(key)
    for (seconds, until), alike in keys.items():
        yield from ({"hold": piece, "seconds": seconds, "until": until} for piece in _pieces(alike))


def as_json(keys: Iterable[Key]) -> list[Any]:
    """Return keys in DynamoDB JSON."""
    return [attributes_of(key) for key in keys]


def _pieces(keys: Iterable[Key]) -> Iterator[list[Any]]:
    every = list(keys)
    return (as_json(every[start : start + _IN_A_LINE]) for start in range(0, len(every), _IN_A_LINE))


def as_line(line: Mapping[str, Any]) -> bytes:
    """Return a line as it is written, with its newline."""
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"
