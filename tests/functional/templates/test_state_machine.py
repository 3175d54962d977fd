"""The definition of the bulk work is valid, and uses only what AWS and the embedded AWS treat alike.

The embedded AWS ignores some fields, and treats others differently from AWS. These tests refuse them.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
from cfnlint.api import lint  # type: ignore[import-untyped]
from cfnlint.config import ManualArgs  # type: ignore[import-untyped]

from tests.support.states import BULK, SUBSTITUTIONS, substituted
from tests.support.template import REGION

DEFINITION: Final = substituted()
COMMON: Final = {"action", "function", "stack", "job", "attempt"}
PAYLOADS: Final = {
    "plan": COMMON | {"what", "options", "scheduled", "concurrency", "max_units"},
    "work": COMMON | {"line"},
    "gather": COMMON,
    "confirm": COMMON | {"line"},
    "report": COMMON,
    "redrive": COMMON,
}
"""What the worker requires, by action."""

RESPONSES: Final = {
    "plan": {"skipped", "failed"},
    "work": {"done", "wait_seconds", "failed"},
    "gather": {"pieces", "failed"},
    "confirm": {"done", "wait_seconds", "failed"},
    "report": {"failed"},
    "redrive": {"failed"},
}
"""What the worker always returns, by action."""

FIELDS: Final = {
    "Choice": {"Choices", "Default"},
    "Fail": {"Error", "CausePath"},
    "Map": {
        *("ItemReader", "ItemSelector", "ItemProcessor", "MaxConcurrency", "ToleratedFailurePercentage"),
        *("ResultPath", "Next"),
    },
    "Pass": {"Parameters", "Result", "ResultPath", "Next", "End"},
    "Succeed": set[str](),
    "Task": {
        *("Resource", "Parameters", "ResultSelector", "ResultPath", "TimeoutSeconds", "Retry", "Catch"),
        "Next",
    },
    "Wait": {"SecondsPath", "Next"},
}
"""The fields of each type of state that the tests of the paths, the embedded AWS and AWS treat alike."""


def machines(machine: Mapping[str, Any] = DEFINITION) -> Iterator[Mapping[str, Any]]:
    """Yield a state machine and those that its Map states run for each item."""
    yield machine
    for state in machine["States"].values():
        if "ItemProcessor" in state:
            yield from machines(state["ItemProcessor"])


MACHINES: Final = list(machines())
CHILDREN: Final = MACHINES[1:]
STATES: Final = {name: state for machine in MACHINES for name, state in machine["States"].items()}
TASKS: Final = {name: state for name, state in STATES.items() if state["Type"] == "Task"}
MAPS: Final = {name: state for name, state in STATES.items() if state["Type"] == "Map"}
CHOICES: Final = {name: state for name, state in STATES.items() if state["Type"] == "Choice"}


def following(state: Mapping[str, Any]) -> set[str]:
    """Return the names of the states that can follow a state in its machine."""
    rules = [state, *state.get("Choices", ()), *state.get("Catch", ())]
    return {rule[name] for rule in rules for name in ("Next", "Default") if name in rule}


def words(node: Any) -> Iterator[str]:
    """Yield every name of a member and every text of the definition."""
    if isinstance(node, Mapping):
        yield from (word for pair in node.items() for part in pair for word in words(part))
    elif isinstance(node, list):
        yield from (word for each in node for word in words(each))
    elif isinstance(node, str):
        yield node


def test_it_is_free_of_lint() -> None:
    role = f"arn:aws:iam::{'1' * 12}:role/bulk"
    machine = {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {"RoleArn": role, "Definition": DEFINITION},
    }
    found = lint(json.dumps({"Resources": {"Bulk": machine}}), config=ManualArgs(regions=[REGION]))
    assert [f"{match.rule.id}: {match.message}" for match in found] == []


def test_every_variable_is_replaced_and_only_numbers_stand_without_quotes() -> None:
    text = BULK.read_text()
    assert set(re.findall(r"\$\{(\w+)\}", text)) == SUBSTITUTIONS.keys()
    assert sorted(re.findall(r": \$\{(\w+)\}", text)) == [
        "MaxVerificationUnits",
        *("WorkerConcurrency",) * 3,
    ]
    assert "${" not in json.dumps(DEFINITION)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine["StartAt"])
def test_every_state_is_reachable_and_every_next_state_exists(machine: Mapping[str, Any]) -> None:
    states = machine["States"]
    reached, left = set[str](), {machine["StartAt"]}
    while left:
        reached |= left
        left = {name for state in left for name in following(states[state])} - reached
    assert reached == states.keys()


def test_no_two_states_have_the_same_name() -> None:
    """AWS refuses them, in the machine and those of its Map states together."""
    names = Counter(name for machine in MACHINES for name in machine["States"])
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("name", STATES)
def test_a_state_has_only_fields_that_every_implementation_treats_alike(name: str) -> None:
    state = STATES[name]
    assert state.keys() - {"Type", "Comment"} <= FIELDS[state["Type"]]


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine["StartAt"])
def test_a_machine_has_no_timeout_and_no_other_query_language(machine: Mapping[str, Any]) -> None:
    assert machine.keys() - {"Comment", "ProcessorConfig"} == {"StartAt", "States"}


@pytest.mark.parametrize(
    "feature",
    [
        "EXPRESS",  # its children end after five minutes
        "HeartbeatSeconds",
        "ItemBatcher",  # the embedded AWS ignores it
        "JSONata",
        "JitterStrategy",  # the embedded AWS ignores it
        "Label",
        "MANIFEST",  # the embedded AWS refuses it
        "MaxConcurrencyPath",  # the embedded AWS ignores it
        "MaxDelaySeconds",  # the embedded AWS ignores it
        "Parallel",
        "ResultWriter",  # the embedded AWS ignores it
        "Runtime.HandlerError",  # every exception on the embedded AWS, and none on AWS
        "Seconds",
        "States.Runtime",  # no Catch applies to it
        "Timestamp",
        "ToleratedFailureCount",
        "redriveExecution",  # the embedded AWS refuses it
    ],
)
def test_a_feature_that_the_embedded_aws_treats_differently_is_not_used(feature: str) -> None:
    assert [word for word in words(DEFINITION) if feature.lower() == word.lower()] == []


@pytest.mark.parametrize("machine", CHILDREN, ids=lambda machine: machine["StartAt"])
def test_every_child_ends_with_a_constant(machine: Mapping[str, Any]) -> None:
    """AWS returns the output of all children together, and ends the execution if that has more than 256 KiB."""
    ends = [state for state in machine["States"].values() if not following(state)]
    assert ends
    assert ends == [{"Type": "Pass", "Result": {}, "End": True}] * len(ends)


@pytest.mark.parametrize("machine", CHILDREN, ids=lambda machine: machine["StartAt"])
def test_no_child_reads_the_context_whose_execution_is_the_child(machine: Mapping[str, Any]) -> None:
    assert [word for word in words(machine) if word.startswith("$$")] == []


@pytest.mark.parametrize("name", MAPS)
def test_a_map_runs_its_children_by_their_number_and_tolerates_those_that_end_abnormally(name: str) -> None:
    state = MAPS[name]
    limit = substituted(WorkerConcurrency=7)["States"][name]["MaxConcurrency"]
    assert (type(limit), limit) == (int, 7)
    assert state["ToleratedFailurePercentage"] == 100
    assert state["ResultPath"] is None
    assert state["ItemProcessor"]["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    assert state["ItemReader"]["Resource"] == "arn:aws:states:::s3:getObject"
    assert state["ItemReader"]["ReaderConfig"] == {"InputType": "JSONL"}
    assert state["ItemReader"]["Parameters"]["Bucket"] == "quarantine-bucket"


@pytest.mark.parametrize("name", TASKS)
def test_a_task_passes_and_takes_what_the_worker_requires_and_returns(name: str) -> None:
    state = TASKS[name]
    payload = state["Parameters"]["Payload"]
    action = payload["action"]
    assert {member.removesuffix(".$") for member in payload} == PAYLOADS[action]
    assert state["ResultSelector"] == {f"{each}.$": f"$.Payload.{each}" for each in RESPONSES[action]}
    assert (payload["function"], payload["stack"]) == ("replicator", "orders")
    assert state["Parameters"]["FunctionName"] == SUBSTITUTIONS["WorkerFunction"]
    assert state["Resource"] == "arn:aws:states:::lambda:invoke"
    assert state["ResultPath"] == "$.response"


def test_every_action_has_one_task() -> None:
    actions = Counter(state["Parameters"]["Payload"]["action"] for state in TASKS.values())
    assert actions == Counter(PAYLOADS.keys())


def known_at(name: str) -> Iterator[set[str]]:
    """Yield the paths that exist in the input of a state, for each state before it."""
    for before in (state for state in STATES.values() if name in following(state)):
        if before["Type"] == "Task":
            yield {f"$.response.{member.removesuffix('.$')}" for member in before["ResultSelector"]}
        if before["Type"] == "Pass":
            yield {f"$.{member.removesuffix('.$')}" for member in before["Parameters"]}


@pytest.mark.parametrize("name", [name for name in CHOICES if name != DEFINITION["StartAt"]])
def test_a_choice_reads_only_what_every_state_before_it_returns(name: str) -> None:
    """A missing member is false on the embedded AWS. AWS ends the execution."""
    before = list(known_at(name))
    read = {word for word in words(CHOICES[name]["Choices"]) if word.startswith("$")}
    assert before
    assert read
    assert [read - known for known in before] == [set[str]()] * len(before)


def test_the_first_choice_only_asks_which_members_are_given() -> None:
    rules = STATES[DEFINITION["StartAt"]]["Choices"]
    assert [(rule["Variable"], rule["IsPresent"], rule["Next"]) for rule in rules] == [
        ("$.what", False, "WithoutWhat"),
        ("$.options", False, "WithoutOptions"),
        ("$.job", True, "UseJob"),
    ]


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_tried_five_times_and_longer_where_lambda_did_not_run_it(name: str) -> None:
    of_lambda, of_worker = TASKS[name]["Retry"]
    assert of_lambda["ErrorEquals"] == [
        "Lambda.ServiceException",
        "Lambda.AWSLambdaException",
        "Lambda.SdkClientException",
        "Lambda.TooManyRequestsException",
    ]
    assert of_worker["ErrorEquals"] == ["States.TaskFailed", "States.Timeout"]
    assert of_worker["MaxAttempts"] == 4
    assert seconds(of_worker) >= 60
    assert seconds(of_lambda) >= 900
    # No invocation lasts longer than 900 seconds.
    assert TASKS[name]["TimeoutSeconds"] > 900


def seconds(retry: Mapping[str, Any]) -> float:
    """Return the time between the first and the last attempt of a task that fails at once."""
    waits = (retry["IntervalSeconds"] * retry["BackoffRate"] ** n for n in range(retry["MaxAttempts"]))
    return float(sum(waits))


def test_only_the_children_catch_errors_and_they_catch_all_without_keeping_them() -> None:
    catching = {name: state["Catch"] for name, state in TASKS.items() if "Catch" in state}
    assert catching.keys() == {machine["StartAt"] for machine in CHILDREN}
    for (catch,) in catching.values():
        assert catch["ErrorEquals"] == ["States.ALL"]
        assert catch["ResultPath"] is None
        assert STATES[catch["Next"]] == {"Type": "Pass", "Result": {}, "End": True}


def test_the_execution_fails_with_the_message_of_the_worker() -> None:
    failing = [state for state in STATES.values() if state["Type"] == "Fail"]
    assert failing == [{"Type": "Fail", "Error": "JobFailed", "CausePath": "$.response.failed"}]
