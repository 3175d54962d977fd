"""A stream's batch → a message to an SNS topic for each new item, at least once, with an id to know repetitions by.

The message is the item's key: an item may be larger than a message, and may have changed before the message is read.
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
"""What has to be left when a message is sent: 8 s for that, 2 s to answer Lambda."""

_CLIENT_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 1}, connect_timeout=1, read_timeout=5
)


@dataclass(frozen=True, slots=True)
class Topic:
    """Where messages go. A FIFO topic drops one that comes again within five minutes."""

    client: "SNSClient"
    arn: str

    def publish(self, change: Change) -> None:
        """Send the message of a new item; raise what botocore raises."""
        change_id = id_of(change)
        fifo: dict[str, Any] = {"MessageGroupId": _digest(change.key), "MessageDeduplicationId": change_id}
        self.client.publish(
            TopicArn=self.arn,
            Message=json.dumps(change.key_attributes),
            MessageAttributes={"change_id": {"DataType": "String", "StringValue": change_id}},
            **(fifo if self.arn.endswith(".fifo") else {}),
        )


def id_of(change: Change) -> str:
    """The same for each delivery of a record, and another for every other record."""
    return _digest([change.record.get("eventSourceARN"), change.sequence_number, change.key])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


@lru_cache(maxsize=1)
def topic() -> Topic:
    """The container's own, made at its first invocation."""
    return Topic(boto3.client("sns", config=_CLIENT_CONFIG), os.environ["TOPIC_ARN"])


def lambda_handler(event: Any, context: "LambdaContext") -> dict[str, list[dict[str, str]]]:
    """Send a batch's messages, and name the first record that Lambda has to deliver again."""
    return publish(event, topic(), deadline_of(context))


def publish(event: Any, to: Topic, deadline: Deadline) -> dict[str, list[dict[str, str]]]:
    """What the handler does, with everything that it touches handed in. It ends at the first record that fails."""
    return process(event, to.publish, deadline=deadline, attempt_seconds=ATTEMPT_SECONDS, select=is_new)


def is_new(change: Change) -> bool:
    """Whether the change is the first of a new item."""
    return bool(change.record["eventName"] == "INSERT")
