"""The processes of a run: the endpoint, and one for each contestant. Each ends with its `with` block."""

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

# A new interpreter for each: nothing is shared with, or inherited from, the process that measures.
_SPAWN = get_context("spawn")
_BYTES_OF_MAXRSS = 1 if sys.platform == "darwin" else 1024


class BenchmarkError(Exception):
    """A run that measured nothing, or work that was not done; the message says whose."""


ANYBODY: Mapping[str, str] = {"AWS_ACCESS_KEY_ID": "benchmark", "AWS_SECRET_ACCESS_KEY": "benchmark"}
"""Credentials for a service that asks for some, and accepts any."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What some batches took: seconds of CPU (all threads) and of time. `peak` is the process's memory in bytes."""

    batches: int
    cpu: float
    wall: float
    peak: int


def calling(url: str) -> Mapping[str, str]:
    """The environment of a process that calls DynamoDB there, and reads nothing of the machine's own AWS files."""
    return {
        "AWS_ENDPOINT_URL_DYNAMODB": url,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        **ANYBODY,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }


class Endpoint:
    """The server, and what its clients need to know."""

    def __init__(self, orders: "Pipe") -> None:
        self._orders = orders
        self._port = orders.recv()

    @property
    def environment(self) -> Mapping[str, str]:
        """Where and as whom to call, and the function's settings."""
        return {
            **calling(f"http://127.0.0.1:{self._port}"),
            "REPLICA_TABLE_NAME": TABLE,
            "QUARANTINE_BUCKET": "never-written-to",
        }

    def reset(self, to: Reset) -> Counts:
        """Count afresh; return what was counted until now."""
        self._orders.send(to)
        counts: Counts = self._orders.recv()
        return counts


class Worker:
    """A contestant in its process."""

    def __init__(self, contestant: str, orders: "Pipe") -> None:
        self._contestant = contestant
        self._orders = orders

    def run(self, workload: Workload, *, seconds: float) -> Sample:
        """Apply the batch once, and again until `seconds` have gone by. Raises BenchmarkError."""
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
    """A server on a port of its own."""
    with _process(server.run) as orders:
        yield Endpoint(orders)


@contextmanager
def worker(contestant: str, environment: Mapping[str, str]) -> Iterator[Worker]:
    """A contestant's process, with `environment` added to this one's."""
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
    # Log lines and metrics are made and written, and read by nobody.
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  open until the process ends
    module = importlib.import_module(f"benchmarks.contestants.{contestant}")
    prepared: dict[str, Apply] = {}
    while (order := orders.recv()) is not None:
        workload, seconds = order
        try:
            if workload.title not in prepared:
                prepared[workload.title] = module.prepare(workload.event())
            orders.send(_sample(prepared[workload.title], seconds))
        except Exception as error:  # noqa: BLE001  told to the parent, which ends the run
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
