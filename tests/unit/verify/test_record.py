"""record: the record of a complete verification says what its result says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from ddbreplica.bucket.verification_record import (
    BY_LOOKS,
    EVENTUAL,
    STRONG,
    RecordedTable,
    VerificationRecord,
)
from ddbreplica.dynamodb.describe import Described
from ddbreplica.mapping.key_filter import EVERY_KEY
from ddbreplica.verify.difference import Difference, DifferenceKind, Swept
from ddbreplica.verify.result.findings import REPAIRED, Findings
from ddbreplica.verify.result.record import record_of
from ddbreplica.verify.result.verdict import Verified
from tests.support.scanned import key
from tests.support.stopped import FILTER, OPTIONS

BEGAN = datetime(2026, 1, 31, 9, 0, 0, 123456, tzinfo=UTC)
ENDED = BEGAN + timedelta(minutes=4)
CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)
FOUND = [
    *[(DifferenceKind.MISSING, None)] * 2,
    *[(DifferenceKind.DIFFERENT, REPAIRED)] * 3,
    *[(DifferenceKind.EXTRA, None)] * 4,
    *[(DifferenceKind.INCONCLUSIVE, None)] * 5,
    *[(DifferenceKind.MOVING, None)] * 6,
    *[(DifferenceKind.ARCHIVED, None)] * 7,
]


def described(arn: str, *, days: int) -> Described:
    side: Any = SimpleNamespace()
    table: Any = SimpleNamespace(arn=arn)
    return Described(side, table, {"CreationDateTime": CREATED_AT + timedelta(days=days)})


TABLES = described("arn:source", days=0), described("arn:replica", days=1)


def result() -> Verified:
    findings = Findings(0)
    for number, (kind, outcome) in enumerate(FOUND):
        findings.add(Difference(kind, key(number)), outcome)
    return Verified(
        "source",
        "replica",
        "everything within the filter",
        Swept(2000, 2001, 10, 11),
        findings,
        is_repair=True,
        seconds=240.0,
        began=BEGAN.isoformat(),
        confirmed_by=BY_LOOKS,
        in_doubt=8,
        lag=0.4,
        transform="5becbdd27a53",
    )


def test_it_has_the_figures_of_the_result() -> None:
    made = record_of(result(), TABLES, OPTIONS, key_filter=FILTER, is_archive=True, ended=ENDED)

    assert made == VerificationRecord(
        source=RecordedTable("arn:source", CREATED_AT),
        replica=RecordedTable("arn:replica", CREATED_AT + timedelta(days=1)),
        began=BEGAN,
        ended=ENDED,
        verdict="not equal",
        looked_at="everything within the filter",
        consistency=STRONG,
        source_items=2000,
        replica_items=2001,
        differences={"missing": 2, "different": 3, "extra": 4, "inconclusive": 5},
        repaired=3,
        moving=6,
        in_doubt=8,
        confirmed_by=BY_LOOKS,
        lag=0.4,
        patterns=FILTER.patterns,
        is_archive=True,
        segments=2,
        version=None,
        transform="5becbdd27a53",
    )


def test_it_says_whether_the_scans_were_eventually_consistent() -> None:
    options = replace(OPTIONS, eventually_consistent=True)

    made = record_of(result(), TABLES, options, key_filter=EVERY_KEY, is_archive=False, ended=ENDED)

    assert (made.consistency, made.is_archive, made.patterns) == (EVENTUAL, False, ())


def test_it_never_ends_before_it_begins() -> None:
    ended = BEGAN - timedelta(microseconds=123456)

    made = record_of(result(), TABLES, OPTIONS, key_filter=EVERY_KEY, is_archive=False, ended=ended)

    assert made.ended == made.began == BEGAN
