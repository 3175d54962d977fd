"""Build the function's deployment package: src/ and its pinned dependencies, which are downloaded once.

`python -m demo.bundle` only downloads them.
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from zipfile import ZIP_DEFLATED, ZipFile

from demo.embedded import ROOT
from demo.errors import DeployError

_SOURCE: Final = ROOT / "src"
_LOCK: Final = _SOURCE / "requirements.txt"
_CACHE: Final = ROOT / "build" / "demo"
_UV: Final = ROOT / ".venv" / "bin" / "uv"


def bundle(target: Path, *, source: Path = _SOURCE) -> Path:
    """Write the deployment package of `source` to `target`. Raises DeployError if a dependency cannot be installed."""
    shutil.copyfile(dependencies(), target)
    with ZipFile(target, "a", ZIP_DEFLATED) as archive:
        _add(archive, source, sorted((source / "ddbreplica").rglob("*.py")))
    return target


def dependencies() -> Path:
    """Return a zip of the pinned dependencies, which is built again only when the lock file has changed."""
    digest = hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:16]
    archive = _CACHE / f"dependencies-{digest}.zip"
    if not archive.exists():
        shutil.rmtree(_CACHE, ignore_errors=True)
        _install(_CACHE / "dependencies")
        partial = archive.with_suffix(".partial")
        with ZipFile(partial, "w", ZIP_DEFLATED) as zipped:
            _add(zipped, _CACHE / "dependencies", sorted((_CACHE / "dependencies").rglob("*")))
        partial.rename(archive)
        shutil.rmtree(_CACHE / "dependencies")
    return archive


def _install(target: Path) -> None:
    # All dependencies are pure Python, so that the processor does not matter.
    command = ["pip", "install", "--quiet", "--require-hashes", "--no-deps", "--python-version", "3.13"]
    where = ["--python", sys.executable, "--target", str(target), "--requirement", str(_LOCK)]
    done = subprocess.run([str(_UV), *command, *where], capture_output=True, text=True, check=False)
    if done.returncode:
        raise DeployError(
            f"The dependencies in src/requirements.txt cannot be installed:\n{done.stderr.strip()}"
        )


def _add(archive: ZipFile, root: Path, paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_file():
            archive.write(path, path.relative_to(root))


if __name__ == "__main__":
    dependencies()
