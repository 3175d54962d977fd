"""in_doubt_quarantine: a key in doubt is quarantined, or the run reports that it cannot be."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from ddbreplica.aws.clock import Skew
from ddbreplica.bucket.object_format import quarantined
from ddbreplica.bucket.quarantine import Quarantine
from ddbreplica.errors import TaskError
from ddbreplica.model import Table
from ddbreplica.reconcile.in_doubt_quarantine import QuarantiningJournal
from tests.support.fake_bucket import FakeBucket, s3_error
from tests.support.fake_journal import FakeJournal
from tests.support.memory_state import ManualClock

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SOURCE = "arn:aws:dynamodb:us-east-1:123456789012:table/logfile"
A = (("PK", "S", "a"),)
B = (("PK", "B", "AAE="),)


def journal(bucket: FakeBucket, *, skew: Skew | None = None) -> QuarantiningJournal:
    source = Table(SOURCE, status="ACTIVE", key_schema=frozenset())
    return QuarantiningJournal(
        FakeJournal(),
        Quarantine("bucket", table="copy", connect=bucket.connect, skew=skew),
        source=source,
        command="redrive",
    )


def test_in_doubt_keys_are_quarantined_in_a_format_that_the_next_run_reads() -> None:
    bucket = FakeBucket()

    journal(bucket).mark_in_doubt([A, B])

    now = datetime.now(UTC)
    read = [quarantined(SOURCE, created_at=now)(body, now) for body in bucket.objects.values()]
    assert [(unpacked.keys, unpacked.hold_seconds > 0) for unpacked in read] == [((A,), True), ((B,), True)]
    assert all(name.startswith("quarantine/copy/") for name in bucket.objects)


def test_an_object_has_a_record_with_only_the_key_and_the_command() -> None:
    bucket = FakeBucket()

    journal(bucket).mark_in_doubt([A])

    ((name, kept),) = zip(bucket.objects, bucket.kept, strict=True)
    assert re.fullmatch(r"quarantine/copy/none/none-redrive-[0-9a-f]{16}-in-doubt\.json", name)
    assert datetime.fromisoformat(kept.pop("quarantined_at")).tzinfo == UTC
    assert kept == {
        "schema": 1,
        "record": {"eventSourceARN": SOURCE, "dynamodb": {"Keys": {"PK": {"S": "a"}}}},
        "reason": "a write of redrive got no response and may still land",
        "error_code": "SuspectWrite",
        "clock_ahead_seconds": None,
    }


@dataclass(frozen=True)
class Places:
    """The parts of a connection that a journal uses."""

    replica: "Side"
    buckets: "S3Client"
    clock: Skew


@dataclass(frozen=True)
class Side:
    short_name: str


def test_between_two_tables_it_uses_their_buckets_and_their_clock() -> None:
    bucket, clock = FakeBucket(), ManualClock(ahead_by=40)
    clock.respond()
    places: Any = Places(Side("copy"), bucket.connect(), clock)
    source = Table(SOURCE, status="ACTIVE", key_schema=frozenset())

    journal = QuarantiningJournal.of(FakeJournal(), places, "bucket", source, command="verify")
    journal.mark_in_doubt([A])

    ((name, kept),) = zip(bucket.objects, bucket.kept, strict=True)
    assert name.startswith("quarantine/copy/none/none-verify-")
    assert kept["record"]["eventSourceARN"] == SOURCE
    assert kept["reason"] == "a write of verify got no response and may still land"
    assert kept["clock_ahead_seconds"] == 40
    assert bucket.buckets == {"bucket"}


def test_keys_are_opened_and_closed_as_the_journal_does() -> None:
    inner = FakeJournal()
    kept = QuarantiningJournal(
        inner,
        Quarantine("bucket", table="copy", connect=FakeBucket().connect),
        source=Table(SOURCE, status="ACTIVE", key_schema=frozenset()),
        command="redrive",
    )

    assert kept.intend([A, B]) == [A, B]
    kept.confirm([A])

    assert list(inner.opened) == [B]


def test_they_are_held_back_in_this_run_too() -> None:
    kept = journal(FakeBucket())

    kept.mark_in_doubt([A])

    assert kept.intend([A, B]) == [B]


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (s3_error("AccessDenied"), "the quarantine bucket bucket refuses the record: AccessDenied: no."),
        (s3_error("MadeUp", "odd"), "MadeUp: odd."),
        (s3_error("MadeUp", "a whole sentence."), "MadeUp: a whole sentence."),
        (s3_error("MadeUp", "LXXX"), "MadeUp: LXXX."),
        (
            s3_error("AccessDenied", "no..."),
            "the quarantine bucket bucket refuses the record: AccessDenied: no.",
        ),
    ],
)
def test_keys_that_cannot_be_quarantined_are_an_error(
    fault: ClientError, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[Any] = []
    monkeypatch.setattr("ddbreplica.driver.Interrupt.sleep", lambda _, seconds: slept.append(seconds))

    with pytest.raises(TaskError) as raised:
        journal(FakeBucket(*[fault] * 10)).mark_in_doubt([A])

    assert (
        raised.value.fact
        == f"a write got no response and may still land, and its key cannot be quarantined: {why}"
    )
    assert raised.value.hint == (
        "run the same command again in the same directory: its state file has the key and holds it back."
    )


def test_keys_of_an_earlier_worker_are_quarantined_without_a_further_hold() -> None:
    bucket, inner = FakeBucket(), FakeJournal()
    source = Table(SOURCE, status="ACTIVE", key_schema=frozenset())
    quarantine = Quarantine("bucket", table="copy", connect=bucket.connect)

    QuarantiningJournal(inner, quarantine, source=source, command="backfill").hand_over([A, B])

    now = datetime.now(UTC)
    read = [quarantined(SOURCE, created_at=now)(body, now) for body in bucket.objects.values()]
    assert [(unpacked.keys, unpacked.hold_seconds) for unpacked in read] == [((A,), 0.0), ((B,), 0.0)]
    assert {(each["reason"], each["error_code"]) for each in bucket.kept} == {
        (
            "a worker of backfill ended before it confirmed the key",
            "InterruptedWrite",
        )
    }
    assert inner.intend([A]) == [A]


def test_the_hint_is_that_of_the_program() -> None:
    bucket = FakeBucket(s3_error("AccessDenied"))
    places: Any = Places(Side("copy"), bucket.connect(), ManualClock())
    source = Table(SOURCE, status="ACTIVE", key_schema=frozenset())
    kept = QuarantiningJournal.of(
        FakeJournal(), places, "bucket", source, command="job", hint="start the job again."
    )

    with pytest.raises(TaskError) as raised:
        kept.mark_in_doubt([A])

    assert raised.value.hint == "start the job again."


def test_keys_of_an_earlier_worker_that_cannot_be_quarantined_are_an_error() -> None:
    with pytest.raises(TaskError) as raised:
        journal(FakeBucket(s3_error("AccessDenied"))).hand_over([A])

    assert raised.value.fact == (
        "a worker ended before it confirmed a key, which cannot be quarantined: the quarantine bucket bucket refuses"
        " the record: AccessDenied: no."
    )


def test_an_object_records_how_far_ahead_the_clock_was_that_signed_the_write() -> None:
    bucket, clock = FakeBucket(), ManualClock(ahead_by=40)
    clock.respond()

    journal(bucket, skew=clock).mark_in_doubt([A])

    assert [kept["clock_ahead_seconds"] for kept in bucket.kept] == [40]
