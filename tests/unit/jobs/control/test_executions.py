"""executions: why an execution failed is shown as the worker or the state machine has said it."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from ddbreplica.jobs.control.executions import FAILED, Executions

STARTED = datetime(2026, 11, 29, 12, tzinfo=UTC)


def cause(error: str, text: str) -> str:
    response = {
        "name": "job_1",
        "status": FAILED,
        "startDate": STARTED,
        "input": "{}",
        "error": error,
        "cause": text,
    }
    client = SimpleNamespace(describe_execution=lambda **_: response)
    found = Executions(client, "arn:aws:states:eu-west-1:1:stateMachine:bulk").find("job_1")
    assert found
    return found.cause


@pytest.mark.parametrize(
    ("error", "text", "shown"),
    [
        ("JobFailed", "segments were not compared: 1.", "segments were not compared: 1."),
        ("States.Timeout", "", "States.Timeout: "),
        ("States.Runtime", "[1]", "States.Runtime: [1]"),
        (
            "TaskError",
            '{"errorMessage": "the bucket b does not exist.", "errorType": "TaskError", "stackTrace": ["…"]}',
            "the bucket b does not exist.",
        ),
        ("KeyError", """{"errorMessage": "'a'", "errorType": "KeyError"}""", "KeyError: 'a'"),
        ("States.TaskFailed", '{"errorType": "Sandbox.Timedout"}', None),
    ],
)
def test_the_cause_of_a_failed_execution(error: str, text: str, shown: str | None) -> None:
    assert cause(error, text) == (shown or f"{error}: {text}")
