"""What the pages tell people to deploy is accepted by the templates; the pipeline and Terraform agree with it."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from botocore.exceptions import NoCredentialsError, UnauthorizedSSOTokenError

from tests.support.deployment_scenarios import STREAM
from tests.support.documented_deployments import blocks, deployments
from tests.support.guide import messages
from tests.support.template import REPLICA_TEMPLATE, ROOT, TEMPLATE, defaults, deploy, load, refusals

GUIDE = ROOT / "docs" / "deployment.md"
DOCUMENTS = [GUIDE, ROOT / "docs" / "runbook.md"]
CONFIGURED = tomllib.loads((ROOT / "samconfig.toml").read_text())


def block(language: str) -> str:
    """Return the only block of the guide that is in a language."""
    (found,) = blocks(language, GUIDE)
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_is_to_be_deployed_is_accepted(document: Path) -> None:
    commands = list(deployments(document))
    assert commands
    for template, parameters in commands:
        assert refusals(template, **parameters) == [], parameters


def test_the_guide_deploys_every_scenario() -> None:
    named = {name for _, parameters in deployments(GUIDE) for name in parameters}
    assert named >= {
        "SourceStreamArn",
        "CreateReplicaTable",
        "ReplicaRegion",
        "ReplicaAccountId",
        "ReplicaRoleArn",
        "ReplicaExternalId",
        "KeyFilter",
        "EnableStream",
        "ReplicatorRoleArn",
        "TrustedAccountId",
        "ExternalId",
    }


def test_the_guide_s_filter_reaches_the_mapping_whole() -> None:
    (filtered,) = [parameters for _, parameters in deployments(GUIDE) if "KeyFilter" in parameters]
    mapping = deploy(**filtered)["Resources"]["ReplicatorFunctionStream"]["Properties"]
    assert json.loads(mapping["FilterCriteria"]["Filters"][0]["Pattern"]) == {
        "dynamodb": {"Keys": {"customer": {"S": [{"prefix": "tenant-1#"}]}}}
    }


def test_the_guide_s_policies_are_json() -> None:
    denial, key, trust = [json.loads(text) for text in blocks("json", GUIDE)]
    assert [each["Effect"] for each in denial["Statement"]] == ["Deny"]
    assert {each["Effect"] for each in key} == {"Allow"}
    assert [each["Action"] for each in trust["Statement"]] == ["sts:AssumeRoleWithWebIdentity"]


def test_every_parameter_that_the_guide_names_exists() -> None:
    known = {*defaults(TEMPLATE), *defaults(REPLICA_TEMPLATE)}
    named = re.findall(r"`([A-Z][a-z]+[A-Z]\w+?)(?:=\S+)?`", GUIDE.read_text())
    others = {"TableName", *load()["Outputs"], *load()["Resources"]}
    assert {name for name in named if name not in known} <= others


def test_the_guide_s_own_stacks_are_configured_like_those_of_samconfig() -> None:
    expected = CONFIGURED["default"]["deploy"]["parameters"].keys() | {"parameter_overrides"}
    whole = [
        config
        for each in blocks("toml", GUIDE)
        for config in tomllib.loads(each).items()
        if "[" in each.split("\n")[0]
    ]
    own = [(name, config) for name, config in whole if name != "parameter_overrides"]

    assert [name for name, _ in own] == ["logs", "orders"]
    for _, config in own:
        stack = config["global"]["parameters"]["stack_name"]
        parameters = config["deploy"]["parameters"]
        assert parameters.keys() == expected
        assert parameters["s3_prefix"] == stack


def test_the_messages_about_credentials_are_those_of_botocore() -> None:
    missing, _, signed_out = messages("No credentials, or expired ones")

    assert missing == f"Error: {NoCredentialsError.fmt}"
    assert UnauthorizedSSOTokenError.fmt.startswith(f"{signed_out} ")


class TestPipeline:
    """The workflow of the guide. PyYAML reads its key `on` as true, so that it is looked at as text, too."""

    WORKFLOW = block("yaml")

    def test_it_may_read_the_repository_and_ask_for_a_token(self) -> None:
        (permissions,) = re.findall(r"^permissions:\n((?:  .+\n)+)", self.WORKFLOW, re.MULTILINE)

        assert permissions.split("\n")[:-1] == ["  contents: read", "  id-token: write"]
        assert "secrets." not in self.WORKFLOW

    def test_every_action_is_pinned_and_those_of_the_project_s_workflow_alike(self) -> None:
        used = re.findall(r"uses: (.+)", self.WORKFLOW)
        own = re.findall(r"uses: (.+)", (ROOT / ".github" / "workflows" / "ci.yml").read_text())

        assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[\d.]+", action) for action in used)
        assert set(own) <= set(used)
        assert [action.split("@")[0] for action in used if action not in own] == [
            "aws-actions/configure-aws-credentials"
        ]

    def test_it_builds_and_deploys_without_a_question(self) -> None:
        *_, built, deployed = re.findall(r"run: (.+)", self.WORKFLOW)

        assert built == "sam build"
        assert shlex.split(deployed) == [
            *("sam", "deploy", "--config-env", "prod"),
            *("--no-confirm-changeset", "--no-fail-on-empty-changeset"),
        ]
        assert CONFIGURED["prod"]["deploy"]["parameters"]["confirm_changeset"] is True

    def test_the_role_trusts_the_environment_that_the_job_runs_in(self) -> None:
        trust = json.loads(blocks("json", GUIDE)[-1])["Statement"][0]
        (environment,) = re.findall(r"environment: (\w+)", self.WORKFLOW)
        (role,) = re.findall(r"role-to-assume: (\S+)", self.WORKFLOW)
        equals = trust["Condition"]["StringEquals"]
        issuer = "token.actions.githubusercontent.com"

        assert equals[f"{issuer}:sub"] == f"repo:OWNER/REPOSITORY:environment:{environment}"
        assert equals[f"{issuer}:aud"] == "sts.amazonaws.com"
        assert trust["Principal"]["Federated"].endswith(f":oidc-provider/{issuer}")
        assert trust["Principal"]["Federated"].split(":")[4] == role.split(":")[4]
        assert f"The role `{role.partition('/')[2]}` has the policy" in GUIDE.read_text()
        assert f"--url https://{issuer}" in GUIDE.read_text()

    def test_the_sam_cli_that_it_installs_is_a_target_of_the_makefile(self) -> None:
        assert "make .venv-sam/ready" in self.WORKFLOW
        assert re.search(r"^\.venv-%/ready: ", (ROOT / "Makefile").read_text(), re.MULTILINE)


class TestTerraform:
    RESOURCE = block("hcl")

    def test_its_parameters_are_accepted(self) -> None:
        (inner,) = re.findall(r"parameters = \{\n(.+?)\n  \}", self.RESOURCE, re.DOTALL)
        values = dict(re.findall(r"(\w+) += (.+)", inner))
        resolved = {
            "aws_dynamodb_table.orders.stream_arn": STREAM,
            "aws_dynamodb_table.orders_copy.name": "orders_copy",
        }

        assert (
            refusals(**{name: resolved.get(value, value.strip('"')) for name, value in values.items()}) == []
        )

    def test_it_reads_the_template_where_the_commands_upload_it(self) -> None:
        (url,) = re.findall(
            r'template_url = "https://BUCKET\.s3\.REGION\.amazonaws\.com/(.+)"', self.RESOURCE
        )
        text = GUIDE.read_text()

        assert f"packaged.yaml s3://BUCKET/{url}\n" in text
        assert f"--s3-prefix {url.rpartition('/')[0]} " in text
        assert url.split("/")[1] == load()["Metadata"]["AWS::ServerlessRepo::Application"]["SemanticVersion"]

    def test_the_outputs_that_are_named_exist(self) -> None:
        named = re.findall(r'outputs\["(\w+)"\]', GUIDE.read_text())

        assert named
        assert set(named) <= load()["Outputs"].keys()
