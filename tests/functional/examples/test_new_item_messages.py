"""The recipe that publishes a message for each new item, on moto: only for new items, and with a stable ID."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from moto import mock_aws

import new_item_messages
from ddbreplica.deadline import Deadline, deadline_of
from ddbreplica.errors import EventError
from new_item_messages import Topic, publish
from tests.support.function import Context
from tests.support.records import batch, delete, put, record

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

LARGEST_KEY = {"PK": {"S": "\u0001" * 2048}, "SK": {"S": "\u0001" * 1024}}


@dataclass
class Subscribed:
    """A topic with a subscribed queue."""

    sns: "SNSClient"
    sqs: "SQSClient"
    arn: str
    queue: str

    def invoke(self, event: Any, context: Context | None = None) -> list[str]:
        """Invoke the function, and return the identifiers that it reports."""
        context = context or Context()
        remaining = deadline_of(cast("LambdaContext", context)).remaining
        response = publish(event, Topic(self.sns, self.arn), Deadline(remaining, sleep=context.sleep))
        return [failure["itemIdentifier"] for failure in response["batchItemFailures"]]

    def received(self) -> list[tuple[Any, str]]:
        """Return the key and the ID of each received message in order."""
        found = self.sqs.receive_message(
            QueueUrl=self.queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return [
            (json.loads(message["Body"]), message["MessageAttributes"]["change_id"]["StringValue"])
            for message in found.get("Messages", [])
        ]

    def refuse(self, *errors: Exception | None) -> None:
        """Make each of the next requests to the topic fail with an error, or succeed for None."""
        left = [*errors]

        def fail(**_: Any) -> None:
            if left and (error := left.pop(0)):
                raise error

        events: Any = self.sns.meta.events
        events.register("before-call.sns.Publish", fail)


@pytest.fixture
def topic() -> Iterator[Subscribed]:
    with mock_aws():
        sns, sqs = boto3.client("sns"), boto3.client("sqs")
        arn = sns.create_topic(Name="new-items")["TopicArn"]
        queue = sqs.create_queue(QueueName="receiver")["QueueUrl"]
        sns.subscribe(
            TopicArn=arn,
            Protocol="sqs",
            Endpoint="arn:aws:sqs:us-east-1:123456789012:receiver",
            Attributes={"RawMessageDelivery": "true"},
        )
        yield Subscribed(sns, sqs, arn, queue)


def new(sequence_number: int, pk: str) -> dict[str, Any]:
    key = {"PK": {"S": pk}}
    return record(sequence_number, "INSERT", key, {**key, "text": {"S": "a secret"}})


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "why"}}, "Publish")


def keys(topic: Subscribed) -> list[str]:
    return [key["PK"]["S"] for key, _ in topic.received()]


def test_a_message_is_published_for_each_new_item_and_for_no_other_change(topic: Subscribed) -> None:
    reported = topic.invoke(batch(new(1, "a"), put(2, "a"), new(3, "b"), delete(4, "a"), put(5, "c")))

    assert reported == []
    assert keys(topic) == ["a", "b"]


def test_a_message_contains_only_the_items_key(topic: Subscribed) -> None:
    topic.invoke(batch(new(1, "a")))

    ((message, _),) = topic.received()
    assert message == {"PK": {"S": "a"}}


def test_a_message_that_is_published_again_has_the_same_id(topic: Subscribed) -> None:
    event = batch(new(1, "a"), new(2, "b"))

    topic.invoke(event)
    topic.invoke(event)

    (a1, b1, a2, b2) = topic.received()
    assert (a1, b1) == (a2, b2)


def test_new_items_with_the_same_key_or_sequence_number_have_different_ids(topic: Subscribed) -> None:
    elsewhere = new(1, "a") | {"eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/b/stream/1"}

    topic.invoke(batch(new(1, "a"), delete(2, "a"), new(3, "a"), new(1, "b"), elsewhere))

    assert len({change_id for _, change_id in topic.received()}) == 4


def test_the_largest_key_fits_into_a_message(topic: Subscribed) -> None:
    assert topic.invoke(batch(record(1, "INSERT", LARGEST_KEY, LARGEST_KEY))) == []

    ((message, _),) = topic.received()
    assert message == LARGEST_KEY


def test_a_malformed_record_is_reported_and_no_later_message_is_published(topic: Subscribed) -> None:
    malformed = record(2, "INSERT", {"PK": {"S": "b"}})

    assert topic.invoke(batch(new(1, "a"), malformed, new(3, "c"))) == ["2"]

    assert keys(topic) == ["a"]


def test_an_event_of_another_service_fails(topic: Subscribed) -> None:
    with pytest.raises(EventError):
        topic.invoke({"Records": [{"EventSource": "aws:sns", "Sns": {}}]})


def test_a_record_without_enough_time_left_is_reported_and_not_published(topic: Subscribed) -> None:
    assert topic.invoke(batch(new(1, "a")), Context(seconds_left=9.9)) == ["1"]

    assert keys(topic) == []


def test_a_temporary_problem_is_retried(topic: Subscribed) -> None:
    topic.refuse(refused("Throttling"), ConnectTimeoutError(endpoint_url="x"), None)

    assert topic.invoke(batch(new(1, "a"))) == []

    assert keys(topic) == ["a"]


@pytest.mark.parametrize("code", ["Throttling", "InvalidParameter", "ValidationException", "NotFound"])
def test_a_record_whose_message_the_topic_rejects_is_reported(
    topic: Subscribed, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    topic.refuse(None, *[refused(code)] * 5)

    assert topic.invoke(batch(new(1, "a"), new(2, "b"), new(3, "c"))) == ["2"]

    assert keys(topic) == ["a"]
    assert caplog.messages == [f"record 2 will be delivered again: {code}"]


def test_denied_access_fails_the_invocation(topic: Subscribed) -> None:
    topic.refuse(refused("AccessDenied"))

    with pytest.raises(ClientError, match="AccessDenied"):
        topic.invoke(batch(new(1, "a")))


def test_a_fifo_topic_receives_the_id_and_one_group_per_item(topic: Subscribed) -> None:
    topic.arn = topic.sns.create_topic(Name="new-items.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    sent: list[Any] = []
    events: Any = topic.sns.meta.events
    events.register("provide-client-params.sns.Publish", lambda params, **_: sent.append(params))

    topic.invoke(batch(new(1, "a"), delete(2, "a"), new(3, "a"), new(4, "b")))

    groups = [params["MessageGroupId"] for params in sent]
    assert groups[0] == groups[1] != groups[2]
    assert [params["MessageDeduplicationId"] for params in sent] == [
        params["MessageAttributes"]["change_id"]["StringValue"] for params in sent
    ]
    assert len({params["MessageDeduplicationId"] for params in sent}) == 3


def test_the_handler_uses_the_topic_in_its_environment_variable(
    topic: Subscribed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPIC_ARN", topic.arn)
    new_item_messages.topic.cache_clear()

    response = new_item_messages.lambda_handler(batch(new(1, "a")), cast("LambdaContext", Context()))

    assert response == {"batchItemFailures": []}
    assert keys(topic) == ["a"]
