"""Limit the capacity units per second that the threads of a command use together."""

import time
from collections.abc import Callable
from threading import Lock

SHARE = 0.25
"""The fraction of a table's provisioned read capacity that a command uses by default, to leave the rest to others."""


class Rate:
    """A limit of capacity units per second. After a pause at most the units of one second are used at once.

    In t seconds no more than `per_second` × (t + 1) units are used, unless a single `take` is for more. None is no
    limit.
    """

    def __init__(
        self,
        per_second: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Begin without units. `sleep` may end early, as `Interrupt.sleep` does; the caller checks the interrupt."""
        self.per_second = per_second
        self._clock = clock
        self._sleep = sleep
        self._paid_until = clock()
        self._lock = Lock()

    def take(self, units: float) -> None:
        """Wait until so many units may be used, and count them as used. Threads are served in the order of calls."""
        if self.per_second is not None:
            wait = self._reserve(units / self.per_second)
            # The lock is not held here, so that other threads can reserve their units meanwhile.
            if wait > 0:
                self._sleep(wait)

    def _reserve(self, seconds: float) -> float:
        """Reserve the units of so many seconds. Return for how long to wait before they may be used."""
        with self._lock:
            now = self._clock()
            self._paid_until = max(self._paid_until, now - 1) + seconds
            return self._paid_until - now
