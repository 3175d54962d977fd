"""How many keys a watch takes, how often it looks at each, and for how long. Pure.

A look reads each key twice from the source and once from the replica, at one read capacity unit for up to 4 KB. Larger
items, and a slow table, only make a watch longer.
"""

import math
from dataclasses import dataclass

DEFAULT_GRACE = 5.0
"""The seconds between the two first looks if no grace period is given."""

LEAST_SECONDS = 5.0
"""The least time from the first to the last look of a watch."""

LEAST_LOOKS = 8
"""The least number of looks. An item that is equal half of the time is unequal at all of them once in 256 watches."""

MOST_LOOKED_AT = 80_000
"""The most keys, times looks, of a watch whose length asks for more looks than the least number."""

SECONDS_BETWEEN_LOOKS = 2.5
"""A long watch looks at each key once in this time, unless there are too many keys. So an item that keeps each of its
states for longer is seen in each of them."""

READING_SECONDS = 300.0
"""How long the reads of a watch may take at the tables' read rates. This limits the number of keys."""

LEAST_WATCHED = 100
"""The number of keys that are watched however low the rates are. At 2.5 units a second it takes eleven minutes."""

MOST_BY_LOOKS = 100
"""The most keys that are watched if the stream cannot be read, since each needs some 50 looks."""

LEAST_BY_LOOKS = 10
"""The same as LEAST_WATCHED, if the stream cannot be read."""

SECONDS_BETWEEN_LOOKS_ALONE = 0.5
"""The least mean time between two looks if the stream cannot be read, so that 100 keys take 400 units a second."""

ONE_FALSE_ALARM_IN = 10**6
"""Without the stream, at most one verification in so many confirms an item that only flips."""


@dataclass(frozen=True, slots=True)
class Rates:
    """The read capacity units per second that may be used; None for no limit."""

    source: float | None
    replica: float | None

    @property
    def seconds_of_a_key(self) -> float:
        """The time that one look at one key takes at these rates."""
        return max(2 / (self.source or math.inf), 1 / (self.replica or math.inf))

    def keys_in(self, seconds: float, *, looks: int) -> float:
        """Return how many keys can be looked at so often in a time."""
        return seconds / (self.seconds_of_a_key * looks) if self.seconds_of_a_key else math.inf

    def looks_in(self, seconds: float, *, keys: int) -> float:
        """Return how often so many keys can be looked at in a time."""
        return self.keys_in(seconds, looks=keys)


@dataclass(frozen=True, slots=True)
class Plan:
    """A watch: the number of looks at each key, and the least time from the first of them to the last."""

    looks: int
    seconds: float

    @property
    def pause(self) -> float:
        """The mean pause between two looks."""
        return self.seconds / (self.looks - 1)


def with_stream(seconds: float, *, keys: int, rates: Rates) -> Plan:
    """Return the plan of a watch of at least this length, with the stream as the witness."""
    looks = min(seconds / SECONDS_BETWEEN_LOOKS, MOST_LOOKED_AT / keys, rates.looks_in(seconds, keys=keys))
    return Plan(max(LEAST_LOOKS, int(looks)), seconds)


def by_looks(seconds: float, *, keys: int, looks: int, rates: Rates) -> Plan:
    """Return the plan of a watch of at least this length, without the stream."""
    # As long as the reads take, or longer, so that chance sets the moments, and not the rate.
    return Plan(
        looks, max(seconds, looks * SECONDS_BETWEEN_LOOKS_ALONE, looks * keys * rates.seconds_of_a_key)
    )


def looks_alone(*, rounds: int, suspects: int) -> int:
    """Return how many looks it takes without the stream.

    An item that flips is in one and the same unequal state at most half of the time. The looks are not quite
    independent, so this counts on two thirds: at random moments so many looks find it unequal and unchanged at all of
    them in one case of `ONE_FALSE_ALARM_IN`, for all suspects and rounds together.
    """
    return 1 + math.ceil(math.log(ONE_FALSE_ALARM_IN * rounds * suspects) / math.log(1.5))


def most_with_stream(most: int, rates: Rates) -> int:
    """Return how many keys are watched, at most `most`."""
    return min(most, _at_least(LEAST_WATCHED, rates.keys_in(READING_SECONDS, looks=LEAST_LOOKS), most))


def most_by_looks(most: int, looks: int, rates: Rates) -> int:
    """Return how many keys are watched without the stream, at most `most`."""
    return min(most, _at_least(LEAST_BY_LOOKS, rates.keys_in(READING_SECONDS, looks=looks), most))


def _at_least(least: int, keys: float, most: int) -> int:
    return max(least, int(min(keys, most)))
