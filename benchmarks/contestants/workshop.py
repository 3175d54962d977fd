"""The handler of the workshop exercise: deserialize the image and put it, one record after the other."""

import os
from base64 import b64decode
from typing import Any

import boto3
from boto3.dynamodb.types import TypeDeserializer

from benchmarks.contestants import Apply


class EventDeserializer(TypeDeserializer):
    """Boto3's deserializer, corrected for binaries: it raises on the base64 text of an event."""

    def _deserialize_b(self, value: str) -> bytes:
        return b64decode(value)


_table = boto3.resource("dynamodb").Table(os.environ["REPLICA_TABLE_NAME"])
_deserialize = EventDeserializer().deserialize


def python_item(attributes: Any) -> dict[str, Any]:
    """Return the attributes of an event as boto3's resources accept them."""
    return {name: _deserialize(value) for name, value in attributes.items()}


def _handler(event: Any) -> None:
    for record in event["Records"]:
        if record["eventName"] == "REMOVE":
            _table.delete_item(Key=python_item(record["dynamodb"]["Keys"]))
        else:
            _table.put_item(Item=python_item(record["dynamodb"]["NewImage"]))


def prepare(event: Any) -> Apply:
    """Apply the batch with one request per record."""
    return lambda: _handler(event)
