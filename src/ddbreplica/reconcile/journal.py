"""Keep the open keys and the notes of a command in its state file, so that a later run resumes the work.

The file is compacted when it is opened and whenever it has grown. Notes and keys are in one file, so that the position
of the work always matches the keys that were open there. `journal_format` describes the lines.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
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
from ddbreplica.records.text import identity_text, printable

GROWN = 16 * 1024 * 1024
"""Bytes appended after which the state file is compacted, so that it stays small however long the work takes."""


class FileJournal:
    """Open keys and notes. Keys stay held back across runs, even if the local clock is set in between."""

    def __init__(self, lines: Lines, *, command: str, clock: Clock) -> None:
        """Read the state that an earlier run of the command left.

        If that run was killed, hold back each key that it left open for as long as one of its writes may still land.
        Raises TaskError if the lines are damaged, of another command, or cannot be written.
        """
        self._lines = lines
        self._command = command
        self._clock = clock
        self._lock = Lock()
        try:
            self._kept = read(lines.read(), lines.name, command)
            self._kept.find(now=clock.ticks())
            # At rest, since `find` has already held back what a killed run left open.
            self._replace(AT_REST)
        except TaskError:
            lines.close()
            raise

    @classmethod
    def at(cls, path: Path, *, command: str, clock: Clock) -> "FileJournal":
        """Return the journal in a file, which is created if it does not exist."""
        return cls(StateFile(path), command=command, clock=clock)

    @property
    def name(self) -> str:
        """The name of the state in messages."""
        return self._lines.name

    @property
    def notes(self) -> Mapping[str, Any]:
        """The last value noted under each name."""
        return self._kept.notes

    def open_keys(self) -> Sequence[Key]:
        """Return the keys that are open."""
        with self._lock:
            return tuple(self._kept.opened)

    def held(self) -> tuple[int, float]:
        """Return how many keys are held back, and for how many seconds at most."""
        with self._lock:
            return self._kept.longest(self._clock)

    def resume(self, identity: Mapping[str, Any], *, under: str = IDENTITY) -> bool:
        """Return whether an earlier run of the same work left this state. Raises TaskError for other work.

        The identity of the work is noted under the name `under`.
        """
        before = self.notes.get(under)
        if before is None:
            self.note(under, identity)
            return False
        for name, now in identity.items():
            if before.get(name) != now:
                raise TaskError(
                    f"{self.name} is the state file of a {self._command} with other tables or options: its {name} is"
                    f" {_shown(before.get(name))}, not {_shown(now)}.",
                    hint="use the same tables and options to resume it, or name another file with --state.",
                )
        return True

    def note(self, name: str, value: Any) -> None:
        """Store a JSON value under a name, and replace the one that was noted before.

        A crash of the machine may lose it, but only together with everything that was appended later.
        """
        self.note_all({name: value})

    def note_all(self, values: Mapping[str, Any]) -> None:
        """Store some JSON values under their names, in order. After a kill, only the last ones may be missing."""
        with self._lock:
            self._append(*({"note": name, "value": value} for name, value in values.items()))
            self._kept.notes.update(values)
            self._compact()

    def intend(self, keys: Sequence[Key]) -> Sequence[Key]:
        """Open keys, durably. Return those that are not held back."""
        with self._lock:
            held = self._kept.held
            # Computed each time: a later response may show that the clock is further ahead, which makes holds longer.
            free = [key for key in keys if key not in held or held[key].left(self._clock) <= 0]
            if free:
                # Durably, since a write may start when this returns.
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
            # Not durably: the keys are open in the state already, and after a crash all open keys are held back.
            self._append(*self._ahead(), *hold_lines(held))

    def confirm(self, keys: Sequence[Key]) -> None:
        """Close keys."""
        if not keys:
            return
        with self._lock:
            # Not durably: a key that stays open by mistake is only reconciled once more.
            self._append({"close": as_json(keys)})
            self._kept.close(keys)
            self._compact()

    def rest(self) -> None:
        """Record that no request is under way, and until when keys are held back.

        The next run may then write the other open keys at once.
        """
        with self._lock:
            held = self._kept.until(self._clock)
            self._append(*self._ahead(), *hold_lines(held), AT_REST, durably=True)

    @contextmanager
    def reopening(self, keys: Sequence[Key]) -> Iterator[None]:
        """Open keys again if the block raises TaskError: then they are not done, although they were confirmed."""
        try:
            yield
        except TaskError:
            self.intend(keys)
            raise

    @contextmanager
    def leaving(self, *, is_at_rest: Callable[[], bool]) -> Iterator[None]:
        """Run a block, then record in the state what the next run needs; remove the state if no key is open."""
        try:
            yield
        except BaseException:
            with suppress(TaskError):  # without this record, the next run holds back every open key
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
        """Whether the state has open keys, or notes beside its identity."""
        return bool(self.open_keys() or self.notes.keys() - {IDENTITY})

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Run a block, then keep the state if it has open keys, or notes beside its identity; else remove it."""
        try:
            yield
        finally:
            if self.has_more:
                self.close()
            else:
                self.remove()

    def forget(self, *, keep: Collection[str] = ()) -> None:
        """Delete all notes, because the work is done, except those with the names in `keep`."""
        with self._lock:
            for name in self._kept.notes.keys() - set(keep):
                del self._kept.notes[name]
            # Also in the file: it stays if it has open keys, and after a kill its work must not seem to be half done.
            self._replace()

    def close(self) -> None:
        """Release the state for another process."""
        self._lines.close()

    def remove(self) -> None:
        """Remove the state."""
        self._lines.remove()

    def _ahead(self) -> Iterator[Mapping[str, Any]]:
        """Return the line that records how far the local clock is ahead, if that has grown by a second or more."""
        ahead, recorded = self._clock.ahead, self._kept.ahead
        if ahead is not None and (recorded is None or ahead >= recorded + 1):
            self._kept.ahead = ahead
            yield {"clock_ahead_seconds": ahead}

    def _append(self, *lines: Mapping[str, Any], durably: bool = False) -> None:
        self._lines.append(b"".join(map(as_line, lines)), durably=durably)

    def _compact(self) -> None:
        if self._lines.appended > GROWN:
            self._replace()

    def _replace(self, *more: Mapping[str, Any]) -> None:
        head = {"ddbreplica": "state", "version": VERSION, "command": self._command}
        self._lines.replace(map(as_line, (head, *self._kept.lines(), *more)))


@dataclass(frozen=True, slots=True)
class HeldKeys:
    """The open keys of a state file, how many of them it holds back, for how many seconds at most, and their tables."""

    open: int
    held: int
    seconds: float
    identity: Mapping[str, Any]


def left_in(path: Path, *, command: str, clock: Clock) -> HeldKeys:
    """Return the keys that a state file holds back now, without changing the file. Raises TaskError."""
    kept = read(lines_of(path), str(path), command)
    kept.find(now=clock.ticks())
    return HeldKeys(len(kept.opened), *kept.longest(clock), kept.notes.get(IDENTITY, {}))


def _shown(value: Any) -> str:
    """Return a JSON value as text, and strings without quotes."""
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "none"
    return identity_text(value) if isinstance(value, str) else printable(value)
