"""The clocks of one run: how far the local one is ahead of AWS's, and how long an in-doubt write has to be waited for.

AWS refuses a request 15 minutes after its time stamp, which the local clock set:
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
"""For what a measured skew leaves out: the time that a request takes, and the whole seconds of a `Date`."""

UNKNOWN_HOLD_SECONDS = 1800.0
"""The hold of a writer that saw no response: AWS accepts a request up to 15 minutes before its time stamp, too."""

MAX_AHEAD_SECONDS = 300.0
"""Nothing is repaired by a clock that is further ahead than this."""


class Skew:
    """The largest lead of the local clock over the `Date` of any response in this run. For any number of threads."""

    def __init__(self) -> None:
        """No response was seen yet."""
        self._lock = Lock()
        self.ahead: float | None = None
        """In seconds, 0 for a clock that is right or behind; None before the first response."""

    def observe(self, date: str | None, *, sent_at: float) -> None:
        """Take a response's `Date` header into account. `sent_at` is the local wall clock when its request was sent.

        A header that is missing or no date says nothing. AWS answers after `sent_at`, so that the lead comes out too
        small by the duration of the request, and never too large by more than the second that `Date` leaves out.
        """
        try:
            ahead = sent_at - timestamp(date or "")
        except (ValueError, TypeError, OverflowError):
            return
        if self.ahead is None or ahead > self.ahead:
            with self._lock:
                self.ahead = max(self.ahead or 0.0, ahead)

    @property
    def hold_seconds(self) -> float:
        """How long a write of this run that was not answered may still land."""
        return hold_seconds(self.ahead)

    @property
    def is_too_large(self) -> bool:
        """Whether the clock is too far ahead for anything to be repaired by it."""
        return self.ahead is not None and self.ahead > MAX_AHEAD_SECONDS


@lru_cache(maxsize=8)  # every response of one second has the same date
def timestamp(date: str) -> float:
    """What a `Date` header says, in seconds since the epoch; raises ValueError and its like for what is no date."""
    moment = parsedate_to_datetime(date)
    # HTTP's dates are in GMT, also where they do not say so.
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def hold_seconds(ahead: float | None) -> float:
    """How long a write may still land that was sent by a clock so many seconds ahead; None where nobody knows."""
    if ahead is None or not math.isfinite(ahead):
        return UNKNOWN_HOLD_SECONDS
    return EXPIRY_SECONDS + max(0.0, ahead) + MARGIN_SECONDS


# On Linux CLOCK_MONOTONIC stops while the machine is suspended, which would make AWS's clock look slow afterwards.
_NEVER_STEPS = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", -1))


def ticking() -> float:
    """Seconds by a clock that nobody sets, and that continues while the machine is suspended."""
    return time.clock_gettime(_NEVER_STEPS)


def _local() -> datetime:
    return datetime.now(UTC)


class Clock(Skew):
    """The clocks of one run of a command, for any number of threads. Every response that it gets is to be observed."""

    def __init__(
        self, ticks: Callable[[], float] | None = None, local: Callable[[], datetime] | None = None
    ) -> None:
        """No response was seen yet. `ticks` never steps; `local` is the local time of day, which is set at times."""
        super().__init__()
        self.ticks = ticks or ticking
        self.local = local or _local
        self._latest: tuple[float, float] | None = None

    def observe(self, date: str | None, *, sent_at: float) -> None:
        """Take a response's `Date` header into account."""
        super().observe(date, sent_at=sent_at)
        try:
            seconds = timestamp(date or "")
        except (ValueError, TypeError, OverflowError):
            return
        self._latest = seconds, self.ticks()

    @property
    def now(self) -> float | None:
        """AWS's time, in seconds since the epoch and at most some seconds late; None before the first response."""
        latest = self._latest
        if latest is None:
            return None
        seconds, ticks = latest
        return seconds + self.ticks() - ticks

    @property
    def fast(self) -> str | None:
        """What to print if the local clock is too far ahead for anything to be repaired; None where it is not."""
        if self.ahead is None or not self.is_too_large:
            return None
        return f"the local clock is {self.ahead:,.0f} seconds ahead of AWS's clock"

    def refuse_fast(self) -> None:
        """Raise TaskError if the local clock is too far ahead for anything to be repaired."""
        if fast := self.fast:
            raise TaskError(
                f"{fast}, and nothing is repaired by a clock that is more than {MAX_AHEAD_SECONDS:.0f} seconds ahead.",
                hint="set the clock, for example with NTP, and run the same command again.",
            )


def time_after(seconds: float) -> str:
    """The time of day then, in UTC, never too early: such as `12:34 UTC`."""
    return f"{datetime.now(UTC) + timedelta(seconds=seconds, minutes=1):%H:%M} UTC"  # the seconds are cut off
