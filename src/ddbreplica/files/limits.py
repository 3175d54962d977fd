"""How large what a command reads from a bucket or a file may be, from what AWS allows, and the memory that it gets.

An item has at most 400 KB and an event 6 MB. JSON spells a byte in up to 6 bytes (an escape), and an empty string of a
list, which counts as one byte, in up to 11.
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
"""Bytes of a batch that Lambda discarded: an event of 6 MB, and spaces that its writer may add."""

MAX_OBJECT: Final = 6 * 6 * MIB + MIB
"""Bytes of an object: such an event as a string of JSON, each byte of which is escaped. A record alone has fewer."""

MAX_RECORDS: Final = 10_000
"""Records of a batch, by the largest `BatchSize` that Lambda allows."""

MAX_LINE: Final = 8 * MIB
"""Bytes of an item as a line of an export, or of a report."""

MAX_SMALL: Final = 64 * 1024
"""Bytes of a line, or of a part of an object, that are parsed as a whole."""

MAX_KEY_TEXT: Final = 32 * 1024
"""Bytes of a key in DynamoDB JSON, each of which may be escaped."""

MAX_ENTRY: Final = 64 * 1024
"""Bytes of a summary of an export, or of a line of its list of files. A text that is longer cannot be one."""

MAX_FILES: Final = 100_000
"""Files of an export, of which a partition of up to 10 GB has a few."""

MAX_MANIFEST: Final = 40 * MIB
"""Bytes of the list of so many files."""

MEMORY_BYTES: Final = 80 * MIB
"""Bytes of objects and lines that a command holds at a time, in all of its threads. MAX_OBJECT fits in twice."""

_PARTITION_KEY_BYTES, _SORT_KEY_BYTES = 2048, 1024
_BYTES_OF_BASE64 = 3 / 4


def key_within(attributes: Any) -> Key:
    """The key that these attributes are. Raises MalformedError for none, and for one that no table can hold."""
    key = key_of(attributes)
    sizes = sorted(_bytes(tag, value) for _, tag, value in key)
    if len(key) > 2 or sizes[-1] > _PARTITION_KEY_BYTES or (len(key) == 2 and sizes[0] > _SORT_KEY_BYTES):
        raise MalformedError("the key is larger than DynamoDB allows")
    return key


def _bytes(tag: str, value: str) -> float:
    if tag == "B":
        return len(value) * _BYTES_OF_BASE64 - value.count("=")
    return len(value.encode("utf-8", "surrogatepass")) if tag == "S" else 0


def room(size: int) -> memoryview:
    """So many bytes, which go back to the system as soon as nothing refers to them.

    What is freed otherwise, the C library may keep: for each thread as much as that has had at a time.
    """
    return memoryview(mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


class Budget:
    """Bytes that threads share: who wants more than is left waits until another has given some back."""

    def __init__(self, size: int = MEMORY_BYTES) -> None:
        """All of them are left."""
        self._size = self._left = size
        self._changed = Condition()

    @contextmanager
    def take(self, size: int) -> Iterator[None]:
        """Have so many for the block, or all if that is less. The block must not take any more."""
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
"""What all threads of the process share for what they read from buckets."""


def memory_for(size: int) -> AbstractContextManager[None]:
    """Have the memory to read an object of so many bytes: a batch is there twice, as its part and as its text."""
    return MEMORY.take(size + min(size, MAX_PAYLOAD) + MIB)
