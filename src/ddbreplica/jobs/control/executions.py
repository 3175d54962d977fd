"""The executions of the state machine that runs the jobs of a stack.

https://docs.aws.amazon.com/step-functions/latest/apireference/API_Operations.html
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

from ddbreplica.aws.hints import explain
from ddbreplica.aws.refusal import asked
from ddbreplica.aws.request import ask
from ddbreplica.errors import TaskError
from ddbreplica.model import Refusal

RUNNING: Final = "RUNNING"
SUCCEEDED: Final = "SUCCEEDED"
FAILED: Final = "FAILED"
TIMED_OUT: Final = "TIMED_OUT"
ABORTED: Final = "ABORTED"

STOPPED: Final = "JobStopped"
"""The error of an execution that `ddbreplica jobs stop` has ended."""

_OWN = frozenset({"", "JobFailed", STOPPED, TaskError.__name__})
"""The errors whose cause is a message of ddbreplica, and complete without the error."""


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution. `given` is its input, and `cause` why it failed; both are empty in a listing."""

    name: str
    status: str
    started: datetime
    ended: datetime | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    cause: str = ""

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.status == RUNNING


@dataclass(frozen=True, slots=True)
class Executions:
    """The executions of a state machine, by the client of its Region and its ARN. Raises TaskError if AWS refuses."""

    client: Any
    machine: str

    def start(self, name: str, given: Mapping[str, Any]) -> None:
        """Start an execution. One that has this name, and was started by an earlier request, is left as it is."""
        result = asked(
            # Raises KeyError for a response that does not confirm the start.
            lambda: self.client.start_execution(
                stateMachineArn=self.machine, name=name, input=json.dumps(given)
            )["executionArn"]
        )
        if isinstance(result, Refusal) and result.code != "ExecutionAlreadyExists":
            raise explain(result, doing=f"the execution {name} cannot be started")

    def find(self, name: str) -> Execution | None:
        """Return an execution, or None if there was none of this name in the last 90 days."""
        result = asked(lambda: _described(self.client.describe_execution(executionArn=self._arn(name))))
        if not isinstance(result, Refusal):
            return result
        if result.code == "ExecutionDoesNotExist":
            return None
        raise explain(result, doing=f"the execution {name} cannot be described")

    def list(self, status: str, *, most: int) -> Sequence[Execution]:
        """Return the newest executions that have a status, the newest first."""
        refused = partial(explain, doing="the executions of the state machine cannot be listed")
        return ask(
            lambda: [
                _read(each)
                for each in self.client.list_executions(
                    stateMachineArn=self.machine, statusFilter=status, maxResults=most
                )["executions"]
            ],
            refused=refused,
        )

    def stop(self, name: str, *, cause: str) -> None:
        """Stop an execution. Its workers go on until they find the stop marker of the job."""
        refused = partial(explain, doing=f"the execution {name} cannot be stopped")
        ask(
            lambda: self.client.stop_execution(executionArn=self._arn(name), error=STOPPED, cause=cause)[
                "stopDate"
            ],
            refused=refused,
        )

    def _arn(self, name: str) -> str:
        return f"{self.machine.replace(':stateMachine:', ':execution:')}:{name}"


def _described(response: Any) -> Execution:
    given = json.loads(response["input"])
    cause = _cause(response.get("error", ""), response.get("cause", ""))
    return _read(response, given=given if isinstance(given, dict) else {}, cause=cause)


def _cause(error: str, cause: str) -> str:
    """Return why an execution failed. That of a worker that failed is JSON, with the message and a stack trace."""
    try:
        message = str(json.loads(cause)["errorMessage"])
    except (KeyError, TypeError, ValueError, RecursionError):
        message = cause
    return message if error in _OWN else f"{error}: {message}"


def _read(response: Any, *, given: Mapping[str, Any] | None = None, cause: str = "") -> Execution:
    return Execution(
        response["name"],
        response["status"],
        response["startDate"],
        response.get("stopDate"),
        given or {},
        cause,
    )
