"""Collect differences and the outcome of their repair: counts, the first few of them, and a report with all."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ddbreplica.bucket.verification_record import BY_LOOKS, BY_STREAM
from ddbreplica.model import Key
from ddbreplica.reconcile import algorithm
from ddbreplica.records.compare import AttributeDifference
from ddbreplica.records.decode import attributes_of, key_of
from ddbreplica.records.text import printable
from ddbreplica.verify.difference import Difference, DifferenceKind
from ddbreplica.verify.result.report_file import ReportFile

REPAIRED = "repaired"
"""The outcome for a key that was repaired and was equal when it was compared again."""

REFUSED = "refused: "
"""The beginning of the outcome for a key that the replica refused; the code and the message of AWS follow."""

UNDECIDED = f"undecided: {algorithm.UNDECIDED}"
"""The outcome for a key of an archive that the source no longer has, so that an operator must review it."""

Found: TypeAlias = tuple[Difference, str | None]
"""A difference and the outcome of its repair; None if no repair was tried."""


@dataclass(slots=True)
class Findings:
    """Count all differences, keep the first few, and write each to the report if there is one.

    `unrepaired` counts those that were not repaired. Archived items are not differences, so they are kept separately;
    moving items are only counted and reported. If `without_values`, no item's values are kept: keys and attribute
    names remain. `confirmed_by` and `lag` are those of the verdict.
    """

    keep: int
    report: ReportFile | None = None
    without_values: bool = False
    counts: Counter[DifferenceKind] = field(default_factory=Counter)
    repaired: int = 0
    unrepaired: Counter[DifferenceKind] = field(default_factory=Counter)
    undecided: int = 0
    first: list[Found] = field(default_factory=list)
    archived: list[Found] = field(default_factory=list)
    confirmed_by: str | None = None
    lag: float | None = None

    def add(self, difference: Difference, repair: str | None = None) -> None:
        """Add a difference. `repair` is the outcome of its repair, or of a dry run; None if there was none."""
        self.counts[difference.finding] += 1
        self.repaired += repair == REPAIRED
        self.unrepaired[difference.finding] += repair != REPAIRED
        self.undecided += repair == UNDECIDED
        self._keep(difference, repair)

    def _keep(self, difference: Difference, repair: str | None) -> None:
        repair = self.shown(repair)
        kept = self._kept_of(difference.finding)
        if len(kept) < self.keep:
            kept.append((difference, repair))
        if self.report is not None:
            self.report.write(printable(self.as_document(difference, repair)))

    def shown(self, repair: str | None) -> str | None:
        """Return the outcome of a repair without AWS's message, which may quote a value, if no values are kept."""
        if not self.without_values or repair is None or not repair.startswith(REFUSED):
            return repair
        return f"{REFUSED}{repair.removeprefix(REFUSED).partition(':')[0]}"

    def _kept_of(self, finding: DifferenceKind) -> list[Found]:
        """Return the list that keeps the first results of this kind; moving items are not kept."""
        if finding is DifferenceKind.MOVING:
            return []
        return self.archived if finding is DifferenceKind.ARCHIVED else self.first

    def confirmed(self, *, by_looks: bool, lag: float | None) -> None:
        """Note how suspected differences were confirmed: by the stream only if all of them were."""
        if self.confirmed_by != BY_LOOKS:
            self.confirmed_by = BY_LOOKS if by_looks else BY_STREAM
        self.lag = self.lag if lag is None else lag

    def archive(self, keys: Iterable[Key]) -> None:
        """Keep and report keys that only the archive has. The comparison counts them itself."""
        for key in keys:
            self._keep(Difference(DifferenceKind.ARCHIVED, key), None)

    def state_document(self) -> dict[str, Any]:
        """Return the counts and the first differences as JSON values. Without values, which may be large."""
        return {
            "counts": _by_value(self.counts),
            "unrepaired": _by_value(self.unrepaired),
            "repaired": self.repaired,
            "undecided": self.undecided,
            "confirmed_by": self.confirmed_by,
            "lag": self.lag,
            "first": [_stored(*found) for found in self.first],
        }

    def restore(self, document: Mapping[str, Any]) -> None:
        """Restore what an earlier run has stored; the first differences have no attributes then.

        Raises KeyError, TypeError, ValueError or MalformedError if it is damaged.
        """
        self.first = [_restored(found) for found in document["first"]][: self.keep]
        self.counts = _counter(document["counts"])
        self.unrepaired = _counter(document["unrepaired"])
        self.repaired, self.undecided = int(document["repaired"]), int(document["undecided"])
        self.confirmed_by, self.lag = document["confirmed_by"], document["lag"]
        if self.confirmed_by not in (None, BY_LOOKS, BY_STREAM) or not isinstance(
            self.lag, float | int | None
        ):
            raise ValueError(document)

    def as_document(self, difference: Difference, repair: str | None) -> dict[str, Any]:
        """Return a difference as a JSON document, with DynamoDB JSON; numbers and sets have their canonical form."""
        document = {
            "finding": difference.finding.value,
            "key": attributes_of(difference.key),
            "attributes": [self._attribute_document(attribute) for attribute in difference.attributes],
            **({"reason": difference.reason} if difference.reason else {}),
        }
        return document if repair is None else {**document, "repair": repair}

    def _attribute_document(self, attribute: AttributeDifference) -> dict[str, Any]:
        values = {} if self.without_values else {"source": attribute.source, "replica": attribute.replica}
        return {"name": attribute.name, **values}


def read_difference(document: Mapping[str, Any]) -> Difference:
    """Return the difference of a document that `as_document` has made.

    Raises KeyError, TypeError, ValueError or MalformedError if it is damaged.
    """
    attributes = (
        AttributeDifference(each["name"], each.get("source"), each.get("replica"))
        for each in document["attributes"]
    )
    finding, key = DifferenceKind(document["finding"]), key_of(document["key"])
    return Difference(finding, key, tuple(attributes), str(document.get("reason", "")))


def _stored(difference: Difference, repair: str | None) -> dict[str, Any]:
    key, finding = attributes_of(difference.key), difference.finding.value
    return {"finding": finding, "key": key, "reason": difference.reason, "repair": repair}


def _restored(document: Mapping[str, Any]) -> Found:
    repair = document["repair"]
    if not isinstance(repair, str | None):
        raise TypeError(document)
    finding, key = DifferenceKind(document["finding"]), key_of(document["key"])
    return Difference(finding, key, reason=str(document["reason"])), repair


def _by_value(counts: Counter[DifferenceKind]) -> dict[str, int]:
    return {finding.value: count for finding, count in counts.items()}


def _counter(document: Mapping[str, Any]) -> Counter[DifferenceKind]:
    return Counter({DifferenceKind(name): int(count) for name, count in document.items()})
