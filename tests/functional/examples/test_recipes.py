"""The code in docs/recipes.md runs and does what the page describes."""

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from tests.support.build import ROOT
from tests.support.function import Context
from tests.support.records import batch, delete, put

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


def code() -> str:
    """Return the code of the function on the page."""
    (block,) = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "docs" / "recipes.md").read_text(), re.MULTILINE | re.DOTALL
    )
    return str(block)


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> Iterator["SQSClient"]:
    with mock_aws():
        client = boto3.client("sqs")
        monkeypatch.setenv("QUEUE_URL", client.create_queue(QueueName="deleted")["QueueUrl"])
        yield client


def test_the_key_of_each_deleted_item_is_sent(sqs: "SQSClient", monkeypatch: pytest.MonkeyPatch) -> None:
    function: dict[str, Any] = {}
    exec(code(), function)  # noqa: S102  the page's code

    event = batch(put(1, "a"), delete(2, "a"), delete(3, "b"))
    response = function["lambda_handler"](event, Context())

    found = sqs.receive_message(
        QueueUrl=sqs.get_queue_url(QueueName="deleted")["QueueUrl"], MaxNumberOfMessages=9
    )
    assert response == {"batchItemFailures": []}
    assert [json.loads(message["Body"]) for message in found["Messages"]] == [
        {"PK": {"S": "a"}},
        {"PK": {"S": "b"}},
    ]


def test_a_missing_queue_fails_the_batch(sqs: "SQSClient") -> None:
    function: dict[str, Any] = {}
    exec(code(), function)  # noqa: S102  the page's code
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName="deleted")["QueueUrl"])

    assert function["lambda_handler"](batch(delete(1, "a")), Context()) == {
        "batchItemFailures": [{"itemIdentifier": "1"}]
    }
