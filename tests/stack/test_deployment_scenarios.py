"""Deployment scenarios other than the workshop's on the embedded AWS: another Region, other keys, a key filter.

The embedded AWS separates Regions and accounts. DESIGN.md lists what it does not enforce.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from demo import traffic
from demo.adopting import turn_on_stream
from demo.command import Finished, run
from demo.deploy import Stack, deploy, deploy_replica, update
from demo.embedded import EmbeddedAws, embedded_aws
from demo.pair import Item, Pair, wait_until
from demo.writing import writing
from tests.support.orders import create_orders
from tests.support.updated import restore_mapping

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

OTHER_REGION = "eu-west-1"


@dataclass(frozen=True, slots=True)
class Deployed:
    """A stack with its pair of tables."""

    aws: EmbeddedAws
    stack: Stack
    pair: Pair

    def load(self, rows: int) -> list[str]:
        """Write rows to the source with `ddbreplica load`, and return their keys."""
        finished = run(self.aws, "load", "--generate", str(rows), "--source", self.pair.source)
        assert finished.exit_code == 0, finished.output
        return sorted(self.pair.items(self.pair.source))

    def verify(self) -> Finished:
        """Run `ddbreplica verify`, which finds both tables in the stack's outputs."""
        options = ("--grace", "1", "--read-rate", "1000")
        return run(self.aws, "verify", "--stack-name", self.stack.name, *options)


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    with embedded_aws() as aws:
        yield aws


def deployed(aws: EmbeddedAws, stack: Stack, *, there: EmbeddedAws | None = None) -> Deployed:
    return Deployed(
        aws, stack, Pair(aws.dynamodb, stack.source, stack.replica, there.dynamodb if there else None)
    )


def test_a_replica_in_another_region_receives_the_changes_and_is_equal(aws: EmbeddedAws) -> None:
    there = replace(aws, region=OTHER_REGION)
    deploy_replica(there, "abroad", ReplicaTableName="abroad_replica")
    stack = deploy(
        aws,
        "abroad",
        SourceTableName="abroad",
        ReplicaTableName="abroad_replica",
        CreateReplicaTable="false",
        ReplicaRegion=OTHER_REGION,
    )
    one = deployed(aws, stack, there=there)
    keys = one.load(300)
    traffic.update(one.pair, keys[:40])
    traffic.delete(one.pair, keys[40:80])

    one.pair.wait_until_equal()

    assert len(one.pair.items(one.pair.replica)) == 260
    assert "abroad_replica" not in aws.dynamodb.list_tables()["TableNames"]
    assert (
        stack.outputs["ReplicaTableArn"]
        == f"arn:aws:dynamodb:{OTHER_REGION}:000000000000:table/abroad_replica"
    )
    verified = one.verify()
    assert verified.exit_code == 0, verified.output
    there.dynamodb.delete_item(TableName="abroad_replica", Key={"PK": {"S": keys[0]}})
    assert one.verify().exit_code == 1


def order(number: int, **attributes: Any) -> Item:
    """Return an order. Each customer has ten, whose times would be in another order as strings."""
    return {
        "customer": {"S": f"customer-{number // 10}"},
        "placed_at": {"N": str(10 ** (number % 10))},
        **attributes,
    }


def contents(dynamodb: "DynamoDBClient", table: str) -> list[str]:
    pages = dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return sorted(str(sorted(item.items())) for page in pages for item in page["Items"])


def test_existing_tables_with_a_sort_key_are_replicated(aws: EmbeddedAws) -> None:
    dynamodb = aws.dynamodb
    for name in ("orders", "orders_copy"):
        create_orders(dynamodb, name)
    stream = turn_on_stream(dynamodb, "orders")
    stack = deploy(
        aws, "orders", SourceStreamArn=stream, ReplicaTableName="orders_copy", CreateReplicaTable="false"
    )
    for number in range(60):
        dynamodb.put_item(TableName="orders", Item=order(number, total={"N": "1"}))
    for number in range(20):
        dynamodb.put_item(TableName="orders", Item=order(number, total={"N": "2"}))
    for number in range(20, 30):
        dynamodb.delete_item(TableName="orders", Key=order(number))

    expected = contents(dynamodb, "orders")
    wait_until(lambda: contents(dynamodb, "orders_copy") == expected, "The copy equals the orders")

    assert len(expected) == 50
    assert (stack.source, stack.replica) == ("orders", "orders_copy")
    assert stack.outputs["SourceStreamArn"] == stream
    verified = deployed(aws, stack).verify()
    assert verified.exit_code == 0, verified.output
    dynamodb.delete_item(TableName="orders_copy", Key=order(0))
    assert deployed(aws, stack).verify().exit_code == 1


def test_only_the_keys_within_the_filter_are_replicated_and_verified(aws: EmbeddedAws) -> None:
    stack = deploy(
        aws,
        "tenants",
        SourceTableName="tenants",
        ReplicaTableName="tenants_replica",
        KeyFilter='{"PK": {"S": [{"prefix": "tenant-1#"}]}}',
    )
    one = deployed(aws, stack)
    for tenant in ("tenant-1", "tenant-10", "tenant-2"):
        for number in range(10):
            item = {"PK": {"S": f"{tenant}#{number}"}, "bytessent": {"N": "1"}}
            one.pair.dynamodb.put_item(TableName="tenants", Item=item)
    traffic.update(one.pair, ["tenant-2#1", "tenant-1#1"])
    traffic.delete(one.pair, ["tenant-2#2", "tenant-1#2"])

    others = {key for key in one.pair.items("tenants") if not key.startswith("tenant-1#")}
    one.pair.wait_until_equal(but_for=frozenset(others))

    assert len(one.pair.items("tenants_replica")) == 9
    verified = one.verify()
    assert verified.exit_code == 0, verified.output
    assert "within the filter" in verified.output
    one.pair.dynamodb.delete_item(TableName="tenants_replica", Key={"PK": {"S": "tenant-1#3"}})
    assert one.verify().exit_code == 1


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        (
            {"ReplicaRegion": OTHER_REGION},
            "This stack cannot create a replica in another Region or account.",
        ),
        (
            {"ReplicaExternalId": "orders-2026"},
            "ReplicaExternalId requires ReplicaRoleArn.",
        ),
        ({"ReplicaTableName": "refused"}, "SourceTableName and ReplicaTableName must differ"),
    ],
)
def test_contradictory_parameters_are_refused_before_a_resource_is_created(
    aws: EmbeddedAws, parameters: dict[str, str], why: str
) -> None:
    with pytest.raises(ClientError, match=why):
        deploy(aws, "refused", SourceTableName="refused", **parameters)

    assert "refused" not in aws.dynamodb.list_tables()["TableNames"]


def test_a_stack_update_during_writes_loses_no_change(aws: EmbeddedAws) -> None:
    name = "updated"
    stack = deploy(aws, name, SourceTableName=name, ReplicaTableName="updated_replica")
    one = deployed(aws, stack)
    one.load(600)
    one.pair.wait_until_equal()

    with writing(one.pair) as writer:
        wait_until(lambda: writer.written > 20, "The writer is running")
        update(aws, name, MemorySize="512", LogRetentionInDays="30", BatchSize="50")
        at_the_update = writer.written
        restore_mapping(aws, stack)
        wait_until(lambda: writer.written > at_the_update + 20, "The writer continues")
    one.pair.wait_until_equal()

    function = aws.lambda_.get_function_configuration(FunctionName=stack.outputs["FunctionName"])
    assert function["MemorySize"] == 512
    assert writer.deleted
    verified = one.verify()
    assert verified.exit_code == 0, verified.output
