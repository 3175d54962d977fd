"""Temporary files, which hold what is larger than memory, and what to do where they find no room."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ddbreplica.errors import TaskError

_WRITABLE = os.W_OK | os.X_OK


@contextmanager
def temporary_file() -> Iterator[IO[bytes]]:
    """A file without a name, gone with the block. To close it raises nothing: that would hide why the block ended."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  a with block would raise what cannot be flushed any more
    try:
        yield file
    finally:
        with suppress(OSError):
            file.close()


def no_room(of: str, why: object, *, directory: str) -> TaskError:
    """The error of a temporary file that cannot be written there."""
    return TaskError(
        f"the temporary file of {of}, in {directory}, cannot be written: {why}.",
        hint="make room there, or name another directory with TMPDIR, and run the same command again.",
    )


def directory_of_sqlite() -> str:
    """Where SQLite puts a temporary file: https://www.sqlite.org/tempfiles.html."""
    named = (os.environ.get(name, "") for name in ("SQLITE_TMPDIR", "TMPDIR"))
    found = (each for each in (*named, "/var/tmp", "/usr/tmp", "/tmp") if each and _is_usable(each))  # noqa: S108
    return next(found, ".")


def _is_usable(directory: str) -> bool:
    return Path(directory).is_dir() and os.access(directory, _WRITABLE)
