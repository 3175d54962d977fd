"""Run `ddbreplica` as a process, and measure its peak memory.

The peak is the kernel's value for this process. `ru_maxrss` would include the memory of the process that starts it.
"""

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_FILE = "peak"


@dataclass(frozen=True, slots=True)
class Weighed:
    """The exit status and output of a command, and its peak memory in MiB."""

    status: int
    stdout: str
    stderr: str
    peak: float

    @property
    def document(self) -> Any:
        """Return the JSON document that it printed with --json."""
        return json.loads(self.stdout)


def weighed(directory: Path, *args: str, environment: Mapping[str, str]) -> Weighed:
    """Run `ddbreplica` with these arguments in a directory, and return the result."""
    paths = os.pathsep.join(map(str, (_ROOT / "src", _ROOT / "cli", _ROOT)))
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "tests.support.weighed", *args],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": paths, "AWS_CONFIG_FILE": os.devnull, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stdout, done.stderr
    return Weighed(done.returncode, done.stdout, done.stderr, float((directory / _FILE).read_text()))


def _write_peak() -> None:
    lines = Path("/proc/self/status").read_text().splitlines()
    (kibibytes,) = (int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    Path(_FILE).write_text(str(kibibytes / 1024))


if __name__ == "__main__":
    atexit.register(_write_peak)
    from ddbreplica_cli.__main__ import start

    sys.argv = ["ddbreplica", *sys.argv[1:]]
    start()
