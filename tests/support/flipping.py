"""Verifications of tables whose items change all the time, which the replica follows with a lag."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from ddbreplica.mapping.lag_figures import LagFigures
from ddbreplica.model import Key
from tests.support.confirmed import RULES, Run, confirm
from tests.support.simulated_pair import Following, Item, Pair, Still, key

LAGS = (0.2, 1.0, 3.0, 10.0, 40.0, 100.0)
WINDOWS = (0.0, 0.0, 1.0, 5.0, 20.0)
HALF_PERIODS = (0.1, 0.2, 1 / 3, 0.5, 1.0, 1.0, 1.0, 1.0, 2.0, 3.0, 5.0, 10.0)
"""In lags. An item whose half-period is the lag, or an odd part of it, is never equal."""

STATES = (2, 2, 2, 3, None)
FLIPPING = 50


@dataclass(frozen=True)
class Verification:
    """A simulated verification: the keys that really differ, and what the confirmation has found."""

    real: frozenset[Key]
    run: Run


def verification(seed: int, *, readable: bool) -> Verification:
    """Confirm the suspects of a random pair of tables, whose stream can be read or not."""
    random = Random(seed)  # noqa: S311  a simulation
    lag, window = random.choice(LAGS), random.choice(WINDOWS)
    real = {key(f"real {number}"): _real(random) for number in range(random.randrange(4))}
    pair = Pair({**_flipping(random, lag, window), **real}, seed=seed)
    pair.stream.why = None if readable else "denied"
    pair.stream.silent_since = random.choice([None, -86400.0])
    return Verification(frozenset(real), confirm(pair, RULES, LagFigures(seconds=lag + window)))


def _real(random: Random) -> Item:
    return Still(*random.choice([(1, 2), (None, 2), (1, None)]))


def _flipping(random: Random, lag: float, window: float) -> Mapping[Key, Item]:
    return {key(f"{number:03}"): _following(random, lag, window) for number in range(FLIPPING)}


def _following(random: Random, lag: float, window: float) -> Item:
    states = random.choice(STATES)
    if window and random.random() < 1 / 3:
        # In step with the batching window, just before or after its end, or anywhere.
        half_period = window * random.choice([0.5, 1.0, 1.0, 2.0])
        phase = random.choice([0.0, -0.001, 0.001, random.uniform(0, half_period)])
        return Following(half_period, phase, lag, window, states)
    half_period = lag * random.choice(HALF_PERIODS)
    return Following(half_period, random.uniform(0, half_period), lag, states=states)
