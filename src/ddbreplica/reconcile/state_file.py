"""A command's state file: lines that one process at a time writes, such that a kill leaves all but the last whole."""

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
"""How the name of the file ends that lists beside a state what a backfill could not decide about."""

MAX_HEAD = 4096
"""Bytes of a first line: what has a longer one is no state file, and might have no end."""

_NEW = ".new"


class Lines(Protocol):
    """The lines that a state consists of. Each ends in a newline, except a last one that a kill has torn."""

    @property
    def name(self) -> str:
        """How messages name it."""
        ...

    def read(self) -> Iterator[bytes]:
        """All of them, the first one cut off after MAX_HEAD bytes."""
        ...

    def append(self, line: bytes, *, durably: bool) -> None:
        """Add one or more; they outlive a crash of the machine if this returns and they were added `durably`."""
        ...

    def replace(self, lines: Iterable[bytes]) -> None:
        """Put these in the place of all others, durably, or leave everything as it was."""
        ...

    @property
    def appended(self) -> int:
        """Bytes that were appended since the lines were last replaced."""
        ...

    def close(self) -> None:
        """Let another process have them."""
        ...

    def remove(self) -> None:
        """Forget them."""
        ...


class StateFile:
    """Lines in a file, which is locked until it is closed. Raises TaskError where it cannot be read or written."""

    def __init__(self, path: Path) -> None:
        """Open the file, and create it if there is none. Raises TaskError if another process has it open."""
        self.path = path
        self.appended = 0
        self._failure: TaskError | None = None
        if path.name.endswith((_NEW, UNDECIDED_SUFFIX)):
            raise TaskError(
                f"{path} is the name of a file beside a state file.", hint=f"name another file with {OPTION}."
            )
        try:
            self._file = open_to_append(path, option=OPTION)
        except OSError as error:
            raise unwritable(path, error) from error

    @property
    def name(self) -> str:
        """Its path."""
        return str(self.path)

    def read(self) -> Iterator[bytes]:
        """All lines."""
        try:
            yield from _lines(self._file)
        except OSError as error:
            raise unreadable(self.path, error) from error

    def append(self, line: bytes, *, durably: bool) -> None:
        """Add a line or more. Once that has failed, it fails again: only the last line of a file may be torn."""
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
        """Write a second file, and give it the place of the first one."""
        new = self.path.with_name(f"{self.path.name}{_NEW}")
        try:
            file = _created(new)
        except OSError as error:
            raise unwritable(new, error, state=self.path) from error
        try:
            for line in lines:
                write_all(file, line)
            os.fsync(file.fileno())
            new.replace(self.path)
            _sync_directory(self.path)
        except OSError as error:
            file.close()
            with suppress(OSError):
                new.unlink()
            raise unwritable(self.path, error) from error
        self._file.close()
        self._file, self.appended = file, 0

    def close(self) -> None:
        """Let another process have the file."""
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
    """The lines of a state file that is not locked: another process may be writing it."""
    try:
        with open_to_read(path, option=OPTION) as file:
            yield from _lines(file)
    except OSError as error:
        raise unreadable(path, error) from error


def unwritable(path: Path, error: OSError, *, state: Path | None = None) -> TaskError:
    """A file that cannot be written, and why. `state` is the state that it belongs to, if that is another file."""
    elsewhere = f"name a file elsewhere with {OPTION}"
    if _has_content(state or path):  # in another file the command would forget what this one names
        elsewhere = f"move {state or path} elsewhere and name it with {OPTION}"
    return TaskError(f"{path} cannot be written: {error.strerror}.", hint=f"make room, or {elsewhere}.")


def _has_content(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size > 0
    except OSError:
        return False


def unreadable(path: Path, error: OSError) -> TaskError:
    """A file that cannot be read, and why."""
    return TaskError(f"{path} cannot be read: {error.strerror}.", hint=f"name another file with {OPTION}.")


def _created(path: Path) -> FileIO:
    """A new file, in the place of what a run has left that was killed while it wrote one."""
    try:
        return open_to_append(path, option=OPTION, is_new=True)
    except FileExistsError:
        _remove_leftover(path)
    return open_to_append(path, option=OPTION, is_new=True)


def _remove_leftover(path: Path) -> None:
    """Remove what only this command can have left, since it has the state locked. Raises TaskError for all else."""
    with open_to_append(path, option=OPTION) as file:
        file.seek(0)
        beginning = file.read(len(STATE_BEGINNING))
        if not STATE_BEGINNING.startswith(beginning):
            raise TaskError(
                f"{path} was not written by ddbreplica, which needs that name.",
                hint=f"move that file away, or name another file with {OPTION}.",
            )
        path.unlink()


def _lines(file: FileIO) -> Iterator[bytes]:
    file.seek(0)
    with open(file.fileno(), "rb", closefd=False) as reader:
        yield reader.readline(MAX_HEAD)
        yield from reader


def _sync_directory(path: Path) -> None:
    """Let a new name outlive a crash of the machine, where the file system has a way to."""
    with suppress(OSError):
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
