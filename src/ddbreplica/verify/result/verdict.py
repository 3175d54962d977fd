"""The result of a verification: a verdict, a JSON document and a text. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ddbreplica.bucket.verification_record import BY_LOOKS
from ddbreplica.records.compare import AttributeDifference
from ddbreplica.records.decode import attributes_of
from ddbreplica.records.text import difference_texts, key_text, lines, printable
from ddbreplica.verify.difference import CERTAIN, NO_DIFFERENCE, Difference, DifferenceKind, Swept
from ddbreplica.verify.options import EVERYTHING
from ddbreplica.verify.result.findings import REPAIRED, Findings

EQUAL = "equal"
NOT_EQUAL = "not equal"
INCONCLUSIVE = "inconclusive"

_LONGEST_VALUE = 60
_WIDTH = 27
_LABELS = {"source_outside": "source excluded", "replica_outside": "replica excluded"}
_DIFFERENCES = tuple(finding for finding in DifferenceKind if finding not in NO_DIFFERENCE)
_SIDES = {DifferenceKind.MISSING: "in the source only", DifferenceKind.EXTRA: "in the replica only"}


@dataclass(frozen=True, slots=True)
class Verified:
    """The result of a verification, or what is known of it so far.

    `looked_at` describes the compared items. `is_repair` is whether differences were to be repaired. `began` is when
    the first scan began, in ISO 8601; the verdict is about what was so at that time. `suspects` are the suspected
    differences that are not decided. If `stopped_early`, items remain that were not compared. `confirmed_by` is what
    decided that differences are no lag: BY_STREAM or BY_LOOKS; None if nothing had to be confirmed. `in_doubt` is the
    number of items that an in-doubt write may still change. `lag` is in seconds, or None if it was not needed or is
    unknown.
    """

    source: str
    replica: str
    looked_at: str
    swept: Swept
    findings: Findings
    is_repair: bool
    seconds: float
    began: str
    suspects: int = 0
    stopped_early: bool = False
    confirmed_by: str | None = None
    in_doubt: int = 0
    lag: float | None = None

    @property
    def verdict(self) -> str:
        """The verdict: `equal` or `repaired` only if all items were compared and none is inconclusive or in doubt."""
        unrepaired = self.findings.unrepaired
        if any(unrepaired[finding] for finding in CERTAIN):
            return NOT_EQUAL
        if unrepaired[DifferenceKind.INCONCLUSIVE] or self.stopped_early or self.in_doubt:
            return INCONCLUSIVE
        return REPAIRED if self.findings.repaired else EQUAL

    def document(self) -> dict[str, Any]:
        """Return the result as a JSON document."""
        return {"verdict": self.verdict, **self._document()}

    def document_so_far(self) -> dict[str, Any]:
        """Return what is known so far as a JSON document, without a verdict."""
        return {**self._document(), "suspects": self.suspects}

    def _document(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "replica": self.replica,
            "looked_at": self.looked_at,
            "began": self.began,
            **self._counts(),
            **self._beside(),
            "confirmed_by": self.confirmed_by,
            "lag_seconds": self.lag,
            "seconds": self.seconds,
            "stopped_early": self.stopped_early,
            "differences": [self.findings.as_document(*found) for found in self.findings.first],
            "archived_items": [attributes_of(found.key) for found, _ in self.findings.archived],
        }

    def so_far(self) -> str:
        """Return a clause that says what an ended verification has compared and confirmed."""
        counts = self.findings.counts
        compared = (
            f"{self.swept.source_items:,} items of the source and {self.swept.replica_items:,} of the replica"
        )
        parts = [f"{compared} were compared", f"suspected differences: {self.suspects:,}"]
        if certain := sum(counts[finding] for finding in CERTAIN):
            parts.append(f"confirmed differences: {certain:,}")
        if self.is_repair:
            parts.append(f"repaired: {self.findings.repaired:,}")
        return "; ".join(parts)

    def shown(self) -> str:
        """Return the first differences as text; it is empty if there is none."""
        return lines(self._shown())

    def text(self) -> str:
        """Return the counts, the first differences and, on the last line, the verdict."""
        beside = {name: count for name, count in self._beside().items() if count}
        counts = {**self._counts(), **beside}
        rows = {
            "source": self.source,
            "replica": self.replica,
            **({} if self.looked_at == EVERYTHING else {"compared": self.looked_at}),
            **({"confirmed": "by looks"} if self.confirmed_by == BY_LOOKS else {}),
        }
        figures = {
            **{_LABELS.get(name, name.replace("_", " ")): f"{count:,}" for name, count in counts.items()},
            "seconds": f"{self.seconds:.2f}",
        }
        table = [f"{name:<15}{value}" for name, value in rows.items()]
        aligned = [f"{name}{figure:>{_WIDTH - len(name)}}" for name, figure in figures.items()]
        return lines([*table, *aligned, "", *self._shown(), self._last_line()])

    def _last_line(self) -> str:
        said = self.verdict.upper() if self.verdict == NOT_EQUAL else self.verdict
        return said if self.looked_at == EVERYTHING else f"{said} ({self.looked_at})"

    def _counts(self) -> dict[str, int]:
        counts = {finding.value: self.findings.counts[finding] for finding in _DIFFERENCES}
        repaired = {"repaired": self.findings.repaired} if self.is_repair else {}
        return {
            "source_items": self.swept.source_items,
            "replica_items": self.swept.replica_items,
            **counts,
            **repaired,
        }

    def _beside(self) -> dict[str, int]:
        """Return the counts of archived, moving and in-doubt items, and of items that the filter excludes."""
        return {
            "moving": self.findings.counts[DifferenceKind.MOVING],
            "archived": self.swept.archived + self.findings.counts[DifferenceKind.ARCHIVED],
            "source_outside": self.swept.source_outside,
            "replica_outside": self.swept.replica_outside,
            "in_doubt": self.in_doubt,
        }

    def _shown(self) -> Iterator[str]:
        for difference, repair in self.findings.first:
            yield from _as_lines(difference, repair)
            for attribute in difference.attributes:
                yield from _attribute_lines(attribute, without_values=self.findings.without_values)
        if more := sum(self.findings.counts[finding] for finding in _DIFFERENCES) - len(self.findings.first):
            yield f"and {more:,} more"
        if self.findings.first or more:
            yield ""


def _as_lines(difference: Difference, repair: str | None) -> Iterator[str]:
    key = key_text(attributes_of(difference.key), longest=_LONGEST_VALUE)
    side = _SIDES.get(difference.finding)
    notes = "".join(f"  ({note})" for note in (side, difference.reason) if note)
    yield f"{difference.finding.value:<13}{key}{notes}" + (f": {repair}" if repair else "")


def _attribute_lines(attribute: AttributeDifference, *, without_values: bool) -> Iterator[str]:
    yield f"{'':<13}{printable(attribute.name)}"
    if without_values:
        return
    source, replica = difference_texts(attribute.source, attribute.replica, longest=_LONGEST_VALUE)
    yield f"{'':<15}source   {source}"
    yield f"{'':<15}replica  {replica}"
