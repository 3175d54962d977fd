"""Compute what workers cost: a verification of two tables of equal size, and a month without one. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final

from benchmarks.cost import FULL_CORE_MB, GB_SECOND, INVOCATION
from ddbreplica.dynamodb.prices import READ_UNIT_PRICE
from ddbreplica.jobs.ending import LOOK_SECONDS, PAUSE_SECONDS, RESERVED_SECONDS
from ddbreplica.jobs.plan import segments_of
from ddbreplica.records.text import duration
from ddbreplica.verify.estimate import Estimate, TableSize
from ddbreplica.verify.saved_progress import SAVE_SECONDS

# US dollars, us-east-1, without free tiers.
TRANSITION: Final = 25e-6
PUT: Final = 5e-6
GET: Final = 0.4e-6
SCHEDULED_START: Final = 1e-6

QUOTA: Final = 40_000
"""Read capacity units per second of a table, by default."""

SPEED: Final = 15_000
"""Items per second that one worker compares, if the tables provide them. Assumed, not measured on AWS."""

GIGABYTES: Final = FULL_CORE_MB / 1024
TIMEOUT: Final = 900.0
INVOCATION_SECONDS: Final = TIMEOUT - RESERVED_SECONDS - PAUSE_SECONDS
"""How long one invocation compares."""

TRANSITIONS_OF_AN_INVOCATION: Final = 3
"""The task, the choice, and the wait or the end."""

TRANSITIONS_OF_A_VERIFICATION: Final = 11
"""Those of a verification without a suspected difference, beside those of its segments."""

TRANSITIONS_OF_A_REDRIVE: Final = 6

REQUESTS_OF_A_REDRIVE: Final = 10
"""Requests that write or list, of a redrive that finds nothing to do. S3 charges the same for both."""

PUTS_OF_AN_INVOCATION: Final = 2
"""To take the state, and to save it at the end."""

GETS_OF_AN_INVOCATION: Final = 4
"""The plan, the state, the state again before it is taken, and the lease."""

HOURS: Final = 730
REDRIVES: Final = HOURS * 12
"""Those of a month, one in five minutes."""

REDRIVE_SECONDS: Final = 2.0
"""How long a redrive takes that finds nothing. Assumed."""


@dataclass(frozen=True, slots=True)
class Verification:
    """A verification of two tables with so many items of so many bytes each, at a read rate for each table."""

    items: int
    size: int
    workers: int
    consistent: bool
    read_rate: float = QUOTA

    @property
    def read_units(self) -> int:
        """The read capacity units of both tables."""
        table = TableSize(self.items, self.items * self.size, self.read_rate)
        return Estimate([table, table], consistent=self.consistent).read_units

    @property
    def seconds(self) -> float:
        """The least number of seconds: what the read rates or the workers allow, whichever is longer."""
        by_rate = self.read_units / 2 / self.read_rate
        return max(by_rate, self.items / (SPEED * self._busy))

    @property
    def costs(self) -> Mapping[str, float]:
        """The parts of the cost, in dollars."""
        invocations = self._segments * ceil(self._seconds_of_a_segment / INVOCATION_SECONDS)
        gigabyte_seconds = self._segments * self._seconds_of_a_segment * GIGABYTES
        puts = invocations * PUTS_OF_AN_INVOCATION + self._seconds_of_all / SAVE_SECONDS
        gets = invocations * GETS_OF_AN_INVOCATION + self._seconds_of_all / LOOK_SECONDS
        transitions = TRANSITIONS_OF_A_VERIFICATION + invocations * TRANSITIONS_OF_AN_INVOCATION
        return {
            "read units": self.read_units * READ_UNIT_PRICE,
            "Lambda": gigabyte_seconds * GB_SECOND + invocations * INVOCATION,
            "transitions": transitions * TRANSITION,
            "S3 requests": puts * PUT + gets * GET,
        }

    @property
    def dollars(self) -> float:
        """The cost."""
        return sum(self.costs.values())

    @property
    def _segments(self) -> int:
        return segments_of(self.items)

    @property
    def _busy(self) -> int:
        return min(self.workers, self._segments)

    @property
    def _seconds_of_a_segment(self) -> float:
        return self.seconds * self._busy / self._segments

    @property
    def _seconds_of_all(self) -> float:
        return self._segments * self._seconds_of_a_segment


def idle_month() -> Mapping[str, float]:
    """Return what a stack with workers costs in a month beside one without, if no verification runs, by part."""
    return {
        "transitions": REDRIVES * TRANSITIONS_OF_A_REDRIVE * TRANSITION,
        "Lambda": REDRIVES * (REDRIVE_SECONDS * GIGABYTES * GB_SECOND + INVOCATION),
        "S3 requests": REDRIVES * REQUESTS_OF_A_REDRIVE * PUT,
        "schedule": REDRIVES * SCHEDULED_START,
        "alarms": 0.10 * 5,
        "metric": 0.30,
    }


def cost_rows() -> Iterator[str]:
    """Yield the rows of the table of costs."""
    for name, items in (("10⁶", 10**6), ("10⁸", 10**8), ("2·10⁹", 2 * 10**9)):
        for consistent in (True, False):
            job = Verification(items, 500, workers=200, consistent=consistent)
            costs = " | ".join(f"${cost:,.2f}" for cost in (*job.costs.values(), job.dollars))
            how = "strongly" if consistent else "eventually"
            yield f"| {name} | {how} | {costs} | {duration(job.seconds)} |"


def time_rows() -> Iterator[str]:
    """Yield the rows of the table of times."""
    for name, items in (("10⁶", 10**6), ("10⁸", 10**8), ("2·10⁹", 2 * 10**9)):
        for consistent in (True, False):
            jobs = [Verification(items, 500, workers, consistent) for workers in (10, 100, 1_000)]
            how = "strongly" if consistent else "eventually"
            yield f"| {name} | {how} | {' | '.join(duration(job.seconds) for job in jobs)} |"
