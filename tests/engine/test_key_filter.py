"""The text of a number key in the stream of DynamoDB Local, which a mapping's filter compares."""

import json
from typing import TYPE_CHECKING

import boto3

from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.records.decode import key_of
from tests.support.stream import StreamReader

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NUMBERS = ["1.0", "1E2", "-0.50", "1e-3", "9.9E125", "1E-130", "12345678901234567890123456789012345678"]


def test_a_filter_on_a_number_compares_the_text_of_the_stream(client: "DynamoDBClient") -> None:
    table = client.create_table(
        TableName="numbers",
        AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "N"}],
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )["TableDescription"]
    for number in NUMBERS:
        client.put_item(TableName="numbers", Item={"PK": {"N": number}})
    streams = boto3.client(
        "dynamodbstreams",
        endpoint_url=client.meta.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="dummy",
        aws_secret_access_key="dummy",
    )
    stream = StreamReader(streams, table["LatestStreamArn"])

    stream.read()

    streamed = [record["dynamodb"]["Keys"]["PK"]["N"] for record in stream.shards[0].records]
    assert streamed[:4] == ["1", "100", "-0.5", "0.001"]
    for sent, text in zip(NUMBERS, streamed, strict=True):
        pattern = json.dumps({"dynamodb": {"Keys": {"PK": {"N": [text]}}}})
        assert KeyFilter.of([pattern]).passes(key_of({"PK": {"N": sent}}))
