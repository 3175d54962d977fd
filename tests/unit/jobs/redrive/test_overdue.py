"""overdue: how many hours ago the last verification began that says something about these tables."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from ddbreplica.bucket.verification_record import RecordedTable, VerificationRecord
from ddbreplica.jobs.redrive.overdue import hours_since
from tests.support.redriven import CREATED, described
from tests.support.verified import record

NOW = CREATED + timedelta(hours=100)
TABLES = described("logfile"), described("copy", created=CREATED + timedelta(hours=10))
SOURCE, REPLICA = (RecordedTable(table.table.arn, table.created_at) for table in TABLES)


def verified(hours: float, **changes: Any) -> VerificationRecord:
    """Return the record of a verification that began so many hours ago."""
    began = NOW - timedelta(hours=hours)
    return record(**{"source": SOURCE, "replica": REPLICA, "began": began, "ended": began, **changes})


def test_the_newest_conclusive_verification_counts_from_its_begin() -> None:
    records = [verified(1, verdict="inconclusive"), verified(30)]

    assert hours_since(records, TABLES, now=NOW) == 30


@pytest.mark.parametrize("verdict", ["equal", "repaired", "not equal"])
def test_each_verdict_but_an_inconclusive_one_counts(verdict: str) -> None:
    assert hours_since([verified(5, verdict=verdict)], TABLES, now=NOW) == 5


@pytest.mark.parametrize(
    "records",
    [
        [],
        [verified(1, verdict="inconclusive")],
        [verified(1, source=RecordedTable(SOURCE.arn, CREATED - timedelta(days=1)))],
        [verified(1, replica=RecordedTable(REPLICA.arn, CREATED - timedelta(days=1)))],
    ],
    ids=["none", "inconclusive", "source recreated", "replica recreated"],
)
def test_without_one_the_time_counts_since_both_tables_exist(records: list[VerificationRecord]) -> None:
    assert hours_since(records, TABLES, now=NOW) == 90


def test_a_clock_that_is_behind_makes_no_negative_hours() -> None:
    now: datetime = NOW - timedelta(hours=200)

    assert hours_since([], TABLES, now=now) == 0
