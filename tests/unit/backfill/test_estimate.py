"""estimate: the capacity units, the duration and the cost of a backfill, from the size of the table."""

import pytest

from ddbreplica.backfill.estimate import Estimate


def test_each_item_is_rounded_up_and_a_scan_is_not() -> None:
    estimate = Estimate(items=1_000_000, bytes=500_000_000, indexes=0)

    assert estimate.read_units == 2 * 122_071
    assert estimate.write_units == 1_000_000
    assert estimate.index_units == 0
    assert estimate.dollars == pytest.approx(0.0305 + 0.625, abs=0.0001)


def test_large_items_take_more_units() -> None:
    estimate = Estimate(items=10, bytes=10 * 9000, indexes=2)

    assert estimate.read_units == 2 * 22
    assert estimate.write_units == 90
    assert estimate.index_units == 180


def test_items_from_a_list_are_read_twice() -> None:
    assert Estimate(items=10, bytes=1000, indexes=0, is_listed=True).read_units == 20
    assert Estimate(items=10, bytes=10 * 9000, indexes=0, is_listed=True).read_units == 60


def test_an_empty_table_takes_nothing() -> None:
    estimate = Estimate(items=0, bytes=0, indexes=1)

    assert (estimate.read_units, estimate.write_units, estimate.dollars) == (0, 0, 0)


@pytest.mark.parametrize(
    ("rate", "read_rate", "seconds"),
    [(None, None, None), (100.0, None, 10), (None, 10.0, 24.6), (1.0, 10.0, 1000), (100.0, 10.0, 24.6)],
)
def test_the_slower_rate_decides_the_duration(
    rate: float | None, read_rate: float | None, seconds: float | None
) -> None:
    estimate = Estimate(items=1000, bytes=500_000, indexes=0)

    assert estimate.seconds(rate=rate, read_rate=read_rate) == seconds


def test_it_is_shown_as_a_table() -> None:
    estimate = Estimate(items=2000, bytes=1_000_000, indexes=1)

    assert estimate.text(rate=10.0, read_rate=None).split("\n") == [
        "items                   2,000",
        "read units                490",
        "write units             2,000",
        "index units             2,000  at most, in addition",
        "dollars                0.0026  on demand",
        "time                    3 min  at least, at 10 write capacity units per second",
        "The prices are those of on-demand capacity in us-east-1, November 2026.",
        "Prices in other Regions and of provisioned capacity differ.",
        "Items that change during the backfill take more units.",
    ]


@pytest.mark.parametrize(
    ("rate", "read_rate", "time"),
    [
        (None, None, "time                  unknown  without --rate and --read-rate"),
        (None, 1.25, "time                    7 min  at least, at 1.25 read capacity units per second"),
        (
            0.1,
            1.25,
            "time                    5.6 h  at least, at 0.1 write and 1.25 read capacity units per second",
        ),
    ],
)
def test_the_time_is_shown_with_the_rates_that_limit_it(
    rate: float | None, read_rate: float | None, time: str
) -> None:
    estimate = Estimate(items=2000, bytes=1_000_000, indexes=1)

    assert estimate.text(rate=rate, read_rate=read_rate).split("\n")[5] == time


def test_a_program_gets_the_same_facts() -> None:
    estimate = Estimate(items=2000, bytes=1_000_000, indexes=1)

    assert estimate.document(rate=10.0, read_rate=None) == {
        "items": 2000,
        "read_units": 490,
        "write_units": 2000,
        "index_write_units_at_most": 2000,
        "dollars": 0.002561,
        "prices": {"capacity": "on demand", "region": "us-east-1", "as_of": "November 2026"},
        "rate": 10.0,
        "read_rate": None,
        "seconds_at_least": 200.0,
    }


def test_a_program_gets_the_time_at_the_slower_rate() -> None:
    document = Estimate(items=2000, bytes=1_000_000, indexes=1).document(rate=100.0, read_rate=1.0)

    assert (document["read_rate"], document["seconds_at_least"]) == (1.0, 490)


def test_the_time_is_a_lower_bound_whatever_the_sizes_of_the_items() -> None:
    # 99 items of 1,024 bytes and one of 2,048: 101 write units, although the average rounds up to 2.
    estimate = Estimate(items=100, bytes=99 * 1024 + 2048, indexes=0)

    assert estimate.seconds(rate=1, read_rate=None) == 101
    assert estimate.seconds(rate=None, read_rate=1) == 2 * 26
    listed = Estimate(items=100, bytes=99 * 1024 + 2048, indexes=0, is_listed=True)
    assert listed.seconds(rate=None, read_rate=1) == 200
    large = Estimate(items=2, bytes=4096 + 8192, indexes=0, is_listed=True)
    assert large.seconds(rate=None, read_rate=1) == 6
