"""Limit the capacity units per second that the threads of a command use together."""

import time
from collections.abc import Callable
from threading import Lock

SHARE = 0.25
"""The fraction of a table's provisioned read capacity that a command uses by default, to leave the rest to others."""


YIELD_SECONDS = 1.0
"""How long a yielding rate ignores further throttling: a table throttles many requests at once."""

RECOVERY_SECONDS = 60.0
"""How long it takes a yielding rate to double again after it was halved."""


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

    def throttled(self) -> None:
        """Note that the table throttles. This rate stays as it is."""

    def _reserve(self, seconds: float) -> float:
        """Reserve the units of so many seconds. Return for how long to wait before they may be used."""
        with self._lock:
            now = self._clock()
            self._paid_until = max(self._paid_until, now - 1) + seconds
            return self._paid_until - now


class YieldingRate(Rate):
    """A limit that is halved when the table throttles, and comes back slowly, so that others have the capacity first.

    It is never less than one unit a second, or than the limit itself.
    """

    def __init__(
        self,
        per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Begin without units, with the whole rate."""
        super().__init__(per_second, clock=clock, sleep=sleep)
        self._most = self._yielded_to = per_second
        self._yielded_at = clock() - YIELD_SECONDS

    def take(self, units: float) -> None:
        """Wait until so many units may be used, and count them as used."""
        self.per_second = self._present()
        super().take(units)

    def throttled(self) -> None:
        """Halve the rate, since the table throttles."""
        with self._lock:
            if self._clock() - self._yielded_at >= YIELD_SECONDS:
                self._yielded_to = max(self._present() / 2, min(1.0, self._most))
                self._yielded_at = self._clock()

    def _present(self) -> float:
        doubled = min((self._clock() - self._yielded_at) / RECOVERY_SECONDS, 64.0)
        return min(self._most, self._yielded_to * 2**doubled)
