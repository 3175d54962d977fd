"""`python -m scan.sbom FILE`: the lock of what is deployed → its software bill of materials, as CycloneDX JSON.

The same lock gives the same bytes: there is no time and no random number in it.
"""

import sys
from pathlib import Path
from typing import Final

from scan.bare import run
from scan.findings import ScanError

_ROOT: Final = Path(__file__).parents[1]
_CYCLONEDX: Final = _ROOT / ".venv-sbom" / "bin" / "cyclonedx-py"
LOCK: Final = _ROOT / "src" / "requirements.txt"


def write(target: Path, *, lock: Path = LOCK) -> None:
    """List the packages of the lock, with their versions and hashes, in `target`. Raises ScanError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    of = ("requirements", f"{lock}", f"--pyproject={_ROOT / 'pyproject.toml'}")
    done = run([_CYCLONEDX, *of, "--output-reproducible", "--of=JSON", f"--output-file={target}"])
    if done.returncode:
        raise ScanError(f"cyclonedx-py ended with {done.returncode}: {done.stderr.strip()[-2000:]}")


if __name__ == "__main__":
    try:
        write(Path(sys.argv[1]))
    except ScanError as error:
        sys.exit(str(error))
