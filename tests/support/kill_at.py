"""Kill a command that runs in process at one of its calls to AWS."""

from collections.abc import Callable
from typing import Any

from tests.support.cli import Misbehaviour


class KilledError(BaseException):
    """The simulated process was killed."""


def kill_at(aws: Misbehaviour, call: int) -> Callable[[], bool]:
    """Kill the next run before its call number `call` to S3 or DynamoDB. Return a function that returns if it did.

    No later call of a killed run reaches AWS. After a call of the returned function, another run may start.
    """
    calls = iter(range(call + 1))
    state = ""

    def count(**_: Any) -> None:
        nonlocal state
        if state == "dead" or (not state and next(calls) == call):
            state = "dead"
            raise KilledError

    def was_killed() -> bool:
        nonlocal state
        killed, state = state == "dead", "over"
        return killed

    aws.on("before-send.s3", count)
    aws.on("before-send.dynamodb", count)
    return was_killed
