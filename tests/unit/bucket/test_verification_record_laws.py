"""verification_record, over generated records and objects: what is written is read, and nothing else raises."""

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ddbreplica.bucket.verification_record import (
    MAX_BYTES,
    VERDICTS,
    NotARecordError,
    RecordedTable,
    VerificationRecord,
    body_of,
    read,
    time_in,
)
from tests.support.verified import BEGAN, NAME, RECORD

NAMES = st.text("abcXYZ019._-", min_size=3, max_size=255)
MOMENTS = st.datetimes(datetime(2012, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
COUNTS = st.integers(0, 10**15)
TABLES = st.builds(
    RecordedTable, NAMES.map("arn:aws:dynamodb:eu-west-1:111122223333:table/{}".format), MOMENTS
)
TEXTS = st.text(max_size=4096)
RECORDS = st.builds(
    VerificationRecord,
    source=TABLES,
    replica=TABLES,
    began=MOMENTS,
    ended=MOMENTS,
    verdict=st.sampled_from(sorted(VERDICTS)),
    looked_at=TEXTS,
    consistency=st.sampled_from(["strong", "eventual"]),
    source_items=COUNTS,
    replica_items=COUNTS,
    differences=st.dictionaries(st.text(max_size=20), COUNTS, max_size=50),
    repaired=COUNTS,
    moving=COUNTS,
    in_doubt=COUNTS,
    confirmed_by=st.sampled_from(["stream", "looks", None]),
    lag=st.none() | st.floats(0, 10**9),
    patterns=st.lists(TEXTS, max_size=10).map(tuple),
    is_archive=st.booleans(),
    segments=st.integers(1, 10_000),
    version=st.none() | st.text(max_size=20),
    transform=st.none() | st.text("0123456789abcdef", max_size=64),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=5,
)


@given(RECORDS)
def test_a_record_is_read_as_it_was_written(record: VerificationRecord) -> None:
    body = body_of(record)

    assert len(body) <= MAX_BYTES
    assert read(body, name=record.name, stored_at=record.began) == record
    assert time_in(record.name) == record.began


@given(st.data())
def test_a_record_with_any_other_member_is_read_or_refused(data: st.DataObject) -> None:
    document: dict[str, Any] = RECORD.document()
    document[data.draw(st.sampled_from(sorted(document)))] = data.draw(JSON)

    accepted_or_refused(json.dumps(document).encode())


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_object_is_read_or_refused(body: bytes) -> None:
    accepted_or_refused(body)


def accepted_or_refused(body: bytes) -> None:
    try:
        record = read(body, name=NAME, stored_at=BEGAN)
    except NotARecordError:
        return
    assert record.name == NAME
    assert json.loads(body_of(record)) == json.loads(body)
