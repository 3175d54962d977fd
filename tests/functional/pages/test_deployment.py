"""What the documents tell people to deploy is accepted by the templates."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.deployment_scenarios import STREAM
from tests.support.template import REPLICA_TEMPLATE, ROOT, TEMPLATE, defaults, deploy, refusals

GUIDE = ROOT / "docs" / "deployment.md"
DOCUMENTS = [GUIDE, ROOT / "README.md", ROOT / "docs" / "runbook.md"]
DEPLOYS = {"sam deploy": TEMPLATE, "aws cloudformation deploy": REPLICA_TEMPLATE}


def deployments(document: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """The template and the parameters of every command that deploys one."""
    text = document.read_text().replace("\\\n", " ")
    for line in re.findall(r"^ *\$ (.+)$", text, re.MULTILINE):
        for start, template in DEPLOYS.items():
            if line.startswith(start):
                yield template, dict(overrides(line))


def overrides(line: str) -> Iterator[tuple[str, str]]:
    words = iter(shlex.split(re.sub(r"\$STREAM|\$\(.+?\)", STREAM, line), comments=True))
    for word in words:
        if word == "--parameter-overrides":
            break
    for word in words:
        if word.startswith("--"):
            return
        name, _, value = word.partition("=")
        # SAM CLI takes off quotes as the shell does.
        yield name, "".join(shlex.split(value))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_is_to_be_deployed_is_accepted(document: Path) -> None:
    commands = list(deployments(document))
    assert commands
    for template, parameters in commands:
        assert refusals(template, **parameters) == [], parameters


def test_the_guide_deploys_every_kind_of_placement() -> None:
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
    policies = [json.loads(text) for text in re.findall(r"```json\n(.+?)```", GUIDE.read_text(), re.DOTALL)]
    denial, key = policies
    assert [each["Effect"] for each in denial["Statement"]] == ["Deny"]
    assert {each["Effect"] for each in key} == {"Allow"}


def test_every_parameter_of_the_guide_s_tables_exists() -> None:
    known = {*defaults(TEMPLATE), *defaults(REPLICA_TEMPLATE)}
    named = re.findall(r"`([A-Z][a-z]+[A-Z]\w+?)(?:=\S+)?`", GUIDE.read_text())
    assert {name for name in named if name not in known} <= {"TableName", "FunctionRoleArn"}
