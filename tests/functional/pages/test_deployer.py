"""The policy for who deploys allows what the resource types require, and nothing that nothing requires."""

import json
from fnmatch import fnmatchcase

import pytest

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


def test_what_workers_require_is_allowed_by_both_policies_together() -> None:
    allowed = deployer.actions(deployer.policy()) | deployer.actions(deployer.policy(workers=True))

    assert {each for each in deployer.required(workers=True) if not deployer.allows(allowed, each)} == set()


def test_the_policy_for_workers_allows_nothing_else() -> None:
    needed = deployer.required(workers=True)
    allowed = deployer.actions(deployer.policy(workers=True))

    assert {each for each in allowed if not any(fnmatchcase(need, each) for need in needed)} == set()


def test_roles_and_functions_are_created_with_the_same_actions_as_without_workers() -> None:
    plain, more = (
        {each["Sid"]: set(each["Action"]) for each in deployer.policy(workers=workers)["Statement"]}
        for workers in (False, True)
    )

    assert more["CreateTheRolesOfTheWorkers"] == plain["CreateTheRole"]
    # The worker has no reserved concurrency; the schema of the mapping requires to list tags.
    more_of_the_function = {
        *("lambda:DeleteFunctionConcurrency", "lambda:ListTags", "lambda:PutFunctionConcurrency"),
    }
    assert more["CreateTheWorker"] == plain["CreateTheFunction"] - more_of_the_function


@pytest.mark.parametrize("workers", [False, True])
def test_each_fits_into_a_managed_policy(workers: bool) -> None:
    assert len(json.dumps(deployer.policy(workers=workers), separators=(",", ":"))) < 6144


@pytest.mark.parametrize(
    ("workers", "services"),
    [
        (False, "lambda.amazonaws.com"),
        (True, ["lambda.amazonaws.com", "scheduler.amazonaws.com", "states.amazonaws.com"]),
    ],
)
def test_a_role_can_only_be_passed_to_the_services_that_use_it(workers: bool, services: object) -> None:
    found = deployer.policy(workers=workers)["Statement"]
    (passing,) = [each for each in found if each["Action"] == "iam:PassRole"]

    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": services}}


def test_only_the_mapping_has_no_resource_to_name() -> None:
    statements = [each for workers in (False, True) for each in deployer.policy(workers=workers)["Statement"]]

    assert [each["Sid"] for each in statements if each["Resource"] == "*"] == ["CreateTheMapping"]
    assert {each["Effect"] for each in statements} == {"Allow"}
