"""The result of a verification: a verdict, a JSON document and a text. Pure."""

from dataclasses import dataclass
from typing import Any

from ddbreplica.records.decode import attributes_of
from ddbreplica.records.text import lines
from ddbreplica.verify.difference import CERTAIN, NO_DIFFERENCE, DifferenceKind, Swept
from ddbreplica.verify.result.findings import REPAIRED, Findings
from ddbreplica.verify.result.text import shown, text_of

EQUAL = "equal"
NOT_EQUAL = "not equal"
INCONCLUSIVE = "inconclusive"

_DIFFERENCES = tuple(finding for finding in DifferenceKind if finding not in NO_DIFFERENCE)


@dataclass(frozen=True, slots=True)
class Verified:
    """The result of a verification, or what is known of it so far.

    `looked_at` describes the compared items. `is_repair` is whether differences were to be repaired. `began` is when
    the first scan began, in ISO 8601; the verdict is about what was so at that time. `suspects` are the suspected
    differences that are not decided. If `stopped_early`, items remain that were not compared. `confirmed_by` is what
    decided that differences are no lag: BY_STREAM or BY_LOOKS; None if nothing had to be confirmed. `in_doubt` is the
    number of items that an in-doubt write may still change. `lag` is in seconds, or None if it was not needed or is
    unknown. `transform` is the digest of the function's transform; None without one. If `transform_changed`, the
    function had another one after the last look, and nothing is known.
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
    transform: str | None = None
    transform_changed: bool = False

    @property
    def verdict(self) -> str:
        """The verdict: `equal` or `repaired` only if all items were compared and none is inconclusive or in doubt."""
        if self.transform_changed:
            return INCONCLUSIVE
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
            "transform": self.transform,
            "transform_changed": self.transform_changed,
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
        return lines(shown(self._document()))

    def text(self) -> str:
        """Return the counts, the first differences and, on the last line, the verdict."""
        return text_of(self.document())

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
