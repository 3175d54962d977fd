"""Differences, and what a repair did about each → counts, the first few, and a line each in a report."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ddbreplica.model import Key
from ddbreplica.reconcile import algorithm
from ddbreplica.records.decode import attributes_of
from ddbreplica.records.text import printable
from ddbreplica.verify.difference import Difference, DifferenceKind
from ddbreplica.verify.report_file import ReportFile

REPAIRED = "repaired"
"""What is said of a key that was healed, and was equal when it was looked at again."""


UNDECIDED = f"undecided: {algorithm.UNDECIDED}"
"""What is said of a key of an archive that was gone from the source when it was to be healed."""

Found: TypeAlias = tuple[Difference, str | None]
"""What there is to say of a key, and what was done about it; None is nothing."""


@dataclass(slots=True)
class Findings:
    """All counted, the first few kept, each written to the report if there is one.

    What is archived is no difference, and is kept apart.
    """

    keep: int
    report: ReportFile | None = None
    counts: Counter[DifferenceKind] = field(default_factory=Counter)
    repaired: int = 0
    undecided: int = 0
    first: list[Found] = field(default_factory=list)
    archived: list[Found] = field(default_factory=list)

    def add(self, difference: Difference, repair: str | None = None) -> None:
        """Take up one more. `repair` says what was done, or would be; None is nothing."""
        self.counts[difference.finding] += 1
        self.repaired += repair == REPAIRED
        self.undecided += repair == UNDECIDED
        kept = self.archived if difference.finding is DifferenceKind.ARCHIVED else self.first
        if len(kept) < self.keep:
            kept.append((difference, repair))
        if self.report is not None:
            self.report.write(printable(as_document(difference, repair)))

    def archive(self, keys: Iterable[Key]) -> None:
        """Take up what only an archive has."""
        for key in keys:
            self.add(Difference(DifferenceKind.ARCHIVED, key))


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
