"""estimate: the units, the cost and the time of a comparison follow from the size of the tables."""

from typing import Any

import pytest

from ddbreplica.dynamodb.prices import AS_OF, READ_UNIT_PRICE, REGION
from ddbreplica.verify.estimate import Estimate, TableSize

KB = 1024


def estimate(*, rates: tuple[float | None, float | None] = (None, None), **options: Any) -> Estimate:
    """Return the estimate for 1,000 and 1,100 items of 400 bytes."""
    source, replica = rates
    return Estimate([TableSize(1000, 400_000, source), TableSize(1100, 440_000, replica)], **options)


@pytest.mark.parametrize(
    ("options", "items", "read_units"),
    [
        ({}, 2100, 98 + 108),  # 400,000 / 4,096 and 440,000 / 4,096, each rounded up
        ({"consistent": False}, 2100, 49 + 54),
        ({"sample": 0.1}, 210, 10 + 11),
        ({"keys": 3}, 6, 6),
        ({"keys": 0}, 0, 0),
    ],
)
def test_items_and_units(options: dict[str, Any], items: int, read_units: int) -> None:
    made = estimate(**options)

    assert (made.items, made.read_units) == (items, read_units)
    assert made.dollars == read_units * READ_UNIT_PRICE


def test_a_key_costs_the_units_of_an_average_item() -> None:
    large = TableSize(10, 10 * 9 * KB, None)

    assert Estimate([large, large], keys=5).read_units == 5 * 3 + 5 * 3
    assert Estimate([TableSize(1, 9 * KB, None)], keys=5).read_units == 5 * 3
    assert Estimate([TableSize(0, 0, None)] * 2, keys=5).read_units == 10


def test_the_slower_table_decides_the_time() -> None:
    assert estimate().seconds is None
    assert estimate(rates=(None, 10)).seconds == 10.8
    assert estimate(rates=(1, 10)).seconds == 98
    assert estimate(rates=(98, 1)).seconds == 108


def test_it_is_shown_as_text() -> None:
    made = estimate(rates=(None, 0.5)).text().split("\n")

    assert made == [
        "items                   2,100  in both tables",
        "read units                206",
        "dollars                0.0000  on demand",
        "time                    4 min  at least, at 0.5 read capacity units per second for each table",
        "Items that differ are read again by key, which is not included.",
        f"The prices are those of on-demand capacity in {REGION}, {AS_OF}.",
        "Prices in other Regions and of provisioned capacity differ.",
    ]
    assert estimate().text().split("\n")[3] == "time                  unknown  without --read-rate"


def test_it_is_a_json_document() -> None:
    assert estimate(rates=(None, 10)).document() == {
        "items": 2100,
        "read_units": 206,
        "dollars": round(206 * READ_UNIT_PRICE, 6),
        "prices": {"capacity": "on demand", "region": REGION, "as_of": AS_OF},
        "read_rates": [None, 10],
        "seconds_at_least": 10.8,
    }
