"""tail_record: a stream record as a JSON document and as text."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from ddbreplica_cli.runs.tail_record import document, seen, text

AT = datetime(2026, 1, 31, 13, 0, 0, tzinfo=timezone(timedelta(hours=1)))
KEY = {"PK": {"S": "a"}}
OLD = {**KEY, "gone": {"BOOL": True}, "n": {"N": "1"}, "s": {"SS": ["a", "b"]}}
NEW = {**KEY, "n": {"N": "2"}, "s": {"SS": ["b", "a"]}, "z": {"B": b"\x00\xff"}}


def record(event: str, *, old: Any = None, new: Any = None, key: Any = KEY, **more: Any) -> dict[str, Any]:
    """A stream record as boto3 returns it."""
    images = {"OldImage": old, "NewImage": new}
    return {
        "eventName": event,
        "dynamodb": {
            "ApproximateCreationDateTime": AT,
            "Keys": key,
            "SequenceNumber": "100",
            **{name: image for name, image in images.items() if image is not None},
        },
        **more,
    }


def shown(made: dict[str, Any], *, keys_only: bool = False) -> list[str]:
    return text(seen(made), keys_only=keys_only).split("\n")


def test_a_record_without_a_time() -> None:
    made = record("INSERT", new={**KEY, "v": {"N": "1"}})
    del made["dynamodb"]["ApproximateCreationDateTime"]

    assert shown(made) == ['(no time)             INSERT  PK={"S": "a"}', '  v  {"N": "1"}']
    assert document(seen(made), keys_only=True)["time"] is None


def test_an_insert_shows_all_attributes() -> None:
    assert shown(record("INSERT", new=NEW)) == [
        '2026-01-31T12:00:00Z  INSERT  PK={"S": "a"}',
        '  n  {"N": "2"}',
        '  s  {"SS": ["b", "a"]}',
        '  z  {"B": "AP8="}',
    ]


def test_a_change_with_both_images_shows_only_changed_attributes() -> None:
    assert shown(record("MODIFY", old=OLD, new=NEW)) == [
        '2026-01-31T12:00:00Z  MODIFY  PK={"S": "a"}',
        '  gone  {"BOOL": true} → (absent)',
        '  n  {"N": "1"} → {"N": "2"}',
        '  z  (absent) → {"B": "AP8="}',
    ]


def test_a_change_without_the_old_image_shows_all_attributes() -> None:
    assert shown(record("MODIFY", new={**KEY, "n": {"N": "2"}})) == [
        '2026-01-31T12:00:00Z  MODIFY  PK={"S": "a"}',
        '  n  {"N": "2"}',
    ]


@pytest.mark.parametrize(
    ("old", "more"), [(None, []), ({**KEY, "n": {"N": "1"}}, ['  n  {"N": "1"} → (absent)'])]
)
def test_a_delete_shows_the_old_image_if_the_stream_contains_it(old: Any, more: list[str]) -> None:
    assert shown(record("REMOVE", old=old)) == ['2026-01-31T12:00:00Z  REMOVE  PK={"S": "a"}', *more]


def test_a_delete_by_time_to_live_is_marked() -> None:
    expired = record("REMOVE", userIdentity={"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"})

    assert shown(expired) == ['2026-01-31T12:00:00Z  REMOVE  PK={"S": "a"}  (expired)']
    assert document(seen(expired), keys_only=False)["is_expiry"] is True


def test_keys_only_shows_no_other_attributes() -> None:
    made = record("MODIFY", old=OLD, new=NEW, key={"PK": {"S": "a"}, "at": {"N": "5"}})

    assert shown(made, keys_only=True) == ['2026-01-31T12:00:00Z  MODIFY  PK={"S": "a"}, at={"N": "5"}']
    assert document(seen(made), keys_only=True) == {
        "time": "2026-01-31T12:00:00Z",
        "event": "MODIFY",
        "key": {"PK": {"S": "a"}, "at": {"N": "5"}},
        "is_expiry": False,
        "sequence_number": "100",
    }


def test_a_document_contains_both_images_as_dynamodb_json() -> None:
    made = document(seen(record("INSERT", new=NEW)), keys_only=False)

    assert made["old"] is None
    assert made["new"] == {**KEY, "n": {"N": "2"}, "s": {"SS": ["b", "a"]}, "z": {"B": "AP8="}}


def test_a_long_value_is_cut_and_its_length_shown() -> None:
    line = shown(record("INSERT", new={**KEY, "x": {"S": "y" * 2000}}))[1]

    assert line == f'  x  {{"S": "{"y" * 73}… (2,009 characters)'


def test_control_characters_do_not_reach_the_terminal() -> None:
    made = record(
        "INSERT", key={"PK": {"S": "\x1b[2J"}}, new={"PK": {"S": "\x1b[2J"}, "\x9bm\n": {"S": "\u202eé"}}
    )

    assert shown(made) == [
        '2026-01-31T12:00:00Z  INSERT  PK={"S": "\\u001b[2J"}',
        '  \\u009bm\\n  {"S": "\\u202eé"}',
    ]


def test_the_time_is_utc() -> None:
    assert seen(record("REMOVE")).at == datetime(2026, 1, 31, 12, tzinfo=UTC)
