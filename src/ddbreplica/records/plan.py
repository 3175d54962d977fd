"""Plan at most one write for each key of a batch: its last image, or a delete. Pure functions.

A stream record has the whole state of an item, so that the earlier changes of a key need not be written.
"""

import json
from collections.abc import Iterable, Sequence

from ddbreplica.model import Change, Key, Write

# In ASCII one character is one byte. The encoder is created once, since json.dumps with options creates one per call.
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def plan(changes: Iterable[Change]) -> tuple[Write, ...]:
    """Return one write for each key, with the key's last state in the batch."""
    last: dict[Key, Change] = {}
    earlier: dict[Key, list[Change]] = {}
    for change in changes:
        if change.key in last:  # seldom, so that few keys need a list
            earlier.setdefault(change.key, []).append(last[change.key])
        last[change.key] = change
    return tuple(_write(change, earlier.get(key, ())) for key, change in last.items())


def fall_back(write: Write) -> Write | None:
    """Return the write of the key's previous state in the batch, for a last state that can never be written."""
    return _write(write.earlier[-1], write.earlier[:-1]) if write.earlier else None


def _write(change: Change, earlier: Sequence[Change]) -> Write:
    attributes = change.key_attributes if change.image is None else change.image
    return Write(change=change, text=_encode(attributes), earlier=tuple(earlier))
