"""Compute from the lag how long to wait before a difference is confirmed. Pure."""

LEAST = 5.0
LONGEST = 300.0
"""The longest default. If the lag would need more, all differences are inconclusive, so do not wait for it."""


def grace(lag: float | None) -> float:
    """Return a grace period in which a replica with this lag catches up. A lag of None is unknown."""
    seconds = max(LEAST, 2 * (lag or 0))
    return seconds if seconds <= LONGEST else LEAST


def is_longer(grace: float, lag: float | None) -> bool:
    """Return whether the grace period is longer than the known lag."""
    return lag is None or lag < grace
