"""Estimate the capacity units, the duration and the cost of a backfill from the size of the table. Pure.

Prices: US dollars in us-east-1, on-demand capacity, as of November 2026. They differ in other Regions and for
provisioned capacity.
https://aws.amazon.com/dynamodb/pricing/on-demand/
"""

from dataclasses import dataclass
from math import ceil
from typing import Any

from ddbreplica.records.size import READ_UNIT, WRITE_UNIT
from ddbreplica.records.text import lines

READ_UNIT_PRICE = 0.125e-6
WRITE_UNIT_PRICE = 0.625e-6


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimate for `items` of `bytes` in total and a replica with `indexes`; `is_listed` if no scan is needed."""

    items: int
    bytes: int
    indexes: int
    is_listed: bool = False

    @property
    def read_units(self) -> int:
        """The units of a scan and of a read of each item after its write; a listed item is also read before."""
        each = ceil(self._average / READ_UNIT)
        return self.items * each * 2 if self.is_listed else ceil(self.bytes / READ_UNIT) + self.items * each

    @property
    def write_units(self) -> int:
        """The write units of the table, without its indexes."""
        return self.items * ceil(self._average / WRITE_UNIT)

    @property
    def index_units(self) -> int:
        """The write units of the indexes, if each projects all attributes of every item."""
        return self.write_units * self.indexes

    @property
    def dollars(self) -> float:
        """The cost of all units."""
        writes = self.write_units + self.index_units
        return self.read_units * READ_UNIT_PRICE + writes * WRITE_UNIT_PRICE

    def seconds(self, *, rate: float | None, read_rate: float | None) -> float | None:
        """Return the least number of seconds at these rates; None without a rate."""
        times = [
            units / per_second
            for units, per_second in ((self.write_units, rate), (self.read_units, read_rate))
            if per_second
        ]
        return max(times, default=None)

    def document(self) -> dict[str, Any]:
        """Return the estimate as JSON values."""
        return {
            "items": self.items,
            "read_units": self.read_units,
            "write_units": self.write_units,
            "index_write_units_at_most": self.index_units,
            "dollars": round(self.dollars, 6),
        }

    def text(self) -> str:
        """Return the estimate as text, one figure a line."""
        rows = {
            "items": f"{self.items:>14,}",
            "read units": f"{self.read_units:>14,}",
            "write units": f"{self.write_units:>14,}",
            "  of indexes": f"{self.index_units:>14,}  at most",
            "dollars": f"{self.dollars:>14,.4f}  on demand in us-east-1",
        }
        return lines(f"{name:<15}{value}" for name, value in rows.items())

    @property
    def _average(self) -> float:
        return max(1.0, self.bytes / self.items) if self.items else 0.0
