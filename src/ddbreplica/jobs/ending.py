"""The end of an invocation: a minute before its deadline, or when the job is stopped."""

from collections.abc import Callable
from typing import Final

from ddbreplica.deadline import Deadline
from ddbreplica.driver import Interrupt

RESERVED_SECONDS: Final = 60.0
"""What an invocation leaves of its time for the request that is under way, and for saving the state."""

PAUSE_SECONDS: Final = 30.0
"""What a worker leaves before that for bringing its work to a point from which it is resumed at little cost."""

LOOK_SECONDS: Final = 5.0
"""How often the stop marker is looked for. Each look is a request to S3."""

YIELD_SECONDS: Final = 60
"""How long a worker makes room for the replicator if Lambda throttles that, and how often it looks."""


class YieldError(Exception):
    """The replicator needs the concurrency of this worker, whose progress is saved."""


class Ending(Interrupt):
    """An interrupt that is set when the invocation has to end. Every request of the engine checks it."""

    def __init__(self, deadline: Deadline, is_stopped: Callable[[], bool]) -> None:
        """Look for the stop marker at the first check. `is_stopped` returns whether it exists."""
        super().__init__()
        self.was_stopped = False
        """Whether the job was stopped, as far as this invocation has looked."""
        self._deadline = deadline
        self._is_stopped = is_stopped
        self._look_below = deadline.remaining()

    def within(self, deadline: Deadline) -> "Ending":
        """Return an end of the same job by another deadline."""
        return Ending(deadline, self._is_stopped)

    @property
    def is_over(self) -> bool:
        """Whether the invocation has to end."""
        left = self._deadline.remaining()
        if left <= self._look_below:
            self._look_below = left - LOOK_SECONDS
            self.was_stopped |= self._is_stopped()
        if self.was_stopped or left <= RESERVED_SECONDS:
            self.set()
        return self.is_set

    @property
    def is_near(self) -> bool:
        """Whether the invocation has to end soon."""
        return self.is_over or self._deadline.remaining() <= RESERVED_SECONDS + PAUSE_SECONDS

    def check(self) -> None:
        """Raise KeyboardInterrupt if the invocation has to end."""
        _ = self.is_over
        super().check()

    def sleep(self, seconds: float) -> None:
        """Sleep, but not beyond the end of the invocation."""
        if not self.is_over:
            left = self._deadline.remaining() - RESERVED_SECONDS
            self._deadline.sleep(max(0.0, min(seconds, left)))
