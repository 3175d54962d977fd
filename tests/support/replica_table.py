"""The replica table of the adapter's tests: create it, or return its description."""

from typing import TYPE_CHECKING, Any

from tests.support.contract import SCHEMA

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOTHING_LEFT: tuple[int, Any] = (200, {"UnprocessedItems": {}})


def create_table(client: "DynamoDBClient") -> None:
    client.create_table(
        TableName="copy",
        KeySchema=[
            {"AttributeName": "part", "KeyType": "HASH"},
            {"AttributeName": "sort", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in SCHEMA.items()],  # type: ignore[typeddict-item]
        BillingMode="PAY_PER_REQUEST",
    )


def description(status: str = "ACTIVE") -> tuple[int, Any]:
    return 200, {
        "Table": {
            "TableArn": "arn:copy",
            "TableStatus": status,
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [
                {"AttributeName": "id", "AttributeType": "N"},
                {"AttributeName": "indexed", "AttributeType": "S"},
            ],
        }
    }
