"""What the metrics of a mapping say about the lag, as a value. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class LagFigures:
    """What the mapping's state and metrics say about the lag during a time. One of the four is set.

    `problem` is a clause that names why changes may not arrive. `is_idle` is whether the mapping was enabled and
    received no record in any minute. `seconds` is how long a change took to arrive at most. `unknown` is a clause that
    says why the figures are missing.
    """

    problem: str | None = None
    is_idle: bool = False
    seconds: float | None = None
    unknown: str | None = None


AskLag: TypeAlias = Callable[[datetime, datetime], LagFigures]
"""Return the figures of a time, given its begin and its end. It may wait for minutes, until CloudWatch has them."""
