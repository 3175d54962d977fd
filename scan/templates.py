"""CloudFormation templates → what checkov finds in them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from scan.bare import run
from scan.findings import Finding, ScanError

_CHECKOV: Final = Path(__file__).parents[1] / ".venv-scan" / "bin" / "checkov"


def scan(templates: Sequence[Path]) -> list[Finding]:
    """Let checkov read the templates by the rules that it brings along, asking nobody. Raises ScanError."""
    files = [argument for template in templates for argument in ("--file", str(template))]
    done = run([_CHECKOV, "--framework", "cloudformation", "--skip-download", "--output", "json", *files])
    try:
        report = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise ScanError(f"checkov ended with {done.returncode}: {done.stderr.strip()[-2000:]}") from error
    return findings(report, templates=[template.name for template in templates])


def findings(report: Any, *, templates: Sequence[str]) -> list[Finding]:
    """Read checkov's report. Raises ScanError unless it has checked something in each of these templates."""
    checks = report.get("results", {"passed_checks": [], "failed_checks": []})
    checked = {_file(check) for kind in ("passed_checks", "failed_checks") for check in checks[kind]}
    if checked != set(templates):
        raise ScanError(f"checkov checked {sorted(checked)} and not {sorted(templates)}.")
    return [
        Finding(check["check_id"], _subject(check), check["check_name"]) for check in checks["failed_checks"]
    ]


def _subject(check: Any) -> str:
    return f"{_file(check)} {check['resource'].rpartition('.')[2]}"


def _file(check: Any) -> str:
    return Path(check["file_path"]).name
