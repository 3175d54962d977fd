"""The keys that a task reconciles, and its notes: the Journal protocol in a state that outlives the process.

A state is written again as a whole when it is opened and whenever it has grown. Notes and keys stand together, so that
how far the work has come and the keys that were open then are never apart. `journal_format` describes the lines.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from ddbreplica.aws.clock import Clock
from ddbreplica.errors import TaskError
from ddbreplica.model import Key
from ddbreplica.reconcile.journal_format import (
    AT_REST,
    IDENTITY,
    VERSION,
    Hold,
    as_json,
    as_line,
    hold_lines,
    read,
)
from ddbreplica.reconcile.state_file import Lines, StateFile, lines_of

GROWN = 16 * 1024 * 1024
"""Bytes appended after which the state is written again as a whole, so that it stays small however long the work is."""


class FileJournal:
    """Open keys and notes. What is held back is so across runs, however the local clock is set meanwhile."""

    def __init__(self, lines: Lines, *, command: str, clock: Clock) -> None:
        """Read back what an earlier run of the command left.

        If that run was killed, each key that it left open is held back from now on, for as long as a write of that run
        may still land. Raises TaskError where the lines are damaged, of something else, or cannot be written.
        """
        self._lines = lines
        self._command = command
        self._clock = clock
        self._lock = Lock()
        try:
            self._kept = read(lines.read(), lines.name, command)
            self._kept.find(now=clock.ticks())
            self._replace(AT_REST)
        except TaskError:
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
        """Return whether an earlier run of the same work left this state. Raises TaskError for other work."""
        before = self.notes.get(IDENTITY)
        if before is None:
            self.note(IDENTITY, identity)
            return False
        for name, now in identity.items():
            if before.get(name) != now:
                raise TaskError(
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
                self._append(*self._ahead(), {"open": as_json(free)}, durably=True)
                self._kept.open(free)
            return free

    def mark_in_doubt(self, keys: Sequence[Key]) -> None:
        """Hold keys back from now on, in this run and the next ones."""
        if not keys:
            return
        with self._lock:
            held = dict.fromkeys(keys, Hold(self._clock.ticks(), self._clock.hold_seconds))
            self._kept.hold(held)
            self._append(*self._ahead(), *hold_lines(held))

    def confirm(self, keys: Sequence[Key]) -> None:
        """Close keys."""
        if not keys:
            return
        with self._lock:
            self._append({"close": as_json(keys)})
            self._kept.close(keys)
            if self._lines.appended > GROWN:
                self._replace()

    def rest(self) -> None:
        """Record that no request is under way, and until when keys are held back.

        What is open and not held back may then be written by the next run at once.
        """
        with self._lock:
            held = self._kept.until(self._clock)
            self._append(*self._ahead(), *hold_lines(held), AT_REST, durably=True)

    @contextmanager
    def leaving(self, *, is_at_rest: Callable[[], bool]) -> Iterator[None]:
        """Let the state, when the block ends, say what the next run has to know; remove it if that is nothing."""
        try:
            yield
        except BaseException:
            with suppress(TaskError):  # not at rest then: the next run holds back what is open
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
    def has_more(self) -> bool:
        """Whether the state says anything but of which work it is."""
        return bool(self.open_keys() or self.notes.keys() - {IDENTITY})

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the state, when the block ends, if it says anything but of which work it is."""
        try:
            yield
        finally:
            if self.has_more:
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
        self._lines.append(b"".join(map(as_line, lines)), durably=durably)

    def _replace(self, *more: Mapping[str, Any]) -> None:
        head = {"ddbreplica": "state", "version": VERSION, "command": self._command}
        self._lines.replace(map(as_line, (head, *self._kept.lines(), *more)))


@dataclass(frozen=True, slots=True)
class HeldKeys:
    """What a state file would hold back if it were resumed: how many keys, for how long at most, of which tables."""

    held: int
    seconds: float
    identity: Mapping[str, Any]


def left_in(path: Path, *, command: str, clock: Clock) -> HeldKeys:
    """What a command would find in a state file if it resumed now; nothing is changed. Raises TaskError."""
    kept = read(lines_of(path), str(path), command)
    kept.find(now=clock.ticks())
    return HeldKeys(*kept.longest(clock), kept.notes.get(IDENTITY, {}))
