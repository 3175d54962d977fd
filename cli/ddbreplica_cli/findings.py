"""Differences, and what a repair did about each → counts, the first few, and a line each in a report."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, TextIO

from ddbreplica.decode import attributes_of
from ddbreplica_cli.printable import printable
from ddbreplica_cli.recheck import Difference, Finding

REPAIRED = "repaired"
"""What is said of a key that was healed, and was equal when it was looked at again."""


@dataclass(slots=True)
class Findings:
    """All differences counted, the first few kept, each written to the report if there is one."""

    keep: int
    report: TextIO | None = None
    counts: Counter[Finding] = field(default_factory=Counter)
    repaired: int = 0
    first: list[tuple[Difference, str | None]] = field(default_factory=list)

    def add(self, difference: Difference, repair: str | None = None) -> None:
        """Take up one more. `repair` says what was done, or would be; None is nothing."""
        self.counts[difference.finding] += 1
        self.repaired += repair == REPAIRED
        if len(self.first) < self.keep:
            self.first.append((difference, repair))
        if self.report is not None:
            self.report.write(printable(as_document(difference, repair)) + "\n")


def as_document(difference: Difference, repair: str | None) -> dict[str, Any]:
    """A difference for a program; keys and values are wire JSON, numbers and sets in canonical form."""
    document = {
        "finding": difference.finding.value,
        "key": attributes_of(difference.key),
        "attributes": [
            {"name": attribute.name, "source": attribute.source, "replica": attribute.replica}
            for attribute in difference.attributes
        ],
    }
    return document if repair is None else {**document, "repair": repair}
