"""Choose random faults, and count them. Each history has its own kinds and frequency; the faults end at last."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

WRITE_FAULTS: Final = (
    "write: throttled",
    "write: over provisioned throughput",
    "write: some items unprocessed",
    "write: 500, not applied",
    "write: 500, applied",
    "write: 503 without a body",
    "write: connection dropped, not applied",
    "write: connection dropped, applied",
    "write: no response in time, not applied",
    "write: no response in time, applied",
    "write: slow response",
    "write: response is not JSON, applied",
    "write: response of another request, applied",
    "write: a gateway's page, not applied",
    "write: a gateway's page, applied",
    "write: conflicts with a transaction",
    "write: access denied for a while",
    "write: table missing for a while",
    "write: killed before it is sent",
    "write: killed after it is applied",
)
DESCRIBE_FAULTS: Final = (
    "describe: throttled",
    "describe: connection dropped",
    "describe: access denied for a while",
    "describe: table is being updated",
    "describe: killed",
)
QUARANTINE_FAULTS: Final = (
    "quarantine: slow down",
    "quarantine: 500, stored",
    "quarantine: connection dropped, not stored",
    "quarantine: connection dropped, stored",
    "quarantine: no response in time, stored",
    "quarantine: conflict",
    "quarantine: repeated on the way, stored",
    "quarantine: bucket missing for a while",
    "quarantine: access denied for a while",
    "quarantine: killed before",
    "quarantine: killed after",
)
INVOCATION_FAULTS: Final = (
    "invocation: throttled before it runs",
    "invocation: killed before its response",
    "invocation: in a new execution environment",
    "mapping: poller crashed, batches are delivered again",
)
LANDS_LATE: Final = (
    "write: no response in time, lands later",
    "write: connection dropped, lands later",
    "write: a gateway's page, lands later",
)
"""Late writes, which a mirror cannot prevent: the function must report them, but they may change an item."""

FAULTS: Final = (*WRITE_FAULTS, *DESCRIBE_FAULTS, *QUARANTINE_FAULTS, *INVOCATION_FAULTS)


@dataclass(slots=True)
class Weather:
    """Chooses the fault of each request. Faults end after `left` of them, so that each history can end."""

    chance: Random
    likelihood: float
    left: int
    kinds: frozenset[str]
    haste: float = 0.0
    injected: Counter[str] = field(default_factory=Counter)

    def strikes(self, faults: Sequence[str]) -> str | None:
        """Return the fault that occurs here, or None."""
        # An invocation has many requests; each kind of fault must occur.
        likelihood = self.likelihood / 4 if faults is INVOCATION_FAULTS else self.likelihood
        if not self.left or self.chance.random() >= likelihood:
            return None
        fault = self.chance.choice((*faults, *LANDS_LATE) if faults is WRITE_FAULTS else faults)
        if fault not in self.kinds:
            return None
        self.left -= 1
        self.injected[fault] += 1
        return fault

    def seconds(self) -> float:
        """Return the time of an invocation. If it is short, a passing fault fails the batch instead of a retry."""
        if self.chance.random() >= self.haste:
            return 60.0
        return self.chance.uniform(20, 20.5)


def weather(chance: Random) -> Weather:
    """Return a weather with all or some kinds of faults, rare or frequent, and up to 100 of them."""
    some = chance.sample(FAULTS, chance.randint(3, len(FAULTS)))
    kinds = chance.choice((FAULTS, some))
    likelihood, haste = chance.choice((0.1, 0.2, 0.4, 0.8)), chance.choice((0, 0.2, 0.8))
    return Weather(chance, likelihood, chance.randint(0, 100), frozenset(kinds), haste)
