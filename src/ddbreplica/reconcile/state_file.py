"""Read and write a command's state file. One process at a time uses it; a kill can damage only its last line."""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Protocol

from ddbreplica.errors import TaskError
from ddbreplica.files.private_file import STATE_BEGINNING, open_to_append, open_to_read, write_all

OPTION = "--state"
UNDECIDED_SUFFIX = ".undecided"
"""The suffix of the file beside a state file that lists the items that need review."""

MAX_HEAD = 4096
"""The most bytes of a first line. A file with a longer one is not a state file, and may be endless."""

_NEW = ".new"


class Lines(Protocol):
    """The lines of a state. Each ends with a newline. If a process was killed, the last one may be incomplete."""

    @property
    def name(self) -> str:
        """The name of the state in messages."""
        ...

    def read(self) -> Iterator[bytes]:
        """Return all lines. The first is cut after MAX_HEAD bytes."""
        ...

    def append(self, line: bytes, *, durably: bool) -> None:
        """Append one or more lines. If `durably`, they survive a crash of the machine after this returns."""
        ...

    def replace(self, lines: Iterable[bytes]) -> None:
        """Replace all lines, durably, or leave them unchanged."""
        ...

    @property
    def appended(self) -> int:
        """The bytes appended since the lines were last replaced."""
        ...

    def close(self) -> None:
        """Release the lines for another process."""
        ...

    def remove(self) -> None:
        """Remove the file, or whatever holds the lines."""
        ...


class StateFile:
    """Lines in a file, which is locked until it is closed. Raises TaskError if it cannot be read or written."""

    def __init__(self, path: Path) -> None:
        """Open the file, or create it. Raises TaskError if another process has it open."""
        self.path = path
        self.appended = 0
        self._failure: TaskError | None = None
        if path.name.endswith((_NEW, UNDECIDED_SUFFIX)):
            raise TaskError(
                f"{path} cannot be a state file: ddbreplica uses such a name for another file beside it.",
                hint=f"name another file with {OPTION}.",
            )
        try:
            self._file = open_to_append(path, option=OPTION)
        except OSError as error:
            raise unwritable(path, error) from error

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    def read(self) -> Iterator[bytes]:
        """Return all lines."""
        try:
            yield from _lines(self._file)
        except OSError as error:
            raise unreadable(self.path, error) from error

    def append(self, line: bytes, *, durably: bool) -> None:
        """Append one or more lines. After a failure it always fails: only the last line may be incomplete."""
        if self._failure is not None:
            raise self._failure
        try:
            write_all(self._file, line)
            if durably:
                os.fsync(self._file.fileno())
        except OSError as error:
            self._failure = unwritable(self.path, error)
            raise self._failure from error
        self.appended += len(line)

    def replace(self, lines: Iterable[bytes]) -> None:
        """Write a new file, and rename it to the first one."""
        new = self.path.with_name(f"{self.path.name}{_NEW}")
        try:
            file = _created(new)
        except OSError as error:
            raise unwritable(new, error, state=self.path) from error
        try:
            for line in lines:
                write_all(file, line)
            os.fsync(file.fileno())
            # Synced first, or after a crash the name could lead to an empty file.
            new.replace(self.path)
            _sync_directory(self.path)
        except OSError as error:
            file.close()
            with suppress(OSError):
                new.unlink()
            raise unwritable(self.path, error) from error
        # Only now, since its lock keeps other processes away until the new file, which is locked too, has its name.
        self._file.close()
        self._file, self.appended = file, 0

    def close(self) -> None:
        """Release the file for another process."""
        self._file.close()

    def remove(self) -> None:
        """Remove the file."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(self.path, error) from error
        finally:
            self.close()


def lines_of(path: Path) -> Iterator[bytes]:
    """Return the lines of a state file without a lock; another process may be writing it."""
    try:
        with open_to_read(path, option=OPTION) as file:
            yield from _lines(file)
    except OSError as error:
        raise unreadable(path, error) from error


def unwritable(path: Path, error: OSError, *, state: Path | None = None) -> TaskError:
    """Return the error for a file that cannot be written. `state` is its state file, if that is a different file."""
    elsewhere = f"name a file on another disk with {OPTION}"
    if _has_content(state or path):  # with a new file, the command would lose the keys in this one
        elsewhere = f"move {state or path} to another disk and name it with {OPTION}"
    what = "create the directory" if error.errno == errno.ENOENT else "free disk space"
    return TaskError(f"{path} cannot be written: {error.strerror}.", hint=f"{what}, or {elsewhere}.")


def _has_content(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size > 0
    except OSError:
        return False


def unreadable(path: Path, error: OSError) -> TaskError:
    """Return the error for a file that cannot be read."""
    return TaskError(f"{path} cannot be read: {error.strerror}.", hint=f"name another file with {OPTION}.")


def _created(path: Path) -> FileIO:
    """Create a new file. Replace one that a killed run has left."""
    try:
        return open_to_append(path, option=OPTION, is_new=True)
    except FileExistsError:
        _remove_leftover(path)
    return open_to_append(path, option=OPTION, is_new=True)


def _remove_leftover(path: Path) -> None:
    """Remove a new file that a killed run has left. Raises TaskError if it is not a state file.

    No running command can be writing it, since this one has locked the state file.
    """
    with open_to_append(path, option=OPTION) as file:
        file.seek(0)
        beginning = file.read(len(STATE_BEGINNING))
        if not STATE_BEGINNING.startswith(beginning):
            raise TaskError(
                f"{path} exists and was not written by ddbreplica, which needs this name for a new state file.",
                hint=f"move or rename that file, or name another state file with {OPTION}.",
            )
        path.unlink()


def _lines(file: FileIO) -> Iterator[bytes]:
    file.seek(0)
    with open(file.fileno(), "rb", closefd=False) as reader:
        yield reader.readline(MAX_HEAD)
        yield from reader


def _sync_directory(path: Path) -> None:
    """Make a rename durable, if the file system can."""
    with suppress(OSError):
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
