"""Quarantined records and discarded batches in two buckets on moto, as the function and Lambda write them."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.s3.models import s3_backends

from ddbreplica.bucket.quarantine import Quarantine
from ddbreplica.deadline import Deadline
from ddbreplica.model import SUSPECT, Quarantined
from ddbreplica.records.decode import MalformedError, key_of
from tests.support.cli import REPLICA, SOURCE, Misbehaviour, Tables
from tests.support.on_failure import FUNCTION_ARN, MAPPING, DiscardedBatch, on_failure_object

QUARANTINE = "quarantined-records"
ON_FAILURE = "given-up-records"
POISON = "ValidationException"
CREATED = datetime(2026, 10, 1, 12, tzinfo=UTC)
"""When the source was created: before the stream of `records`."""


class KeptRecords:
    """The quarantine bucket and the on-failure bucket, and the objects in them."""

    def __init__(self) -> None:
        self.client = boto3.client("s3", region_name="us-east-1")
        for bucket in (QUARANTINE, ON_FAILURE):
            self.client.create_bucket(Bucket=bucket)
            self.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        self._count = 0

    def quarantine(self, record: Any, *, code: str = POISON, age: float = 0, replica: str = REPLICA) -> str:
        """Keep a record as the function does, and return the name of its object."""
        before = set(self.names(QUARANTINE))
        data = record.get("dynamodb", {}) if isinstance(record, dict) else {}
        try:
            key = key_of(data.get("Keys"))
        except MalformedError:
            key = None
        kept = Quarantined(0, data.get("SequenceNumber"), key, record, "refused by the replica: why", code)
        Quarantine(QUARANTINE, table=replica, connect=lambda: self.client).keep(
            () if code == SUSPECT else (kept,),
            (kept,) if code == SUSPECT else (),
            before=None,
            puts_applied=1,
            request_id="request",
            deadline=Deadline(lambda: 60),
        )
        (name,) = set(self.names(QUARANTINE)) - before
        self.make_older(QUARANTINE, name, age)
        return name

    def discard(self, *records: Any, age: float = 3600) -> str:
        """Put a batch into the on-failure bucket as Lambda does, and return the name of its object."""
        self._count += 1
        discarded = DiscardedBatch(records, "shardId-1", "RetryAttemptsExhausted", "request", 3, None)
        name, body = on_failure_object(discarded, now=1.7940960e9, name=f"object-{self._count}")
        self.client.put_object(Bucket=ON_FAILURE, Key=name, Body=body.encode())
        self.make_older(ON_FAILURE, name, age)
        return name

    def put(self, bucket: str, name: str, body: bytes) -> None:
        self.client.put_object(Bucket=bucket, Key=name, Body=body)

    def make_older(self, bucket: str, name: str, seconds: float) -> None:
        """Make an object look as if it had been stored so many seconds earlier."""
        stored = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[bucket].keys[name]
        stored.last_modified -= timedelta(seconds=seconds)

    def names(self, bucket: str) -> list[str]:
        """Return the names of all objects except the records of verifications."""
        found = self.client.list_objects_v2(Bucket=bucket).get("Contents", ())
        return [each["Key"] for each in found if not each["Key"].startswith("verifications/")]

    def versions(self, bucket: str) -> list[str]:
        """Return the name of each version and of each delete marker."""
        listed: Any = self.client.list_object_versions(Bucket=bucket)
        return sorted(each["Key"] for part in ("Versions", "DeleteMarkers") for each in listed.get(part, ()))

    def body(self, bucket: str, name: str) -> bytes:
        return self.client.get_object(Bucket=bucket, Key=name)["Body"].read()


def mapped(tables: Tables, aws: Misbehaviour) -> KeptRecords:
    """Create the two buckets, empty, and a mapping with the on-failure bucket as its destination."""
    tables.client.update_table(
        TableName=SOURCE, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    )
    recreate_source(CREATED)
    answer_mapping(tables, aws)
    return KeptRecords()


def recreate_source(at: datetime) -> None:
    """Make the source look as if it had been created at this time."""
    table = dynamodb_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].tables[SOURCE]
    table.created_at = at.replace(tzinfo=None)  # moto's times are in UTC, without a zone


def answer_mapping(
    tables: Tables,
    aws: Misbehaviour,
    *,
    mapped: bool = True,
    on_failure: str | None = f"arn:aws:s3:::{ON_FAILURE}",
    state: str = "Enabled",
    patterns: Sequence[Any] = (),
    updated_at: datetime | None = None,
    **environment: str,
) -> None:
    """Let Lambda list a mapping from the source's stream to the replica, or no mapping."""
    stream = tables.client.describe_table(TableName=SOURCE)["Table"]["LatestStreamArn"]
    destination = {"OnFailure": {"Destination": on_failure}} if on_failure else {}
    mapping = {
        "UUID": MAPPING,
        "EventSourceArn": stream,
        "FunctionArn": FUNCTION_ARN,
        "State": state,
        "StartingPosition": "TRIM_HORIZON",
        "LastModified": datetime(2026, 11, 8, tzinfo=UTC),
        "DestinationConfig": destination,
        "FilterCriteria": {"Filters": [{"Pattern": json.dumps(pattern)} for pattern in patterns]},
    }
    variables = {"REPLICA_TABLE_NAME": REPLICA, "QUARANTINE_BUCKET": QUARANTINE, **environment}
    _answer(aws, "ListEventSourceMappings", {"EventSourceMappings": [mapping] if mapped else []})
    function = {"FunctionName": "ddbreplica", "Environment": {"Variables": variables}, "Timeout": 60}
    if updated_at:
        function["LastModified"] = updated_at.isoformat()
    _answer(aws, "GetFunctionConfiguration", function)
    _answer(aws, "ListTags", {"Tags": {"ddbreplica": REPLICA}})


def _answer(aws: Misbehaviour, operation: str, answer: Any) -> None:
    aws.on(f"before-call.lambda.{operation}", lambda **_: (SimpleNamespace(status_code=200), answer))


TENANT = {"dynamodb": {"Keys": {"PK": {"S": [{"prefix": "t1#"}]}}}}
