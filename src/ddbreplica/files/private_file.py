"""Open the files that a command writes, so that no other user can read or redirect them.

These files may contain keys or items. No other module opens them, which a test checks. A directory may be shared with
other users, who can create a file there before the command does. Therefore no symbolic link is followed, and a file is
used only if it is a regular file of the command's user without a hard link. A file is not changed before these checks.
Its mode is 0600.
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
"""The beginning of every state file. A state file may list in-doubt writes, and is therefore not overwritten."""

_MODE = 0o600
_OTHERS = 0o077
_DEVICES = Path("/dev")
_DESCRIPTOR = re.compile(r"/dev/(stdout|stderr)|/(?:dev|proc/self)/fd/([0-9]{1,6})")
_STANDARD = {"stdout": 1, "stderr": 2}

# Windows has none of these flags. There the commands show their help, but do not run.
# O_NONBLOCK, because another user may have created a pipe there, and opening it would wait for a writer.
_SAFELY = sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NOCTTY", "O_NOFOLLOW", "O_NONBLOCK"))


def open_to_append(path: Path, *, option: str, is_new: bool = False) -> FileIO:
    """Open a file to read and to append, create it if it does not exist, and lock it until it is closed.

    If `is_new`, raise FileExistsError if the file exists. An existing file keeps its mode, since it may not be a file
    of this command: see `make_private`. `option` is the command-line option for the file. Raises OSError, and
    TaskError for a file that is unsafe or in use.
    """
    exclusively = os.O_EXCL if is_new else 0
    return _locked(_opened(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | exclusively, option), path, option)


def open_to_read(path: Path, *, option: str) -> FileIO:
    """Open a file that an earlier run has written, and that may be in use. Raises as `open_to_append` does."""
    return _opened(path, os.O_RDONLY, option)


def open_to_write(path: Path, *, option: str, note: Note, keep: bool = False) -> FileIO:
    """Open an empty file of mode 0600, and lock it until it is closed. Raises as `open_to_append` does.

    The previous content is removed, unless `keep`: then new content follows it. A state file is refused, since a
    command needs it to resume.

    `/dev/stdout`, `/dev/fd/3` and the like are the streams that the command was started with. A character device
    directly in /dev, such as /dev/null, is used without these checks, since only root can create one there.
    """
    if standard := _DESCRIPTOR.fullmatch(str(path)):
        name, number = standard.groups()
        # A duplicate, so that closing the report leaves the command's own stream open.
        return FileIO(os.dup(_STANDARD[name] if name else int(number)), "w")
    if path.parent == _DEVICES and stat.S_ISCHR(path.lstat().st_mode):
        return FileIO(os.open(path, os.O_WRONLY | _SAFELY & ~getattr(os, "O_NONBLOCK", 0)), "w")
    file = _locked(_opened(path, os.O_RDWR | os.O_CREAT, option), path, option)
    try:
        _refuse_state(file, path, option)
        make_private(file, path, note=note)
        # Only after the checks, which would come too late for a file that is already empty.
        if keep:
            file.seek(0, os.SEEK_END)
        else:
            file.truncate(0)
    except (TaskError, OSError):
        file.close()
        raise
    return file


def make_private(file: FileIO, path: Path, *, note: Note) -> None:
    """Set the mode of a file to 0600, and show a note if other users could read or write it before."""
    before = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    if not before & _OTHERS:
        return
    with suppress(OSError):
        os.fchmod(file.fileno(), _MODE)
    if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & _OTHERS:
        note(f"Note: other users may read {path}, since its file system does not keep the mode 0600.")
    else:
        note(f"Note: the mode of {path} was {before:04o} and is now 0600: other users cannot read it.")


def write_all(file: FileIO, content: bytes) -> None:
    """Write all of the content. One write to an unbuffered file may write only a part of it."""
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]


def _opened(path: Path, flags: int, option: str) -> FileIO:
    with suppress(FileNotFoundError):
        # Before it is opened: opening a device or a pipe may have an effect.
        _check(path, path.lstat(), option)
    descriptor = os.open(path, flags | _SAFELY, _MODE)
    try:
        # Again, since the path may lead to another file since the first check.
        _check(path, os.fstat(descriptor), option)
        # Unbuffered, so that nothing is left to write when it is closed, which could fail on a full disk.
        return FileIO(descriptor, "r+" if flags & os.O_RDWR else "r")
    except (TaskError, OSError):
        os.close(descriptor)
        raise


def _check(path: Path, found: os.stat_result, option: str) -> None:
    """Raise TaskError for a file that another user may have created, or that has another name elsewhere."""
    if stat.S_ISDIR(found.st_mode):
        return  # the system's own error explains that a directory cannot be opened
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
            f"{path} is the state file of a command, and may list writes that AWS can still apply.",
            hint=f"name another file with {option}.",
        )


def _locked(file: FileIO, path: Path, option: str) -> FileIO:
    """Lock a file and return it. Raises TaskError if another process has locked or replaced it."""
    import fcntl  # noqa: PLC0415  missing on Windows, where the commands still show their help

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A state is replaced by a rename, and a lock on the old file protects nothing.
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
