"""Read the keys of the records in a quarantine or on-failure object. Pure functions.

The function keeps one record in each object (`ddbreplica.bucket.quarantine`). Lambda keeps a discarded batch in an
object, with the function's event as text in `payload`:
https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, TypeAlias, TypeVar

from ddbreplica.aws.arn import function_of
from ddbreplica.aws.clock import UNKNOWN_HOLD_SECONDS, hold_seconds
from ddbreplica.bucket.earlier_table import is_earlier
from ddbreplica.files.limits import MAX_KEY_TEXT, MAX_PAYLOAD, MAX_RECORDS, MAX_SMALL, key_within, room
from ddbreplica.files.skim import Skim
from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.model import SUSPECT, Key
from ddbreplica.records.decode import MalformedError
from ddbreplica.records.schema import source_arn

T = TypeVar("T")
Text: TypeAlias = bytes | memoryview
_SCHEMA = 1
_OF_A_RECORD = frozenset({"schema", "reason", "error_code", "clock_ahead_seconds"})
_OF_A_BATCH = frozenset({"requestContext", "DDBStreamBatchInfo"})
_MAX_MEMBERS = 1000
_NO_BATCH = "is not a batch that Lambda discarded"


@dataclass(frozen=True, slots=True)
class Unpacked:
    """The content of an object. `keys` are different keys; `keyless` counts the records whose key cannot be read.

    `why` is the reason that the object gives. For `hold_seconds` after S3 stored the object AWS may still apply a
    write of its records; 0 means that there is no such write. `outside` are the keys that the mapping's filter now
    excludes, and `earlier` those of records of an earlier table with the source's name. Neither are in `keys`.
    """

    keys: tuple[Key, ...]
    keyless: int
    why: str
    hold_seconds: float
    outside: tuple[Key, ...] = ()
    earlier: tuple[Key, ...] = ()


class ForeignError(Exception):
    """The object belongs to another replication: its records are of another table or were sent to another function."""


class UnreadableError(Exception):
    """The object does not have the format of the function or of Lambda, or was written by a later version."""


Unpack: TypeAlias = Callable[[Text, datetime], Unpacked]
"""Read the content of an object that S3 stored at the given time.

Raises ForeignError or UnreadableError, whose message completes the sentence `it is left, since it …`."""


def quarantined(source: str, *, created_at: datetime) -> Unpack:
    """Return a function that reads quarantined records of the source with this ARN and creation time."""

    def unpack(body: Text, stored_at: datetime) -> Unpacked:
        content = _parsed(partial(_kept, body))
        # A later version may mean something else by the same members, so nothing of it is used.
        if content.get("schema") != _SCHEMA or "record" not in content:
            raise UnreadableError(f"is not a quarantined record of schema {_SCHEMA}")
        record: _Record = content["record"]
        _refuse_foreign(record.table, source)
        records = _Records(created_at=created_at, stored_at=stored_at, stream=None)
        records.add(record)
        hold = _hold(content.get("clock_ahead_seconds")) if content.get("error_code") == SUSPECT else 0.0
        return records.unpacked(why=str(content.get("reason")), hold_seconds=hold)

    return unpack


def discarded(source: str, *, created_at: datetime, function: str | None) -> Unpack:
    """Return a function that reads batches of the source's records that Lambda discarded.

    With `function`, a batch that was sent to another function is foreign. An invocation that failed could not record
    its in-doubt writes, nor the lead of its clock. Therefore any of its writes counts as in doubt.
    """

    def unpack(body: Text, stored_at: datetime) -> Unpacked:
        content = _parsed(partial(_batch, body))
        try:
            stream, context = content["DDBStreamBatchInfo"]["streamArn"], content["requestContext"]
            table, given_to = stream.partition("/stream/")[0], function_of(context["functionArn"])
            condition, payload = context["condition"], content["payload"]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UnreadableError(_NO_BATCH) from error
        _refuse_foreign(table, source)
        if function is not None and given_to != function_of(function):
            raise ForeignError(f"was sent to the function {given_to}")
        records = _Records(created_at=created_at, stored_at=stored_at, stream=stream)
        if not _parsed(partial(records.add_all, payload)):
            raise UnreadableError(_NO_BATCH)
        return records.unpacked(why=str(condition), hold_seconds=UNKNOWN_HOLD_SECONDS)

    return unpack


def _kept(body: Text) -> Mapping[str | None, Any]:
    """Return the members of an object that the function wrote. Of `record` only the key and the ARN are read."""
    skim = Skim(body)
    content: dict[str | None, Any] = {}
    for name in _members(skim):
        if name == "record":
            content[name] = _record(skim)
        elif name in _OF_A_RECORD:
            content[name] = skim.value(MAX_SMALL)
    skim.end()
    return content


def _batch(body: Text) -> Mapping[str | None, Any]:
    """Return the members of an object that Lambda wrote. `payload` is the text of the event."""
    skim = Skim(body)
    content: dict[str | None, Any] = {}
    for name in _members(skim):
        if name == "payload" and skim.next == '"':
            content[name] = skim.text(room(MAX_PAYLOAD))
            if content[name] is None:
                raise UnreadableError(
                    f"has a batch of more than {MAX_PAYLOAD:,} bytes, which exceeds any event"
                )
        elif name in _OF_A_BATCH:
            content[name] = skim.value(MAX_SMALL)
    skim.end()
    return content


def with_filter(key_filter: KeyFilter, unpack: Unpack) -> Unpack:
    """Return a function that reads as `unpack` does, and moves the keys that the filter excludes to `outside`."""

    def divided(body: Text, stored_at: datetime) -> Unpacked:
        unpacked = unpack(body, stored_at)
        keys = tuple(key for key in unpacked.keys if key_filter.passes(key))
        outside = tuple(key for key in unpacked.keys if not key_filter.passes(key))
        return replace(unpacked, keys=keys, outside=outside)

    return divided


def _parsed(parse: Callable[[], T]) -> T:
    # Not a context manager: its frame and the exception would refer to each other, and keep the text in memory until
    # the garbage collector finds both.
    try:
        return parse()
    except (ValueError, RecursionError) as error:
        raise UnreadableError("is not JSON") from error


def _members(skim: Skim) -> Iterator[str | None]:
    if skim.next != "{":
        skim.skip()
        raise UnreadableError("is not a JSON object")
    for count, name in enumerate(skim.members()):
        if count == _MAX_MEMBERS:
            raise UnreadableError(f"has more than {_MAX_MEMBERS:,} members")
        yield name


def _refuse_foreign(arn: str | None, source: str) -> None:
    # A record without an ARN is one of the source, since the object's name has the replica's prefix.
    if arn not in (None, source):
        raise ForeignError(f"contains records of {arn}")


def _hold(clock_ahead_seconds: Any) -> float:
    """Return for how long AWS may still apply a write whose sender's clock had this lead, if it was recorded."""
    # An object may contain any number, which must not hold its keys back for years.
    is_known = (
        isinstance(clock_ahead_seconds, int | float) and abs(clock_ahead_seconds) < UNKNOWN_HOLD_SECONDS
    )
    return min(hold_seconds(clock_ahead_seconds if is_known else None), UNKNOWN_HOLD_SECONDS)


@dataclass(frozen=True, slots=True)
class _Record:
    """The parts of a record that are read: its key attributes and the ARN of its stream."""

    keys: Any
    arn: Any

    @property
    def table(self) -> str | None:
        """The ARN of the record's table, or None if the record has none."""
        return source_arn({"eventSourceARN": self.arn})


def _record(skim: Skim) -> _Record:
    """Read the next record."""
    keys = arn = None
    if skim.next != "{":
        skim.skip()
        return _Record(None, None)
    for name in skim.members():
        if name == "eventSourceARN":
            arn = skim.value(MAX_SMALL)
        elif name == "dynamodb" and skim.next == "{":
            keys = None
            for inner in skim.members():
                if inner == "Keys":
                    keys = skim.value(MAX_KEY_TEXT)
    return _Record(keys, arn)


class _Records:
    """Collects the keys of an object's records. A record without an ARN of its own is of `stream`."""

    def __init__(self, *, created_at: datetime, stored_at: datetime, stream: str | None) -> None:
        self._created_at = created_at
        self._stored_at = stored_at
        self._stream = stream
        self._keys: dict[Key, None] = {}
        self._earlier: dict[Key, None] = {}
        self._keyless = 0

    def add_all(self, payload: Text) -> int:
        """Add the records of an event, and return their number."""
        event, count = Skim(payload), 0
        for name in _members(event):
            if name == "Records" and event.next == "[":
                for count, _ in enumerate(event.elements(), 1):
                    if count > MAX_RECORDS:
                        raise UnreadableError(
                            f"has more than {MAX_RECORDS:,} records, which exceeds any batch"
                        )
                    self.add(_record(event))
        event.end()
        return count

    def add(self, record: _Record) -> None:
        """Add a record."""
        try:
            key = key_within(record.keys)
        except MalformedError:
            self._keyless += 1
        else:
            (self._earlier if self._is_earlier(record) else self._keys)[key] = None

    def unpacked(self, *, why: str, hold_seconds: float) -> Unpacked:
        # A key may be in both. If a record of the present table has it as well, it is reconciled.
        return Unpacked(tuple(self._keys), self._keyless, why, hold_seconds, earlier=tuple(self._earlier))

    def _is_earlier(self, record: _Record) -> bool:
        stream = record.arn if isinstance(record.arn, str) else self._stream
        return is_earlier(stream, stored_at=self._stored_at, created_at=self._created_at)
