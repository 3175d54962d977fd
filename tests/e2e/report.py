"""Collect what a run found about each claim, and write one report for people and programs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final


class Claim(Enum):
    """A claim that only AWS can confirm, and that a step of the run checks."""

    DEPLOYED = (
        "CloudFormation accepts the template with `DeletionPolicy: !Ref` and without LanguageExtensions"
    )
    REPLICATED = (
        "Loaded, updated and deleted items are replicated, and `verify` reports that the tables are equal"
    )
    ORDERED = "With ten batches of a shard at a time, the changes of one item stay in order"
    QUARANTINED = (
        "A record that can never be written is quarantined with its reason, and the others are applied"
    )
    KEPT = "Batches that Lambda discards are in the on-failure bucket, with their records"
    DROPPED = "If that bucket refuses them, alarms report dropped records, and `verify` finds the differences"
    REPAIRED = "Items of discarded or dropped records are repaired by a change at the source"
    WAITED = "While the function fails, is throttled or is not invoked, changes wait, and none is lost"
    UPDATED = "A code update during writes repeats one batch at most"
    VERIFIED_BY_WORKERS = "A verification by workers inside AWS finds exactly the item that differs"
    REPAIRED_BY_WORKERS = "A repair by workers makes the tables equal"
    COPIED_BY_WORKERS = "A backfill by workers copies the items that the replica lacks"
    STOPPED = "A job of workers is stopped by a command, and resumed by the command that started it"
    SCHEDULED = "Schedules start a redrive and a verification"
    FIRED = "Alarms fire on the problems that they report"
    MEASURED = "The metrics of the alarms exist"
    TABLES_DELETED = "With TableDeletionPolicy=Delete, the tables are deleted with the stack"
    REMOVED = "Nothing that the run created is left"


OUT_OF_REACH: Final[Mapping[str, str]] = {
    "The look of the dashboard": "an operator must look at it: run with `--keep` and open the output DashboardUrl",
    "`--import-existing-resources` with retained tables": "run the commands in docs/deployment.md yourself",
    "ReplicaCriticallyLateAlarm fires": "takes six hours; its metric is that of ReplicaLateAlarm",
    "FunctionSlowAlarm fires": "takes ten minutes of slow invocations, which the run does not cause",
    "VerificationOverdueAlarm fires": "takes hours without a verification; the scheduled redrive emits its metric",
    "MappingStillStalledAlarm fires": "it is MappingStalledAlarm, and notifies 20 minutes later",
    "ReplicationUnhealthyAlarm fires": "it combines the other alarms, which the report shows",
    "A replica in another Region or account, and KMS keys": "requires more than one account; see docs/deployment.md",
    "The throughput of ten concurrent batches": "these tables are limited to five write capacity units per second",
}
"""What the run cannot check, and why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Evidence for a claim, and whether the claim held."""

    claim: Claim
    held: bool
    evidence: str


@dataclass(slots=True)
class Report:
    """All findings of a run, in order."""

    about: str = ""
    findings: list[Finding] = field(default_factory=list)
    ended: str = "The run completed."
    left_behind: list[str] = field(default_factory=list)

    def add(self, claim: Claim, evidence: str, *, held: bool = True) -> None:
        """Add evidence for a claim."""
        self.findings.append(Finding(claim, held, evidence))

    def outcome(self, claim: Claim) -> str:
        """Return `confirmed` if there is evidence and the claim held in all of it."""
        held = [finding.held for finding in self.findings if finding.claim is claim]
        if not held:
            return "not tried"
        return "confirmed" if all(held) else "DID NOT HOLD"

    @property
    def is_good(self) -> bool:
        """Whether the claims held in all evidence."""
        return all(finding.held for finding in self.findings)

    def write(self, home: Path) -> Path:
        """Write report.md and report.json; return the former's path."""
        home.mkdir(parents=True, exist_ok=True)
        (home / "report.json").write_text(json.dumps(self.document(), indent=2) + "\n", encoding="utf-8")
        path = home / "report.md"
        path.write_text(self.text(), encoding="utf-8")
        return path

    def document(self) -> dict[str, Any]:
        """Return the whole report as JSON values."""
        return {
            "about": self.about,
            "ended": self.ended,
            "claims": {
                claim.name.lower(): {
                    "claim": claim.value,
                    "outcome": self.outcome(claim),
                    "evidence": self._evidence(claim),
                }
                for claim in Claim
            },
            "out_of_reach": dict(OUT_OF_REACH),
            "left_behind": self.left_behind,
        }

    def text(self) -> str:
        """Return the whole report as Markdown."""
        lines = [
            "# ddbreplica on AWS",
            "",
            self.about,
            "",
            self.ended,
            "",
            "| claim | outcome |",
            "|---|---|",
        ]
        lines += [f"| {claim.value} | {self.outcome(claim)} |" for claim in Claim]
        lines += [f"| {claim} | out of reach: {reason} |" for claim, reason in OUT_OF_REACH.items()]
        lines += ["", "## Evidence", ""]
        lines += [f"- {finding.claim.name}: {finding.evidence}" for finding in self.findings]
        lines += ["", "## Left behind", "", *(f"- {name}" for name in self.left_behind or ["nothing"])]
        return "\n".join(lines) + "\n"

    def _evidence(self, claim: Claim) -> list[dict[str, Any]]:
        return [
            {"held": finding.held, "seen": finding.evidence}
            for finding in self.findings
            if finding.claim is claim
        ]
