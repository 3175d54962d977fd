"""Run a job by one worker in a process of its own, without AWS Step Functions and Amazon S3."""

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.operator.programs import Program, Run, run


def by_worker(environment: Mapping[str, str], what: str, *more: str) -> tuple[Run, Mapping[str, Any]]:
    """Return the measurements of the process, and those of the worker. Raises BenchmarkError if the job fails."""
    with TemporaryDirectory() as home:
        path = Path(home) / "result.json"
        program = Program(f"a worker's {what}", ("benchmarks.workers.program", what, "--result", str(path)))
        return run(program, environment, *more), json.loads(path.read_text())
