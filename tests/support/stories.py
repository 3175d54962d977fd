"""The examples in events/: check the replica and the bucket after each, in any environment."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

from tests.support.wire import dynamodb_json

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

EVENTS = Path(__file__).parents[2] / "events"
TABLE, BUCKET = "logfile_replica", "quarantine"
OWN_KEYS = {
    "users-insert": {"userId": "S", "createdAt": "N"},
    "messages-insert-modify-remove": {"Id": "N"},
    "tasks-insert": {"pk": "S", "sk": "S"},
}


class Account:
    """The replica and the quarantine bucket of an environment."""

    def __init__(self) -> None:
        self.dynamodb: DynamoDBClient = boto3.client("dynamodb")
        self.s3: S3Client = boto3.client("s3")
        self.s3.create_bucket(Bucket=BUCKET)

    def create_replica(self, key: dict[str, str]) -> None:
        kinds = ("HASH", "RANGE")
        definitions: list[Any] = [{"AttributeName": name, "AttributeType": tag} for name, tag in key.items()]
        schema: list[Any] = [
            {"AttributeName": name, "KeyType": kind} for name, kind in zip(key, kinds, strict=False)
        ]
        self.dynamodb.create_table(
            TableName=TABLE, KeySchema=schema, AttributeDefinitions=definitions, BillingMode="PAY_PER_REQUEST"
        )

    def items(self) -> dict[str, Any]:
        found = [dynamodb_json(item) for item in self.dynamodb.scan(TableName=TABLE)["Items"]]
        return {str(next(iter(item.get("PK", item.get("pk", {"?": "?"})).values()))): item for item in found}

    def quarantined(self) -> list[dict[str, Any]]:
        names = [found["Key"] for found in self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]
        return [json.loads(self.s3.get_object(Bucket=BUCKET, Key=name)["Body"].read()) for name in names]


def event(story: str) -> Any:
    return json.loads((EVENTS / f"{story}.json").read_text())


def image(story: str, position: int) -> Any:
    return event(story)["Records"][position]["dynamodb"]["NewImage"]


def insert(account: Account) -> None:
    assert account.items() == {"request#1": image("insert", 0)}


def insert_modify_delete(account: Account) -> None:
    assert account.items() == {"request#3": image("insert-modify-delete", 3)}


def many_keys(account: Account) -> None:
    items = account.items()
    assert len(items) == 50
    assert items["request#100"]["bytessent"] == {"N": "100"}
    assert "request#120" not in items
    assert items["request#159"] == image("many-keys", 59)


def every_type(account: Account) -> None:
    assert account.items() == {"every-type": image("every-type", 0)}


def undecodable(account: Account) -> None:
    assert sorted(account.items()) == ["request#201", "request#209"]
    assert sorted(kept["reason"] for kept in account.quarantined()) == [
        "malformed record: NewImage is missing",
        "malformed record: SequenceNumber is missing",
        "malformed record: attribute 'nested': a value is not valid for its type B",
        "malformed record: attribute 'two': a value must be an object with exactly one type",
        "malformed record: attribute 'unknown': a value has an unknown type",
        "malformed record: eventName is not INSERT, MODIFY or REMOVE",
        "malformed record: the key is missing or empty",
    ]


def ttl_delete(account: Account) -> None:
    assert account.items() == {}


def users_insert(account: Account) -> None:
    assert list(account.items().values()) == [image("users-insert", 0)]


def messages(account: Account) -> None:
    assert account.items() == {}


def tasks_insert(account: Account) -> None:
    assert account.items() == {"list#home": image("tasks-insert", 0)}


STORIES: dict[str, Callable[[Account], None]] = {
    "insert": insert,
    "insert-modify-delete": insert_modify_delete,
    "many-keys": many_keys,
    "every-type": every_type,
    "undecodable": undecodable,
    "ttl-delete": ttl_delete,
    "users-insert": users_insert,
    "messages-insert-modify-remove": messages,
    "tasks-insert": tasks_insert,
}
