"""Images passed to the client unchanged, one request per record, on 16 threads."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from botocore.config import Config

from benchmarks.contestants import Apply

_THREADS = 16
_client = boto3.client("dynamodb", config=Config(max_pool_connections=_THREADS))
_table = os.environ["REPLICA_TABLE_NAME"]


def _write(record: Any) -> None:
    data = record["dynamodb"]
    if record["eventName"] == "REMOVE":
        _client.delete_item(TableName=_table, Key=data["Keys"])
    else:
        _client.put_item(TableName=_table, Item=data["NewImage"])


def _handler(event: Any) -> None:
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(_write, event["Records"]))


def prepare(event: Any) -> Apply:
    """Apply the batch. Two changes of one key may be applied in the wrong order."""
    return lambda: _handler(event)
