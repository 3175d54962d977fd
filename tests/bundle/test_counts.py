"""README.md states how many tests there are."""

import re
import subprocess
import sys

from tests.support.modules import ROOT

LAYERS = ("unit", "functional", "exhaustive", "bundle", "rules", "stack", "engine")


def test_the_number_of_tests_in_the_readme_is_true() -> None:
    collected = subprocess.run(  # noqa: S603  our own
        [
            *(sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"),
            *(f"tests/{layer}" for layer in LAYERS),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    counted = re.search(r"^(\d+) tests collected", collected.stdout, re.MULTILINE)
    stated = re.search(r"More than (\d+),000 tests", (ROOT / "README.md").read_text())

    assert counted, collected.stdout[-2000:]
    assert stated
    assert 1 < int(counted[1]) / (1000 * int(stated[1])) < 1.25
