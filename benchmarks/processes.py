"""Start the processes of a run: the endpoint, and one per contestant. Each ends with its `with` block."""

import importlib
import os
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import server
from benchmarks.contestants import Apply
from benchmarks.server import Counts, Reset
from benchmarks.workloads import TABLE, Workload

if TYPE_CHECKING:
    Pipe = Connection[Any, Any]

# Each gets a new interpreter, which shares and inherits nothing from the measuring process.
_SPAWN = get_context("spawn")
_BYTES_OF_MAXRSS = 1 if sys.platform == "darwin" else 1024


class BenchmarkError(Exception):
    """The run is void: nothing was measured, or a contestant did not do its work."""


ANYBODY: Mapping[str, str] = {"AWS_ACCESS_KEY_ID": "benchmark", "AWS_SECRET_ACCESS_KEY": "benchmark"}
"""Credentials for a service that accepts any."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Measurements of some batches: CPU seconds (all threads) and seconds. `peak` is the memory in bytes."""

    batches: int
    cpu: float
    wall: float
    peak: int


def calling(url: str) -> Mapping[str, str]:
    """Return the environment of a process that calls DynamoDB at this URL and reads no AWS files of the machine."""
    return {
        "AWS_ENDPOINT_URL_DYNAMODB": url,
        "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": url,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        **ANYBODY,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }


class Endpoint:
    """The server, and the environment of its clients."""

    def __init__(self, orders: "Pipe") -> None:
        self._orders = orders
        self._port = orders.recv()

    @property
    def environment(self) -> Mapping[str, str]:
        """The endpoint and credentials, and the settings of the function."""
        return {
            **calling(f"http://127.0.0.1:{self._port}"),
            "REPLICA_TABLE_NAME": TABLE,
            "QUARANTINE_BUCKET": "never-written-to",
        }

    def reset(self, to: Reset) -> Counts:
        """Reset the counts; return those until now."""
        self._orders.send(to)
        counts: Counts = self._orders.recv()
        return counts


class Worker:
    """A contestant in a process of its own."""

    def __init__(self, contestant: str, orders: "Pipe") -> None:
        self._contestant = contestant
        self._orders = orders

    def run(self, workload: Workload, *, seconds: float) -> Sample:
        """Apply the batch at least once, and repeat it for `seconds`. Raises BenchmarkError."""
        self._orders.send((workload, seconds))
        try:
            sample = self._orders.recv()
        except EOFError:
            raise BenchmarkError(f"{self._contestant} ended while it ran: {workload.title}") from None
        if not isinstance(sample, Sample):
            raise BenchmarkError(f"{self._contestant} failed: {workload.title}: {sample}")
        return sample


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    """Start a server on a free port."""
    with _process(server.run) as orders:
        yield Endpoint(orders)


@contextmanager
def worker(contestant: str, environment: Mapping[str, str]) -> Iterator[Worker]:
    """Start the process of a contestant, with `environment` added to the environment of this process."""
    with _process(_work, contestant, dict(environment)) as orders:
        yield Worker(contestant, orders)


@contextmanager
def _process(target: Any, *args: Any) -> "Iterator[Pipe]":
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=target, args=(theirs, *args), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        if process.is_alive():
            ours.send(None)
        process.join()
        ours.close()


def _work(orders: "Pipe", contestant: str, environment: Mapping[str, str]) -> None:
    os.environ.update(environment)
    # Log lines and metrics are written but not read.
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  open until the process ends
    module = importlib.import_module(f"benchmarks.contestants.{contestant}")
    prepared: dict[str, Apply] = {}
    while (order := orders.recv()) is not None:
        workload, seconds = order
        try:
            if workload.title not in prepared:
                prepared[workload.title] = module.prepare(workload.event())
            orders.send(_sample(prepared[workload.title], seconds))
        except Exception as error:  # noqa: BLE001  sent to the parent, which ends the run
            orders.send(repr(error))


def _sample(apply: Apply, seconds: float) -> Sample:
    batches = 0
    cpu, wall = time.process_time(), time.perf_counter()
    while batches == 0 or time.perf_counter() - wall < seconds:
        apply()
        batches += 1
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _BYTES_OF_MAXRSS
    return Sample(batches, cpu, wall, peak)
