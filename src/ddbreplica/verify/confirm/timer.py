"""The clocks, the sleep and the random numbers of a confirmation, which a simulation replaces."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from random import Random

_SLICE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Timer:
    """The time as a confirmation sees it.

    `now` is the time of day, `ticks` the seconds of a clock that cannot be set. `sleep` ends early only if the run is
    interrupted; the next read then raises KeyboardInterrupt.
    """

    now: Callable[[], datetime]
    ticks: Callable[[], float]
    sleep: Callable[[float], None]
    random: Random

    def wait(
        self, until: float, *, is_over: Callable[[], bool], meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        """Wait until `ticks` has this value, `is_over`, or the run is interrupted. Call `meanwhile` every second."""
        while (left := until - self.ticks()) > 0 and not is_over():
            meanwhile()
            started, seconds = self.ticks(), min(left, _SLICE_SECONDS)
            self.sleep(seconds)
            if self.ticks() - started < seconds / 2:
                return  # an interrupt ended the sleep, and would end each further sleep at once
