"""Run a bundle of the function in Lambda's own runtime client, on AWS's emulator of the runtime interface."""

import json
import os
import platform
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

from demo.embedded import ROOT, free_port
from tests.support.template import resources

PYTHON: Final = ROOT / ".venv-lambda" / "bin" / "python"
_PROCESSOR: Final = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
_EMULATORS: Final = f"lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{_PROCESSOR}"
_PATH: Final = "/2015-03-31/functions/function/invocations"
_SECONDS_TO_COME_UP: Final = 10.0


def emulator() -> Path | None:
    """Return the path of AWS's emulator of the runtime interface for Linux and this processor, if installed."""
    return next((ROOT / ".venv-sam").glob(_EMULATORS), None)


class FunctionError(Exception):
    """A function error: the function raised, timed out or was killed. The mapping delivers the batch again."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """One execution environment. The emulator accepts one invocation at a time."""

    port: int
    pid: int
    log: Path

    def invoke(self, event: Any) -> Any:
        """Invoke the function and return its response. Raises FunctionError with the error's type and message."""
        connection = HTTPConnection("127.0.0.1", self.port)
        connection.request("POST", _PATH, json.dumps(event))
        response = connection.getresponse()
        content = response.read().decode()
        connection.close()
        if content.startswith("Task timed out"):
            raise FunctionError(content)
        result = json.loads(content)
        if "errorType" in result:
            raise FunctionError(f"{result['errorType']}: {result['errorMessage']}")
        return result

    def kill(self) -> None:
        """Kill the function's process, as Lambda does if it takes too much memory."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/children")
        for child in " ".join(path.read_text() for path in threads).split():
            os.kill(int(child), signal.SIGKILL)

    def lines(self) -> list[Any]:
        """Return the function's log lines so far. They are JSON; the emulator's own lines are not."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


@contextmanager
def runtime(
    bundle: Path, variables: Mapping[str, str], *, home: Path, timeout: int | None = None
) -> Iterator[Runtime]:
    """Start the function as the template configures it, except for these `variables` and the `timeout` in seconds.

    `home` is a directory for its log.
    """
    port, log = free_port(), home / "runtime.log"
    command = [
        *(str(emulator()), "--log-level", "error"),
        *("--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
        *("--runtime-api-address", f"127.0.0.1:{free_port()}"),
        *(str(PYTHON), "-m", "awslambdaric", _function()["Handler"]),
    ]
    env = _environment(bundle, timeout=timeout, variables=variables)
    with log.open("wb") as written:
        process = subprocess.Popen(  # noqa: S603
            command, cwd=bundle, env=env, stdout=written, stderr=written, start_new_session=True
        )
    try:
        _wait(process, port, log)
        yield Runtime(port, process.pid, log)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _function() -> Mapping[str, Any]:
    properties: Mapping[str, Any] = resources()["ReplicatorFunction"]["Properties"]
    return properties


def _environment(bundle: Path, *, timeout: int | None, variables: Mapping[str, str]) -> dict[str, str]:
    """Return Lambda's own variables and the template's: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html."""
    function = _function()
    return {
        "PATH": os.defpath,
        "LAMBDA_TASK_ROOT": str(bundle),
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "dummy",
        "AWS_SECRET_ACCESS_KEY": "dummy",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout or function["Timeout"]),
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function["MemorySize"]),
        "AWS_LAMBDA_LOG_FORMAT": function["LoggingConfig"]["LogFormat"],
        "AWS_LAMBDA_LOG_LEVEL": function["LoggingConfig"]["ApplicationLogLevel"],
        **function["Environment"]["Variables"],
        **variables,
    }


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    give_up_at = time.monotonic() + _SECONDS_TO_COME_UP
    while process.poll() is None and time.monotonic() < give_up_at:
        with suppress(ConnectionError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    raise AssertionError(f"The emulator does not start: {log.read_text()}")
