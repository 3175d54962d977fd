"""An object of one of the two buckets → the keys of the records that it keeps, or why it is none of ours. Pure.

The function keeps one record an object (`ddbreplica.bucket.quarantine`). Lambda keeps a batch that it gave up, with the
function's event as text in `payload`: https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
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
_NO_BATCH = "is no batch that Lambda gave up"


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What an object keeps. `keys` are different ones; `keyless` counts the records whose key cannot be read.

    `why` it is kept is its writer's word. For `hold_seconds` after S3 stored the object a write of its records may
    still be carried out; 0 means that none may. `outside` are keys that the mapping's filter leaves out, by now, and
    are not among `keys`; nor are the `earlier` ones, whose records are those of an earlier table of the source's name.
    """

    keys: tuple[Key, ...]
    keyless: int
    why: str
    hold_seconds: float
    outside: tuple[Key, ...] = ()
    earlier: tuple[Key, ...] = ()


class ForeignError(Exception):
    """The object is for somebody else: its records are of another table, or were given to another function."""


class UnreadableError(Exception):
    """The object is not what its writer puts there, or a later version's."""


Unpack: TypeAlias = Callable[[Text, datetime], Unpacked]
"""Reads an object's content, which S3 stored at the given time.

Raises ForeignError or UnreadableError, whose message completes the sentence `it is left, since it …`."""


def quarantined(source: str, *, created_at: datetime) -> Unpack:
    """How to read what the function keeps of the records of the source with this ARN, which was created then."""

    def unpack(body: Text, stored_at: datetime) -> Unpacked:
        content = _parsed(partial(_kept, body))
        if content.get("schema") != _SCHEMA or "record" not in content:
            raise UnreadableError(f"is no quarantined record of schema {_SCHEMA}")
        record: _Record = content["record"]
        _refuse_foreign(record.table, source)
        records = _Records(created_at=created_at, stored_at=stored_at, stream=None)
        records.add(record)
        hold = _hold(content.get("clock_ahead_seconds")) if content.get("error_code") == SUSPECT else 0.0
        return records.unpacked(why=str(content.get("reason")), hold_seconds=hold)

    return unpack


def given_up(source: str, *, created_at: datetime, function: str | None) -> Unpack:
    """How to read what Lambda gave up of the source's records likewise, meant for this function or any.

    An invocation that failed could not say which of its writes may still land, nor by which clock, so any may.
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
            raise ForeignError(f"was given to the function {given_to}")
        records = _Records(created_at=created_at, stored_at=stored_at, stream=stream)
        if not _parsed(partial(records.add_all, payload)):
            raise UnreadableError(_NO_BATCH)
        return records.unpacked(why=str(condition), hold_seconds=UNKNOWN_HOLD_SECONDS)

    return unpack


def _kept(body: Text) -> Mapping[str | None, Any]:
    """The members of what the function writes, of which `record` is read as far as it is wanted."""
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
    """The members of what Lambda writes, of which `payload` is a text of its own."""
    skim = Skim(body)
    content: dict[str | None, Any] = {}
    for name in _members(skim):
        if name == "payload" and skim.next == '"':
            content[name] = skim.text(room(MAX_PAYLOAD))
            if content[name] is None:
                raise UnreadableError(f"holds a batch of more than {MAX_PAYLOAD:,} bytes, which no event has")
        elif name in _OF_A_BATCH:
            content[name] = skim.value(MAX_SMALL)
    skim.end()
    return content


def within(key_filter: KeyFilter, unpack: Unpack) -> Unpack:
    """The same reading, with the keys that the filter leaves out told apart."""

    def parted(body: Text, stored_at: datetime) -> Unpacked:
        unpacked = unpack(body, stored_at)
        keys = tuple(key for key in unpacked.keys if key_filter.passes(key))
        outside = tuple(key for key in unpacked.keys if not key_filter.passes(key))
        return replace(unpacked, keys=keys, outside=outside)

    return parted


def _parsed(parse: Callable[[], T]) -> T:
    # No context manager: its frame and an exception would refer to each other, and hold the text until both are found.
    try:
        return parse()
    except (ValueError, RecursionError) as error:
        raise UnreadableError("is not JSON") from error


def _members(skim: Skim) -> Iterator[str | None]:
    if skim.next != "{":
        skim.skip()
        raise UnreadableError("is no JSON object")
    for count, name in enumerate(skim.members()):
        if count == _MAX_MEMBERS:
            raise UnreadableError(f"has more than {_MAX_MEMBERS:,} members")
        yield name


def _refuse_foreign(arn: str | None, source: str) -> None:
    # A record without an ARN is the source's: the object's name says so.
    if arn not in (None, source):
        raise ForeignError(f"keeps records of {arn}")


def _hold(clock_ahead_seconds: Any) -> float:
    """For how long a write may land whose sender's clock was so far ahead; older versions did not record that."""
    is_known = (
        isinstance(clock_ahead_seconds, int | float) and abs(clock_ahead_seconds) < UNKNOWN_HOLD_SECONDS
    )
    return min(hold_seconds(clock_ahead_seconds if is_known else None), UNKNOWN_HOLD_SECONDS)


@dataclass(frozen=True, slots=True)
class _Record:
    """What is read of a record: its key attributes, and the ARN of the stream that it is of."""

    keys: Any
    arn: Any

    @property
    def table(self) -> str | None:
        """The ARN of its table, where it names one."""
        return source_arn({"eventSourceARN": self.arn})


def _record(skim: Skim) -> _Record:
    """The record that is next."""
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
    """Takes the records of an object, which are of `stream` where they do not name another, and parts their keys."""

    def __init__(self, *, created_at: datetime, stored_at: datetime, stream: str | None) -> None:
        self._created_at = created_at
        self._stored_at = stored_at
        self._stream = stream
        self._keys: dict[Key, None] = {}
        self._earlier: dict[Key, None] = {}
        self._keyless = 0

    def add_all(self, payload: Text) -> int:
        """Take the records of an event; return how many there are."""
        event, count = Skim(payload), 0
        for name in _members(event):
            if name == "Records" and event.next == "[":
                for count, _ in enumerate(event.elements(), 1):
                    if count > MAX_RECORDS:
                        raise UnreadableError(f"holds more than {MAX_RECORDS:,} records, which no batch does")
                    self.add(_record(event))
        event.end()
        return count

    def add(self, record: _Record) -> None:
        """Take a record."""
        try:
            key = key_within(record.keys)
        except MalformedError:
            self._keyless += 1
        else:
            (self._earlier if self._is_earlier(record) else self._keys)[key] = None

    def unpacked(self, *, why: str, hold_seconds: float) -> Unpacked:
        # A key that the present table changed as well is reconciled: its own record asks for that.
        return Unpacked(tuple(self._keys), self._keyless, why, hold_seconds, earlier=tuple(self._earlier))

    def _is_earlier(self, record: _Record) -> bool:
        stream = record.arn if isinstance(record.arn, str) else self._stream
        return is_earlier(stream, stored_at=self._stored_at, created_at=self._created_at)
