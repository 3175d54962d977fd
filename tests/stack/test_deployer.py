"""A user with the policy for who deploys; and the packaged template, as Terraform uses it.

The embedded AWS holds the calls of SAM CLI to the policy. With which permissions CloudFormation creates resources,
it does not check.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from demo.embedded import REGION, embedded_aws
from tests.support import deployer
from tests.support.guide import messages, section
from tests.support.runbook import AWS_CLI, SET_AWS_CLI_UP
from tests.support.sam import Project, project
from tests.support.template import ROOT

USER = "deployer"
STACK = "ddbreplica"
KEY = "ddbreplica/0.1.0/packaged.yaml"
MANAGED = "aws-sam-cli-managed-default"
DELETE = ("delete", "--stack-name", STACK, "--no-prompts", "--region", REGION)
LEFT = "ChangeSet [InitialCreation] already exists"
# What makes the upload or the removal of the code slower or incomplete, but does not end the command.
HARMLESS = {"cloudformation:DescribeEvents", "s3:DeleteObject", "s3:GetObject"}
DEPLOYING = sorted(
    {
        *("cloudformation:CreateChangeSet", "cloudformation:DescribeChangeSet"),
        *("cloudformation:DescribeStackEvents", "cloudformation:DescribeStacks"),
        *("cloudformation:ExecuteChangeSet", "s3:PutObject"),
    }
)
UPDATING = ["cloudformation:GetTemplateSummary"]
DELETING = ["cloudformation:DeleteStack", "cloudformation:DescribeStacks", "cloudformation:GetTemplate"]

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.skipif(not AWS_CLI.exists(), reason=f"needs the AWS CLI: {SET_AWS_CLI_UP}"),
]


@dataclass(frozen=True, slots=True)
class Deployer:
    """A user of the embedded AWS who deploys a project."""

    project: Project
    env: Mapping[str, str]

    @contextmanager
    def allowed(self, document: Mapping[str, Any]) -> Iterator[None]:
        """Give the user a policy for a block."""
        named = json.dumps(document)
        names = {"ACCOUNT": self.project.aws.account, "REGION": REGION, "STACK": STACK}
        for placeholder, name in {**names, "SOURCE": "logfile", "REPLICA": "logfile_replica"}.items():
            named = named.replace(placeholder, name)
        iam = self.project.aws.iam
        iam.put_user_policy(UserName=USER, PolicyName="deploy", PolicyDocument=named)
        try:
            yield
        finally:
            iam.delete_user_policy(UserName=USER, PolicyName="deploy")

    def reach_over_http(self) -> None:
        """Let the managed bucket be reached by plain HTTP, which its policy refuses, and which this AWS uses."""
        self.project.aws.s3.delete_bucket_policy(Bucket=self._managed_bucket())

    def _managed_bucket(self) -> str:
        names = [bucket["Name"] for bucket in self.project.aws.s3.list_buckets()["Buckets"]]
        (managed,) = [name for name in names if name.startswith(MANAGED)]
        return managed

    def remove(self) -> None:
        """Remove the stack, its tables and its code."""
        aws = self.project.aws
        aws.cloudformation.delete_stack(StackName=STACK)
        aws.cloudformation.get_waiter("stack_delete_complete").wait(
            StackName=STACK, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
        )
        for each in aws.s3.list_objects_v2(Bucket=self._managed_bucket()).get("Contents", []):
            aws.s3.delete_object(Bucket=self._managed_bucket(), Key=each["Key"])
        for table in self.project.tables():
            # The embedded AWS takes the template's text "false" for true.
            aws.dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
            aws.dynamodb.delete_table(TableName=table)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployer]:
    with embedded_aws(enforce_roles=True) as aws:
        one = project(aws, tmp_path_factory.mktemp("deployer"))
        aws.iam.create_user(UserName=USER)
        key = aws.iam.create_access_key(UserName=USER)["AccessKey"]
        credentials = {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }
        yield Deployer(one, {**one.env, **credentials})


@pytest.fixture(scope="module")
def user(built: Deployer) -> Deployer:
    """The user, after a first attempt, which has created the managed bucket."""
    with built.allowed(deployer.policy()):
        first = built.project.deploy(env=built.env)
    assert "explicit deny in a resource-based policy" in first.output, first.output
    built.reach_over_http()
    return built


def test_without_a_policy_nothing_is_deployed(built: Deployer) -> None:
    refused = built.project.deploy(env=built.env)

    assert refused.exit_code == 1
    (message,) = messages("A permission is missing")
    assert message.partition("not authorized")[2].strip() in refused.output
    assert built.project.tables() == set()


class TestAllowed:
    def test_it_deploys_updates_and_deletes(self, user: Deployer) -> None:
        with user.allowed(deployer.policy()):
            created = user.project.deploy(env=user.env)
            updated = user.project.deploy("--parameter-overrides", "MemorySize=512", env=user.env)
            deleted = user.project.sam(*DELETE, env=user.env)

        for finished in (created, updated, deleted):
            assert finished.exit_code == 0, finished.output
            assert "not authorized" not in finished.output
        # Both functions have the same code, which SAM CLI wants to delete twice.
        missed = set(
            re.findall(r"Could not find and delete the S3 object with the key (\S+)", deleted.output)
        )
        assert missed <= set(re.findall(r"Deleting S3 object with key (\S+)", deleted.output))

    @pytest.mark.parametrize("action", DEPLOYING)
    def test_without_one_of_its_actions_the_first_deployment_fails(self, user: Deployer, action: str) -> None:
        with user.allowed(deployer.without(deployer.policy(), action)):
            refused = user.project.deploy(env=user.env)

        user.remove()
        assert refused.exit_code == 1
        # Without a look at the managed stack, SAM CLI tries to create it again.
        assert action in refused.output or LEFT in refused.output


@pytest.fixture(scope="module")
def created(user: Deployer) -> Iterator[Deployer]:
    """The user, and a stack that it has deployed."""
    with user.allowed(deployer.policy()):
        deployed = user.project.deploy(env=user.env)
    assert deployed.exit_code == 0, deployed.output
    yield user
    user.remove()


@pytest.mark.parametrize("action", UPDATING)
def test_without_it_an_update_fails(created: Deployer, action: str) -> None:
    with created.allowed(deployer.without(deployer.policy(), action)):
        refused = created.project.deploy("--parameter-overrides", "MemorySize=512", env=created.env)

    assert refused.exit_code == 1
    assert action in refused.output


@pytest.mark.parametrize("action", DELETING)
def test_without_one_of_its_actions_the_stack_is_not_deleted(created: Deployer, action: str) -> None:
    with created.allowed(deployer.without(deployer.policy(), action)):
        refused = created.project.sam(*DELETE, env=created.env)

    assert (refused.exit_code, created.project.status(STACK)) == (1, "CREATE_COMPLETE"), refused.output
    assert action in refused.output


def test_without_a_capability_it_is_refused(user: Deployer) -> None:
    refused = user.project.deploy("--capabilities", "CAPABILITY_AUTO_EXPAND")

    assert refused.exit_code == 1
    assert messages("A capability is missing")[0] in refused.output


def test_every_action_of_sam_cli_is_taken_away() -> None:
    tried = {*DEPLOYING, *UPDATING, *DELETING, *HARMLESS}
    services = ("cloudformation:", "s3:DeleteObject", "s3:GetObject", "s3:PutObject")

    assert tried == {each for each in deployer.actions(deployer.policy()) if each.startswith(services)}


@pytest.fixture(scope="module")
def packaged(user: Deployer) -> Path:
    """The template as the commands of the page package and upload it."""
    aws = user.project.aws
    aws.s3.create_bucket(Bucket="artefacts")
    text = section("From Terraform").replace("BUCKET", "artefacts")
    build, package, copy = re.findall(r"^\$ (.+)$", text, re.MULTILINE)
    assert build == "sam build"
    assert copy.endswith(f" s3://artefacts/{KEY}")
    for command in (package, copy):
        executed = user.project.shell(command)
        assert executed.exit_code == 0, executed.output
    return user.project.path / "packaged.yaml"


class TestPackaged:
    """The commands of the page for Terraform, and what its resource asks of CloudFormation."""

    def test_it_is_too_large_for_a_template_body_and_fits_into_an_object(self, packaged: Path) -> None:
        size = packaged.stat().st_size

        assert "more than the 51,200 bytes" in " ".join(section("From Terraform").split())
        assert 51_200 < size < 1_000_000
        assert (ROOT / "template.yaml").stat().st_size > 51_200

    def test_its_code_is_beside_it(self, user: Deployer, packaged: Path) -> None:
        listed = user.project.aws.s3.list_objects_v2(Bucket="artefacts")["Contents"]
        # The function and the worker have the same code.
        (uri,) = set(re.findall(r"CodeUri: s3://artefacts/(\S+)", packaged.read_text()))

        assert uri in {each["Key"] for each in listed}
        assert uri.rpartition("/")[0] == KEY.rpartition("/")[0]

    @pytest.mark.usefixtures("packaged")
    def test_it_takes_both_capabilities_and_no_other(self, user: Deployer) -> None:
        (named,) = re.findall(r"capabilities = \[(.+)\]", section("From Terraform"))
        capabilities: Any = json.loads(f"[{named}]")
        cloudformation = user.project.aws.cloudformation
        request: Any = {
            "StackName": "packaged",
            "TemplateURL": f"{user.project.aws.endpoint_url}/artefacts/{KEY}",
            "Parameters": [
                {"ParameterKey": "SourceTableName", "ParameterValue": "packaged"},
                {"ParameterKey": "ReplicaTableName", "ParameterValue": "packaged_copy"},
            ],
        }

        for left_out in capabilities:
            given = [each for each in capabilities if each != left_out]
            with pytest.raises(ClientError, match=rf"Requires capabilities : \[{left_out}\]"):
                cloudformation.create_stack(**request, Capabilities=given)
        cloudformation.create_stack(**request, Capabilities=capabilities)
        waiter = cloudformation.get_waiter("stack_create_complete")
        waiter.wait(StackName="packaged", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        assert user.project.outputs("packaged")["ReplicaTableName"] == "packaged_copy"
