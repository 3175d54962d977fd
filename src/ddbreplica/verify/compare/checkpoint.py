"""The position of a comparison in both tables, as it is stored to resume from. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from ddbreplica.model import Image, Key
from ddbreplica.records.decode import attributes_of, key_of
from ddbreplica.verify.difference import Swept


@dataclass(frozen=True, slots=True)
class Position:
    """How far the scan of a table's segment has come: before the page after `cursor`, or at the end."""

    cursor: Image | None = None
    is_done: bool = False

    @classmethod
    def after(cls, cursor: Image | None) -> "Position":
        """Return the position after a page with this cursor, which is None on the last page."""
        return cls(cursor, is_done=cursor is None)


@dataclass(frozen=True, slots=True)
class SegmentState:
    """The positions in a segment of both tables, the keys that waited for their partner there, and the counts so far.

    Positions without these keys would lose differences: the items lie before the positions, and are not read again.
    `known` are the keys that waited when the segment was paused or an earlier run ended: they are decided or suspected
    already, whatever their partner is.
    """

    number: int
    source: Position = Position()
    replica: Position = Position()
    waiting: Sequence[Key] = ()
    known: Sequence[Key] = ()
    counts: Swept = field(default_factory=Swept)

    def document(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return {
            "source": _position_document(self.source),
            "replica": _position_document(self.replica),
            "waiting": [attributes_of(key) for key in self.waiting],
            "known": [attributes_of(key) for key in self.known],
            "counts": asdict(self.counts),
        }

    @classmethod
    def read(cls, number: int, document: Mapping[str, Any]) -> "SegmentState":
        """Return a stored state. Raises KeyError, TypeError, ValueError or MalformedError if it is damaged."""
        return cls(
            number,
            _position(document["source"]),
            _position(document["replica"]),
            waiting=[key_of(key) for key in document["waiting"]],
            known=[key_of(key) for key in document["known"]],
            counts=Swept.read(document["counts"]),
        )


class Resumable(Protocol):
    """A segment whose state can be stored."""

    @property
    def number(self) -> int:
        """The number of the segment."""
        ...

    @property
    def has_begun(self) -> bool:
        """Whether anything was read."""
        ...

    @property
    def state(self) -> SegmentState:
        """The state to resume from."""
        ...


def _position_document(position: Position) -> dict[str, Any]:
    return {"after": position.cursor, "done": position.is_done}


def _position(document: Mapping[str, Any]) -> Position:
    cursor, is_done = document["after"], document["done"]
    if not isinstance(is_done, bool) or not isinstance(cursor, dict | None):
        raise TypeError(document)
    return Position(cursor, is_done)
