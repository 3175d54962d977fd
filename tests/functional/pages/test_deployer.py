"""The policy for who deploys allows what the resource types require, and nothing that nothing requires."""

import json
from fnmatch import fnmatchcase

from tests.support import deployer

OF_SAM_CLI = {
    *("cloudformation:CreateChangeSet", "cloudformation:DeleteStack", "cloudformation:DescribeChangeSet"),
    *("cloudformation:DescribeEvents", "cloudformation:DescribeStackEvents", "cloudformation:DescribeStacks"),
    *("cloudformation:ExecuteChangeSet", "cloudformation:GetTemplate", "cloudformation:GetTemplateSummary"),
    *("s3:DeleteObject", "s3:GetObject", "s3:PutObject"),
}
"""What SAM CLI calls itself; tests/stack/test_deployer.py takes each away."""


def test_what_the_resource_types_require_is_allowed() -> None:
    allowed = deployer.actions(deployer.policy())

    assert {each for each in deployer.required() if not deployer.allows(allowed, each)} == set()


def test_nothing_else_is_allowed() -> None:
    needed = deployer.required() | OF_SAM_CLI
    allowed = deployer.actions(deployer.policy())

    assert {each for each in allowed if not any(fnmatchcase(need, each) for need in needed)} == set()
    assert allowed >= OF_SAM_CLI


def test_it_fits_into_a_managed_policy() -> None:
    assert len(json.dumps(deployer.policy(), separators=(",", ":"))) < 6144


def test_the_role_can_be_passed_to_lambda_alone() -> None:
    (passing,) = [each for each in deployer.policy()["Statement"] if each["Action"] == "iam:PassRole"]

    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}


def test_only_the_mapping_has_no_resource_to_name() -> None:
    statements = deployer.policy()["Statement"]

    assert [each["Sid"] for each in statements if each["Resource"] == "*"] == ["CreateTheMapping"]
    assert {each["Effect"] for each in statements} == {"Allow"}
