"""A clock that a test advances."""

import threading

from ddbreplica.deadline import Deadline


class Clock:
    """A clock of an invocation with this remaining time. It records each sleep and advances without waiting."""

    def __init__(self, seconds: float = 60.0) -> None:
        self.left = seconds
        self.sleeps: list[float] = []
        self._lock = threading.Lock()

    def pass_by(self, seconds: float) -> None:
        with self._lock:
            self.left -= seconds

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.sleeps.append(seconds)
            self.left -= seconds

    def deadline(self) -> Deadline:
        """Return a deadline whose back-offs are the longest that jitter may choose."""
        return Deadline(lambda: self.left, sleep=self.sleep, jitter=lambda _low, high: high)
