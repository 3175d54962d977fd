"""Limit the size of what a command reads from a bucket or a file, and the memory that all threads use for it.

The limits follow from those of AWS: an item has at most 400 KB and an event 6 MB. In JSON a byte takes up to 6 bytes
(an escape), and an empty string in a list, which AWS counts as one byte, up to 11.
"""

import mmap
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Condition
from typing import Any, Final

from ddbreplica.model import Key
from ddbreplica.records.decode import MalformedError, key_of

MIB: Final = 1024 * 1024

MAX_PAYLOAD: Final = 8 * MIB
"""Bytes of a batch that Lambda discarded: an event of 6 MB, and spaces that Lambda may add."""

MAX_OBJECT: Final = 6 * 6 * MIB + MIB
"""Bytes of an object: an event as a JSON string in which each byte is escaped. An object with one record has fewer."""

MAX_RECORDS: Final = 10_000
"""Records of a batch: the largest `BatchSize` that Lambda allows."""

MAX_LINE: Final = 8 * MIB
"""Bytes of a line that holds an item, in a full export or a report."""

MAX_CHANGE: Final = 2 * MAX_LINE
"""Bytes of a line of an incremental export, which has the item before the change and after it."""

MAX_SMALL: Final = 64 * 1024
"""Bytes of a line, or of a member of an object, that is parsed as a whole."""

MAX_KEY_TEXT: Final = 32 * 1024
"""Bytes of a key in DynamoDB JSON in which each byte may be escaped."""

MAX_ENTRY: Final = 64 * 1024
"""Bytes of an export's manifest summary, or of a line of its file manifest. Neither can be longer."""

MAX_FILES: Final = 100_000
"""Files of an export, which has a few for each partition of up to 10 GB."""

MAX_MANIFEST: Final = 40 * MIB
"""Bytes of the file manifest of MAX_FILES files."""

MEMORY_BYTES: Final = 80 * MIB
"""Bytes of objects and lines that all threads of a command hold at the same time: room for two of MAX_OBJECT."""

_PARTITION_KEY_BYTES, _SORT_KEY_BYTES = 2048, 1024
_BYTES_OF_BASE64 = 3 / 4


def key_within(attributes: Any) -> Key:
    """Return the canonical form of a key. Raises MalformedError if it is invalid, or larger than DynamoDB allows."""
    key = key_of(attributes)
    if any(value == "" for _, _, value in key):
        raise MalformedError("a key attribute is empty")
    sizes = sorted(_bytes(tag, value) for _, tag, value in key)
    # The canonical form does not show which part is the sort key, so the smaller one has to fit.
    if len(key) > 2 or sizes[-1] > _PARTITION_KEY_BYTES or (len(key) == 2 and sizes[0] > _SORT_KEY_BYTES):
        raise MalformedError("the key is larger than DynamoDB allows")
    return key


def _bytes(tag: str, value: str) -> float:
    if tag == "B":
        return len(value) * _BYTES_OF_BASE64 - value.count("=")
    return len(value.encode("utf-8", "surrogatepass")) if tag == "S" else 0


def room(size: int) -> memoryview:
    """Return a buffer of so many bytes, which the system gets back as soon as nothing refers to it.

    The C library may keep memory that is freed in another way: for each thread its largest use.
    """
    return memoryview(mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


class Budget:
    """A number of bytes that threads share. A thread that needs more than is left waits for the others."""

    def __init__(self, size: int = MEMORY_BYTES) -> None:
        """Begin with all bytes."""
        self._size = self._left = size
        self._changed = Condition()

    @contextmanager
    def take(self, size: int) -> Iterator[None]:
        """Take so many bytes for the block, but never more than there are. The block must not take more itself."""
        # A thread that needs more than there is would wait forever.
        size = min(size, self._size)
        with self._changed:
            self._changed.wait_for(lambda: self._left >= size)
            self._left -= size
        try:
            yield
        finally:
            with self._changed:
                self._left += size
                self._changed.notify_all()


MEMORY: Final = Budget()
"""The memory that all threads of the process share to read from buckets."""


def memory_for(size: int) -> AbstractContextManager[None]:
    """Take the memory to read an object of so many bytes. A batch needs it twice: as a JSON string and as its text."""
    return MEMORY.take(size + min(size, MAX_PAYLOAD) + MIB)
