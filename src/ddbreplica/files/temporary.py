"""Create temporary files for data that is larger than memory, and explain what to do if there is no space for them."""

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
    """Return a file without a name, which is removed after the block. Closing it raises no error."""
    # An error when it is closed would hide the error that ended the block.
    file = tempfile.TemporaryFile()  # noqa: SIM115  a with block would raise if the file cannot be flushed
    try:
        yield file
    finally:
        with suppress(OSError):
            file.close()


def no_room(of: str, why: object, *, directory: str) -> TaskError:
    """Return the error for a temporary file that cannot be written in a directory."""
    return TaskError(
        f"the temporary file of {of}, in {directory}, cannot be written: {why}.",
        hint="free space there, or set TMPDIR to another directory, and run the same command again.",
    )


def directory_of_sqlite() -> str:
    """Return the directory of SQLite's temporary files: https://www.sqlite.org/tempfiles.html."""
    named = (os.environ.get(name, "") for name in ("SQLITE_TMPDIR", "TMPDIR"))
    found = (each for each in (*named, "/var/tmp", "/usr/tmp", "/tmp") if each and _is_usable(each))  # noqa: S108
    return next(found, ".")


def _is_usable(directory: str) -> bool:
    return Path(directory).is_dir() and os.access(directory, _WRITABLE)
