"""A record of a verification, which a test changes in one way."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3

from ddbreplica.bucket.verification_record import (
    BY_STREAM,
    STRONG,
    RecordedTable,
    VerificationRecord,
    body_of,
)

TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/"
BEGAN = datetime(2026, 1, 31, 9, 0, 0, 123456, tzinfo=UTC)
NAME = "verifications/logfile_replica/2026-01-31T09:00:00.123456Z.json"
CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)

RECORD = VerificationRecord(
    source=RecordedTable(f"{TABLE}logfile", CREATED_AT),
    replica=RecordedTable(f"{TABLE}logfile_replica", CREATED_AT),
    began=BEGAN,
    ended=BEGAN + timedelta(minutes=4),
    verdict="equal",
    looked_at="everything",
    consistency=STRONG,
    source_items=2000,
    replica_items=2001,
    differences={"missing": 0, "different": 0, "extra": 0, "inconclusive": 0},
    repaired=0,
    moving=3,
    in_doubt=0,
    confirmed_by=BY_STREAM,
    lag=0.4,
    patterns=('{"dynamodb": {"Keys": {"PK": {"S": ["a"]}}}}',),
    is_archive=False,
    segments=8,
    version="0.1.0",
    transform=None,
)


def record(**changes: Any) -> VerificationRecord:
    return replace(RECORD, **changes)


def verify_before(client: Any, *, minutes: float, **changes: Any) -> VerificationRecord:
    """Store the record of a verification of the default tables that began so many minutes ago."""
    began = datetime.now(UTC) - timedelta(minutes=minutes)
    described = [client.describe_table(TableName=name)["Table"] for name in ("logfile", "logfile_replica")]
    source, replica = (RecordedTable(table["TableArn"], table["CreationDateTime"]) for table in described)
    made = record(source=source, replica=replica, began=began, ended=began, patterns=(), **changes)
    boto3.client("s3").put_object(Bucket="kept", Key=made.name, Body=body_of(made))
    return made
