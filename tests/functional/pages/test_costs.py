"""The prices of docs/costs.md are those that the commands and the benchmarks calculate with."""

import re

from benchmarks import cost
from ddbreplica.dynamodb import prices
from ddbreplica.verify.estimate import Estimate, TableSize
from tests.support.modules import ROOT

PAGE = " ".join((ROOT / "docs" / "costs.md").read_text().split())


def test_the_page_has_the_prices_of_the_units() -> None:
    page = re.search(
        r"a million read units cost \$([0-9.]+), and a million write units cost \$([0-9.]+)\.", PAGE
    )

    assert page
    assert [float(price) for price in page.groups()] == [
        prices.READ_UNIT_PRICE * 1e6,
        prices.WRITE_UNIT_PRICE * 1e6,
    ]


def test_the_page_names_the_same_region_and_date() -> None:
    basis = "for on-demand tables and without the free tier"

    assert f"US dollars for {prices.REGION}, {basis}, as of {prices.AS_OF};" in PAGE


def test_the_cost_of_a_million_changes_has_the_same_price_of_a_write() -> None:
    writes = cost.WRITE_UNITS * prices.WRITE_UNIT_PRICE * 1e6

    assert PAGE.count(f"| ${writes:.4f} |") == 3


def test_the_price_of_a_verification_is_that_of_its_estimate() -> None:
    tables = [TableSize(10**6, 10**6 * 1024, None)] * 2
    strong, eventual = (Estimate(tables, consistent=consistent).dollars for consistent in (True, False))

    # A price that ends in 5 is rounded up.
    assert f"a million items of 1 KB costs ${strong:.4f}, or ${eventual + 1e-9:.4f} with" in PAGE
