"""Decode stream records into changes, and list the malformed ones. Pure functions.

Images remain DynamoDB JSON. Their types and base64 are checked here, since the writes send their text as it is.
Record format: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_Record.html
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

from ddbreplica.errors import EventError, StreamViewTypeError
from ddbreplica.model import Change, Image, Key, Quarantined

MALFORMED = "MalformedRecord"
"""The error code of a record that cannot be decoded."""

_VIEWS_WITHOUT_NEW_IMAGE = frozenset({"KEYS_ONLY", "OLD_IMAGE"})
_TTL_PRINCIPAL = ("Service", "dynamodb.amazonaws.com")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
# A number of DynamoDB has at most 38 digits, or 170 characters written out. Decimal cannot hold a number of any length.
_MAX_NUMBER_TEXT = 1000
_MAX_MAGNITUDE = 130
# DynamoDB nests at most 32 levels. A forged record with more is malformed, and does not exhaust the stack.
_MAX_DEPTH = 64
_END_OF_TIME = 2.0**40


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded batch. Each record is a change, poison by itself, or a TTL delete that was skipped."""

    received: int
    changes: tuple[Change, ...]
    poison: tuple[Quarantined, ...]
    ttl_deletes_skipped: int
    oldest_created_at: float | None
    """When the oldest record was written to the source, in seconds since the epoch (AWS sends whole seconds)."""


class MalformedError(Exception):
    """A record or key cannot be decoded. The message is the reason, and contains no value of the item."""


def decode(event: Any, *, replicate_ttl_deletes: bool) -> Decoded:
    """Decode every record of a batch, in order.

    A record that cannot be decoded is malformed, and is poison with the reason, whatever is wrong with it. Raises
    EventError if the event is not a batch of a stream, StreamViewTypeError if the stream carries no new images.
    """
    records = _records_of(event)
    changes: list[Change] = []
    malformed: list[Quarantined] = []
    skipped = 0
    for position, record in enumerate(records):
        try:
            # Skipped before the changes of a key are merged, or a TTL delete would hide the put before it.
            if not replicate_ttl_deletes and _is_ttl_delete(record):
                skipped += 1
            else:
                changes.append(_change(position, record))
        # Not this record's fault: every record is the same, and all of them would be quarantined.
        except StreamViewTypeError:
            raise
        except Exception as error:  # noqa: BLE001  whatever is wrong with it, it is kept and the others are applied
            # Of any other error only the type: its text may contain values of the item, and the reason is logged.
            reason = str(error) if isinstance(error, MalformedError) else type(error).__name__
            malformed.append(_malformed(position, record, reason))
    created = [change.created_at for change in changes if change.created_at is not None]
    return Decoded(
        received=len(records),
        changes=tuple(changes),
        poison=tuple(malformed),
        ttl_deletes_skipped=skipped,
        oldest_created_at=min(created, default=None),
    )


def key_of(attributes: Any) -> Key:
    """Return a key in DynamoDB JSON in its canonical form, which is the same for equal keys in whatever order.

    Numbers are equal by value and binaries by their bytes. Raises MalformedError.
    """
    if not isinstance(attributes, dict) or not attributes:
        raise MalformedError("the key is missing or empty")
    parts = [_canonical(name, value) for name, value in attributes.items()]
    # Sorted, since the two attributes of a key may come in any order.
    return tuple(sorted(parts))


def attributes_of(key: Key) -> Image:
    """Return the key attributes of an identity in DynamoDB JSON. It is the inverse of `key_of`."""
    return {name: {tag: value} for name, tag, value in key}


def _records_of(event: Any) -> list[Any]:
    if not isinstance(event, dict) or not isinstance(event.get("Records"), list):
        raise EventError(
            f"Expected an event with a list of Records from a DynamoDB stream, and got {_outline(event)}.",
            hint="Invoke the function by an event source mapping on the source table's stream.",
        )
    records: list[Any] = event["Records"]
    foreign = {_source_of(record) for record in records if isinstance(record, dict)} - {None}
    foreign.discard("aws:dynamodb")
    if foreign or (records and not any(_is_stream_record(record) for record in records)):
        what = (
            f"records of {', '.join(sorted(filter(None, foreign)))}"
            if foreign
            else "Records without a dynamodb object"
        )
        raise EventError(
            f"Expected Records of a DynamoDB stream (eventSource aws:dynamodb), and got {what}.",
            hint="Only the source table's stream may trigger this function.",
        )
    return records


def _source_of(record: Mapping[str, Any]) -> str | None:
    """Return the event source of a record. If it is not a string, return the name of its type."""
    source = record.get("eventSource") or record.get("EventSource")
    return source if source is None or isinstance(source, str) else f"a {type(source).__name__}"


def _outline(event: Any) -> str:
    if not isinstance(event, dict):
        return f"a {type(event).__name__}"
    if "Records" in event:
        return f"Records of type {type(event['Records']).__name__}"
    return f"an object with the members {sorted(map(str, event))[:5]}"


def _is_stream_record(record: Any) -> bool:
    return isinstance(record, dict) and (record.get("eventSource") == "aws:dynamodb" or "dynamodb" in record)


def _is_ttl_delete(record: Any) -> bool:
    if not isinstance(record, dict) or record.get("eventName") != "REMOVE":
        return False
    identity = record.get("userIdentity")
    # A delete by a user has no identity. Taken for an expiry, it would never reach an archive.
    if not isinstance(identity, dict):
        return False
    # Lambda writes lower-case names, the Streams API capitalised ones.
    kind = identity.get("type", identity.get("Type"))
    principal = identity.get("principalId", identity.get("PrincipalId"))
    return (kind, principal) == _TTL_PRINCIPAL


def _change(position: int, record: Any) -> Change:
    if not isinstance(record, dict) or not isinstance(record.get("dynamodb"), dict):
        raise MalformedError("the record has no dynamodb object")
    data = record["dynamodb"]
    sequence_number = data.get("SequenceNumber")
    if not isinstance(sequence_number, str) or not sequence_number:
        raise MalformedError("SequenceNumber is missing")
    key = key_of(data.get("Keys"))
    return Change(
        position=position,
        sequence_number=sequence_number,
        key=key,
        key_attributes=data["Keys"],
        image=_image(record.get("eventName"), data, key),
        created_at=_created_at(data.get("ApproximateCreationDateTime")),
        record=record,
    )


def _created_at(value: Any) -> float | None:
    # Only the lag is computed from the time, so an implausible one does not make the record malformed.
    is_time = type(value) in (int, float) and 0 <= value < _END_OF_TIME
    return float(value) if is_time else None


def _image(event_name: Any, data: Mapping[str, Any], key: Key) -> Image | None:
    if event_name == "REMOVE":
        return None
    if event_name not in ("INSERT", "MODIFY"):
        raise MalformedError("eventName is not INSERT, MODIFY or REMOVE")
    image = _new_image(data)
    for name, value in image.items():
        # Most attributes are strings or numbers. Recognising them here takes a tenth of the time of the full check.
        is_text = type(value) is dict and len(value) == 1 and type(value.get("S") or value.get("N")) is str
        if not is_text:
            _check_attribute(name, value)
    # The put writes the key in the image, and later changes are matched by Keys: both must be one item.
    if not _holds(image, data["Keys"], key):
        raise MalformedError("NewImage does not contain the key of Keys")
    return image


def _new_image(data: Mapping[str, Any]) -> Image:
    image = data.get("NewImage")
    if image is None and data.get("StreamViewType") in _VIEWS_WITHOUT_NEW_IMAGE:
        raise StreamViewTypeError(
            f"The stream's StreamViewType is {data['StreamViewType']}, which leaves out the new image.",
            hint="Recreate the source table's stream with StreamViewType NEW_IMAGE.",
        )
    if not isinstance(image, dict):
        raise MalformedError("NewImage is missing")
    return image


def _holds(image: Image, key_attributes: Image, key: Key) -> bool:
    if key_attributes.items() <= image.items():
        return True
    return all(name in image for name, _, _ in key) and key == key_of({n: image[n] for n, _, _ in key})


def _malformed(position: int, record: Any, reason: str) -> Quarantined:
    data = record.get("dynamodb") if isinstance(record, dict) else None
    sequence_number = data.get("SequenceNumber") if isinstance(data, dict) else None
    try:
        key = key_of(data.get("Keys")) if isinstance(data, dict) else None
    except MalformedError:
        key = None
    return Quarantined(
        position=position,
        sequence_number=sequence_number if isinstance(sequence_number, str) and sequence_number else None,
        key=key,
        record=record,
        reason=f"malformed record: {reason}",
        error_code=MALFORMED,
    )


def _canonical(name: str, value: Any) -> tuple[str, str, str]:
    if type(value) is dict and len(value) == 1 and type(value.get("S")) is str:  # as most keys are
        return name, "S", value["S"]
    _check_attribute(name, value)
    ((tag, content),) = value.items()
    if tag == "N":
        return name, tag, _canonical_number(content)
    if tag == "B":
        return name, tag, content
    raise MalformedError(f"key attribute {name!r} has type {tag}; a key is S, N or B")


def _canonical_number(text: str) -> str:
    if len(text) > _MAX_NUMBER_TEXT or not _NUMBER.fullmatch(text):
        raise MalformedError("a key attribute of type N is not a decimal number")
    # By default Decimal rounds to 28 digits; a key may have 38, and 126 places written out.
    number = Decimal(text).normalize(Context(prec=max(len(text), 1)))
    if not number:
        return "0"
    # Written out as DynamoDB writes it. A number that DynamoDB cannot hold keeps its exponent, and so stays short.
    return f"{number:f}" if abs(number.adjusted()) <= _MAX_MAGNITUDE else str(number)


def _check_attribute(name: str, value: Any) -> None:
    try:
        _check_value(value, 0)
    except MalformedError as error:
        raise MalformedError(f"attribute {name!r}: {error}") from error


def _check_value(value: Any, depth: int) -> None:
    if not isinstance(value, dict) or len(value) != 1:
        raise MalformedError("a value must be an object with exactly one type")
    ((tag, content),) = value.items()
    # DynamoDB may respond to an invalid value with a 500, and the record would be retried until it expires.
    check = _CHECKS.get(tag)
    if check is None:
        raise MalformedError("a value has an unknown type")
    if not check(content, depth):
        raise MalformedError(f"a value is not valid for its type {tag}")


def _is_text(content: Any, _depth: int) -> bool:
    return isinstance(content, str)


def _is_flag(content: Any, _depth: int) -> bool:
    return isinstance(content, bool)


def _is_binary(content: Any, _depth: int) -> bool:
    # Only the canonical base64 of the bytes is accepted: the text is sent as it is, and keys are compared by it.
    try:
        return isinstance(content, str) and b64encode(b64decode(content)).decode() == content
    except ValueError:
        return False


def _is_set_of(is_member: Callable[[Any, int], bool]) -> Callable[[Any, int], bool]:
    return lambda content, depth: isinstance(content, list) and all(is_member(m, depth) for m in content)


def _is_list(content: Any, depth: int) -> bool:
    return isinstance(content, list) and _check_members(content, depth)


def _is_map(content: Any, depth: int) -> bool:
    return isinstance(content, dict) and _check_members(content.values(), depth)


def _check_members(members: Any, depth: int) -> bool:
    if depth >= _MAX_DEPTH:
        raise MalformedError(f"values are nested more than {_MAX_DEPTH} levels deep")
    for member in members:
        _check_value(member, depth + 1)
    return True


_CHECKS: Mapping[str, Callable[[Any, int], bool]] = {
    "S": _is_text,
    "N": _is_text,
    "B": _is_binary,
    "BOOL": _is_flag,
    "NULL": _is_flag,
    "SS": _is_set_of(_is_text),
    "NS": _is_set_of(_is_text),
    "BS": _is_set_of(_is_binary),
    "L": _is_list,
    "M": _is_map,
}
