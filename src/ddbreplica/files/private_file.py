"""The one way in which a command opens a file of its own, which may hold keys or items of a table.

A directory may be shared with other users, who can create a file there before the command does. So no symbolic link
is followed, and only a regular file is used that belongs to the user of the command and has no other name. Nothing in
a file changes before this is known. Its mode is 0600.
"""

import os
import re
import stat
from contextlib import suppress
from io import FileIO
from pathlib import Path

from ddbreplica.driver import Note
from ddbreplica.errors import TaskError

STATE_BEGINNING = b'{"ddbreplica"'
"""How a state file begins, whatever its version. It may name writes that can still land."""

_MODE = 0o600
_OTHERS = 0o077
_DEVICES = Path("/dev")
_DESCRIPTOR = re.compile(r"/dev/(stdout|stderr)|/(?:dev|proc/self)/fd/([0-9]{1,6})")
_STANDARD = {"stdout": 1, "stderr": 2}

# Windows has none of these; help is shown there, and no command runs.
_SAFELY = sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NOCTTY", "O_NOFOLLOW", "O_NONBLOCK"))


def open_to_append(path: Path, *, option: str, is_new: bool = False) -> FileIO:
    """Open a file to read it and to append to it, and lock it until it is closed; create it if there is none.

    If it `is_new`, raise FileExistsError if there is one. One that exists keeps its mode, since it may not be a file
    that this command has written: see `make_private`. `option` is what names another file on the command line.
    Raises OSError, and TaskError for a file that is unsafe to use or in use.
    """
    exclusively = os.O_EXCL if is_new else 0
    return _locked(_opened(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | exclusively, option), path, option)


def open_to_read(path: Path, *, option: str) -> FileIO:
    """Open a file that an earlier run has written, which may be in use. Raises the same."""
    return _opened(path, os.O_RDONLY, option)


def open_to_write(path: Path, *, option: str, note: Note) -> FileIO:
    """Open an empty file of mode 0600, and lock it until it is closed. Raises the same.

    Whatever it held is gone, but a state is refused: a command would forget what it was writing.

    `/dev/stdout`, `/dev/fd/3` and the like are the streams that the command was started with, and a character device
    directly in /dev, such as /dev/null, is used as it is: only root can create one there.
    """
    if standard := _DESCRIPTOR.fullmatch(str(path)):
        name, number = standard.groups()
        return FileIO(os.dup(_STANDARD[name] if name else int(number)), "w")
    if path.parent == _DEVICES and stat.S_ISCHR(path.lstat().st_mode):
        return FileIO(os.open(path, os.O_WRONLY | _SAFELY & ~getattr(os, "O_NONBLOCK", 0)), "w")
    file = _locked(_opened(path, os.O_RDWR | os.O_CREAT, option), path, option)
    try:
        _refuse_state(file, path, option)
        make_private(file, path, note=note)
        file.truncate(0)
    except (TaskError, OSError):
        file.close()
        raise
    return file


def make_private(file: FileIO, path: Path, *, note: Note) -> None:
    """Let nobody else read or write the file, whatever its mode was, and note what that was."""
    before = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    if not before & _OTHERS:
        return
    with suppress(OSError):
        os.fchmod(file.fileno(), _MODE)
    if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & _OTHERS:
        note(f"Note: other users may read {path}, since its file system does not keep the mode 0600.")
    else:
        note(f"Note: the mode of {path} was {before:04o}, and is now 0600: other users cannot read it.")


def write_all(file: FileIO, content: bytes) -> None:
    """Write all of it: a file without a buffer may take only a part at a time."""
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]


def _opened(path: Path, flags: int, option: str) -> FileIO:
    with suppress(FileNotFoundError):
        _check(path, path.lstat(), option)  # opening a device, or a pipe, may have an effect already
    descriptor = os.open(path, flags | _SAFELY, _MODE)
    try:
        _check(path, os.fstat(descriptor), option)
        # Unbuffered: closing it then has nothing left to write, and cannot fail after the disk was full.
        return FileIO(descriptor, "r+" if flags & os.O_RDWR else "r")
    except (TaskError, OSError):
        os.close(descriptor)
        raise


def _check(path: Path, found: os.stat_result, option: str) -> None:
    """Raise TaskError for what another user may have put there, or what opening would change elsewhere."""
    if stat.S_ISDIR(found.st_mode):
        return  # which cannot be opened, as the system itself says
    if stat.S_ISLNK(found.st_mode):
        why = "is a symbolic link, which is not followed"
    elif not stat.S_ISREG(found.st_mode):
        why = "is not a regular file"
    elif found.st_uid != os.geteuid():
        why = "belongs to another user"
    elif found.st_nlink > 1:
        why = "has another name (a hard link), under which its content would change too"
    else:
        return
    raise TaskError(f"{path} {why}.", hint=f"name another file with {option}, or remove this one.")


def _refuse_state(file: FileIO, path: Path, option: str) -> None:
    beginning = file.read(len(STATE_BEGINNING))
    file.seek(0)
    if beginning == STATE_BEGINNING:
        raise TaskError(
            f"{path} is the state of a command, which may name writes that can still change the replica.",
            hint=f"name another file with {option}.",
        )


def _locked(file: FileIO, path: Path, option: str) -> FileIO:
    """The same file, or TaskError if another process has it locked, or has replaced it."""
    import fcntl  # noqa: PLC0415  missing on Windows, where help is shown all the same

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_there_still = os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except (BlockingIOError, FileNotFoundError):
        is_there_still = False
    except OSError:
        file.close()
        raise
    if not is_there_still:
        file.close()
        raise TaskError(
            f"{path} is in use by another command.",
            hint=f"wait until that command ends, or name another file with {option}.",
        )
    return file
