"""quarantining: what is suspect outlives the run, or the run says that it does not."""

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ddbreplica.aws.clock import Skew
from ddbreplica.bucket.quarantine import Quarantine
from ddbreplica.bucket.unpack import quarantined
from ddbreplica.errors import TaskError
from ddbreplica.model import Table
from ddbreplica.reconcile.in_doubt_quarantine import QuarantiningJournal
from tests.support.fake_bucket import FakeBucket, s3_error
from tests.support.fake_journal import FakeJournal
from tests.support.memory_state import ManualClock

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


def test_suspects_are_kept_in_a_form_that_the_next_run_reads() -> None:
    bucket = FakeBucket()

    journal(bucket).suspect([A, B])

    now = datetime.now(UTC)
    read = [quarantined(SOURCE, created_at=now)(body, now) for body in bucket.objects.values()]
    assert [(unpacked.keys, unpacked.hold_seconds > 0) for unpacked in read] == [((A,), True), ((B,), True)]
    assert all(name.startswith("quarantine/copy/") for name in bucket.objects)


def test_they_are_held_back_in_this_run_too() -> None:
    kept = journal(FakeBucket())

    kept.suspect([A])

    assert kept.intend([A, B]) == [B]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (s3_error("AccessDenied"), "the quarantine bucket bucket refuses: AccessDenied: no."),
        (s3_error("MadeUp", "odd"), "MadeUp: odd."),
        (s3_error("MadeUp", "a whole sentence."), "MadeUp: a whole sentence."),
    ],
)
def test_it_is_said_if_they_cannot_be_kept(
    fault: ClientError, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[Any] = []
    monkeypatch.setattr("ddbreplica.driver.Interrupt.sleep", lambda _, seconds: slept.append(seconds))

    with pytest.raises(TaskError) as raised:
        journal(FakeBucket(*[fault] * 10)).suspect([A])

    assert raised.value.fact == f"a write was not answered, and its key cannot be put into quarantine: {said}"
    assert raised.value.hint.startswith("run the same command again on this machine")


def test_an_object_says_how_far_ahead_the_clock_was_that_signed_the_write() -> None:
    bucket, clock = FakeBucket(), ManualClock(ahead_by=40)
    clock.respond()

    journal(bucket, skew=clock).suspect([A])

    assert [kept["clock_ahead_seconds"] for kept in bucket.kept] == [40]
