"""Replace objects on a condition, so that of several workers none overwrites what it has not read. Pure.

The ETag of an object is the hash of its content: a content that is stored again has its earlier ETag again. A writer
for which that matters makes each content unique.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from ddbreplica.errors import TaskError

ATTEMPTS: Final = 4
"""How often a write is sent that got no response, or that another request prevented."""

_RESUME = "start the job again, which resumes it."


@dataclass(frozen=True, slots=True)
class Stored:
    """The content of an object, and its ETag."""

    body: bytes
    etag: str


class Conflict(Enum):
    """Why an object was not written, or is not known to be written."""

    CHANGED = auto()
    """The object has another content. For a new object: the object exists."""
    GONE = auto()
    """The object no longer exists."""
    RACE = auto()
    """Another request is writing the object."""
    NO_RESPONSE = auto()
    """AWS sent no final response, or failed. The object may be written, or may still be written later."""


class Store(Protocol):
    """Objects by their names. Each method makes one attempt, and raises TaskError if the store refuses all requests.

    It may be used from several threads.
    """

    def read(self, name: str) -> Stored | None:
        """Return an object, or None if it does not exist."""
        ...

    def create(self, name: str, body: bytes) -> str | Conflict:
        """Store a new JSON object, and return its ETag."""
        ...

    def replace(self, name: str, body: bytes, *, etag: str) -> str | Conflict:
        """Replace the content that has an ETag, and return the ETag of the new content."""
        ...


def create_once(store: Store, name: str, body: bytes, *, hint: str = _RESUME) -> bytes:
    """Store an object unless it exists. Return the content that it has now, whoever stored it.

    Raises TaskError, with the hint, if S3 does not confirm that the object exists.
    """
    for _ in range(ATTEMPTS):
        if isinstance(store.create(name, body), str):
            return body
        # Also after an attempt without a response, which may have stored it.
        if (present := store.read(name)) is not None:
            return present.body
    raise unwritten(f"the object {name}", hint=hint)


def unwritten(what: str, *, hint: str = _RESUME) -> TaskError:
    """Return the error of an object of a job of which S3 confirmed no write."""
    return TaskError(
        f"{what} cannot be written: S3 did not confirm any of {ATTEMPTS} attempts.",
        hint=hint,
    )
