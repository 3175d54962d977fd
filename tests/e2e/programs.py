"""Run SAM CLI and the ddbreplica commands as users do, and log their output beside the report."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ddbreplica.aws.region import variables
from tests.e2e.errors import ProgramError
from tests.e2e.run import ROOT, Run

SAM: Final = ROOT / ".venv-sam" / "bin" / "sam"
_DDBREPLICA: Final = Path(sys.executable).parent / "ddbreplica"


def sam(run: Run, *arguments: str) -> None:
    """Run `sam …`. Raises ProgramError with the end of its output if it fails."""
    done = _run(run, [SAM, *arguments, "--region", run.region])
    if done.returncode:
        output = "\n".join(f"{done.stdout}\n{done.stderr}".rstrip().splitlines()[-30:])
        raise ProgramError(f"`sam {arguments[0]}` ended with {done.returncode}:\n{output}")


def ddbreplica(run: Run, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `ddbreplica …` on the run's stack, and return its exit status and output."""
    return _run(run, [_DDBREPLICA, *arguments, "--stack-name", run.names.stack, "--region", run.region])


def _run(run: Run, command: Sequence[Path | str]) -> "subprocess.CompletedProcess[str]":
    shown = " ".join(map(str, command))
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | variables(run.region) | {"SAM_CLI_TELEMETRY": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=run.pace.resources,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ProgramError(f"`{shown}` did not end within {error.timeout:.0f} seconds.") from error
    run.home.mkdir(parents=True, exist_ok=True)
    with (run.home / "programs.log").open("a", encoding="utf-8") as log:
        log.write(f"$ {shown}\n{done.stdout}\n{done.stderr}\n")
    return done
