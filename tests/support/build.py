"""Build the deployment packages of this checkout with `sam build`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
SAM: Final = ROOT / ".venv-sam" / "bin" / "sam"
SET_SAM_UP: Final = "run `make .venv-sam/ready`"


def build(target: Path, *, project: Path = ROOT) -> Path:
    """Build into `target`, one directory per package, and return it. Skip if Python 3.13 or SAM CLI is missing."""
    where = python313()
    if where is None:
        pytest.skip(f"needs Python 3.13, the function's runtime, and then: {SET_SAM_UP}")
    if not SAM.exists():
        pytest.skip(f"needs SAM CLI: {SET_SAM_UP}")
    env = os.environ | {"PATH": f"{where}:{os.environ['PATH']}", "SAM_CLI_TELEMETRY": "0"}
    built = subprocess.run(  # noqa: S603
        [SAM, "build", "--build-dir", target, "--region", "us-east-1"],
        cwd=project,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return target


def bill_of_materials(target: Path) -> None:
    """Write the software bill of materials, as `make build` does, with the generator beside this interpreter."""
    generator = Path(sys.executable).parent / "cyclonedx-py"
    if not generator.exists():
        pytest.skip("needs cyclonedx-bom: run `make setup`")
    subprocess.run(  # noqa: S603
        ["make", "-s", "-o", ".venv/ready", f"{target}", f"SBOM={target}", f"CYCLONEDX={generator}"],  # noqa: S607
        cwd=ROOT,
        env=without_make({}),
        check=True,
    )


def without_make(environment: dict[str, str]) -> dict[str, str]:
    """Return the environment for a separate make, without the variables in which make passes on its options."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return others | environment


def python313() -> Path | None:
    """Return Python 3.13, which `sam build` needs on PATH, also if a version manager installed it elsewhere."""
    candidates = [shutil.which("python3.13"), sys.executable]
    managed = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    candidates += [str(path) for path in managed.glob("3.13.*/bin/python3.13")]
    for candidate in filter(None, candidates):
        asked = subprocess.run(  # noqa: S603
            [candidate, "-c", "import sys; print(sys.version_info[:2], sys.base_prefix)"],
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.returncode == 0 and asked.stdout.startswith("(3, 13)"):
            return Path(asked.stdout.split(") ", 1)[1].strip(), "bin")
    return None
