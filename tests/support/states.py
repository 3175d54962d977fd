"""Run a state machine of AWS Step Functions in process, with a function instead of the worker.

It supports the states and the fields that statemachine/bulk.asl.json uses. The embedded AWS is more tolerant than AWS;
here, as on AWS, a path to a missing member ends the execution, and no Catch applies.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from tests.support.modules import ROOT

Invoke: TypeAlias = Callable[[dict[str, Any]], Any]
States: TypeAlias = Mapping[str, Mapping[str, Any]]

BULK: Final = ROOT / "statemachine" / "bulk.asl.json"
SUBSTITUTIONS: Final[Mapping[str, str | int]] = {
    "Bucket": "quarantine-bucket",
    "Function": "replicator",
    "MaxVerificationUnits": 0,
    "Partition": "aws",
    "Stack": "orders",
    "WorkerConcurrency": 10,
    "WorkerFunction": "arn:aws:lambda:eu-west-1:111122223333:function:worker",
}
MAP_RESULT_LIMIT: Final = 256 * 1024
STATES_LIMIT: Final = 10_000
"""The states after which the history of an execution is full: 25,000 events, some of which are of retries."""


def substituted(**values: str | int) -> dict[str, Any]:
    """Return the definition of the bulk work with its variables replaced, as CloudFormation replaces them."""
    known = {**SUBSTITUTIONS, **values}
    text = re.sub(r"\$\{(\w+)\}", lambda match: str(known[match[1]]), BULK.read_text())
    definition: dict[str, Any] = json.loads(text)
    return definition


class FailedError(Exception):
    """A state failed; Retry and Catch of the state apply."""

    def __init__(self, error: str, cause: str = "") -> None:
        super().__init__(error, cause)
        self.error, self.cause = error, cause


class EndedError(FailedError):
    """The execution failed in a way that no Catch applies to."""


@dataclass(slots=True)
class Execution:
    """One execution: the objects of the bucket, the worker, and what happened."""

    name: str
    objects: Mapping[str, str]
    invoke: Invoke
    visited: list[str] = field(default_factory=list)
    waited: float = 0.0

    def run(self, definition: Mapping[str, Any], given: Any) -> Any:
        """Return the output. Raises EndedError if the execution fails."""
        context = {"Execution": {"Name": self.name}}
        try:
            return self._states(definition["States"], definition["StartAt"], given, context)
        except FailedError as failed:
            raise EndedError(failed.error, failed.cause) from failed

    def _states(self, states: States, name: str | None, given: Any, context: Mapping[str, Any]) -> Any:
        for _ in range(STATES_LIMIT):
            if name is None:
                return given
            self.visited.append(name)
            state = states[name]
            given, name = getattr(self, f"_{state['Type'].lower()}")(state, given, context)
        raise EndedError("States.Runtime", "the history of the execution is too long")

    def _pass(self, state: Mapping[str, Any], given: Any, context: Mapping[str, Any]) -> tuple[Any, Any]:
        result = state["Result"] if "Result" in state else _filled(state["Parameters"], given, context)
        if path := state.get("ResultPath"):
            result = {**given, path.removeprefix("$."): result}
        return result, state.get("Next")

    def _succeed(self, state: Mapping[str, Any], given: Any, context: Mapping[str, Any]) -> tuple[Any, Any]:
        return given, None

    def _fail(self, state: Mapping[str, Any], given: Any, context: Mapping[str, Any]) -> tuple[Any, Any]:
        cause = _at(state["CausePath"], given, context)
        if not isinstance(cause, str):
            raise EndedError("States.Runtime", f"{state['CausePath']} is not text")
        raise EndedError(state["Error"], cause)

    def _choice(self, state: Mapping[str, Any], given: Any, context: Mapping[str, Any]) -> tuple[Any, Any]:
        fitting = (rule["Next"] for rule in state["Choices"] if _holds(rule, given, context))
        return given, next(fitting, state["Default"])

    def _wait(self, state: Mapping[str, Any], given: Any, context: Mapping[str, Any]) -> tuple[Any, Any]:
        seconds = _at(state["SecondsPath"], given, context)
        if type(seconds) is not int or seconds < 0:
            raise EndedError("States.Runtime", f"{state['SecondsPath']} is not a number of seconds")
        self.waited += seconds
        return given, state["Next"]

    def _task(self, state: Mapping[str, Any], given: Any, context: Mapping[str, Any]) -> tuple[Any, Any]:
        retries = [rule["MaxAttempts"] for rule in state["Retry"]]
        while True:
            try:
                response = self._invoked(_filled(state["Parameters"], given, context))
                result = _filled(state["ResultSelector"], {"Payload": response}, context)
                return {**given, state["ResultPath"].removeprefix("$."): result}, state["Next"]
            except EndedError:
                raise
            except FailedError as failed:
                rule = next((i for i, rule in enumerate(state["Retry"]) if _catches(rule, failed)), None)
                if rule is not None and retries[rule]:
                    retries[rule] -= 1
                    continue
                for catch in state.get("Catch", ()):
                    if _catches(catch, failed):
                        return given, catch["Next"]
                raise

    def _invoked(self, parameters: Mapping[str, Any]) -> Any:
        try:
            return self.invoke(json.loads(json.dumps(parameters["Payload"])))
        except FailedError:
            raise
        except Exception as error:
            raise FailedError(type(error).__name__, str(error)) from error

    def _map(self, state: Mapping[str, Any], given: Any, context: Mapping[str, Any]) -> tuple[Any, Any]:
        ends = list(self._children(state, given, context))
        tolerated = state["ToleratedFailurePercentage"]
        if sum(isinstance(end, FailedError) for end in ends) * 100 > tolerated * len(ends):
            raise FailedError("States.ExceedToleratedFailureThreshold")
        if len(json.dumps(ends, default=str)) > MAP_RESULT_LIMIT:
            raise EndedError("States.DataLimitExceeded")
        assert state["ResultPath"] is None
        return given, state["Next"]

    def _children(self, state: Mapping[str, Any], given: Any, context: Mapping[str, Any]) -> Iterator[Any]:
        key = _filled(state["ItemReader"]["Parameters"], given, context)["Key"]
        if key not in self.objects:
            raise FailedError("States.ItemReaderFailed", key)
        processor = state["ItemProcessor"]
        for number, line in enumerate(self.objects[key].splitlines()):
            of_item = {**context, "Map": {"Item": {"Value": json.loads(line)}}}
            child = {"Execution": {"Name": f"{self.name} child {number}"}}
            try:
                selected = _filled(state["ItemSelector"], given, of_item)
                yield self._states(processor["States"], processor["StartAt"], selected, child)
            except FailedError as failed:
                yield failed


def _catches(rule: Mapping[str, Any], failed: FailedError) -> bool:
    """Return whether a rule of Retry or Catch is for this error."""
    names = {failed.error, "States.ALL"}
    if failed.error != "States.Timeout":
        names.add("States.TaskFailed")
    return not names.isdisjoint(rule["ErrorEquals"])


def _holds(rule: Mapping[str, Any], given: Any, context: Mapping[str, Any]) -> bool:
    if "Not" in rule:
        return not _holds(rule["Not"], given, context)
    if "IsPresent" in rule:
        return bool(rule["IsPresent"]) == (rule["Variable"].removeprefix("$.") in given)
    (expected,) = (
        value for test, value in rule.items() if re.fullmatch("(String|Boolean|Numeric)Equals", test)
    )
    value = _at(rule["Variable"], given, context)
    return type(value) is type(expected) and bool(value == expected)


def _filled(template: Any, given: Any, context: Mapping[str, Any]) -> Any:
    """Return a template with its paths replaced by what they lead to."""
    if not isinstance(template, dict):
        return template
    return {
        name.removesuffix(".$"): (
            _at(value, given, context) if name.endswith(".$") else _filled(value, given, context)
        )
        for name, value in template.items()
    }


def _at(path: str, given: Any, context: Mapping[str, Any]) -> Any:
    if formatted := re.fullmatch(r"States\.Format\('([^']*)', (\S+)\)", path):
        return formatted[1].replace("{}", str(_at(formatted[2], given, context)))
    found: Any = context if path.startswith("$$.") else given
    for member in path.lstrip("$.").split("."):
        if not isinstance(found, dict) or member not in found:
            raise EndedError("States.Runtime", f"the path {path} does not exist")
        found = found[member]
    return found
