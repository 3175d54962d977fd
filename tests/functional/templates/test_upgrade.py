"""A stack of the recorded release can be updated to template.yaml: nothing that keeps data or a place is replaced.

tests/stack/test_upgrade.py does it on the embedded AWS; here the resource schemas show what CloudFormation
would replace.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from ddbreplica.settings import Settings
from tests.support.combinations import ROWS, parameters_of
from tests.support.far_combinations import CHOICES as FAR_CHOICES
from tests.support.far_combinations import ROWS as FAR_ROWS
from tests.support.placements import EVERYTHING, EXISTING_SOURCE, REPLICAS, Parameters
from tests.support.recorded import FAR_SIDE as OLD_FAR_SIDE
from tests.support.recorded import RECORDED
from tests.support.recorded import TEMPLATE as OLD
from tests.support.replaced import replaced
from tests.support.template import FAR_SIDE, TEMPLATE, defaults, load, properties, refusals, resources


def had(path: Path, parameters: Parameters) -> Parameters:
    """Return those of the parameters that a recorded template has."""
    return {name: value for name, value in parameters.items() if name in defaults(path)}


COMBINATIONS: Final = [{}, EVERYTHING, EXISTING_SOURCE, *REPLICAS.values(), *map(parameters_of, ROWS)]


@pytest.mark.parametrize("parameters", COMBINATIONS)
def test_no_resource_is_replaced_or_removed(parameters: Parameters) -> None:
    assert replaced(resources(OLD, **parameters), resources(**parameters)) == []


@pytest.mark.parametrize("parameters", COMBINATIONS)
def test_nor_is_one_on_the_way_back_but_what_is_new(parameters: Parameters) -> None:
    old, new = resources(OLD, **parameters), resources(**parameters)
    kept = {name: resource for name, resource in new.items() if name in old}
    assert replaced(kept, old) == []
    assert {resource["Type"] for name, resource in new.items() if name not in old} <= {
        "AWS::CloudWatch::CompositeAlarm"
    }


@pytest.mark.parametrize("row", FAR_ROWS)
def test_no_resource_of_a_replica_elsewhere_is_replaced_or_removed(row: Mapping[str, str]) -> None:
    chosen = [FAR_CHOICES[choice][option] for choice, option in row.items()]
    parameters = {name: value for each in chosen for name, value in each.items()}
    old, new = resources(OLD_FAR_SIDE, **parameters), resources(FAR_SIDE, **parameters)
    assert replaced(old, new) == replaced(new, old) == []
    assert refusals(OLD_FAR_SIDE, **had(OLD_FAR_SIDE, parameters)) == refusals(FAR_SIDE, **parameters) == []


def changed(logical_id: str, **properties: Any) -> dict[str, Any]:
    created = resources()
    created[logical_id]["Properties"] |= properties
    return created


@pytest.mark.parametrize(
    ("new", "line"),
    [
        (changed("SourceTable", TableName="log"), "SourceTable/TableName: 'logfile' → 'log'"),
        (
            changed("ReplicaTable", KeySchema=[]),
            "ReplicaTable/KeySchema: [{'AttributeName': 'PK', 'KeyType': 'HASH'}] → []",
        ),
        (changed("QuarantineBucket", BucketName="kept"), "QuarantineBucket/BucketName: None → 'kept'"),
        (changed("DDBReplicationRole", Path="/app/"), "DDBReplicationRole/Path: None → '/app/'"),
        (
            changed("ReplicatorFunctionStream", StartingPosition="LATEST"),
            "ReplicatorFunctionStream/StartingPosition: 'TRIM_HORIZON' → 'LATEST'",
        ),
        (changed("ReplicatorFunction", FunctionName="f"), "ReplicatorFunction/FunctionName: None → 'f'"),
    ],
)
def test_a_replacement_is_noticed(new: dict[str, Any], line: str) -> None:
    assert replaced(resources(), new) == [line]


def test_another_logical_id_and_another_type_are_noticed() -> None:
    new = resources()
    del new["OnFailureBucket"]
    new["ReplicatorLogGroup"]["Type"] = "AWS::S3::Bucket"
    assert replaced(resources(), new) == [
        "OnFailureBucket is removed",
        "ReplicatorLogGroup is now of type AWS::S3::Bucket",
    ]


GONE: Final = frozenset({"WriteMode"})
"""The parameters that only the recorded template has; what deploys the stack must not pass them any more."""


def test_every_other_parameter_of_a_stack_keeps_its_name_its_type_and_its_value() -> None:
    old, new = load(OLD)["Parameters"], load()["Parameters"]
    kept = old.keys() - GONE
    assert {name: old[name]["Type"] for name in kept} == {name: new[name]["Type"] for name in kept}
    assert refusals(**{name: value for name, value in defaults(OLD).items() if name in kept}) == []


def test_a_parameter_that_is_gone_is_refused_by_cloudformation_itself() -> None:
    assert refusals(OLD, WriteMode="mirror") == []
    assert refusals(WriteMode="mirror") == ["Parameters: [WriteMode] do not exist in the template"]


@pytest.mark.parametrize("parameters", COMBINATIONS)
def test_what_a_stack_has_is_still_accepted(parameters: Parameters) -> None:
    assert refusals(OLD, **had(OLD, parameters)) == []
    assert refusals(**parameters) == []


def settings(path: Path, **parameters: str | int) -> dict[str, str]:
    """The environment of the function, with a name for each resource."""
    variables = properties("ReplicatorFunction", path, **parameters)["Environment"]["Variables"]
    return {name: str(value).strip("<>") for name, value in variables.items()}


# CloudFormation updates the code and the configuration of a function by two calls, and invocations run in between.


@pytest.mark.parametrize("parameters", COMBINATIONS)
def test_today_s_code_runs_with_the_settings_of_before(parameters: Parameters) -> None:
    Settings.from_env(settings(OLD, **parameters))


PROBE: Final = """
import json, sys
from ddbreplica.settings import Settings
for variables in json.load(sys.stdin):
    Settings.from_env(variables)
print(sys.modules["ddbreplica.settings"].__file__)
"""


def test_the_code_of_before_runs_with_today_s_settings() -> None:
    probe = subprocess.run(  # noqa: S603  our own
        [sys.executable, "-c", PROBE],
        input=json.dumps([settings(TEMPLATE, **parameters) for parameters in COMBINATIONS]),
        env={**os.environ, "PYTHONPATH": str(RECORDED / "code.zip")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert probe.returncode == 0, probe.stderr
    assert "code.zip" in probe.stdout


def test_every_output_that_a_tool_may_read_is_still_there() -> None:
    assert load(OLD)["Outputs"].keys() <= load()["Outputs"].keys()
