"""verification_record: the record of a verification is written as one JSON object, and only such objects are read."""

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ddbreplica.bucket.verification_record import (
    BY_LOOKS,
    EVENTUAL,
    MAX_BYTES,
    VERDICTS,
    NotARecordError,
    VerificationRecord,
    body_of,
    prefix_of,
    read,
    time_in,
    time_text,
)
from tests.support.verified import BEGAN, NAME, RECORD, record

DOCUMENT = {
    "schema": 1,
    "source": {
        "table_arn": "arn:aws:dynamodb:us-east-1:123456789012:table/logfile",
        "created_at": "2026-01-01T00:00:00.000000Z",
    },
    "replica": {
        "table_arn": "arn:aws:dynamodb:us-east-1:123456789012:table/logfile_replica",
        "created_at": "2026-01-01T00:00:00.000000Z",
    },
    "began": "2026-01-31T09:00:00.123456Z",
    "ended": "2026-01-31T09:04:00.123456Z",
    "verdict": "equal",
    "looked_at": "everything",
    "consistency": "strong",
    "source_items": 2000,
    "replica_items": 2001,
    "differences": {"missing": 0, "different": 0, "extra": 0, "inconclusive": 0},
    "repaired": 0,
    "moving": 3,
    "in_doubt": 0,
    "confirmed_by": "stream",
    "lag_seconds": 0.4,
    "filter": ['{"dynamodb": {"Keys": {"PK": {"S": ["a"]}}}}'],
    "archive": False,
    "transform": None,
    "segments": 8,
    "ddbreplica": "0.1.0",
}


def reread(document: Any, *, name: str = NAME, stored_at: datetime = BEGAN) -> VerificationRecord:
    return read(json.dumps(document).encode(), name=name, stored_at=stored_at)


def refusal_of(body: bytes, *, name: str = NAME, stored_at: datetime = BEGAN) -> str:
    with pytest.raises(NotARecordError) as refused:
        read(body, name=name, stored_at=stored_at)
    return str(refused.value)


def test_a_record_is_an_object_of_its_replica_named_by_the_time_when_the_first_scan_began() -> None:
    assert RECORD.name == NAME == f"{prefix_of('logfile_replica')}{time_text(BEGAN)}.json"
    assert RECORD.document() == DOCUMENT
    assert body_of(RECORD) == json.dumps(DOCUMENT, indent=2).encode()


@pytest.mark.parametrize(
    "written",
    [
        RECORD,
        record(confirmed_by=None, lag=None, version=None, transform=64 * "f", patterns=(), is_archive=True),
        record(confirmed_by=BY_LOOKS, lag=0, consistency=EVENTUAL, differences={}),
        *(record(verdict=verdict) for verdict in VERDICTS),
        record(differences={"x" * 50: 1}),
        record(source_items=10**15, patterns=("x" * 4096,) * 10, differences={str(n): n for n in range(50)}),
    ],
)
def test_a_record_is_read_as_it_was_written(written: VerificationRecord) -> None:
    body = body_of(written)

    assert len(body) <= MAX_BYTES
    assert read(body, name=NAME, stored_at=BEGAN) == written
    assert read(memoryview(body), name=NAME, stored_at=BEGAN) == written


def test_the_largest_record_is_not_too_large() -> None:
    escaped = "\U0001f600" * 4096  # twelve bytes each

    assert 512 * 1024 >= MAX_BYTES >= len(body_of(record(patterns=(escaped,) * 10)))


def test_times_are_written_in_utc_and_sort_as_texts() -> None:
    elsewhere = BEGAN.astimezone(timezone(timedelta(hours=-8)))
    moments = [BEGAN + timedelta(microseconds=10**power) for power in range(14)]

    assert time_text(elsewhere) == time_text(BEGAN)
    assert sorted(map(time_text, moments)) == list(map(time_text, moments))


def test_the_time_in_a_name() -> None:
    assert time_in(NAME) == BEGAN


@pytest.mark.parametrize(
    "name",
    [
        "",
        "verifications/logfile_replica/",
        "verifications/logfile_replica/2026-01-31T09:00:00.123456Z",
        "verifications/logfile_replica/2026-01-31T09:00:00.123456Z.json.json",
        "verifications/logfile_replica/2026-01-31T09:00:00.123456Z.json/x",
        "verifications/logfile_replica/2026-01-31T09:00:00.12345Z.json",
        "verifications/logfile_replica/2026-1-31T09:00:00.123456Z.json",
        "verifications/logfile_replica/2026-01-32T09:00:00.123456Z.json",
        "verifications/logfile_replica/2026-01-31T09:00:00.123456+00:00.json",
        "verifications/logfile_replica/0001-01-31T09:00:00.123456Z.json",
        "verifications/logfile_replica/zzz.json",
    ],
)
def test_a_name_that_no_record_has(name: str) -> None:
    assert time_in(name) is None


@pytest.mark.parametrize("member", sorted(DOCUMENT.keys() - {"transform"}))
def test_every_member_is_required(member: str) -> None:
    rest = {name: value for name, value in DOCUMENT.items() if name != member}

    why = refusal_of(json.dumps(rest).encode())

    assert why.startswith("is not a record of a verification: ")
    assert why.endswith(
        " it is not a JSON object" if member in ("source", "replica") else f" {member} is missing or invalid"
    )


@pytest.mark.parametrize("table", ["source", "replica"])
@pytest.mark.parametrize("member", ["table_arn", "created_at"])
def test_every_member_of_a_table_is_required(table: str, member: str) -> None:
    document = {**DOCUMENT, table: {name: value for name, value in DOCUMENT[table].items() if name != member}}  # type: ignore[attr-defined]

    assert refusal_of(json.dumps(document).encode()).endswith(f": {member} is missing or invalid")


@pytest.mark.parametrize(
    ("member", "values"),
    [
        ("schema", (True, "1", 1.0, None, -1)),
        ("source", (None, "x", [])),
        ("began", (None, 0, [], "x" * 4097)),
        ("verdict", (None, "EQUAL", "", 1, ["equal"], {})),
        ("looked_at", (None, 1, "x" * 4097)),
        ("consistency", (None, "weak", [])),
        ("source_items", (None, -1, 1.5, True, "1", 10**15 + 1, 10**400)),
        (
            "differences",
            (None, [], {"missing": -1}, {"missing": True}, {"x" * 51: 0}, {str(n): 0 for n in range(51)}),
        ),
        ("confirmed_by", ("", "faith", 0, False)),
        ("lag_seconds", (-0.5, "1", True, 1)),
        ("filter", (None, "x", [1], ["x" * 4097], ["x"] * 11)),
        ("archive", (None, 0, 1, "false")),
        ("ddbreplica", (1, [], "x" * 4097)),
        ("transform", (1, False, [], {}, "x" * 4097)),
    ],
)
def test_a_member_of_another_kind_is_refused(member: str, values: tuple[Any, ...]) -> None:
    for value in values:
        why = refusal_of(json.dumps({**DOCUMENT, member: value}).encode())

        assert why.startswith("is not a record of a verification: "), value
        assert why.endswith((f" {member} is missing or invalid", " it is not a JSON object")), value


def test_another_schema_is_refused_by_name() -> None:
    assert refusal_of(json.dumps({**DOCUMENT, "schema": 2}).encode()) == (
        "is not a record of a verification: its schema is not 1"
    )


def test_a_time_that_does_not_sort_is_refused_by_its_text() -> None:
    document = {**DOCUMENT, "ended": "2026-1-31T09:04:00.123456Z"}

    assert refusal_of(json.dumps(document).encode()) == (
        "is not a record of a verification: 2026-1-31T09:04:00.123456Z is not a time"
    )


def test_a_member_that_a_later_version_adds_is_ignored() -> None:
    assert reread({**DOCUMENT, "later": "x"}) == RECORD


def test_a_record_from_before_there_were_transforms_is_of_none() -> None:
    earlier = {name: value for name, value in DOCUMENT.items() if name != "transform"}

    assert reread(earlier) == RECORD


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"schema": ' * 50_000,
        body_of(RECORD) + b"x",
        body_of(RECORD).replace(b"0.4", b"NaN"),
        body_of(RECORD).replace(b"0.4", b"Infinity"),
        body_of(RECORD).replace(b"0.4", b"1e999"),
        body_of(RECORD).replace(b"2000", b"9" * 5000),
        body_of(RECORD).replace(b"09:00:00.123456Z", b"09:00:00.1Z"),
        body_of(RECORD).replace(b"2026-01-31T09:04", b"2026-1-31T09:04"),
    ],
)
def test_what_is_no_record_is_unreadable(body: bytes) -> None:
    assert refusal_of(body).startswith("is not ")


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_a_constant_that_is_not_json_is_refused_by_name(constant: str) -> None:
    body = body_of(RECORD).replace(b"0.4", constant.encode())

    assert refusal_of(body) == f"is not a record of a verification: {constant}"


def test_deep_nesting_is_not_json() -> None:
    assert refusal_of(b"[" * 100_000) == "is not JSON"


@pytest.mark.parametrize("name", [NAME.replace("logfile", "orders"), NAME.replace("09:00", "09:01"), "x"])
def test_a_record_under_another_name_is_refused(name: str) -> None:
    assert refusal_of(body_of(RECORD), name=name) == "is a record of another table or another time"


def test_a_record_from_the_future_is_refused() -> None:
    slack = timedelta(minutes=5)

    assert reread(DOCUMENT, stored_at=BEGAN - slack) == RECORD
    assert refusal_of(body_of(RECORD), stored_at=BEGAN - slack - timedelta(microseconds=1)) == (
        "was stored before the verification began"
    )
