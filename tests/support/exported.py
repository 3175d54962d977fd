"""A table export in S3 on moto, and a backfill from it."""

import gzip
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import Result

from tests.support.cli import (
    REPLICA,
    Tables,
    lines,
    run,
)

MADE_AT = datetime(2026, 11, 22, 11, tzinfo=UTC)
STATE = Path("logfile-logfile_replica.backfill")


def backfill(*args: str) -> Result:
    """Run a backfill between two tables without an event source mapping."""
    return run("backfill", "--without-mapping", "--transform", "none", *args)


FOLDER = "exports/AWSDynamoDB/01234-abc"


class InS3:
    @pytest.fixture(autouse=True)
    def _bucket(self, tables: Tables) -> None:
        self.tables = tables
        self.client = boto3.client("s3", region_name="us-east-1")
        self.client.create_bucket(Bucket="bucket")

    def put(self, name: str, body: bytes) -> None:
        self.client.put_object(Bucket="bucket", Key=f"{FOLDER}/{name}", Body=body)

    def export(self, *files: Sequence[str], counted: int = 0, **summary: Any) -> None:
        """Put an export whose files contain items with these keys and old images."""
        entries = []
        for number, keys in enumerate(files):
            body = b"".join(
                json.dumps({"Item": {"PK": {"S": key}, "old": {"BOOL": True}}}).encode() + b"\n"
                for key in keys
            )
            self.put(f"data/{number}.json.gz", gzip.compress(body))
            name = f"AWSDynamoDB/01234-abc/data/{number}.json.gz"
            entries.append(json.dumps({"itemCount": len(keys) + counted, "dataFileS3Key": name}) + "\n")
        whole = {
            "tableArn": "arn:aws:dynamodb:us-east-1:123456789012:table/logfile",
            "exportTime": "2099-11-22T12:00:00.000Z",
            "outputFormat": "DYNAMODB_JSON",
            "itemCount": sum(len(keys) + counted for keys in files),
            **summary,
        }
        self.put("manifest-files.json", "".join(entries).encode())
        self.put("manifest-summary.json", json.dumps(whole).encode())

    def backfill(self, *args: str) -> Result:
        return backfill("--from-export", f"s3://bucket/{FOLDER}", *args)

    def error(self) -> str:
        result = self.backfill()
        assert result.exit_code == 2
        assert self.tables.items(REPLICA) == {}
        return lines(result.stderr)[0]


def gzipped(*keys: str) -> bytes:
    return gzip.compress(b"".join(b'{"Item": {"PK": {"S": "%s"}}}\n' % key.encode() for key in keys))
