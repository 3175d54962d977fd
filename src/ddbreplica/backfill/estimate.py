"""Estimate the capacity units, the duration and the cost of a backfill from the size of the table. Pure."""

from dataclasses import dataclass
from math import ceil
from typing import Any

from ddbreplica.dynamodb.prices import AS_OF, READ_UNIT_PRICE, REGION, WRITE_UNIT_PRICE
from ddbreplica.records.size import READ_UNIT, WRITE_UNIT
from ddbreplica.records.text import duration, lines


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimate for `items` of `bytes` in total and a replica with `indexes`; `is_listed` if no scan is needed."""

    items: int
    bytes: int
    indexes: int
    is_listed: bool = False

    @property
    def read_units(self) -> int:
        """The read units of two scans, before and after the writes; without a scan, of two reads of each item."""
        return 2 * (self.items * ceil(self._average / READ_UNIT) if self.is_listed else self._scan_units)

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
            for units, per_second in ((self._least_write_units, rate), (self._least_read_units, read_rate))
            if per_second
        ]
        return max(times, default=None)

    def document(self, *, rate: float | None, read_rate: float | None) -> dict[str, Any]:
        """Return the estimate as JSON values, with the time that it takes at these rates."""
        return {
            "items": self.items,
            "read_units": self.read_units,
            "write_units": self.write_units,
            "index_write_units_at_most": self.index_units,
            "dollars": round(self.dollars, 6),
            "prices": {"capacity": "on demand", "region": REGION, "as_of": AS_OF},
            "rate": rate,
            "read_rate": read_rate,
            "seconds_at_least": self.seconds(rate=rate, read_rate=read_rate),
        }

    def text(self, *, rate: float | None, read_rate: float | None) -> str:
        """Return the estimate as text, one figure a line."""
        seconds = self.seconds(rate=rate, read_rate=read_rate)
        rows = {
            "items": f"{self.items:>14,}",
            "read units": f"{self.read_units:>14,}",
            "write units": f"{self.write_units:>14,}",
            "index units": f"{self.index_units:>14,}  at most, in addition",
            "dollars": f"{self.dollars:>14,.4f}  on demand",
            "time": f"{'unknown' if seconds is None else duration(seconds):>14}  {_limits(rate, read_rate)}",
        }
        return lines(
            [
                *(f"{name:<15}{value}" for name, value in rows.items()),
                f"The prices are those of on-demand capacity in {REGION}, {AS_OF}.",
                "Prices in other Regions and of provisioned capacity differ.",
                "Items that change during the backfill take more units.",
            ]
        )

    # Sizes differ, and each item is rounded up by itself: the average, rounded up, may be more than the items take.
    @property
    def _least_write_units(self) -> int:
        return max(self.items, ceil(self.bytes / WRITE_UNIT))

    @property
    def _least_read_units(self) -> int:
        return 2 * max(self.items if self.is_listed else 0, self._scan_units)

    @property
    def _scan_units(self) -> int:
        return ceil(self.bytes / READ_UNIT)

    @property
    def _average(self) -> float:
        return max(1.0, self.bytes / self.items) if self.items else 0.0


def _limits(rate: float | None, read_rate: float | None) -> str:
    """Return the rates that limit the backfill, or the options that would."""
    limits = [
        f"{per_second:g} {what}"
        for what, per_second in (("write", rate), ("read", read_rate))
        if per_second is not None
    ]
    if not limits:
        return "without --rate and --read-rate"
    return f"at least, at {' and '.join(limits)} capacity units per second"
