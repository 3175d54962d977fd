"""The types that the steps from a batch of the stream to the replica pass to each other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol, TypeAlias

Image: TypeAlias = Mapping[str, Mapping[str, Any]]
"""An item (or its key) in DynamoDB JSON: numbers are text, and binaries are base64 text.

It is never converted to Python values and back, since no such conversion is exact:
https://github.com/boto/boto3/issues/2500
"""

State: TypeAlias = Image | None
"""What a table holds under a key: an item, or None if there is no item."""

Key: TypeAlias = tuple[tuple[str, str, str], ...]
"""A key's identity: (attribute name, type, canonical value) sorted by name. Equal DynamoDB keys have equal identities.

DynamoDB takes `1` and `1.0` for the same key, and refuses a request that contains both.
"""

Items: TypeAlias = Mapping[Key, Image]
"""Items (or the attributes of them that were requested) by their keys."""


@dataclass(frozen=True, slots=True)
class ScanPage:
    """The items of one response to Scan, in its order. `cursor` is the `after` of the next page; None on the last.

    `units` are the read capacity units of the page, and `size` the bytes that DynamoDB read for them.
    """

    items: Sequence[Image]
    cursor: Image | None
    units: float
    size: float


@dataclass(frozen=True, slots=True)
class Change:
    """One well-formed record of the stream, which holds the state of one key after the change.

    `position` counts from 0 within the batch. `image` is None for a delete. `created_at` is in seconds since the
    epoch, or None if the record has no time. `record` is the record as Lambda delivered it.
    """

    position: int
    sequence_number: str
    key: Key
    key_attributes: Image
    image: Image | None
    created_at: float | None
    record: Mapping[str, Any]


SUSPECT = "SuspectWrite"
"""The error code of a record whose write is in doubt: AWS sent no final response to one of its requests."""

INTERRUPTED = "InterruptedWrite"
"""The error code of a record whose writer ended before it confirmed the key. No write of it can land any more."""

NEEDS_REVIEW = "NeedsReview"
"""The error code of a key of an archive whose item the source no longer has: it was deleted or has expired."""

EXCLUDED = "ExcludedKey"
"""The error code of a key that the mapping's filter excludes now, but did not when the record was stored."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A record for the quarantine bucket, and the reason.

    `sequence_number` and `key` are None if they cannot be read from the record.
    """

    position: int
    sequence_number: str | None
    key: Key | None
    record: Any
    reason: str
    error_code: str

    @property
    def is_in_doubt(self) -> bool:
        """Whether the key has to be reconciled for a write that may still land, or may have landed late."""
        return self.error_code in (SUSPECT, INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Write:
    """One write to the replica: put the image of `change`, or delete its key.

    `text` is the image (for a delete the key attributes) in DynamoDB JSON, in ASCII. `earlier` holds the changes of
    the same key and batch that this write supersedes, oldest first.
    """

    change: Change
    text: str
    earlier: tuple[Change, ...] = ()

    @property
    def is_delete(self) -> bool:
        """Whether the write deletes the key."""
        return self.change.image is None

    @property
    def oldest(self) -> Change:
        """The first change that is lost if this write is neither applied nor reported."""
        return self.earlier[0] if self.earlier else self.change


class RefusalKind(Enum):
    """What a refusal means for the rest of the batch."""

    TRANSIENT = auto()
    """The request may succeed later: throttling, a failing service, a broken connection, or an unknown error code."""
    REJECTED = auto()
    """The content is refused: an item of the request is invalid, or all are, since the table is not the right one."""
    FAULT = auto()
    """No request will succeed until an operator fixes the deployment."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request to AWS did not succeed, classified.

    If `in_doubt`, AWS sent no final response to the request, and may still carry it out.
    """

    kind: RefusalKind
    code: str
    message: str
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """A record that Lambda has to deliver again, together with all records after it."""

    position: int
    sequence_number: str | None
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Table:
    """A table as DescribeTable describes it. `key_schema` holds (attribute name, type) of each key attribute."""

    arn: str
    status: str
    key_schema: frozenset[tuple[str, str]]

    @property
    def is_writable(self) -> bool:
        """Whether the table accepts writes in its status. It is UPDATING for hours while an index is added."""
        return self.status in WRITABLE


WRITABLE = frozenset({"ACTIVE", "UPDATING"})
"""The statuses in which a table accepts reads and writes."""

Pending: TypeAlias = Callable[[], Sequence[Write] | Refusal]
"""A request under way. Call it once: it waits for the response, and returns the writes that were not applied, or the
reason why none was."""


class Replica(Protocol):
    """The replica table. Its caller uses one thread, and never has two writes of one key under way.

    A refusal is returned, never raised. Each method makes one attempt; repeating a write is always safe.
    """

    def describe(self, *, refresh: bool = False) -> Table | Refusal:
        """Describe the table. Unless `refresh`, an earlier description may be returned."""
        ...

    def start_batch(self, writes: Sequence[Write]) -> Pending:
        """Send up to 25 writes of different keys in one request."""
        ...

    def start_one(self, write: Write) -> Pending:
        """Send one write in a request of its own, so that a refusal concerns this write alone."""
        ...


class Source(Protocol):
    """The source table. Every method may be called from several threads at once."""

    def read_batch(self, keys: Sequence[Key]) -> Mapping[Key, State] | Refusal:
        """Read up to 100 different keys, strongly consistently, in one attempt; return the states that were read.

        A key that is missing from the result was not read. None means that the source has no item with this key.
        """
        ...


class Journal(Protocol):
    """The keys that are being reconciled. A key is open from before its first write until it is confirmed.

    Open keys are stored, so that they are known after the process was killed. Every method may be called from several
    threads at once.
    """

    def intend(self, keys: Sequence[Key]) -> Sequence[Key]:
        """Open keys, and return those that may be written now. The keys are stored when the call returns.

        The other keys are held back for `skew.hold_seconds`: keys that a killed run left open, from the moment at
        which the journal was read; keys with an in-doubt write, from the call of `mark_in_doubt`.
        """
        ...

    def mark_in_doubt(self, keys: Sequence[Key]) -> None:
        """Hold open keys back from now on: AWS sent no response to a write of theirs, and may still apply it."""
        ...

    def confirm(self, keys: Sequence[Key]) -> None:
        """Close keys: the replica has the source's state of them."""
        ...
