"""What the demo's steps are made of, each seen to work and to complain."""

from collections.abc import Iterator

import pytest

from demo.deploy import deploy
from demo.embedded import EmbeddedAws, embedded_aws
from demo.pair import Pair


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    with embedded_aws() as running:
        yield running


def test_a_stack_with_parameters_stands_beside_the_first(aws: EmbeddedAws) -> None:
    first = deploy(aws)
    second = deploy(aws, "orders", SourceTableName="orders", ReplicaTableName="orders_copy")

    assert (first.name, first.source, first.replica) == ("ddbreplica", "logfile", "logfile_replica")
    assert (second.name, second.source, second.replica) == ("orders", "orders", "orders_copy")
    pair = Pair(aws.dynamodb, second.source, second.replica)
    item = {"PK": {"S": "1"}, "GSI_1_PK": {"S": "host#192.0.2.1"}}
    pair.dynamodb.put_item(TableName=pair.source, Item=item)
    pair.wait_until_equal()
    assert pair.item("orders_copy", "1") == item
