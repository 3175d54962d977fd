"""Keys → the same keys, each once and in order, from a temporary file: memory does not grow with their number."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from ddbreplica.files.temporary import directory_of_sqlite, no_room
from ddbreplica.model import Key


class KeySet:
    """A set of keys that may be larger than memory. One thread at a time; its file is gone with it."""

    def __init__(self) -> None:
        """Empty."""
        # No name: SQLite keeps it in memory while it is small, and then in a file that nobody else sees.
        self._file = sqlite3.connect("", check_same_thread=False)
        self._file.execute("CREATE TABLE keys (key TEXT PRIMARY KEY) WITHOUT ROWID")
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def close(self) -> None:
        """Forget them."""
        with suppress(sqlite3.Error):  # a disk that is full has been told of already
            self._file.close()

    def add(self, keys: Iterable[Key]) -> None:
        """Take up keys; one that is there already counts once. Raises TaskError where there is no room for them."""
        rows = [(json.dumps(key),) for key in keys]
        with _room():
            self._count += self._file.executemany("INSERT OR IGNORE INTO keys VALUES (?)", rows).rowcount

    def chunks(self, size: int) -> Iterator[Sequence[Key]]:
        """All of them, so many at a time. None may be added meanwhile. Raises TaskError as `add` does."""
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
