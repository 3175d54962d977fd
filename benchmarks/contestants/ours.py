"""The whole function as Lambda calls it. Its log line and metrics are written to nowhere."""

from collections.abc import Callable
from typing import Any

from benchmarks.contestants import Apply
from ddbreplica.handler import lambda_handler


class _Context:
    aws_request_id = "8f5ea6a9-6b1c-4c6a-9d0c-2f4b1f0a6d5e"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


def prepare(event: Any) -> Apply:
    """Apply the batch. Raises AssertionError if a record was not applied."""
    return applying(event, lambda_handler)


def applying(event: Any, handler: Callable[[Any, Any], Any]) -> Apply:
    """Apply the batch with a handler. Raises AssertionError if a record was not applied."""
    context: Any = _Context()

    def apply() -> None:
        answer = handler(event, context)
        if answer != {"batchItemFailures": []}:
            raise AssertionError(f"not everything was applied: {answer}")

    return apply
