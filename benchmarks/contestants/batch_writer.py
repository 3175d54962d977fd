"""The batch_writer of boto3's resource: 25 items per request, one request after the other."""

import os
from typing import Any

import boto3

from benchmarks.contestants import Apply
from benchmarks.contestants.workshop import python_item
from benchmarks.workloads import KEY

_table = boto3.resource("dynamodb").Table(os.environ["REPLICA_TABLE_NAME"])


def _handler(event: Any) -> None:
    # Without overwrite_by_pkeys DynamoDB refuses a request with two changes of one key.
    with _table.batch_writer(overwrite_by_pkeys=[KEY]) as batch:
        for record in event["Records"]:
            if record["eventName"] == "REMOVE":
                batch.delete_item(Key=python_item(record["dynamodb"]["Keys"]))
            else:
                batch.put_item(Item=python_item(record["dynamodb"]["NewImage"]))


def prepare(event: Any) -> Apply:
    """Apply the batch; each request writes a key at most once."""
    return lambda: _handler(event)
