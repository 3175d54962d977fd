"""Estimate the read capacity units, the cost and the duration of a comparison from the size of the tables. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from ddbreplica.dynamodb.prices import AS_OF, READ_UNIT_PRICE, REGION
from ddbreplica.records.size import READ_UNIT
from ddbreplica.records.text import duration, lines


@dataclass(frozen=True, slots=True)
class TableSize:
    """The items and bytes of a table, and the read capacity units per second to use; None is no limit."""

    items: int
    bytes: int
    read_rate: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimate for a comparison of two tables.

    `sample` is the fraction of each table that is compared. If `keys` is not None, so many keys are read one by one.
    The look-ups of items that differ are not included.
    """

    tables: Sequence[TableSize]
    sample: float = 1.0
    consistent: bool = True
    keys: int | None = None

    @property
    def items(self) -> int:
        """The items of both tables that are compared."""
        if self.keys is not None:
            return self.keys * len(self.tables)
        return round(sum(table.items for table in self.tables) * self.sample)

    @property
    def read_units(self) -> int:
        """The read capacity units of both tables."""
        return sum(map(self._read_units, self.tables))

    @property
    def dollars(self) -> float:
        """The cost of all units."""
        return self.read_units * READ_UNIT_PRICE

    @property
    def seconds(self) -> float | None:
        """The least number of seconds at the read rates; None without a rate."""
        times = [self._read_units(table) / table.read_rate for table in self.tables if table.read_rate]
        return max(times, default=None)

    def document(self) -> dict[str, Any]:
        """Return the estimate as JSON values."""
        return {
            "items": self.items,
            "read_units": self.read_units,
            "dollars": round(self.dollars, 6),
            "prices": {"capacity": "on demand", "region": REGION, "as_of": AS_OF},
            "read_rates": [table.read_rate for table in self.tables],
            "seconds_at_least": self.seconds,
        }

    def text(self) -> str:
        """Return the estimate as text, one figure a line."""
        rows = {
            "items": f"{self.items:>14,}  in both tables",
            "read units": f"{self.read_units:>14,}",
            "dollars": f"{self.dollars:>14,.4f}  on demand",
            "time": f"{'unknown' if self.seconds is None else duration(self.seconds):>14}  {self._limit()}",
        }
        return lines(
            [
                *(f"{name:<15}{value}" for name, value in rows.items()),
                "Items that differ are read again by key, which is not included.",
                f"The prices are those of on-demand capacity in {REGION}, {AS_OF}.",
                "Prices in other Regions and of provisioned capacity differ.",
            ]
        )

    def _read_units(self, table: TableSize) -> int:
        if self.keys is not None:
            return self.keys * max(1, ceil(table.bytes / max(1, table.items) / READ_UNIT))
        per_unit = READ_UNIT if self.consistent else 2 * READ_UNIT
        return ceil(table.bytes * self.sample / per_unit)

    def _limit(self) -> str:
        rates = [table.read_rate for table in self.tables if table.read_rate]
        if not rates:
            return "without --read-rate"
        return f"at least, at {min(rates):g} read capacity units per second for each table"
