"""The end of a command that is run in process: at one of its calls, and nothing of it goes on."""

from collections.abc import Callable
from typing import Any

from tests.support.cli import Misbehaviour


class KilledError(BaseException):
    """The process is gone: nothing of it may go on."""


def kill_at(aws: Misbehaviour, call: int) -> Callable[[], bool]:
    """Let the next run die before its call number `call` to S3 or DynamoDB; what is returned says if it did.

    Nothing of a dead run reaches AWS; once it was asked for, another run may begin.
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
