"""What the scanners found, and what is accepted → what has to be mended. Pure."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Accepted = Mapping[str, Collection[str]]
"""Rules, and the subjects for which each is accepted."""


class ScanError(Exception):
    """A scanner did not do its work, or the list of what is accepted cannot be read."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A rule that a subject breaks: a resource of a template, or a version of a package."""

    rule: str
    subject: str
    meaning: str


def accepted(table: Mapping[str, Any]) -> Accepted:
    """Read a table of accepted.toml. Raises ScanError where a rule names no subject, or no reason."""
    for rule, entry in table.items():
        if entry.keys() != {"of", "why"} or not entry["of"] or not entry["why"].strip():
            raise ScanError(
                f"{rule} needs `of`, what it is accepted of, and `why`, the reason; nothing else."
            )
    return {rule: entry["of"] for rule, entry in table.items()}


def unaccepted(found: Collection[Finding], accepted: Accepted) -> Iterator[str]:
    """Say what has to be mended, or accepted with a reason."""
    for finding in sorted(found):
        if finding.subject not in accepted.get(finding.rule, ()):
            yield f"{finding.subject}: {finding.rule}: {finding.meaning}"


def outlived(found: Collection[Finding], accepted: Accepted) -> Iterator[str]:
    """Say what is accepted and found no longer."""
    known = {(finding.rule, finding.subject) for finding in found}
    for rule, subjects in accepted.items():
        for subject in subjects:
            if (rule, subject) not in known:
                yield f"{subject}: {rule} is accepted, and found no longer"
