"""All replications of a Region: one line for each pair of tables, and one verdict for all. Pure."""

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
"""The verdict on a pair whose state cannot be read."""

_ORDER = (Severity.STOPPED.value, Severity.ATTENTION.value, UNKNOWN, AS_FAR_AS_SEEN, REPLICATING)


@dataclass(frozen=True, slots=True)
class Line:
    """A pair of tables by their ARNs. Without a mapping, the source is None and the replica is the name in the tag.

    `hint` is the command that shows the details.
    """

    function: str
    source: str | None
    replica: str
    facts: Facts
    findings: tuple[Finding, ...]
    hint: str

    @property
    def verdict(self) -> str:
        """The verdict of `status` on this pair, or `unknown`."""
        return UNKNOWN if isinstance(self.facts.mappings, Unknown) else verdict(self.facts, self.findings)


@dataclass(frozen=True, slots=True)
class Fleet:
    """The lines of a Region, the worst first. There is at least one."""

    region: str
    lines: tuple[Line, ...]

    @property
    def verdict(self) -> str:
        """The worst verdict of all lines."""
        return self.lines[0].verdict


def worst_lines_first(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Sort the lines by verdict, the worst first, then by the name of the replica."""
    return tuple(
        sorted(lines, key=lambda line: (_ORDER.index(line.verdict), line.replica.rpartition("/")[2]))
    )
