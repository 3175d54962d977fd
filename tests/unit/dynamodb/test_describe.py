"""describe: the rate at which a table is read by default."""

from typing import Any

import pytest

from ddbreplica.aws.clients.session import Clients
from ddbreplica.dynamodb.connection import Side
from ddbreplica.dynamodb.describe import Described
from ddbreplica.model import Table

UNITS = {"ReadCapacityUnits": 10, "WriteCapacityUnits": 5}


def described(**description: Any) -> Described:
    side = Side("logfile", "--source", None, Clients(None, None, None))
    return Described(side, Table("arn", status="ACTIVE", key_schema=frozenset()), description)


@pytest.mark.parametrize(
    ("description", "capacity", "rate"),
    [
        ({"ProvisionedThroughput": UNITS}, (10, 5), 2.5),
        (
            {"ProvisionedThroughput": UNITS, "BillingModeSummary": {"BillingMode": "PROVISIONED"}},
            (10, 5),
            2.5,
        ),
        (
            {"ProvisionedThroughput": UNITS, "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"}},
            None,
            None,
        ),
        ({"ProvisionedThroughput": {"ReadCapacityUnits": 0}}, (0, 0), None),
        ({}, (0, 0), None),
    ],
)
def test_the_default_rate_is_a_quarter_of_the_provisioned_capacity(
    description: dict[str, Any], capacity: tuple[int, int] | None, rate: float | None
) -> None:
    table = described(**description)

    assert (table.capacity, table.read_rate(None)) == (capacity, rate)


def test_a_rate_that_is_given_counts_for_any_table() -> None:
    on_demand = described(BillingModeSummary={"BillingMode": "PAY_PER_REQUEST"})

    assert on_demand.read_rate(7.0) == 7.0
    assert described(ProvisionedThroughput=UNITS).read_rate(7.0) == 7.0
