"""Units to be used → a wait until so many may be: a limit a second that threads share."""

import time
from collections.abc import Callable
from threading import Lock

SHARE = 0.25
"""Of the reads that a table is provisioned with: what a command takes, unless told, so as to starve nobody."""


class Rate:
    """So many units a second, and after a rest at most those of one second at once. None is unlimited.

    In t seconds no more than `per_second` × (t + 1) units are let through, unless a single `take` is for more.
    """

    def __init__(
        self,
        per_second: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Begin with nothing saved up. `sleep` may end early, as `Interrupt.sleep` does: its caller looks why."""
        self.per_second = per_second
        self._clock = clock
        self._sleep = sleep
        self._paid_until = clock()
        self._lock = Lock()

    def take(self, units: float) -> None:
        """Wait until so many units may be used, and use them. First come, first served."""
        if self.per_second is not None:
            wait = self._reserve(units / self.per_second)
            if wait > 0:
                self._sleep(wait)

    def _reserve(self, seconds: float) -> float:
        """Book what so many seconds bring; return how long that is away."""
        with self._lock:
            now = self._clock()
            self._paid_until = max(self._paid_until, now - 1) + seconds
            return self._paid_until - now
