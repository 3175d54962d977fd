"""What a run found about each claim → one report, for people and for programs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final


class Claim(Enum):
    """What only AWS can confirm, and a step of the run looks at."""

    DEPLOYED = "CloudFormation takes the template as it is, `DeletionPolicy: !Ref` without LanguageExtensions"
    REPLICATED = "What is loaded, updated and deleted at the source arrives, and `verify` proves it equal"
    ORDERED = "With ten batches of a shard at a time the changes of one item stay in order"
    QUARANTINED = "What the replica can never hold is quarantined with its reason, and its neighbours arrive"
    KEPT = (
        "What Lambda gives up is in the on-failure bucket, with its records (role under s3:ResourceAccount)"
    )
    DROPPED = "Where that bucket refuses, alarms say that records were dropped, and `verify` finds them"
    MENDED = "Items that were given up are mended by a change at the source"
    WAITED = "While the function fails, is throttled or is not invoked, changes wait, and none is lost"
    UPDATED = "A code update under writes re-applies one batch at most"
    FIRED = "Alarms fire on the trouble they stand for"
    MEASURED = "Alarms look at metrics that exist"
    TABLES_DELETED = "With TableDeletionPolicy=Delete the tables go with the stack"
    REMOVED = "Nothing of the run is left"


OUT_OF_REACH: Final[Mapping[str, str]] = {
    "The dashboard's look": "takes an eye: `--keep` leaves the stack, and its output DashboardUrl is the address",
    "`--import-existing-resources` over kept tables": "docs/deployment.md has the commands, to be run by hand",
    "ReplicaCriticallyLateAlarm fires": "takes six hours; its metric is that of ReplicaLateAlarm",
    "FunctionSlowAlarm fires": "it wants ten minutes of slow invocations, which the run does not wait for",
    "MappingStillStalledAlarm fires": "it is MappingStalledAlarm, and notifies 20 minutes after it",
    "ReplicationUnhealthyAlarm fires": "it is the other alarms in one, and is shown beside them",
    "A replica in another Region or account, and KMS keys": "takes more than one account; docs/deployment.md",
    "How much faster ten batches at a time are": "five write units a second are the limit of these tables",
}
"""What no step looks at, and why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen of a claim, and whether it held."""

    claim: Claim
    held: bool
    evidence: str


@dataclass(slots=True)
class Report:
    """All findings of a run, as they come in."""

    about: str = ""
    findings: list[Finding] = field(default_factory=list)
    ended: str = "The run came to its end."
    left_behind: list[str] = field(default_factory=list)

    def add(self, claim: Claim, evidence: str, *, held: bool = True) -> None:
        """Note what was seen."""
        self.findings.append(Finding(claim, held, evidence))

    def outcome(self, claim: Claim) -> str:
        """`confirmed` only if something was seen, and all of it held."""
        held = [finding.held for finding in self.findings if finding.claim is claim]
        if not held:
            return "not tried"
        return "confirmed" if all(held) else "DID NOT HOLD"

    @property
    def is_good(self) -> bool:
        """Whether everything that was seen held."""
        return all(finding.held for finding in self.findings)

    def write(self, home: Path) -> Path:
        """Write report.md and report.json; return the former's path."""
        home.mkdir(parents=True, exist_ok=True)
        (home / "report.json").write_text(json.dumps(self.document(), indent=2) + "\n", encoding="utf-8")
        path = home / "report.md"
        path.write_text(self.text(), encoding="utf-8")
        return path

    def document(self) -> dict[str, Any]:
        """Everything, for a program."""
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
        """Everything, as Markdown."""
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
        lines += ["", "## What was seen", ""]
        lines += [f"- {finding.claim.name}: {finding.evidence}" for finding in self.findings]
        lines += ["", "## Left behind", "", *(f"- {name}" for name in self.left_behind or ["nothing"])]
        return "\n".join(lines) + "\n"

    def _evidence(self, claim: Claim) -> list[dict[str, Any]]:
        return [
            {"held": finding.held, "seen": finding.evidence}
            for finding in self.findings
            if finding.claim is claim
        ]
