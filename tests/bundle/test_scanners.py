"""`make check` and `make build`: the input of the scanners and of radon, and which findings fail the check."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.support.build import ROOT, without_make

TEMPLATES: Final = ("template.yaml", "replica.yaml")
# The scanners need minutes and the network. Programs that replace them show what make does with each.
CHECKOV: Final = """
import json, os, sys
json.dump([dict(os.environ), sys.argv[1:]], open({shown!r}, "a"))
print({output!r})
sys.exit({status})
"""
Program = Callable[..., Path]


@pytest.fixture
def shown(tmp_path: Path) -> Path:
    """The file to which the program that replaces a scanner writes its environment and arguments."""
    return tmp_path / "shown.json"


@pytest.fixture
def program(tmp_path: Path, shown: Path) -> Program:
    """Create a program that prints `output` and ends with `status`."""

    def made(output: str = "", *, status: int = 0) -> Path:
        path = tmp_path / "scanner"
        text = CHECKOV.format(shown=f"{shown}", output=output, status=status)
        path.write_text(f"#!{sys.executable}\n{text}")
        path.chmod(0o755)
        return path

    return made


def made(target: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a target of the Makefile with the existing virtual environments."""
    make = shutil.which("make")
    assert make
    up_to_date = [argument for name in (".venv/ready", ".venv-scan/ready") for argument in ("-o", name)]
    return subprocess.run(  # noqa: S603
        [make, "-s", *up_to_date, target, *arguments],
        cwd=ROOT,
        env=without_make(environment),
        capture_output=True,
        text=True,
        check=False,
    )


def report(findings: Sequence[tuple[str, str, str]]) -> str:
    """Return the findings as checkov prints them with `--output github_failed_only`."""
    rows = [
        f"| {rule} | Ensure {rule} | {name} | [Link](None) | /../tmp/x/{file} |"
        for file, name, rule in findings
    ]
    return "\n".join(
        ["| Check ID | Check Name | Resource | Guideline | File |", "|---|---|---|---|---|", *rows]
    )


def accepted() -> list[tuple[str, str, str]]:
    """Return the findings that comments of the templates accept: the template, the resource and the rule."""
    found = []
    for template in TEMPLATES:
        for line in (ROOT / template).read_text().splitlines():
            if resource := re.fullmatch(r"  (\w+):", line):
                name = f"AWS::Any::Resource.{resource[1]}"
            if comment := re.search(r"checkov:skip=(\w+):", line):
                found.append((template, name, comment[1]))
    return found


ACCEPTED: Final = accepted()


class TestTemplates:
    def test_a_finding_that_a_comment_accepts_passes_the_check(self, program: Program) -> None:
        done = made("scan-templates", f"CHECKOV={program(report(ACCEPTED), status=1)}")

        assert (done.returncode, done.stderr) == (0, "")

    def test_a_finding_that_no_comment_accepts_fails_the_check(self, program: Program) -> None:
        found = [*ACCEPTED, ("replica.yaml", "AWS::DynamoDB::Table.ReplicaTable", "CKV_AWS_28")]

        done = made("scan-templates", f"CHECKOV={program(report(found), status=1)}")

        assert done.returncode == 2
        assert (
            "replica.yaml ReplicaTable CKV_AWS_28: checkov finds this, and no comment accepts it"
            in done.stderr
        )

    def test_a_comment_of_one_resource_accepts_no_finding_of_another(self, program: Program) -> None:
        found = [*ACCEPTED, ("replica.yaml", "AWS::DynamoDB::Table.ReplicaTable", "CKV_AWS_18")]

        done = made("scan-templates", f"CHECKOV={program(report(found))}")

        assert done.returncode == 2

    def test_a_comment_that_is_no_longer_needed_fails_the_check(self, program: Program) -> None:
        file, name, rule = ACCEPTED[3]

        done = made("scan-templates", f"CHECKOV={program(report(ACCEPTED[:3] + ACCEPTED[4:]))}")

        assert done.returncode == 2
        resource = name.rpartition(".")[2]
        assert (
            f"{file} {resource} {rule}: a comment accepts this, but checkov does not find it" in done.stderr
        )

    @pytest.mark.parametrize("unread", TEMPLATES)
    def test_a_template_that_checkov_cannot_read_fails_the_check(self, program: Program, unread: str) -> None:
        found = [each for each in ACCEPTED if each[0] != unread]

        assert made("scan-templates", f"CHECKOV={program(report(found))}").returncode == 2

    def test_a_scanner_that_fails_makes_the_check_fail(self, program: Program) -> None:
        assert made("scan-templates", f"CHECKOV={program('Traceback', status=2)}").returncode == 2

    def test_it_reads_the_templates_without_the_comments(self, program: Program, shown: Path) -> None:
        made("scan-templates", f"CHECKOV={program()}")

        _, arguments = json.loads(shown.read_text())
        files = [Path(word) for word in arguments if word.endswith(".yaml")]
        assert [path.name for path in files] == [*TEMPLATES]
        assert ROOT not in [path.parent for path in files]

    def test_checkov_without_make_reads_the_same_templates(self) -> None:
        lines = (ROOT / ".checkov.yaml").read_text().splitlines()

        assert f"file: [{', '.join(TEMPLATES)}]" in lines
        assert "skip-download: true" in lines

    @pytest.mark.parametrize("template", TEMPLATES)
    def test_each_comment_accepts_one_rule_and_gives_a_reason(self, template: str) -> None:
        comments = re.findall(r"checkov:skip(.*)", (ROOT / template).read_text())

        assert comments
        assert [text for text in comments if not re.fullmatch(r"=CKV_AWS_\d+:\w.{20,}\.", text)] == []


class TestComplexity:
    SIMPLE: Final = "src/x.py\n" + "    F 1:0 simple - A (2)\n" * 95 + "    M 9:4 Some.more - B (7)\n" * 5

    def test_a_few_functions_may_be_more_complex(self, program: Program) -> None:
        done = made("complexity", f"RADON={program(self.SIMPLE.rstrip())}")

        assert done.returncode == 0, done.stderr
        assert done.stdout == "Complexity: 95.0 % of 100 blocks have 6 or less\n"

    def test_a_complexity_above_ten_fails_the_check(self, program: Program) -> None:
        found = f"{self.SIMPLE}src/y.py\n    F 3:0 knot - C (11)"

        done = made("complexity", f"RADON={program(found)}")

        assert done.returncode == 2
        assert done.stdout.startswith("src/y.py: knot has a complexity of 11; the maximum is 10")

    def test_more_than_a_few_complex_functions_fail_the_check(self, program: Program) -> None:
        assert made("complexity", f"RADON={program(self.SIMPLE + '    F 3:0 b - B (7)')}").returncode == 2

    def test_a_check_without_measurements_fails(self, program: Program) -> None:
        assert made("complexity", f"RADON={program()}").returncode == 2


class TestPackages:
    def test_all_lock_files_except_the_minimum_versions_are_checked(
        self, program: Program, shown: Path
    ) -> None:
        done = made("scan-packages", f"PIP_AUDIT={program()}")

        assert done.returncode == 0, done.stderr
        asked = set(re.findall(r"--requirement=([\w/.-]+)", shown.read_text()))
        locks = {f"requirements/{path.name}" for path in (ROOT / "requirements").glob("*.txt")}
        assert asked == {"src/requirements.txt", *locks} - {"requirements/floors.txt"}

    def test_an_unknown_package_fails_the_check(self, program: Program, shown: Path) -> None:
        made("scan-packages", f"PIP_AUDIT={program()}")

        assert shown.read_text().count("--strict") == shown.read_text().count("--requirement=")

    def test_an_advisory_or_no_response_fails_the_check_with_a_hint(self, program: Program) -> None:
        done = made("scan-packages", f"PIP_AUDIT={program('urllib3 1.0 PYSEC-1', status=1)}")

        assert done.returncode == 2
        assert done.stdout.endswith("urllib3 1.0 PYSEC-1\n")
        assert "Try: make check ADVISORIES=offline, if PyPI cannot be reached." in done.stderr

    def test_offline_no_advisories_are_requested_and_the_check_reports_it(
        self, program: Program, shown: Path
    ) -> None:
        done = made("scan-packages", "ADVISORIES=offline", f"PIP_AUDIT={program()}")

        assert done.returncode == 0
        assert re.fullmatch(
            r"OFFLINE: the packages of \d+ lock files were NOT looked up in PyPI's advisories.\n", done.stdout
        )
        assert not shown.exists()

    @pytest.mark.parametrize("arguments", [[], ["ADVISORIES=online"]])
    def test_offline_is_only_accepted_on_makes_command_line(
        self, program: Program, shown: Path, arguments: Sequence[str]
    ) -> None:
        made("scan-packages", f"PIP_AUDIT={program()}", *arguments, ADVISORIES="offline")

        assert shown.exists()


class TestABareEnvironment:
    SECRETS: Final = ("AWS_ACCESS_KEY_ID", "GITHUB_TOKEN", "PIP_INDEX_URL", "BC_API_KEY", "HTTP_PROXY")

    def given(self, shown: Path, target: str, *arguments: str) -> dict[str, str]:
        proxy = {"HTTPS_PROXY": "http://proxy.example:3128"}
        made(target, *arguments, **dict.fromkeys(self.SECRETS, "secret"), **proxy, TMPDIR=f"{shown.parent}")
        variables: dict[str, str] = json.JSONDecoder().raw_decode(shown.read_text())[0][0]
        assert "secret" not in variables.values()
        assert variables["HOME"] != str(Path.home())
        assert not Path(variables["HOME"]).exists()
        assert variables["TMPDIR"] == f"{shown.parent}"
        return variables

    def test_the_templates_scanner_has_no_credentials_and_no_network(
        self, program: Program, shown: Path
    ) -> None:
        assert "HTTPS_PROXY" not in self.given(shown, "scan-templates", f"CHECKOV={program()}")

    def test_the_packages_scanner_has_only_the_settings_of_the_network(
        self, program: Program, shown: Path
    ) -> None:
        given = self.given(shown, "scan-packages", f"PIP_AUDIT={program()}")

        assert given["HTTPS_PROXY"] == "http://proxy.example:3128"

    def test_the_program_that_lists_the_packages_has_the_same_environment(
        self, program: Program, shown: Path, tmp_path: Path
    ) -> None:
        target = f"{tmp_path / 'sbom.json'}"

        assert "HTTPS_PROXY" not in self.given(shown, target, f"SBOM={target}", f"CYCLONEDX={program()}")


def test_the_check_runs_all_scanners() -> None:
    makefile = (ROOT / "Makefile").read_text()

    assert re.search(r"^check:.* complexity scan-templates scan-packages\b", makefile, re.MULTILINE)
