"""The record of a complete verification, as a value and as a JSON object of the quarantine bucket. Pure functions.

A record contains counts and settings, and neither the content nor the key of an item. The objects of a bucket may be
anybody's, so `read` accepts only what `document` writes.
"""

import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn

SCHEMA: Final = 1

MAX_BYTES: Final = 512 * 1024
"""Bytes of a record. Ten filter patterns of 4,096 characters, each of which may be escaped, are half of it."""

VERDICTS: Final = frozenset({"equal", "repaired", "not equal", "inconclusive"})

NOT_EQUAL: Final = "not equal"
INCONCLUSIVE: Final = "inconclusive"

STRONG: Final = "strong"
EVENTUAL: Final = "eventual"

BY_STREAM: Final = "stream"
BY_LOOKS: Final = "looks"

_PREFIX = "verifications/"
_SUFFIX = ".json"
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
_MAX_TEXT = 4096  # characters of a filter pattern, the longest text of a record
_MAX_COUNTS, _MAX_NAME = 50, 50
_MAX_PATTERNS = 10
_MAX_COUNT = 10**15
# Both times are those of AWS's clocks, of which that of responses has whole seconds.
_TOLERANCE = timedelta(minutes=5)


class NotARecordError(Exception):
    """An object is not the record of a verification. The message completes the sentence `the object …`."""


@dataclass(frozen=True, slots=True)
class RecordedTable:
    """A table by its ARN and its creation time, since a table that is recreated has the same ARN."""

    arn: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class VerificationRecord:
    """A complete verification: of all items of both tables, within the mapping's filter, whatever its verdict.

    The verdict is about what was so at `began`, when the first scan began. `looked_at` describes the compared items.
    `differences` are the confirmed and the inconclusive ones by their findings. `in_doubt` is the number of items that
    a write of the repair may still change. `confirmed_by` is BY_STREAM or BY_LOOKS, or None if there was nothing to
    confirm. `lag` is in seconds, or None if it was not needed or is unknown. `patterns` are those of the mapping's
    filter. `transform` is the digest of the function's transform, or None without one.
    """

    source: RecordedTable
    replica: RecordedTable
    began: datetime
    ended: datetime
    verdict: str
    looked_at: str
    consistency: str
    source_items: int
    replica_items: int
    differences: Mapping[str, int]
    repaired: int
    moving: int
    in_doubt: int
    confirmed_by: str | None
    lag: float | None
    patterns: tuple[str, ...]
    is_archive: bool
    segments: int
    version: str | None
    transform: str | None

    @property
    def name(self) -> str:
        """The name of the record's object. A verification that is recorded again has the same name."""
        return f"{prefix_of(self.replica.arn.rpartition('/')[2])}{time_text(self.began)}{_SUFFIX}"

    def document(self) -> dict[str, Any]:
        """Return the record as a JSON document."""
        return {
            "schema": SCHEMA,
            "source": _table_document(self.source),
            "replica": _table_document(self.replica),
            "began": time_text(self.began),
            "ended": time_text(self.ended),
            "verdict": self.verdict,
            "looked_at": self.looked_at,
            "consistency": self.consistency,
            "source_items": self.source_items,
            "replica_items": self.replica_items,
            "differences": dict(self.differences),
            "repaired": self.repaired,
            "moving": self.moving,
            "in_doubt": self.in_doubt,
            "confirmed_by": self.confirmed_by,
            "lag_seconds": None if self.lag is None else float(self.lag),
            "filter": list(self.patterns),
            "archive": self.is_archive,
            "transform": self.transform,
            "segments": self.segments,
            "ddbreplica": self.version,
        }


def prefix_of(replica: str) -> str:
    """Return the beginning of the names of a replica table's records."""
    return f"{_PREFIX}{replica}/"


def time_text(moment: datetime) -> str:
    """Return a time in UTC with a fixed number of digits, so that the texts sort as the times do."""
    return moment.astimezone(UTC).strftime(_TIME)


def time_in(name: str) -> datetime | None:
    """Return the time in the name of a record's object, or None if it is not such a name."""
    last = name.rpartition("/")[2]
    try:
        moment = _moment(last.removesuffix(_SUFFIX))
    except ValueError:
        return None
    return moment if last.endswith(_SUFFIX) else None


def body_of(record: VerificationRecord) -> bytes:
    """Return the content of a record's object."""
    return json.dumps(record.document(), indent=2).encode()


def read(body: bytes | memoryview, *, name: str, stored_at: datetime) -> VerificationRecord:
    """Return the record in an object that S3 stored under this name at the given time.

    Raises NotARecordError.
    """
    try:
        content = json.loads(bytes(body), parse_constant=_refuse_constant)
        record = _record(_Members(content))
    except RecursionError as error:
        raise NotARecordError("is not JSON") from error
    except ValueError as error:
        raise NotARecordError(f"is not a record of a verification: {error}") from error
    if record.name != name:
        raise NotARecordError("is a record of another table or another time")
    # A name in the future would hide all later records.
    if record.began > stored_at + _TOLERANCE:
        raise NotARecordError("was stored before the verification began")
    return record


def _refuse_constant(constant: str) -> NoReturn:
    # json.loads accepts NaN and Infinity, which are not JSON.
    raise ValueError(constant)


def _record(members: "_Members") -> VerificationRecord:
    if members.count("schema") != SCHEMA:
        raise ValueError(f"its schema is not {SCHEMA}")
    return VerificationRecord(
        source=members.table("source"),
        replica=members.table("replica"),
        began=members.moment("began"),
        ended=members.moment("ended"),
        verdict=members.one_of("verdict", VERDICTS),
        looked_at=members.text("looked_at"),
        consistency=members.one_of("consistency", {STRONG, EVENTUAL}),
        source_items=members.count("source_items"),
        replica_items=members.count("replica_items"),
        differences=members.counts("differences"),
        repaired=members.count("repaired"),
        moving=members.count("moving"),
        in_doubt=members.count("in_doubt"),
        confirmed_by=members.one_of("confirmed_by", {BY_STREAM, BY_LOOKS, None}),
        lag=members.seconds_or_none("lag_seconds"),
        patterns=members.patterns("filter"),
        is_archive=members.flag("archive"),
        segments=members.count("segments"),
        version=members.text_or_none("ddbreplica"),
        # Records from before there were transforms do not have it.
        transform=members.text_or_none("transform") if members.has("transform") else None,
    )


class _Members:
    """The members of a parsed JSON object. Each method returns one, or raises ValueError if it is of another kind."""

    def __init__(self, content: Any) -> None:
        if not isinstance(content, dict):
            raise ValueError("it is not a JSON object")  # noqa: TRY004  the JSON is wrong, not the code
        self._content = content

    def has(self, name: str) -> bool:
        return name in self._content

    def table(self, name: str) -> RecordedTable:
        members = _Members(self._content.get(name))
        return RecordedTable(members.text("table_arn"), members.moment("created_at"))

    def moment(self, name: str) -> datetime:
        return _moment(self.text(name))

    def text(self, name: str) -> str:
        text: str = self._checked(name, _is_text)
        return text

    def text_or_none(self, name: str) -> str | None:
        text: str | None = self._checked(name, lambda value: value is None or _is_text(value))
        return text

    def one_of(self, name: str, values: Collection[str | None]) -> Any:
        # A list has no hash, so that it cannot be looked up in a set.
        return self._checked(name, lambda value: (value is None or _is_text(value)) and value in values)

    def count(self, name: str) -> int:
        count: int = self._checked(name, _is_count)
        return count

    def flag(self, name: str) -> bool:
        flag: bool = self._checked(name, lambda value: isinstance(value, bool))
        return flag

    def seconds_or_none(self, name: str) -> float | None:
        seconds: float | None = self._checked(name, lambda value: value is None or _is_duration(value))
        return seconds

    def counts(self, name: str) -> Mapping[str, int]:
        counts: Mapping[str, int] = self._checked(name, _are_counts)
        return counts

    def patterns(self, name: str) -> tuple[str, ...]:
        return tuple(self._checked(name, _are_patterns))

    def _checked(self, name: str, is_valid: Callable[[Any], bool]) -> Any:
        if not self.has(name) or not is_valid(self._content[name]):
            raise ValueError(f"{name} is missing or invalid")
        return self._content[name]


def _moment(text: str) -> datetime:
    moment = datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    if time_text(moment) != text:  # strptime accepts fewer digits, and the names would not sort by time
        raise ValueError(f"{text} is not a time")
    return moment


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_TEXT


def _is_count(value: Any) -> bool:
    # In Python, true is a number.
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_COUNT


def _is_duration(value: Any) -> bool:
    return isinstance(value, float) and 0 <= value < math.inf


def _are_counts(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and len(value) <= _MAX_COUNTS
        and all(len(name) <= _MAX_NAME and _is_count(count) for name, count in value.items())
    )


def _are_patterns(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= _MAX_PATTERNS and all(map(_is_text, value))


def _table_document(table: RecordedTable) -> dict[str, str]:
    return {"table_arn": table.arn, "created_at": time_text(table.created_at)}
