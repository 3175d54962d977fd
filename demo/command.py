"""Run `ddbreplica …` as an operator does, in a separate process."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final

from demo.embedded import ROOT, EmbeddedAws
from demo.errors import DidNotHoldError

_DDBREPLICA: Final = Path(sys.executable).parent / "ddbreplica"
_SECONDS: Final = 300.0
"""Longer than a backfill waits after the function was created."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The exit code of a command, and what it wrote to stdout and stderr."""

    exit_code: int
    output: str

    @property
    def last_line(self) -> str:
        """Return the last line that is not blank."""
        return (self.output.rstrip().splitlines() or [""])[-1]


@dataclass(frozen=True, slots=True)
class Command:
    """A started command."""

    process: subprocess.Popen[bytes]
    written: IO[bytes]

    @property
    def is_running(self) -> bool:
        """Return whether it has not ended yet."""
        return self.process.poll() is None

    def finish(self) -> Finished:
        """Wait until it has ended. Raises DidNotHoldError after five minutes."""
        try:
            exit_code = self.process.wait(_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise DidNotHoldError(f"The command did not end within {_SECONDS:.0f} seconds.") from error
        self.written.seek(0)
        return Finished(exit_code, self.written.read().decode())


@contextmanager
def started(aws: EmbeddedAws, *arguments: str, directory: Path = ROOT) -> Iterator[Command]:
    """Run `ddbreplica …` on this AWS, and kill it if it is still running at the end of the block."""
    command = [str(_DDBREPLICA), *arguments, "--endpoint-url", aws.endpoint_url]
    # The output goes to a file: a full pipe would block the command while nobody reads.
    with (
        TemporaryFile() as written,
        subprocess.Popen(
            command,
            cwd=directory,
            env=aws.env,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            yield Command(process, written)
        finally:
            process.kill()


def run(aws: EmbeddedAws, *arguments: str) -> Finished:
    """Run `ddbreplica …` on this AWS until it ends. Its working directory is removed with the AWS."""
    with started(aws, *arguments, directory=aws.home) as command:
        return command.finish()
