"""Run the function with given variables in a process of its own, beside the deployed one, as an earlier invocation."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, cast

from ddbreplica import handler
from demo.embedded import EmbeddedAws
from demo.pair import Item, wait_until
from tests.support.function import Context
from tests.support.proxy import Exchange, Fault, Proxy, passed_on, signer
from tests.support.records import batch, record
from tests.support.template import ROOT

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_PATH: Final = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
_SECONDS_HELD: Final = 3.0


@dataclass
class OldInvocation:
    """An invocation whose requests are held for some seconds each. `written` counts those that were passed on."""

    process: subprocess.Popen[bytes]
    written: int = 0
    _lock: Lock = field(default_factory=Lock)

    def hold(self, exchange: Exchange) -> Fault:
        """Hold each batch of writes before it is passed on."""
        return self._held if exchange.operation == "BatchWriteItem" else passed_on

    def _held(self, exchange: Exchange) -> None:
        time.sleep(_SECONDS_HELD)
        passed_on(exchange)
        with self._lock:
            self.written += 1

    def finish(self) -> Any:
        """Wait until it has ended, and return what it returned to Lambda."""
        output, _ = self.process.communicate(timeout=60)
        return json.loads(output.splitlines()[-1])


@contextmanager
def old_invocation(
    aws: EmbeddedAws, variables: Mapping[str, str], images: Sequence[Item]
) -> Iterator[OldInvocation]:
    """Invoke the function with these variables and the records of these items, during a block."""
    proxy = Proxy(aws.endpoint_url, signer(aws.account, aws.secret, aws.region))
    environment = {**aws.env, **variables, "AWS_ENDPOINT_URL": proxy.url, "PYTHONPATH": _PATH}
    try:
        with subprocess.Popen(  # noqa: S603  this project's code
            [sys.executable, "-m", __name__],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            invocation = OldInvocation(process)
            proxy.script = invocation.hold
            assert process.stdin is not None
            process.stdin.write(json.dumps(records(images)).encode())
            process.stdin.close()
            process.stdin = None
            wait_until(lambda: bool(proxy.exchanges), "The old invocation has begun")
            try:
                yield invocation
            finally:
                process.kill()
    finally:
        proxy.close()


def records(images: Sequence[Item]) -> Any:
    """Return the event of a stream in which these items were put."""
    return batch(
        *(record(number, "MODIFY", {"PK": image["PK"]}, image) for number, image in enumerate(images, 1))
    )


class _Running(Context):
    """Lambda's context of an invocation with 30 seconds."""

    _ends_at = time.monotonic() + 30

    def get_remaining_time_in_millis(self) -> int:
        return int((self._ends_at - time.monotonic()) * 1000)


def _invoke() -> None:
    response = handler.lambda_handler(json.load(sys.stdin), cast("LambdaContext", _Running()))
    sys.stdout.write(f"{json.dumps(response)}\n")


if __name__ == "__main__":
    _invoke()
