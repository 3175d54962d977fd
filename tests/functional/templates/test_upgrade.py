"""A stack of the recorded release can be updated to template.yaml without replacing a resource.

These tests read from the resource schemas what CloudFormation would replace. tests/stack/test_upgrade.py updates a
stack on the embedded AWS.
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
from tests.support.deployment_scenarios import BY_SCHEDULE, EVERYTHING, EXISTING_SOURCE, REPLICAS, Parameters
from tests.support.recorded import RECORDED
from tests.support.recorded import REPLICA_TEMPLATE as OLD_REPLICA_TEMPLATE
from tests.support.recorded import TEMPLATE as OLD
from tests.support.replaced import replaced
from tests.support.replica_combinations import CHOICES as REPLICA_CHOICES
from tests.support.replica_combinations import ROWS as REPLICA_ROWS
from tests.support.template import REPLICA_TEMPLATE, TEMPLATE, defaults, load, properties, refusals, resources


def had(path: Path, parameters: Parameters) -> Parameters:
    """Return the parameters that a recorded template has."""
    return {name: value for name, value in parameters.items() if name in defaults(path)}


OF_WORKERS: Final = resources(**BY_SCHEDULE).keys() - resources().keys()
COMBINATIONS: Final = [{}, EVERYTHING, EXISTING_SOURCE, *REPLICAS.values(), *map(parameters_of, ROWS)]


@pytest.mark.parametrize("parameters", COMBINATIONS)
def test_no_resource_is_replaced_or_removed(parameters: Parameters) -> None:
    assert replaced(resources(OLD, **parameters), resources(**parameters)) == []


@pytest.mark.parametrize("parameters", COMBINATIONS)
def test_a_downgrade_replaces_nothing_and_removes_only_new_alarms_and_workers(parameters: Parameters) -> None:
    old, new = resources(OLD, **parameters), resources(**parameters)
    kept = {name: resource for name, resource in new.items() if name in old}
    assert replaced(kept, old) == []
    assert {resource["Type"] for name, resource in new.items() if name not in old.keys() | OF_WORKERS} <= {
        "AWS::CloudWatch::CompositeAlarm"
    }


@pytest.mark.parametrize("row", REPLICA_ROWS)
def test_no_resource_of_replica_yaml_is_replaced_or_removed(row: Mapping[str, str]) -> None:
    # Another key of the index is chosen when the table is created.
    chosen = [REPLICA_CHOICES[choice][option] for choice, option in row.items() if choice != "index"]
    parameters = {name: value for each in chosen for name, value in each.items()}
    old, new = resources(OLD_REPLICA_TEMPLATE, **parameters), resources(REPLICA_TEMPLATE, **parameters)
    assert replaced(old, new) == replaced(new, old) == []
    assert (
        refusals(OLD_REPLICA_TEMPLATE, **had(OLD_REPLICA_TEMPLATE, parameters))
        == refusals(REPLICA_TEMPLATE, **parameters)
        == []
    )


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
def test_a_replacement_is_detected(new: dict[str, Any], line: str) -> None:
    assert replaced(resources(), new) == [line]


def test_a_removed_resource_and_a_changed_type_are_detected() -> None:
    new = resources()
    del new["OnFailureBucket"]
    new["ReplicatorLogGroup"]["Type"] = "AWS::S3::Bucket"
    assert replaced(resources(), new) == [
        "OnFailureBucket is removed",
        "ReplicatorLogGroup is now of type AWS::S3::Bucket",
    ]


GONE: Final = frozenset({"WriteMode"})
"""The parameters that only the recorded template has. A deployment of the new template must not pass them."""


def test_every_other_parameter_keeps_its_name_and_type_and_accepts_its_old_default() -> None:
    old, new = load(OLD)["Parameters"], load()["Parameters"]
    kept = old.keys() - GONE
    assert {name: old[name]["Type"] for name in kept} == {name: new[name]["Type"] for name in kept}
    assert refusals(**{name: value for name, value in defaults(OLD).items() if name in kept}) == []


def test_cloudformation_refuses_a_removed_parameter() -> None:
    assert refusals(OLD, WriteMode="mirror") == []
    assert refusals(WriteMode="mirror") == ["Parameters: [WriteMode] do not exist in the template"]


@pytest.mark.parametrize("parameters", COMBINATIONS)
def test_the_parameters_of_an_existing_stack_are_still_accepted(parameters: Parameters) -> None:
    assert refusals(OLD, **had(OLD, parameters)) == []
    assert refusals(**parameters) == []


def settings(path: Path, **parameters: str | int) -> dict[str, str]:
    """Return the environment variables of the function, with a name for each resource."""
    variables = properties("ReplicatorFunction", path, **parameters)["Environment"]["Variables"]
    return {name: str(value).strip("<>") for name, value in variables.items()}


# CloudFormation updates the code and the configuration of a function in two calls, and invocations can run in between.


@pytest.mark.parametrize("parameters", COMBINATIONS)
def test_the_new_code_accepts_the_settings_of_the_recorded_template(parameters: Parameters) -> None:
    Settings.from_env(settings(OLD, **parameters))


PROBE: Final = """
import json, sys
from ddbreplica.settings import Settings
for variables in json.load(sys.stdin):
    Settings.from_env(variables)
print(sys.modules["ddbreplica.settings"].__file__)
"""


def test_the_recorded_code_accepts_the_settings_of_the_new_template() -> None:
    probe = subprocess.run(  # noqa: S603  this project's code
        [sys.executable, "-c", PROBE],
        input=json.dumps([settings(TEMPLATE, **parameters) for parameters in COMBINATIONS]),
        env={**os.environ, "PYTHONPATH": str(RECORDED / "code.zip")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert probe.returncode == 0, probe.stderr
    assert "code.zip" in probe.stdout


def test_no_output_is_removed() -> None:
    assert load(OLD)["Outputs"].keys() <= load()["Outputs"].keys()
