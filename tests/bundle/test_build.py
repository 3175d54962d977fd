"""`sam build` builds the deployment package: the handler, its dependencies and nothing else."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from tests.support.build import ROOT, bill_of_materials

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


def test_the_handler_is_imported_from_the_build_with_its_own_packages(bundle: Path) -> None:
    probed = subprocess.run(  # noqa: S603
        [sys.executable, "-I", "-c", f"import sys; sys.path[:0] = [{str(bundle)!r}]; {PROBE.strip()}"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert [Path(file).is_relative_to(bundle) for file in json.loads(probed.stdout)] == [True, True, True]


def test_the_build_contains_only_the_packages_of_the_runtime_lock(bundle: Path) -> None:
    names = {path.name.split("-")[0].replace("_", "-") for path in bundle.glob("*.dist-info")}

    assert names == PACKAGES


def test_the_bill_of_materials_lists_the_build_with_its_hashes(bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "build" / "sbom.cdx.json"
    bill_of_materials(target)
    bill_of_materials(tmp_path / "again.json")

    found = json.loads(target.read_text())
    assert target.read_bytes() == (tmp_path / "again.json").read_bytes()
    assert found["bomFormat"] == "CycloneDX"
    described = found["metadata"]["component"]
    assert (described["name"], described["version"]) == ("ddbreplica", version("ddbreplica"))
    listed = {f"{each['name']}-{each['version']}": each for each in found["components"]}
    held = {path.name.removesuffix(".dist-info").replace("_", "-") for path in bundle.glob("*.dist-info")}
    assert listed.keys() == held
    lock = (ROOT / "src" / "requirements.txt").read_text()
    for each in listed.values():
        (source,) = each["externalReferences"]
        assert source["url"].startswith("https://pypi.org/simple/")
        assert all(f"--hash=sha256:{digest['content']}" in lock for digest in source["hashes"])
        assert source["hashes"]


def test_the_build_contains_no_test_no_command_line_and_no_dev_file(bundle: Path) -> None:
    own = {path.relative_to(bundle) for path in (bundle / "ddbreplica").rglob("*.py")}
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

    assert own == {path.relative_to(ROOT / "src") for path in (ROOT / "src" / "ddbreplica").rglob("*.py")}
    assert not strangers & {path.name for path in bundle.iterdir()}
