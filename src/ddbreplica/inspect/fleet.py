"""The pairs of a Region as a person looks at them: a line a pair, and the verdict on all. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from ddbreplica.aws.request import Unknown
from ddbreplica.inspect.facts import Facts
from ddbreplica.inspect.health import (
    AS_FAR_AS_SEEN,
    REPLICATING,
    Finding,
    Severity,
    verdict,
)

UNKNOWN = "unknown"
"""The verdict on a pair of which nothing can be told."""

_ORDER = (Severity.STOPPED.value, Severity.ATTENTION.value, UNKNOWN, AS_FAR_AS_SEEN, REPLICATING)


@dataclass(frozen=True, slots=True)
class Line:
    """A pair by its ARNs. Where no mapping tells it, there is no source, and the replica is what the tag says.

    `hint` is what to try to see more of it.
    """

    function: str
    source: str | None
    replica: str
    facts: Facts
    findings: tuple[Finding, ...]
    hint: str

    @property
    def verdict(self) -> str:
        """That of `status` on this pair, if it can be told which that is."""
        return UNKNOWN if isinstance(self.facts.mappings, Unknown) else verdict(self.facts, self.findings)


@dataclass(frozen=True, slots=True)
class Fleet:
    """The lines of a Region, at least one, the worst first."""

    region: str
    lines: tuple[Line, ...]

    @property
    def verdict(self) -> str:
        """The worst of all."""
        return self.lines[0].verdict


def worst_lines_first(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Those of one verdict by the names of their replicas."""
    return tuple(
        sorted(lines, key=lambda line: (_ORDER.index(line.verdict), line.replica.rpartition("/")[2]))
    )
