"""`make check` and `make build`: what scanners and radon are given, and what they find that fails the check."""

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
# The scanners themselves need minutes and the network: programs in their places show what make does with each.
CHECKOV: Final = """
import json, os, sys
json.dump([dict(os.environ), sys.argv[1:]], open({shown!r}, "a"))
print({output!r})
sys.exit({status})
"""
Program = Callable[..., Path]


@pytest.fixture
def shown(tmp_path: Path) -> Path:
    """Where the program in a scanner's place writes its environment and its arguments."""
    return tmp_path / "shown.json"


@pytest.fixture
def program(tmp_path: Path, shown: Path) -> Program:
    """Make a program that prints `output` and ends with `status`."""

    def made(output: str = "", *, status: int = 0) -> Path:
        path = tmp_path / "scanner"
        text = CHECKOV.format(shown=f"{shown}", output=output, status=status)
        path.write_text(f"#!{sys.executable}\n{text}")
        path.chmod(0o755)
        return path

    return made


def made(target: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a target of the Makefile, with the environments as they are."""
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
    """The findings as checkov prints them with `--output github_failed_only`."""
    rows = [
        f"| {rule} | Ensure {rule} | {name} | [Link](None) | /../tmp/x/{file} |"
        for file, name, rule in findings
    ]
    return "\n".join(
        ["| Check ID | Check Name | Resource | Guideline | File |", "|---|---|---|---|---|", *rows]
    )


def accepted() -> list[tuple[str, str, str]]:
    """What the comments of the templates accept: the template, its resource and the rule."""
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
    def test_what_the_comments_accept_is_no_finding(self, program: Program) -> None:
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

    def test_what_is_accepted_of_one_resource_is_not_accepted_of_another(self, program: Program) -> None:
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
    def test_a_template_that_checkov_does_not_read_fails_the_check(
        self, program: Program, unread: str
    ) -> None:
        found = [each for each in ACCEPTED if each[0] != unread]

        assert made("scan-templates", f"CHECKOV={program(report(found))}").returncode == 2

    def test_a_scanner_that_does_not_work_fails_the_check(self, program: Program) -> None:
        assert made("scan-templates", f"CHECKOV={program('Traceback', status=2)}").returncode == 2

    def test_it_reads_the_templates_without_the_comments(self, program: Program, shown: Path) -> None:
        made("scan-templates", f"CHECKOV={program()}")

        _, arguments = json.loads(shown.read_text())
        files = [Path(word) for word in arguments if word.endswith(".yaml")]
        assert [path.name for path in files] == [*TEMPLATES]
        assert ROOT not in [path.parent for path in files]

    def test_by_hand_it_reads_the_same_templates(self) -> None:
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

    def test_a_few_functions_may_be_less_simple(self, program: Program) -> None:
        done = made("complexity", f"RADON={program(self.SIMPLE.rstrip())}")

        assert done.returncode == 0, done.stderr
        assert done.stdout == "Complexity: 95.0 % of 100 blocks have 6 or less\n"

    def test_one_above_ten_fails_the_check(self, program: Program) -> None:
        found = f"{self.SIMPLE}src/y.py\n    F 3:0 knot - C (11)"

        done = made("complexity", f"RADON={program(found)}")

        assert done.returncode == 2
        assert done.stdout.startswith("src/y.py: knot has a complexity of 11; the maximum is 10")

    def test_more_than_a_few_fail_the_check(self, program: Program) -> None:
        assert made("complexity", f"RADON={program(self.SIMPLE + '    F 3:0 b - B (7)')}").returncode == 2

    def test_nothing_measured_fails_the_check(self, program: Program) -> None:
        assert made("complexity", f"RADON={program()}").returncode == 2


class TestPackages:
    def test_all_locks_are_looked_up_but_the_floors(self, program: Program, shown: Path) -> None:
        done = made("scan-packages", f"PIP_AUDIT={program()}")

        assert done.returncode == 0, done.stderr
        asked = set(re.findall(r"--requirement=([\w/.-]+)", shown.read_text()))
        locks = {f"requirements/{path.name}" for path in (ROOT / "requirements").glob("*.txt")}
        assert asked == {"src/requirements.txt", *locks} - {"requirements/floors.txt"}

    def test_a_package_that_nobody_knows_is_no_safe_one(self, program: Program, shown: Path) -> None:
        made("scan-packages", f"PIP_AUDIT={program()}")

        assert shown.read_text().count("--strict") == shown.read_text().count("--requirement=")

    def test_an_advisory_or_no_response_fails_the_check_and_says_what_to_do(self, program: Program) -> None:
        done = made("scan-packages", f"PIP_AUDIT={program('urllib3 1.0 PYSEC-1', status=1)}")

        assert done.returncode == 2
        assert done.stdout.endswith("urllib3 1.0 PYSEC-1\n")
        assert "Try: make check ADVISORIES=offline, if PyPI cannot be reached." in done.stderr

    def test_offline_nobody_is_asked_and_the_check_says_so(self, program: Program, shown: Path) -> None:
        done = made("scan-packages", "ADVISORIES=offline", f"PIP_AUDIT={program()}")

        assert done.returncode == 0
        assert re.fullmatch(
            r"OFFLINE: the packages of \d+ lock files were NOT looked up in PyPI's advisories.\n", done.stdout
        )
        assert not shown.exists()

    @pytest.mark.parametrize("arguments", [[], ["ADVISORIES=online"]])
    def test_only_makes_command_line_says_that_nobody_can_be_asked(
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

    def test_the_packages_scanner_has_what_reaches_the_advisories_alone(
        self, program: Program, shown: Path
    ) -> None:
        given = self.given(shown, "scan-packages", f"PIP_AUDIT={program()}")

        assert given["HTTPS_PROXY"] == "http://proxy.example:3128"

    def test_so_has_what_lists_the_packages(self, program: Program, shown: Path, tmp_path: Path) -> None:
        target = f"{tmp_path / 'sbom.json'}"

        assert "HTTPS_PROXY" not in self.given(shown, target, f"SBOM={target}", f"CYCLONEDX={program()}")


def test_the_check_runs_them_all() -> None:
    makefile = (ROOT / "Makefile").read_text()

    assert re.search(r"^check:.* complexity scan-templates scan-packages\b", makefile, re.MULTILINE)
