"""`python -m scan [--offline]`: exit code 0 if every finding is accepted with a reason, 1 if not.

A package of which nobody answered whether it is safe fails the check, unless `--offline` says that nobody can.
"""

import argparse
import sys
import tomllib
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
    """Scan; print what was found and what is unknown, and what has to be fixed on stderr."""
    parser = argparse.ArgumentParser(prog="python -m scan")
    parser.add_argument("--offline", action="store_true", help="ask no advisories, and do not fail for it")
    offline = parser.parse_args().offline
    table = tomllib.loads((_ROOT / "scan" / "accepted.toml").read_text())
    try:
        wrong = _in_templates(table["templates"])
        wrong += _not_asked() if offline else _in_packages(table["packages"])
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


def _not_asked() -> list[str]:
    print(f"OFFLINE: the packages of {len(_LOCKS)} locks were NOT looked up in PyPI's advisories.")
    return []


def _in_packages(table: Any) -> list[str]:
    known = accepted(table)
    try:
        audits = [packages.scan(lock) for lock in _LOCKS]
    except packages.UnansweredError as error:
        return [
            f"Packages are not audited: {error}\nTry: make check ADVISORIES=offline, where PyPI is out of reach."
        ]
    found = {finding for audit in audits for finding in audit.findings}
    print(f"Audited {len(audits)} locks: {len(found)} findings")
    unknown = sorted({name for audit in audits for name in audit.unknown})
    return [
        *unaccepted(found, known),
        *(f"{name}: PyPI's advisories do not know this package" for name in unknown),
        *(outlived(found, known) if not unknown else ()),
    ]


if __name__ == "__main__":
    sys.exit(main())
