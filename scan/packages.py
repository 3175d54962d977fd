"""A lock → what is known to be unsafe of the packages that it pins."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scan.bare import TO_THE_NETWORK, run
from scan.findings import Finding, ScanError

_PIP_AUDIT: Final = Path(__file__).parents[1] / ".venv-scan" / "bin" / "pip-audit"
_OUT_OF_REACH: Final = re.compile(r"requests\.exceptions\.|ServiceError|network may be blocking")


class UnansweredError(Exception):
    """Nobody answers whether packages are safe."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What is known of a lock's packages, and the packages of which nothing can be known."""

    findings: Sequence[Finding]
    unknown: Sequence[str] = ()


def scan(lock: Path) -> Audit:
    """Ask PyPI's advisories. Raises UnansweredError, or ScanError if pip-audit does not do its work."""
    options = ("--disable-pip", "--require-hashes", "--format=json", "--progress-spinner=off")
    done = run([_PIP_AUDIT, *options, f"--requirement={lock}"], passed_on=TO_THE_NETWORK)
    try:
        report = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise failure(done.stderr) from error
    return audit(report)


def audit(report: Any) -> Audit:
    """Read pip-audit's report. Raises UnansweredError if it got no answer for any package."""
    unknown = [package["name"] for package in report["dependencies"] if "skip_reason" in package]
    answered = [package for package in report["dependencies"] if "skip_reason" not in package]
    if not answered:
        raise UnansweredError(f"there are no advisories on {', '.join(unknown)}")
    findings = [
        Finding(advisory["id"], f"{package['name']} {package['version']}", advisory["description"])
        for package in answered
        for advisory in package["vulns"]
    ]
    return Audit(findings, unknown)


def failure(said: str) -> ScanError | UnansweredError:
    """Tell advisories that are out of reach from a scanner that does not work."""
    last = said.strip().rpartition("\n")[2]
    return UnansweredError(last) if _OUT_OF_REACH.search(last) else ScanError(f"pip-audit: {last}")
