"""The commands and the loops. Each is measured as a process of its own, from its start to its end."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.operator.loops import REPLICA, SEGMENTS, SOURCE
from benchmarks.processes import BenchmarkError

_ROOT: Final = Path(__file__).parents[2]
_TABLES: Final = (
    "--source",
    SOURCE,
    "--replica",
    REPLICA,
    "--without-mapping",
    "--transform",
    "none",
    "--json",
)
_FOUR: Final = ("--segments", str(SEGMENTS), *_TABLES)
_SIXTEEN: Final = ("--segments", "16", *_TABLES)
_COMMAND, _LOOP = "ddbreplica_cli", "benchmarks.operator.loops"


@dataclass(frozen=True, slots=True)
class Program:
    """A Python module and its arguments.

    `least` is the target for the command's throughput divided by this one's, with the most items that both were
    measured with. `most_seconds` is the target for the time of this one.
    """

    title: str
    arguments: Sequence[str]
    least: float | None = None
    most_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """Measurements of a program, including its start: seconds, CPU seconds (all threads), and memory in bytes."""

    seconds: float
    cpu: float
    peak: int


PROGRAMS: Final[Mapping[str, Mapping[str, Program]]] = {
    "load": {
        "ours": Program("ddbreplica load", (_COMMAND, "load", "--source", SOURCE, "--json", "--generate")),
        "boto3": Program("put_item in sequence", (_LOOP, "puts", "boto3"), least=10),
    },
    "backfill": {
        "ours": Program("ddbreplica backfill", (_COMMAND, "backfill", *_FOUR)),
        "boto3": Program("the same calls, boto3", (_LOOP, "backfill", "boto3"), least=0.6),
        "wire": Program("the same calls, DynamoDB JSON", (_LOOP, "backfill", "wire")),
    },
    "verify": {
        "ours": Program("ddbreplica verify", (_COMMAND, "verify", *_FOUR)),
        "scans": Program("two scans, boto3", (_LOOP, "scans", "boto3"), least=0.6),
        "wire-scans": Program("two scans, DynamoDB JSON", (_LOOP, "scans", "wire"), least=0.85),
    },
    "repair": {
        # Without a grace period, which is not work: an operator chooses it by the lag.
        "ours": Program(
            "ddbreplica verify --repair", (_COMMAND, "verify", "--repair", "--grace", "0", *_SIXTEEN)
        ),
        "backfill": Program("ddbreplica backfill", (_COMMAND, "backfill", *_SIXTEEN), least=0.5),
    },
    "workshop": {
        "ours": Program("ddbreplica verify", (_COMMAND, "verify", *_FOUR), most_seconds=180),
    },
}
"""The programs by the command that they are compared with. `load` also takes the number of rows."""


def run(program: Program, environment: Mapping[str, str], *more: str) -> Run:
    """Run the program with `more` arguments. Raises BenchmarkError with its output if it fails."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    # Bytecode is kept, whatever the shell says. Otherwise this would measure the compiler.
    env = {**others, **environment, "PYTHONPATH": str(_ROOT), "PYTHONDONTWRITEBYTECODE": ""}
    command = [sys.executable, "-m", "benchmarks.operator.gauge", *program.arguments, *more]
    with TemporaryDirectory() as home:
        done = subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise BenchmarkError(f"{program.title} failed:\n{done.stderr.strip()}")
    return Run(**json.loads(done.stdout))
