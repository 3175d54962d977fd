"""The table of the pages' examples: orders, with the partition key `customer` and the sort key `placed_at`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def create_orders(dynamodb: "DynamoDBClient", name: str = "orders") -> None:
    """Create the table, without a stream."""
    dynamodb.create_table(
        TableName=name,
        KeySchema=[
            {"AttributeName": "customer", "KeyType": "HASH"},
            {"AttributeName": "placed_at", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "customer", "AttributeType": "S"},
            {"AttributeName": "placed_at", "AttributeType": "N"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
