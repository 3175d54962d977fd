"""Measure how far the local clock is ahead of AWS's clock, and how long an in-doubt write may still be applied.

AWS refuses a request 15 minutes after its time stamp, which the local clock sets:
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/CommonErrors.html (RequestExpired)
"""

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from threading import Lock

from ddbreplica.errors import TaskError

EXPIRY_SECONDS = 900.0
"""How long after its time stamp AWS accepts a request."""

MARGIN_SECONDS = 30.0
"""Added to a measured lead, which leaves out the duration of a request and the fraction of a second of `Date`."""

UNKNOWN_HOLD_SECONDS = 1800.0
"""The hold of a writer whose lead is not known: AWS also accepts a request up to 15 minutes before its time stamp."""

MAX_AHEAD_SECONDS = 300.0
"""No command repairs if the local clock is further ahead than this."""


class Skew:
    """The largest lead of the local clock over the `Date` of any response in this run. It may be shared by threads."""

    def __init__(self) -> None:
        """Begin without a measured lead."""
        self._lock = Lock()
        self.ahead: float | None = None
        """The lead in seconds, 0 for a clock that is right or behind; None before the first response."""

    def observe(self, date: str | None, *, sent_at: float) -> None:
        """Measure the lead by a response's `Date` header. `sent_at` is the local time when its request was sent.

        A missing or invalid header is ignored. AWS responds after `sent_at`. Therefore the lead is too small by the
        duration of the request, and too large by at most one second, since `Date` has whole seconds.
        """
        try:
            ahead = sent_at - timestamp(date or "")
        except (ValueError, TypeError, OverflowError):
            return
        # Checked before the lock is taken, since hardly any response changes the lead.
        if self.ahead is None or ahead > self.ahead:
            with self._lock:
                # Never a smaller one: an in-doubt write was signed by the clock as it was then.
                self.ahead = max(self.ahead or 0.0, ahead)

    @property
    def hold_seconds(self) -> float:
        """For how long AWS may still apply a write of this run that had no response."""
        return hold_seconds(self.ahead)

    @property
    def is_too_large(self) -> bool:
        """Whether the clock is too far ahead for a repair."""
        return self.ahead is not None and self.ahead > MAX_AHEAD_SECONDS


@lru_cache(maxsize=8)  # all responses of one second have the same date
def timestamp(date: str) -> float:
    """Return a `Date` header in seconds since the epoch. Raises ValueError, TypeError or OverflowError if invalid."""
    moment = parsedate_to_datetime(date)
    # Dates in HTTP are in GMT, even if the zone is missing.
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def hold_seconds(ahead: float | None) -> float:
    """Return for how long AWS may still apply a write of a clock that is `ahead` seconds ahead, or None if unknown."""
    # A damaged state file may contain NaN, and max(0.0, NaN) is 0.0: the hold would be too short.
    if ahead is None or not math.isfinite(ahead):
        return UNKNOWN_HOLD_SECONDS
    return EXPIRY_SECONDS + max(0.0, ahead) + MARGIN_SECONDS


# On Linux CLOCK_MONOTONIC stops while the machine is suspended. `Clock.now` would then be behind AWS's clock.
_NEVER_STEPS = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", -1))


def ticking() -> float:
    """Return the seconds of a clock that cannot be set, and that continues while the machine is suspended."""
    return time.clock_gettime(_NEVER_STEPS)


def _local() -> datetime:
    return datetime.now(UTC)


class Clock(Skew):
    """The clocks of one run of a command. Every response is passed to `observe`. It may be shared by threads."""

    def __init__(
        self, ticks: Callable[[], float] | None = None, local: Callable[[], datetime] | None = None
    ) -> None:
        """Begin without a response. `ticks` is a clock that cannot be set; `local` is the local time, which can."""
        super().__init__()
        self.ticks = ticks or ticking
        self.local = local or _local
        self._latest: tuple[float, float] | None = None

    def observe(self, date: str | None, *, sent_at: float) -> None:
        """Measure the lead, and AWS's time, by a response's `Date` header."""
        super().observe(date, sent_at=sent_at)
        try:
            seconds = timestamp(date or "")
        except (ValueError, TypeError, OverflowError):
            return
        # One assignment, since other threads read the two without a lock.
        self._latest = seconds, self.ticks()

    @property
    def now(self) -> float | None:
        """AWS's time in seconds since the epoch, at most a few seconds behind; None before the first response.

        It continues by `ticks`, so that setting the local clock does not change it.
        """
        latest = self._latest
        if latest is None:
            return None
        seconds, ticks = latest
        return seconds + self.ticks() - ticks

    @property
    def moment(self) -> datetime:
        """AWS's time as `now` has it, or the local time before the first response."""
        return self.local() if self.now is None else datetime.fromtimestamp(self.now, UTC)

    @property
    def fast(self) -> str | None:
        """The message for a local clock that is too far ahead for a repair; None if it is not."""
        if self.ahead is None or not self.is_too_large:
            return None
        return f"the local clock is {self.ahead:,.0f} seconds ahead of AWS's clock"

    def refuse_fast(self) -> None:
        """Raise TaskError if the local clock is too far ahead for a repair."""
        if fast := self.fast:
            raise TaskError(
                f"{fast}, and no repair runs if it is more than {MAX_AHEAD_SECONDS:.0f} seconds ahead.",
                hint="set the clock, for example with NTP, and run the same command again.",
            )


def time_after(seconds: float) -> str:
    """Return the time of day after so many seconds, rounded up to the minute, such as `12:34 UTC`."""
    return f"{datetime.now(UTC) + timedelta(seconds=seconds, minutes=1):%H:%M} UTC"  # the format drops the seconds
