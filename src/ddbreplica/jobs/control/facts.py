"""The jobs of a stack as `status` reads them, and the schedule of verifications. Pure.

A value that cannot be read is Unknown, with the reason.
https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import floor
from typing import Final

from ddbreplica.aws.request import Known
from ddbreplica.jobs.state.skipped import Skipped

_RATE: Final = re.compile(r"rate\(\s*(\d{1,6})\s+(minute|hour|day)s?\s*\)")
_AT: Final = re.compile(r"at\(\s*(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\s*\)")

MONTH: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule in UTC. `created_at` is when its rate began."""

    expression: str
    created_at: datetime
    is_enabled: bool

    def next_after(self, now: datetime) -> datetime | None:
        """Return when it runs next; None if it does not, or if the expression does not give it (`cron`)."""
        if not self.is_enabled:
            return None
        if every := self._interval:
            passed = floor((now - self.created_at) / every)
            return self.created_at + max(1, passed + 1) * every
        found = _AT.fullmatch(self.expression)
        once = datetime.fromisoformat(found[1]).replace(tzinfo=UTC) if found else None
        return once if once and once > now else None

    @property
    def has_unknown_times(self) -> bool:
        """Whether it runs at times that the expression does not give (`cron`)."""
        return self.is_enabled and self._interval is None and not _AT.fullmatch(self.expression)

    def dollars_a_month(self, dollars: float) -> float | None:
        """Return the cost of a month if each run costs so much; None if the expression does not give the number."""
        every = self._interval
        return dollars * (MONTH / every) if every and self.is_enabled else None

    @property
    def _interval(self) -> timedelta | None:
        found = _RATE.fullmatch(self.expression)
        if found is None or int(found[1]) == 0:
            return None
        unit: timedelta = {
            "minute": timedelta(minutes=1),
            "hour": timedelta(hours=1),
            "day": timedelta(days=1),
        }[found[2]]
        return int(found[1]) * unit


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that runs."""

    job: str
    what: str
    started: datetime


@dataclass(frozen=True, slots=True)
class Scheduled:
    """The schedule of verifications, and whether these scan with strongly consistent reads."""

    schedule: Schedule
    is_consistent: bool


@dataclass(frozen=True, slots=True)
class JobFacts:
    """The jobs of a stack with workers. `scheduled` is None without a schedule of verifications.

    `skipped` is the last scheduled verification that was skipped.
    """

    running: Known[Sequence[RunningJob]]
    scheduled: Known[Scheduled | None]
    skipped: Known[Skipped | None] = None
