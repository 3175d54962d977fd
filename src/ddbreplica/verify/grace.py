"""How far the replica is behind → how long to wait before a difference counts as one. Pure."""

LEAST = 5.0
LONGEST = 300.0
"""A replica that is further behind is not waited for, unless told: what differs is then inconclusive at once."""


def grace(lag: float | None) -> float:
    """Seconds in which a replica that is so far behind catches up with what was written before; None is unknown."""
    seconds = max(LEAST, 2 * (lag or 0))
    return seconds if seconds <= LONGEST else LEAST


def is_longer(grace: float, lag: float | None) -> bool:
    """Whether what differs after a grace does not differ for being late, as far as the lag is known."""
    return lag is None or lag < grace
