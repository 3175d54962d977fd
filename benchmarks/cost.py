"""Compute the cost of a million changes and the records per second of one shard, as Markdown tables. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ddbreplica.dynamodb.prices import WRITE_UNIT_PRICE

# US dollars, us-east-1, on demand, without free tiers.
GB_SECOND: Final = 0.0000133334  # Lambda on arm64
INVOCATION: Final = 0.20e-6
LOG_BYTE: Final = 0.50e-9

FULL_CORE_MB: Final = 1769
"""Memory at which a function has one whole processor: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"""

LOG_BYTES: Final = 2100
"""Per batch: the function's line (450) and the metrics (950), both measured, and Lambda's own lines (700)."""

WRITE_UNITS: Final = 2
"""Of a log item of less than 1 KB: one for the table, one for the index."""

Figures: TypeAlias = Mapping[tuple[str, str], "Work"]


@dataclass(frozen=True, slots=True)
class Work:
    """Seconds per record: of a whole processor, and of waiting for a service that responds after 4 ms."""

    cpu: float
    waiting: float

    def seconds(self, memory: int) -> float:
        """Return the seconds that a function with this memory, in MB, takes for one record."""
        return self.cpu / min(1.0, memory / FULL_CORE_MB) + self.waiting


def read(results: Mapping[str, Any]) -> Figures:
    """Return the figures at a service time of 4 ms, by contestant and workload."""
    return {
        (figure["contestant"], figure["workload"]): Work(
            cpu=figure["cpu"]["median"] / 1e6,
            waiting=max(0.0, figure["wall"]["median"] - figure["cpu"]["median"]) / 1e6,
        )
        for figure in results["figures"]
        if figure["service_time"] == 4
    }


def tables(figures: Figures) -> tuple[tuple[str, ...], ...]:
    """Return the lines of each table."""
    return tuple(_prices(figures)), tuple(_throughput(figures))


def _prices(figures: Figures) -> Iterator[str]:
    yield "| a million changes, 256 MB | duration | requests | log | writes | total |"
    yield "|---|---|---|---|---|---|"
    for title, contestant, workload, batch, log in (
        ("ddbreplica, batches of 100", "ours", "log-100", 100, LOG_BYTES),
        ("ddbreplica, batches of 1,000", "ours", "log-1000", 1000, LOG_BYTES),
        ("workshop handler, batches of 100", "workshop", "log-100", 100, 700),
    ):
        time = figures[contestant, workload].seconds(256) * 256 / 1024 * GB_SECOND * 1e6
        prices = (
            time,
            INVOCATION / batch * 1e6,
            LOG_BYTE * log / batch * 1e6,
            WRITE_UNIT_PRICE * WRITE_UNITS * 1e6,
        )
        yield f"| {title} | " + " | ".join(f"${price:.4f}" for price in (*prices, sum(prices))) + " |"


def _throughput(figures: Figures) -> Iterator[str]:
    yield "| memory | ddbreplica, batches of 100 | ddbreplica, batches of 1,000 | workshop handler |"
    yield "|---|---|---|---|"
    for memory in (128, 256, 512, 1769):
        works = (figures["ours", "log-100"], figures["ours", "log-1000"], figures["workshop", "log-100"])
        yield f"| {memory:,} MB | " + " | ".join(f"{1 / work.seconds(memory):,.0f}" for work in works) + " |"
