"""What a verification found → one verdict, as a document and as text. Pure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ddbreplica_cli.compare import AttributeDifference
from ddbreplica_cli.recheck import Difference, Finding, Findings
from ddbreplica_cli.sweep import Swept

EQUAL = "equal"
NOT_EQUAL = "not equal"
INCONCLUSIVE = "inconclusive"

_VERDICTS = {EQUAL: "equal", NOT_EQUAL: "NOT EQUAL", INCONCLUSIVE: "inconclusive"}
_LONGEST_VALUE = 60
_SIDES = {Finding.MISSING: "in the source only", Finding.EXTRA: "in the replica only"}


@dataclass(frozen=True, slots=True)
class Verified:
    """A verification that came to its end."""

    source: str
    replica: str
    swept: Swept
    findings: Findings
    seconds: float

    @property
    def verdict(self) -> str:
        """`equal` only if everything was looked at and nothing is open."""
        counts = self.findings.counts
        if counts.total() > counts[Finding.INCONCLUSIVE]:
            return NOT_EQUAL
        return INCONCLUSIVE if counts.total() or self.swept.stopped_early else EQUAL

    def document(self) -> dict[str, Any]:
        """Everything, for a program; keys and values are wire JSON, numbers and sets in canonical form."""
        return {
            "verdict": self.verdict,
            "source": self.source,
            "replica": self.replica,
            **self._counts(),
            "seconds": self.seconds,
            "stopped_early": self.swept.stopped_early,
            "differences": [_as_document(difference) for difference in self.findings.first],
        }

    def text(self) -> str:
        """Counts, the first differences and, last, the verdict."""
        rows = {
            "source": self.source,
            "replica": self.replica,
            **{name.replace("_", " "): f"{count:>12,}" for name, count in self._counts().items()},
            "seconds": f"{self.seconds:>12.2f}",
        }
        table = [f"{name:<15}{value}" for name, value in rows.items()]
        return "\n".join([*table, "", *self._shown(), _VERDICTS[self.verdict]])

    def _counts(self) -> dict[str, int]:
        counts = {finding.value: self.findings.counts[finding] for finding in Finding}
        return {"source_items": self.swept.source_items, "replica_items": self.swept.replica_items, **counts}

    def _shown(self) -> Iterator[str]:
        for difference in self.findings.first:
            yield from _as_lines(difference)
        if more := self.findings.counts.total() - len(self.findings.first):
            yield f"and {more:,} more"
        if self.findings.counts:
            yield ""


def _as_document(difference: Difference) -> dict[str, Any]:
    return {
        "finding": difference.finding.value,
        "key": difference.key,
        "attributes": [
            {"name": attribute.name, "source": attribute.source, "replica": attribute.replica}
            for attribute in difference.attributes
        ],
    }


def _as_lines(difference: Difference) -> Iterator[str]:
    key = ", ".join(f"{name}={_shortened(value)}" for name, value in sorted(difference.key.items()))
    side = _SIDES.get(difference.finding)
    yield f"{difference.finding.value:<13}{key}" + (f"  ({side})" if side else "")
    for attribute in difference.attributes:
        yield from _attribute_lines(attribute)


def _attribute_lines(attribute: AttributeDifference) -> Iterator[str]:
    yield f"{'':<13}{json.dumps(attribute.name, ensure_ascii=False)}"
    yield f"{'':<15}source   {_shortened(attribute.source)}"
    yield f"{'':<15}replica  {_shortened(attribute.replica)}"


def _shortened(value: Mapping[str, Any] | None) -> str:
    """A value as wire JSON, with control characters escaped, on one line."""
    if value is None:
        return "(absent)"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}… ({len(text):,} characters)"
