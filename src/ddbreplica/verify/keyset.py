"""A sorted set of keys in a temporary file, so that memory does not grow with the number of keys."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from ddbreplica.files.temporary import directory_of_sqlite, no_room
from ddbreplica.model import Key


class KeySet:
    """A set of keys that may be larger than memory. Use it from one thread at a time; `close` removes its file."""

    def __init__(self) -> None:
        """Create an empty set."""
        # A database without a name: SQLite keeps it in memory while it is small, then in an unlinked private file.
        self._file = sqlite3.connect("", check_same_thread=False)
        self._file.execute("CREATE TABLE keys (key TEXT PRIMARY KEY) WITHOUT ROWID")
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def close(self) -> None:
        """Delete all keys and the file."""
        with suppress(sqlite3.Error):  # an earlier call has already reported a full disk
            self._file.close()

    def add(self, keys: Iterable[Key]) -> None:
        """Add keys; a key that is already in the set counts once. Raises TaskError if the disk is full."""
        rows = [(json.dumps(key),) for key in keys]
        with _room():
            self._count += self._file.executemany("INSERT OR IGNORE INTO keys VALUES (?)", rows).rowcount

    def remove(self, keys: Iterable[Key]) -> None:
        """Remove those of the keys that are in the set. Raises TaskError like `add`."""
        rows = [(json.dumps(key),) for key in keys]
        with _room():
            self._count -= self._file.executemany("DELETE FROM keys WHERE key = ?", rows).rowcount

    def clear(self) -> None:
        """Remove all keys."""
        with _room():
            self._file.execute("DELETE FROM keys")
        self._count = 0

    def chunks(self, size: int) -> Iterator[Sequence[Key]]:
        """Yield all keys in chunks of this size. Add no key meanwhile. Raises TaskError like `add`."""
        with _room():
            rows = self._file.execute("SELECT key FROM keys ORDER BY key")
        while chunk := _fetched(rows, size):
            yield [_key(text) for (text,) in chunk]


def _fetched(rows: sqlite3.Cursor, size: int) -> Sequence[tuple[str]]:
    with _room():
        return rows.fetchmany(size)


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise no_room("keys", error, directory=directory_of_sqlite()) from error


def _key(text: str) -> Key:
    return tuple((name, tag, value) for name, tag, value in json.loads(text))
