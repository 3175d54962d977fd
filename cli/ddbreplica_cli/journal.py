"""Keys that are being healed → what is still open after any kill: the Journal protocol in memory, and in a file.

The file is JSON lines, appended to, and written anew when it is opened and whenever it has grown. It holds notes as
well, so that how far the work has come and the keys that were open then are never apart.
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

from ddbreplica.decode import MalformedError, attributes_of, key_of
from ddbreplica.model import Key
from ddbreplica.reconcile import LATE_SECONDS
from ddbreplica_cli.errors import CommandError

GROWN = 16 * 1024 * 1024
"""Bytes appended after which the file is written anew, so that it stays small however long the work is."""

_FIRST = {"ddbreplica": "journal", "version": 1}
_AT_REST = {"rest": True}
_IN_A_LINE = 1000


class MemoryJournal:
    """For work that a kill leaves to be found again: it is gone with the process."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is open."""
        self._clock = clock
        self._free_at: dict[Key, float] = {}
        self._lock = Lock()

    def intend(self, keys: Sequence[Key]) -> Sequence[Key]:
        """Open keys; return those that are not held back."""
        with self._lock:
            now = self._clock()
            return [key for key in keys if self._free_at.get(key, now) <= now]

    def suspect(self, keys: Sequence[Key]) -> None:
        """Hold keys back."""
        with self._lock:
            self._free_at |= dict.fromkeys(keys, self._clock() + LATE_SECONDS)

    def confirm(self, keys: Sequence[Key]) -> None:
        """Close keys."""
        with self._lock:
            for key in keys:
                self._free_at.pop(key, None)

    def held(self) -> tuple[int, float]:
        """How many keys are held back, and for how many seconds at most."""
        with self._lock:
            return _held(self._free_at, self._clock())


class FileJournal:
    """Open keys and notes in one file, which one process at a time may have open.

    What is held back is so across runs: the clock is one that the next run can read as well.
    """

    def __init__(
        self, path: Path, *, clock: Callable[[], float] = time.time, late_seconds: float = LATE_SECONDS
    ) -> None:
        """Read back what an earlier run left; what it may have had under way is held back from now on.

        Raises CommandError where the file is damaged, something else, in use or not to be written.
        """
        self._path = path
        self._clock = clock
        self._late_seconds = late_seconds
        self._lock = Lock()
        self._failure: CommandError | None = None
        try:
            self._file = _locked(path)
            self._kept = _read(path, self._file)
            self._kept.find(now=clock(), late_seconds=late_seconds)
            self._write_anew(_AT_REST)
        except OSError as error:
            raise _unwritable(path, error) from error

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
            return _held(self._kept.held, self._clock())

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
            now = self._clock()
            free = [key for key in keys if self._kept.held.get(key, now) <= now]
            if free:
                self._append({"open": _as_json(free)}, durably=True)
                self._kept.open(free)
            return free

    def suspect(self, keys: Sequence[Key]) -> None:
        """Hold keys back."""
        with self._lock:
            until = self._clock() + self._late_seconds
            self._kept.hold(keys, until)
            self._append({"hold": _as_json(keys), "until": until})

    def confirm(self, keys: Sequence[Key]) -> None:
        """Close keys."""
        with self._lock:
            self._append({"close": _as_json(keys)})
            self._kept.close(keys)
            if self._grown > GROWN:
                self._write_anew()

    def rest(self) -> None:
        """Say that no request is under way: what is open and no suspect may be written by the next run at once."""
        with self._lock:
            self._append(_AT_REST, durably=True)

    def close(self) -> None:
        """Let another process have the file."""
        self._file.close()

    def remove(self) -> None:
        """Forget everything, and the file."""
        self._path.unlink(missing_ok=True)
        self.close()

    def _append(self, line: Mapping[str, Any], *, durably: bool = False) -> None:
        if self._failure is not None:  # half a line may stand there, which only the last one may be
            raise self._failure
        try:
            self._grown += self._file.write(_line(line))
            self._file.flush()
            if durably:
                os.fsync(self._file.fileno())
        except OSError as error:
            self._failure = _unwritable(self._path, error)
            raise self._failure from error

    def _write_anew(self, *more: Mapping[str, Any]) -> None:
        anew = self._path.with_name(f"{self._path.name}.new")
        file = _locked(anew)
        file.truncate(0)
        file.writelines(_line(line) for line in (_FIRST, *self._kept.lines(), *more))
        file.flush()
        os.fsync(file.fileno())
        anew.replace(self._path)
        self._file.close()
        self._file, self._grown = file, 0


class _Kept:
    """What the lines of a file amount to. `held` says until when."""

    def __init__(self) -> None:
        self.notes: dict[str, Any] = {}
        self.opened: dict[Key, None] = {}
        self.held: dict[Key, float] = {}
        self._is_at_rest = True

    def open(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self.opened[key] = None
            self.held.pop(key, None)

    def hold(self, keys: Iterable[Key], until: float) -> None:
        self.held |= dict.fromkeys(keys, until)

    def close(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self.opened.pop(key, None)
            self.held.pop(key, None)

    def take(self, line: Mapping[str, Any]) -> None:
        """Do again what a line says was done."""
        self._is_at_rest = line == _AT_REST
        match line:
            case {"note": str(name), "value": value}:
                self.notes[name] = value
            case {"open": keys}:
                self.open(map(key_of, keys))
            case {"hold": keys, "until": until}:
                self.hold(map(key_of, keys), float(until))
            case {"close": keys}:
                self.close(map(key_of, keys))
            case _ if not self._is_at_rest:
                raise ValueError(line)

    def find(self, *, now: float, late_seconds: float) -> None:
        """Hold back what a killed run may have had under way; nothing is ever held longer than that is, from now."""
        latest = now + late_seconds
        self.held = {key: min(until, latest) for key, until in self.held.items()}
        if not self._is_at_rest:
            self.hold(self.opened.keys() - self.held.keys(), latest)

    def lines(self) -> Iterator[Mapping[str, Any]]:
        """The fewest lines that amount to the same."""
        yield from ({"note": name, "value": value} for name, value in self.notes.items())
        yield from ({"open": keys} for keys in _pieces(self.opened))
        for until in sorted(set(self.held.values())):
            keys = [key for key, held_until in self.held.items() if held_until == until]
            yield from ({"hold": piece, "until": until} for piece in _pieces(keys))


def _held(until: Mapping[Key, float], now: float) -> tuple[int, float]:
    left = [moment - now for moment in until.values() if moment > now]
    return len(left), max(left, default=0.0)


def _locked(path: Path) -> BinaryIO:
    """The file, made if need be; it is this process's until it is closed."""
    import fcntl  # noqa: PLC0415  missing on Windows, where help is shown all the same

    file = path.open("ab+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_there_still = os.path.samestat(os.fstat(file.fileno()), path.stat())
    except (BlockingIOError, FileNotFoundError):
        is_there_still = False
    if is_there_still:
        return file
    file.close()
    raise CommandError(
        f"{path} is in use by another command.", hint="wait for that command's end, or name another file."
    )


def _read(path: Path, file: BinaryIO) -> _Kept:
    """What the file holds, without a last line that a kill has torn."""
    kept = _Kept()
    file.seek(0)
    for number, line in enumerate(file):
        if not line.endswith(b"\n"):
            break
        try:
            take = kept.take if number else _check_first
            take(json.loads(line))
        except (AttributeError, TypeError, ValueError, MalformedError) as error:
            file.close()
            raise CommandError(
                f"{path}, line {number + 1}, is none that this command has written.",
                hint="name another file, or remove this one to start from the beginning.",
            ) from error
    return kept


def _check_first(line: Mapping[str, Any]) -> None:
    if line != _FIRST:
        raise ValueError(line)


def _unwritable(path: Path, error: OSError) -> CommandError:
    return CommandError(
        f"{path} cannot be written: {error.strerror}.", hint="make room, or name a file elsewhere."
    )


def _as_json(keys: Iterable[Key]) -> list[Any]:
    return [attributes_of(key) for key in keys]


def _pieces(keys: Iterable[Key]) -> Iterator[list[Any]]:
    every = list(keys)
    return (_as_json(every[start : start + _IN_A_LINE]) for start in range(0, len(every), _IN_A_LINE))


def _line(line: Mapping[str, Any]) -> bytes:
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"
