"""What `sam build` makes of this checkout is what is deployed: it holds the handler, its packages and nothing else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAM = ROOT / ".venv-sam" / "bin" / "sam"
PACKAGES = {
    "aws-lambda-powertools",
    "boto3",
    "botocore",
    "jmespath",
    "python-dateutil",
    "s3transfer",
    "six",
} | {
    "typing-extensions",
    "urllib3",
}
PROBE = """
import json, sys
import ddbreplica.handler as handler
import boto3, aws_lambda_powertools
print(json.dumps([module.__file__ for module in (handler, boto3, aws_lambda_powertools)]))
"""


def python313() -> Path | None:
    """The runtime's interpreter, which `sam build` looks for on PATH; version managers keep theirs aside."""
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


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = python313()
    if where is None or not SAM.exists():
        pytest.skip("needs Python 3.13, the function's runtime, and SAM CLI (make .venv-sam/ready)")
    target = tmp_path_factory.mktemp("build")
    env = os.environ | {"PATH": f"{where}:{os.environ['PATH']}", "SAM_CLI_TELEMETRY": "0"}
    built = subprocess.run(  # noqa: S603
        [SAM, "build", "--build-dir", target, "--region", "us-east-1"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return target / "ReplicatorFunction"


def test_the_handler_is_imported_from_the_build_with_its_own_packages(bundle: Path) -> None:
    probed = subprocess.run(  # noqa: S603
        [sys.executable, "-I", "-c", f"import sys; sys.path[:0] = [{str(bundle)!r}]; {PROBE.strip()}"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert [Path(file).is_relative_to(bundle) for file in json.loads(probed.stdout)] == [True, True, True]


def test_the_build_holds_the_runtime_lock_and_nothing_more(bundle: Path) -> None:
    names = {path.name.split("-")[0].replace("_", "-") for path in bundle.glob("*.dist-info")}

    assert names == PACKAGES


def test_the_build_holds_no_test_no_command_line_and_no_dev_file(bundle: Path) -> None:
    own = {path.name for path in (bundle / "ddbreplica").iterdir() if path.name != "__pycache__"}
    strangers = {
        "tests",
        "cli",
        "ddbreplica_cli",
        "demo",
        "pytest",
        "moto",
        "click",
        "pyproject.toml",
        "events",
    }

    assert own == {path.name for path in (ROOT / "src" / "ddbreplica").glob("*.py")}
    assert not strangers & {path.name for path in bundle.iterdir()}
