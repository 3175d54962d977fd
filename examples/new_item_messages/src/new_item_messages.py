"""Publish a message to an SNS topic for each new item of a table, at least once.

Each message has an ID that is the same if the message is published again. It contains only the item's key, because an
item may be larger than a message, and may have changed before the message is read.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from ddbreplica import Change, Deadline, deadline_of, process

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_sns import SNSClient

ATTEMPT_SECONDS = 10.0
"""Time that must be left before a message is published: 8 s for the request, 2 s for the response to Lambda."""

_CLIENT_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 1}, connect_timeout=1, read_timeout=5
)


@dataclass(frozen=True, slots=True)
class Topic:
    """The SNS topic for the messages. A FIFO topic drops a message that is published again within five minutes."""

    client: "SNSClient"
    arn: str

    def publish(self, change: Change) -> None:
        """Publish the message for a new item, and raise the errors of botocore."""
        change_id = id_of(change)
        fifo: dict[str, Any] = {"MessageGroupId": _digest(change.key), "MessageDeduplicationId": change_id}
        self.client.publish(
            TopicArn=self.arn,
            Message=json.dumps(change.key_attributes),
            MessageAttributes={"change_id": {"DataType": "String", "StringValue": change_id}},
            **(fifo if self.arn.endswith(".fifo") else {}),
        )


def id_of(change: Change) -> str:
    """Return an ID that is the same for each delivery of a record, and different for every other record."""
    return _digest([change.record.get("eventSourceARN"), change.sequence_number, change.key])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


@lru_cache(maxsize=1)
def topic() -> Topic:
    """Return the topic of this execution environment, which the first invocation creates."""
    return Topic(boto3.client("sns", config=_CLIENT_CONFIG), os.environ["TOPIC_ARN"])


def lambda_handler(event: Any, context: "LambdaContext") -> dict[str, list[dict[str, str]]]:
    """Publish the messages for a batch, and return the first record that Lambda must deliver again."""
    return publish(event, topic(), deadline_of(context))


def publish(event: Any, to: Topic, deadline: Deadline) -> dict[str, list[dict[str, str]]]:
    """Publish the messages for a batch to a topic. Stop at the first record that fails, and return it."""
    return process(event, to.publish, deadline=deadline, attempt_seconds=ATTEMPT_SECONDS, select=is_new)


def is_new(change: Change) -> bool:
    """Return whether the change created the item."""
    return bool(change.record["eventName"] == "INSERT")
