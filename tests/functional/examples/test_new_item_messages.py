"""The recipe that sends a message per new item, on moto: for each new item and nothing else, with an id that stays."""

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
    """A topic, and what reaches a queue that is subscribed to it."""

    sns: "SNSClient"
    sqs: "SQSClient"
    arn: str
    queue: str

    def invoke(self, event: Any, context: Context | None = None) -> list[str]:
        """Invoke the function, and give the identifiers it reports."""
        context = context or Context()
        remaining = deadline_of(cast("LambdaContext", context)).remaining
        answer = publish(event, Topic(self.sns, self.arn), Deadline(remaining, sleep=context.sleep))
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def received(self) -> list[tuple[Any, str]]:
        """Key and id of each message that came, in order."""
        found = self.sqs.receive_message(
            QueueUrl=self.queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return [
            (json.loads(message["Body"]), message["MessageAttributes"]["change_id"]["StringValue"])
            for message in found.get("Messages", [])
        ]

    def refuse(self, *errors: Exception | None) -> None:
        """Let the next requests to the topic fail so, or pass."""
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


def test_each_new_item_is_told_of_and_nothing_else(topic: Subscribed) -> None:
    reported = topic.invoke(batch(new(1, "a"), put(2, "a"), new(3, "b"), delete(4, "a"), put(5, "c")))

    assert reported == []
    assert keys(topic) == ["a", "b"]


def test_a_message_holds_the_items_key_and_nothing_else_of_it(topic: Subscribed) -> None:
    topic.invoke(batch(new(1, "a")))

    ((message, _),) = topic.received()
    assert message == {"PK": {"S": "a"}}


def test_a_message_that_comes_again_has_the_same_id(topic: Subscribed) -> None:
    event = batch(new(1, "a"), new(2, "b"))

    topic.invoke(event)
    topic.invoke(event)

    (a1, b1, a2, b2) = topic.received()
    assert (a1, b1) == (a2, b2)


def test_items_that_are_new_under_one_key_or_number_have_different_ids(topic: Subscribed) -> None:
    elsewhere = new(1, "a") | {"eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/b/stream/1"}

    topic.invoke(batch(new(1, "a"), delete(2, "a"), new(3, "a"), new(1, "b"), elsewhere))

    assert len({change_id for _, change_id in topic.received()}) == 4


def test_the_largest_key_fits_into_a_message(topic: Subscribed) -> None:
    assert topic.invoke(batch(record(1, "INSERT", LARGEST_KEY, LARGEST_KEY))) == []

    ((message, _),) = topic.received()
    assert message == LARGEST_KEY


def test_a_malformed_record_is_reported_and_nothing_behind_it_is_sent(topic: Subscribed) -> None:
    malformed = record(2, "INSERT", {"PK": {"S": "b"}})

    assert topic.invoke(batch(new(1, "a"), malformed, new(3, "c"))) == ["2"]

    assert keys(topic) == ["a"]


def test_an_event_of_another_kind_fails(topic: Subscribed) -> None:
    with pytest.raises(EventError):
        topic.invoke({"Records": [{"EventSource": "aws:sns", "Sns": {}}]})


def test_a_message_for_which_there_is_no_time_is_reported_unsent(topic: Subscribed) -> None:
    assert topic.invoke(batch(new(1, "a")), Context(seconds_left=9.9)) == ["1"]

    assert keys(topic) == []


def test_a_passing_trouble_passes(topic: Subscribed) -> None:
    topic.refuse(refused("Throttling"), ConnectTimeoutError(endpoint_url="x"), None)

    assert topic.invoke(batch(new(1, "a"))) == []

    assert keys(topic) == ["a"]


@pytest.mark.parametrize("code", ["Throttling", "InvalidParameter", "ValidationException", "NotFound"])
def test_a_message_that_the_topic_refuses_is_reported_with_those_behind_it(
    topic: Subscribed, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    topic.refuse(None, *[refused(code)] * 5)

    assert topic.invoke(batch(new(1, "a"), new(2, "b"), new(3, "c"))) == ["2"]

    assert keys(topic) == ["a"]
    assert caplog.messages == [f"record 2 comes again: {code}"]


def test_a_denied_access_fails_the_invocation(topic: Subscribed) -> None:
    topic.refuse(refused("AccessDenied"))

    with pytest.raises(ClientError, match="AccessDenied"):
        topic.invoke(batch(new(1, "a")))


def test_a_fifo_topic_is_told_the_id_and_keeps_the_order_of_an_item(topic: Subscribed) -> None:
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


def test_the_handler_finds_its_topic_by_the_environment(
    topic: Subscribed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOPIC_ARN", topic.arn)
    new_item_messages.topic.cache_clear()

    answer = new_item_messages.lambda_handler(batch(new(1, "a")), cast("LambdaContext", Context()))

    assert answer == {"batchItemFailures": []}
    assert keys(topic) == ["a"]
