"""Time that passes only when it is told to."""

import threading

from ddbreplica.deadline import Deadline


class Clock:
    """An invocation with so many seconds left; every sleep is kept and takes its time at once."""

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
        """A deadline whose back-offs are always the longest that jitter may choose."""
        return Deadline(lambda: self.left, sleep=self.sleep, jitter=lambda _low, high: high)
