"""The time left in an invocation, and pauses between attempts that fit into it."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

FIRST_DELAY = 0.05
LONGEST_DELAY = 2.0
MOST_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Deadline:
    """The end of the invocation.

    `remaining` returns the seconds left. Tests and commands pass their own `sleep` and `jitter`.
    """

    remaining: Callable[[], float]
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[float, float], float] = random.uniform

    def allows(self, seconds: float) -> bool:
        """Return whether a step that takes at most `seconds` would end in time."""
        return self.remaining() >= seconds

    def attempts(self, *, then: float) -> Iterator[None]:
        """Yield once for each attempt while `then` seconds are left for it, with a pause before each repetition."""
        if self.allows(then):
            yield
            for attempt in range(1, MOST_ATTEMPTS):
                if not self.back_off(attempt, then=then):
                    return
                yield

    def back_off(self, attempt: int, *, then: float) -> bool:
        """Sleep before repetition number `attempt`. Return False at once if less than `then` seconds would be left.

        The pause is exponential with full jitter:
        https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        """
        # After some 1,000 repetitions the power would be too large for a float.
        longest = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(attempt, 16))
        delay = self.jitter(0, longest)
        if not self.allows(delay + then):
            return False
        self.sleep(delay)
        return True


def deadline_of(context: "LambdaContext") -> Deadline:
    """Return the end of the invocation, by the remaining time that Lambda reports."""
    return Deadline(lambda: context.get_remaining_time_in_millis() / 1000)
