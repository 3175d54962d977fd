"""Changes → at most one write for each key: the last image wins, or the delete. Pure."""

import json
from collections.abc import Iterable, Sequence

from ddbreplica.model import Change, Key, Write

# ASCII, so that a character count is a byte count; made once, since json.dumps with options makes one a call.
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def plan(changes: Iterable[Change]) -> tuple[Write, ...]:
    """Leave each key its last state. No two writes of the result have the same key."""
    last: dict[Key, Change] = {}
    earlier: dict[Key, list[Change]] = {}
    for change in changes:
        if change.key in last:  # seldom: the list is made for those few only
            earlier.setdefault(change.key, []).append(last[change.key])
        last[change.key] = change
    return tuple(_write(change, earlier.get(key, ())) for key, change in last.items())


def fall_back(write: Write) -> Write | None:
    """The write of the key's previous state in the batch, for when the last one can never be written."""
    return _write(write.earlier[-1], write.earlier[:-1]) if write.earlier else None


def _write(change: Change, earlier: Sequence[Change]) -> Write:
    attributes = change.key_attributes if change.image is None else change.image
    return Write(change=change, text=_encode(attributes), earlier=tuple(earlier))
