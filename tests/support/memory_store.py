"""A store in memory with S3's conditions. An ETag is the hash of the content, so that the same content has it again.

Each write has a fate: it may get no response, whether it is stored, is not, or is stored later.
"""

from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum, auto
from hashlib import md5

from ddbreplica.bucket.store import Conflict, Stored


class Fate(Enum):
    """What happens to a write."""

    ANSWERED = auto()
    """Its condition decides, and the writer gets the response."""
    LOST = auto()
    """Its condition decides, and the writer gets no response."""
    UNSENT = auto()
    """It never reaches the store, and the writer gets no response."""
    LATE = auto()
    """The writer gets no response. Its condition decides when `land` is called."""
    RACE = auto()
    """It is not stored, since another request is writing the object."""


class MemoryStore:
    """Objects by their names. `fates` are those of the next writes; further writes get their responses.

    `before_write` is called before each write. `reads` and `writes` count the requests.
    """

    def __init__(self, fates: Iterable[Fate] = ()) -> None:
        self.objects: dict[str, bytes] = {}
        self.fates = deque(fates)
        self.late: list[Callable[[], str | Conflict]] = []
        self.before_write: Callable[[], None] = lambda: None
        self.reads = 0
        self.writes = 0

    def read(self, name: str) -> Stored | None:
        self.reads += 1
        body = self.objects.get(name)
        return None if body is None else Stored(body, etag_of(body))

    def create(self, name: str, body: bytes) -> str | Conflict:
        return self._write(lambda: Conflict.CHANGED if name in self.objects else self._put(name, body))

    def replace(self, name: str, body: bytes, *, etag: str) -> str | Conflict:
        return self._write(lambda: self._replaced(name, body, etag))

    def land(self) -> None:
        """Let the late writes reach the store, in order."""
        while self.late:
            self.late.pop(0)()

    def _replaced(self, name: str, body: bytes, etag: str) -> str | Conflict:
        if name not in self.objects:
            return Conflict.GONE
        return self._put(name, body) if etag_of(self.objects[name]) == etag else Conflict.CHANGED

    def _put(self, name: str, body: bytes) -> str:
        self.objects[name] = body
        return etag_of(body)

    def _write(self, write: Callable[[], str | Conflict]) -> str | Conflict:
        self.writes += 1
        self.before_write()
        match self.fates.popleft() if self.fates else Fate.ANSWERED:
            case Fate.ANSWERED:
                return write()
            case Fate.LOST:
                write()
            case Fate.LATE:
                self.late.append(write)
            case Fate.RACE:
                return Conflict.RACE
        return Conflict.NO_RESPONSE


def etag_of(body: bytes) -> str:
    """Return the ETag of a content."""
    return f'"{md5(body, usedforsecurity=False).hexdigest()}"'
