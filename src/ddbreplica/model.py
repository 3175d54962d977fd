"""The vocabulary: what the steps from a stream's batch to the replica hand to each other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol, TypeAlias

Image: TypeAlias = Mapping[str, Mapping[str, Any]]
"""An item (or its key) as DynamoDB's wire JSON spells it: numbers are text, binaries are base64 text.

It is never turned into Python values and back, since no such round trip is exact:
https://github.com/boto/boto3/issues/2500
"""

State: TypeAlias = Image | None
"""What a table holds under a key: an item, or None for none."""

Key: TypeAlias = tuple[tuple[str, str, str], ...]
"""A key's identity: (attribute name, type, canonical value) sorted by name. Equal for equal DynamoDB keys."""

Items: TypeAlias = Mapping[Key, Image]
"""Items (or what was asked for of them) by their keys."""


@dataclass(frozen=True, slots=True)
class Change:
    """One well-formed record of the stream: the state of one key after it.

    `position` counts from 0 within the batch; `image` is None for a delete; `created_at` is in seconds since the
    epoch, or None where the record does not say; `record` is the record as it came.
    """

    position: int
    sequence_number: str
    key: Key
    key_attributes: Image
    image: Image | None
    created_at: float | None
    record: Mapping[str, Any]


SUSPECT = "SuspectWrite"
"""The error code of a record whose write is in doubt: AWS did not end a request of it."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A record set aside, and why. `sequence_number` and `key` are None where the record has none to read."""

    position: int
    sequence_number: str | None
    key: Key | None
    record: Any
    reason: str
    error_code: str


@dataclass(frozen=True, slots=True)
class Write:
    """What to do to one key of the replica: put the image of `change`, or delete.

    `text` is that image (for a delete the key attributes) as wire JSON, in ASCII. `earlier` holds the key's
    changes in the same batch that this write supersedes, oldest first.
    """

    change: Change
    text: str
    earlier: tuple[Change, ...] = ()

    @property
    def is_delete(self) -> bool:
        """Whether the key is to be absent afterwards."""
        return self.change.image is None

    @property
    def oldest(self) -> Change:
        """The first change that is lost if this write is neither applied nor reported."""
        return self.earlier[0] if self.earlier else self.change


class RefusalKind(Enum):
    """What a refusal means for the batch."""

    TRANSIENT = auto()
    """It may succeed later: throttling, a failing service, a dead connection, anything unknown."""
    REJECTED = auto()
    """The request's content is refused: one of its items, or all of them if the table is not what we think."""
    FAULT = auto()
    """Nothing will succeed until someone mends the deployment."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why AWS did not do what it was asked, classified.

    `in_doubt` says that AWS has not ended the request, so that it may still be carried out later.
    """

    kind: RefusalKind
    code: str
    message: str
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """A record that Lambda has to deliver again, and everything after it."""

    position: int
    sequence_number: str | None
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Table:
    """What a table's description says. `key_schema` holds (attribute name, type) of each key attribute."""

    arn: str
    status: str
    key_schema: frozenset[tuple[str, str]]

    @property
    def is_writable(self) -> bool:
        """Whether the table takes writes in its status. It is UPDATING for hours while an index is added to it."""
        return self.status in WRITABLE


WRITABLE = frozenset({"ACTIVE", "UPDATING"})
"""The states in which a table takes reads and writes."""

Pending: TypeAlias = Callable[[], Sequence[Write] | Refusal]
"""A request under way: call it once, to wait for the writes that were not applied, or why none was."""


class Replica(Protocol):
    """The table that writes go to. Its caller uses one thread, and never has two writes of one key under way.

    A refusal is returned, never raised. Each method makes one attempt; repeating a write is always safe.
    """

    def describe(self, *, refresh: bool = False) -> Table | Refusal:
        """What the table looks like; unless `refresh`, possibly as it looked earlier."""
        ...

    def start_batch(self, writes: Sequence[Write]) -> Pending:
        """Send up to 25 writes of different keys in one request."""
        ...

    def start_one(self, write: Write) -> Pending:
        """Send one write by itself, so that a refusal is about this write alone."""
        ...


class Source(Protocol):
    """The table that states are read from. Every method may be called from several threads at once."""

    def read_batch(self, keys: Sequence[Key]) -> Mapping[Key, State] | Refusal:
        """Read up to 100 different keys, strongly consistently, in one attempt; return the states that were read.

        A key that the answer lacks was not read; one that the source has no item for is answered with None.
        """
        ...


class Journal(Protocol):
    """The keys that are being healed: open from before their first write until they are confirmed, beyond any kill.

    Every method may be called from several threads at once.
    """

    def intend(self, keys: Sequence[Key]) -> Sequence[Key]:
        """Open keys, durably when it returns; return those that may be written now.

        The others are held back for as long as `skew.hold_seconds` says: what a killed run left open, from the
        moment at which the journal was read back, and suspects, from the moment at which they were named.
        """
        ...

    def mark_in_doubt(self, keys: Sequence[Key]) -> None:
        """Hold open keys back, from now: a write of theirs was not answered, and may still land."""
        ...

    def confirm(self, keys: Sequence[Key]) -> None:
        """Close keys."""
        ...
