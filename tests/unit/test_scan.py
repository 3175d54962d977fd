"""scan: what others know to be unsafe fails the check unless it is accepted with a reason."""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import scan.__main__ as command
from scan import bare, packages, sbom, templates
from scan.findings import Finding, ScanError, accepted, outlived, unaccepted
from scan.packages import Audit, UnansweredError

LIST = Path(__file__).parents[2] / "scan" / "accepted.toml"
OPEN = Finding("CKV_AWS_18", "template.yaml Bucket", "Ensure the S3 bucket has access logging enabled")


def check(rule: str, resource: str, file: str = "/../template.yaml") -> dict[str, str]:
    return {"check_id": rule, "check_name": f"Ensure {rule}", "file_path": file, "resource": resource}


def report(*failed: Any, passed: Any = ()) -> dict[str, Any]:
    return {"results": {"failed_checks": list(failed), "passed_checks": list(passed)}}


class TestWhatIsAccepted:
    @pytest.mark.parametrize("table", ["templates", "packages"])
    def test_the_list_has_a_reason_for_everything(self, table: str) -> None:
        entries = tomllib.loads(LIST.read_text())[table]

        assert accepted(entries).keys() == entries.keys()

    @pytest.mark.parametrize(
        "entry",
        [
            {"of": ["template.yaml Bucket"]},
            {"of": ["template.yaml Bucket"], "why": " \n"},
            {"of": [], "why": "since"},
            {"why": "since"},
            {"of": ["template.yaml Bucket"], "why": "since", "until": "2027"},
        ],
        ids=["no reason", "an empty reason", "of nothing", "of whatever", "more"],
    )
    def test_an_entry_without_subject_or_reason_is_refused(self, entry: dict[str, Any]) -> None:
        with pytest.raises(ScanError, match=r"^CKV_AWS_18 needs `of`"):
            accepted({"CKV_AWS_18": entry})

    def test_a_finding_has_to_be_mended(self) -> None:
        assert list(unaccepted([OPEN], {})) == [
            "template.yaml Bucket: CKV_AWS_18: Ensure the S3 bucket has access logging enabled"
        ]

    def test_an_accepted_finding_is_no_complaint(self) -> None:
        known = {"CKV_AWS_18": ["template.yaml Bucket"]}

        assert list(unaccepted([OPEN], known)) == []
        assert list(outlived([OPEN], known)) == []

    def test_what_is_accepted_of_one_is_not_accepted_of_another(self) -> None:
        known = {"CKV_AWS_18": ["template.yaml Other"], "CKV_AWS_21": ["template.yaml Bucket"]}

        assert len(list(unaccepted([OPEN], known))) == 1

    def test_what_is_found_no_longer_may_not_stay_accepted(self) -> None:
        known = {"CKV_AWS_18": ["template.yaml Bucket", "template.yaml Gone"]}

        assert list(outlived([OPEN], known)) == [
            "template.yaml Gone: CKV_AWS_18 is accepted, and found no longer"
        ]


class TestTemplates:
    def test_what_failed_is_found(self) -> None:
        said = report(
            check("CKV_AWS_18", "AWS::S3::Bucket.Bucket"),
            passed=[check("CKV_AWS_19", "AWS::S3::Bucket.Bucket")],
        )

        assert templates.findings(said, templates=["template.yaml"]) == [
            Finding("CKV_AWS_18", "template.yaml Bucket", "Ensure CKV_AWS_18")
        ]

    def test_a_template_that_was_not_read_is_no_clean_one(self) -> None:
        said = report(check("CKV_AWS_18", "AWS::S3::Bucket.Bucket"))

        with pytest.raises(
            ScanError, match=r"checked \['template.yaml'\] and not \['replica.yaml', 'template.yaml'\]"
        ):
            templates.findings(said, templates=["template.yaml", "replica.yaml"])

    def test_a_report_of_nothing_is_no_clean_one(self) -> None:
        nothing = {"passed": 0, "failed": 0, "skipped": 0, "parsing_errors": 0, "resource_count": 0}

        with pytest.raises(ScanError, match=r"^checkov checked \[\]"):
            templates.findings(nothing, templates=["template.yaml"])


SAFE = {"name": "boto3", "version": "1.44.5", "vulns": []}
UNKNOWN = {"name": "six", "skip_reason": "Dependency not found on PyPI and could not be audited"}
UNSAFE = {
    "name": "urllib3",
    "version": "1.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"], "aliases": [], "description": "Leaks."}],
}


class TestPackages:
    def test_an_advisory_is_a_finding(self) -> None:
        assert packages.audit({"dependencies": [SAFE, UNSAFE]}) == Audit(
            [Finding("PYSEC-1", "urllib3 1.0", "Leaks.")], []
        )

    def test_a_package_that_nobody_knows_is_named_and_hides_no_other(self) -> None:
        assert packages.audit({"dependencies": [UNKNOWN, UNSAFE]}) == Audit(
            [Finding("PYSEC-1", "urllib3 1.0", "Leaks.")], ["six"]
        )

    def test_packages_that_nobody_knows_are_not_safe(self) -> None:
        with pytest.raises(UnansweredError, match=r"^there are no advisories on six$"):
            packages.audit({"dependencies": [UNKNOWN]})

    @pytest.mark.parametrize(
        "last",
        [
            "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='pypi.org', port=443): Max retries",
            "requests.exceptions.ReadTimeout: HTTPSConnectionPool(host='pypi.org', port=443): Read timed out.",
            "pip_audit._service.interface.ServiceError",
            "ERROR:pip_audit._cli:Tip: your network may be blocking this service.",
        ],
    )
    def test_advisories_out_of_reach_are_told_apart(self, last: str) -> None:
        told = packages.failure(f"Traceback (most recent call last):\n{last}\n")

        assert isinstance(told, UnansweredError)
        assert str(told) == last

    @pytest.mark.parametrize(
        "last",
        ["ERROR:pip_audit._cli:requirement foo does not contain a hash", "pip-audit: error: no such option"],
    )
    def test_a_scanner_that_does_not_work_fails_the_check(self, last: str) -> None:
        assert isinstance(packages.failure(last), ScanError)


class TestTheWholeScan:
    @pytest.fixture(autouse=True)
    def _no_scanner(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(command, "accepted", lambda _: {})
        monkeypatch.setattr(templates, "scan", lambda _: [])
        monkeypatch.setattr(packages, "scan", lambda _: Audit([]))

    def run(self, monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
        monkeypatch.setattr(sys, "argv", ["scan", *options])
        return command.main()

    def unreachable(self, _: Path) -> Audit:
        raise UnansweredError("requests.exceptions.ConnectionError: no route")

    def test_advisories_that_find_nothing_are_no_complaint(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.run(monkeypatch) == 0
        assert f"Audited {len(command._LOCKS)} locks: 0 findings" in capsys.readouterr().out

    def test_advisories_out_of_reach_fail_the_check_and_say_what_to_do(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(packages, "scan", self.unreachable)

        assert self.run(monkeypatch) == 1
        said = capsys.readouterr().err
        assert "Packages are not audited: requests.exceptions.ConnectionError: no route" in said
        assert "ADVISORIES=offline" in said

    def test_a_package_that_the_advisories_do_not_know_fails_the_check(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(packages, "scan", lambda _: Audit([], ["six"]))

        assert self.run(monkeypatch) == 1
        assert capsys.readouterr().err == "six: PyPI's advisories do not know this package\n"

    def test_offline_nobody_is_asked_and_the_check_says_so(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(packages, "scan", self.unreachable)

        assert self.run(monkeypatch, "--offline") == 0
        assert "were NOT looked up in PyPI's advisories" in capsys.readouterr().out

    def test_offline_the_templates_are_scanned_all_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(templates, "scan", lambda _: [OPEN])

        assert self.run(monkeypatch, "--offline") == 1


class TestABareEnvironment:
    @pytest.fixture
    def ours(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
        """An environment with secrets, and scanners in whose place a program shows what it was given."""
        for name in ("AWS_ACCESS_KEY_ID", "GITHUB_TOKEN", "PIP_INDEX_URL", "BC_API_KEY", "HTTP_PROXY"):
            monkeypatch.setenv(name, "secret")
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
        shown = tmp_path / "shown.json"
        program = tmp_path / "scanner"
        program.write_text(
            f"#!{sys.executable}\nimport json, os\njson.dump(dict(os.environ), open({str(shown)!r}, 'w'))\n"
        )
        program.chmod(0o755)
        monkeypatch.setattr(templates, "_CHECKOV", program)
        monkeypatch.setattr(packages, "_PIP_AUDIT", program)
        monkeypatch.setattr(sbom, "_CYCLONEDX", program)
        return shown

    def given(self, shown: Path) -> dict[str, str]:
        variables: dict[str, str] = json.loads(shown.read_text())
        assert "secret" not in variables.values()
        assert variables["HOME"] != str(Path.home())
        assert not Path(variables["HOME"]).exists()
        return variables

    def test_the_templates_scanner_has_no_credentials_and_no_network(self, ours: Path) -> None:
        with pytest.raises(ScanError):
            templates.scan([])

        assert "HTTPS_PROXY" not in self.given(ours)

    def test_the_packages_scanner_has_what_reaches_the_advisories_alone(self, ours: Path) -> None:
        with pytest.raises((ScanError, IndexError)):
            packages.scan(LIST)

        assert self.given(ours)["HTTPS_PROXY"] == "http://proxy.example:3128"

    def test_so_has_what_lists_the_packages(self, ours: Path, tmp_path: Path) -> None:
        sbom.write(tmp_path / "list.json")

        assert "HTTPS_PROXY" not in self.given(ours)

    def test_no_other_module_of_the_scan_starts_a_program(self) -> None:
        others = [path for path in LIST.parent.glob("*.py") if path.name != Path(bare.__file__).name]

        assert [path.name for path in others if "subprocess" in path.read_text()] == []
