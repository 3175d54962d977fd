"""The operator's command line, run as its users run it: in a process of its own."""

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
_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended, and what it wrote to both its streams."""

    exit_code: int
    output: str

    @property
    def last_line(self) -> str:
        """The last line that is not blank."""
        return (self.output.rstrip().splitlines() or [""])[-1]


@dataclass(frozen=True, slots=True)
class Command:
    """A command that has been started."""

    process: subprocess.Popen[bytes]
    written: IO[bytes]

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def finish(self) -> Finished:
        """Wait until it has ended. Raises DidNotHoldError after a minute."""
        try:
            exit_code = self.process.wait(_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise DidNotHoldError(f"The command ends within {_SECONDS:.0f} seconds: it has not.") from error
        self.written.seek(0)
        return Finished(exit_code, self.written.read().decode())


@contextmanager
def started(aws: EmbeddedAws, *arguments: str, directory: Path = ROOT) -> Iterator[Command]:
    """Run `ddbreplica …` against this AWS; it is killed if the block ends before it does."""
    command = [str(_DDBREPLICA), *arguments, "--endpoint-url", aws.endpoint_url]
    # Into a file: a full pipe would stop it while nobody reads.
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
    """Run `ddbreplica …` against this AWS to its end; what it leaves in its directory goes with the AWS."""
    with started(aws, *arguments, directory=aws.home) as command:
        return command.finish()
