"""The worker's Lambda function: do one task of a job, such as some minutes of a verification, and return."""

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ddbreplica.deadline import deadline_of
from ddbreplica.errors import TaskError
from ddbreplica.jobs.payload import Payload

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


def lambda_handler(event: Any, context: "LambdaContext") -> Mapping[str, Any]:
    """Do the task of a payload of the state machine, and return what it needs to go on.

    Raises TaskError if the work failed and may be tried again. A payload that is not valid fails the job at once.
    """
    try:
        payload = Payload.read(event)
    except TaskError as error:
        from ddbreplica.jobs.actions import refusal  # noqa: PLC0415

        _write(
            "ERROR", "payload refused", {"function_request_id": context.aws_request_id, "error": error.fact}
        )
        return refusal(error)
    log = _Log(payload, context.aws_request_id)
    # Only now, since a cold start with a payload that is not valid needs none of it.
    from ddbreplica.jobs.actions import act  # noqa: PLC0415
    from ddbreplica.jobs.pair import FunctionPair  # noqa: PLC0415

    try:
        response = act(payload, FunctionPair.of, deadline=deadline_of(context), note=log.note)
    except Exception as error:
        log.write("ERROR", f"{payload.action} failed", error=f"{type(error).__name__}: {error}")
        raise
    log.write("ERROR" if response["failed"] else "INFO", f"{payload.action} ended", **response)
    return response


class _Log:
    """Writes lines of JSON, each with the task. They have counts and messages, and no content of an item."""

    def __init__(self, payload: Payload, request_id: str) -> None:
        self._task = {
            "function_request_id": request_id,
            "function": payload.function,
            "job": payload.job,
            "attempt": payload.attempt,
            **({"line": payload.members["line"]} if "line" in payload.members else {}),
        }

    def note(self, *texts: str) -> None:
        for text in texts:
            self.write("INFO", text)

    def write(self, level: str, message: str, **members: Any) -> None:
        _write(level, message, {**self._task, **members})


def _write(level: str, message: str, members: Mapping[str, Any]) -> None:
    line = {"level": level, "timestamp": datetime.now(UTC).isoformat(), "message": message, **members}
    sys.stdout.write(json.dumps(line) + "\n")
