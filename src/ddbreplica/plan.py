"""Changes → at most one write for each key: the last image wins, or the delete. Pure."""

import json
from collections.abc import Iterable, Sequence

from ddbreplica.model import Change, Key, Write

# ASCII, so that a character count is a byte count; made once, since json.dumps with options makes one a call.
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def plan(changes: Iterable[Change]) -> tuple[Write, ...]:
    """Leave each key its last state. No two writes of the result have the same key."""
    histories: dict[Key, list[Change]] = {}
    for change in changes:
        histories.setdefault(change.key, []).append(change)
    return tuple(_write(history) for history in histories.values())


def fall_back(write: Write) -> Write | None:
    """The write of the key's previous state in the batch, for when the last one can never be written."""
    return _write(write.earlier) if write.earlier else None


def _write(history: Sequence[Change]) -> Write:
    last = history[-1]
    attributes = last.key_attributes if last.image is None else last.image
    return Write(change=last, text=_encode(attributes), earlier=tuple(history[:-1]))
