"""`python -m scan`: exit code 0 if every finding is accepted with a reason, 1 if not."""

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from scan import packages, templates
from scan.findings import ScanError, accepted, outlived, unaccepted

_ROOT: Final = Path(__file__).parents[1]
_TEMPLATES: Final = [path for path in (_ROOT / "template.yaml", _ROOT / "replica.yaml") if path.exists()]
# The floors are old on purpose, and are installed for nobody.
_LOCKS: Final = [
    _ROOT / "src" / "requirements.txt",
    *sorted(path for path in (_ROOT / "requirements").glob("*.txt") if path.stem != "floors"),
]


def main() -> int:
    """Scan; say what was found, what cannot be known, and what has to be mended."""
    table = tomllib.loads((_ROOT / "scan" / "accepted.toml").read_text())
    try:
        wrong = _in_templates(table["templates"]) + _in_packages(table["packages"])
    except ScanError as error:
        wrong = [str(error)]
    for complaint in wrong:
        print(complaint, file=sys.stderr)
    return 1 if wrong else 0


def _in_templates(table: Any) -> list[str]:
    known = accepted(table)
    found = templates.scan(_TEMPLATES)
    print(f"Scanned {', '.join(path.name for path in _TEMPLATES)}: {len(found)} findings")
    return [*unaccepted(found, known), *outlived(found, known)]


def _in_packages(table: Any) -> list[str]:
    known = accepted(table)
    audits = list(_audits())
    found = {finding for audit in audits for finding in audit.findings}
    if audits:
        print(f"Audited {len(audits)} of {len(_LOCKS)} locks: {len(found)} findings")
    if unknown := sorted({name for audit in audits for name in audit.unknown}):
        print(f"No advisories on {', '.join(unknown)}")
    is_complete = len(audits) == len(_LOCKS) and not unknown
    return [*unaccepted(found, known), *(outlived(found, known) if is_complete else ())]


def _audits() -> Iterator[packages.Audit]:
    """One a lock, as long as somebody answers."""
    try:
        for lock in _LOCKS:
            yield packages.scan(lock)
    except packages.UnansweredError as error:
        print(f"Packages are not audited: {error}")


if __name__ == "__main__":
    sys.exit(main())
