"""The clocks of one command: its own, which never steps, and AWS's, as far as responses have shown it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from ddbreplica.aws.skew import MAX_AHEAD_SECONDS, Skew, timestamp
from ddbreplica_cli.terminal.errors import CommandError

# On Linux CLOCK_MONOTONIC stops while the machine is suspended, which would make AWS's clock look slow afterwards.
_NEVER_STEPS = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", -1))


def ticking() -> float:
    """Seconds by a clock that nobody sets, and that continues while the machine is suspended."""
    return time.clock_gettime(_NEVER_STEPS)


class Clock(Skew):
    """The clocks of one run of a command, for any number of threads. Every response that it gets is to be observed."""

    def __init__(self, ticks: Callable[[], float] | None = None) -> None:
        """No response was seen yet."""
        super().__init__()
        self.ticks = ticks or ticking
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
        """Raise CommandError if the local clock is too far ahead for anything to be repaired."""
        if fast := self.fast:
            raise CommandError(
                f"{fast}, and nothing is repaired by a clock that is more than {MAX_AHEAD_SECONDS:.0f} seconds ahead.",
                hint="set the clock, for example with NTP, and run the same command again.",
            )


def time_after(seconds: float) -> str:
    """The time of day then, in UTC, never too early: such as `12:34 UTC`."""
    return f"{datetime.now(UTC) + timedelta(seconds=seconds, minutes=1):%H:%M} UTC"  # the seconds are cut off
