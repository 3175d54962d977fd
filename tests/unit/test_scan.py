"""scan: what others know to be unsafe fails the check unless it is accepted with a reason."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from scan import packages, templates
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
