"""The commands of docs/runbook.md, and an operator who executes them against an embedded AWS."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from demo.command import Finished
from demo.deploy import Stack
from demo.embedded import ROOT, EmbeddedAws
from tests.support.build import SAM

PAGE: Final = (ROOT / "docs" / "runbook.md").read_text()
AWS_CLI: Final = ROOT / ".venv-awscli" / "bin" / "aws"
SET_AWS_CLI_UP: Final = "run `make .venv-awscli/ready`"
SECONDS: Final = 120.0

_QUICKER: Final = {"ddbreplica verify": "ddbreplica verify --grace 1 --read-rate 1000"}
"""Options that the tests add, to be quick: they change what a command waits for, not what it does."""


def commands() -> Mapping[str, list[str]]:
    """The commands of the page's `console` blocks by the heading above them, in their order."""
    found: dict[str, list[str]] = {}
    heading = ""
    for part in re.split(r"^(#+ .+)$", PAGE, flags=re.MULTILINE):
        if part.startswith("#"):
            heading = part.lstrip("# ")
        for block in re.findall(r"^ *```console\n(.+?)^ *```$", part, re.MULTILINE | re.DOTALL):
            lines = re.sub(r"\\\n\s*", "", block).splitlines()
            found.setdefault(heading, []).extend(line.strip().removeprefix("$ ") for line in lines)
    return found


def outputs() -> Mapping[str, str]:
    """The outputs of the stack by the words in capitals that stand for them in the page."""
    return dict(re.findall(r"^\| `([A-Z_]+)` \| `(\w+)` \|$", PAGE, re.MULTILINE))


@dataclass
class Operator:
    """A person at a shell, in a directory from which a stack was deployed."""

    aws: EmbeddedAws
    stack: Stack
    directory: Path
    variables: list[str] = field(default_factory=list)

    @property
    def env(self) -> Mapping[str, str]:
        """The environment of the shell."""
        programs = (AWS_CLI.parent, Path(sys.executable).parent, SAM.parent)
        return {
            **self.aws.env,
            "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
            "AWS_ENDPOINT_URL": self.aws.endpoint_url,
            "AWS_PAGER": "",
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.5",
        }

    def filled_in(self, command: str, **words: str) -> str:
        """Return a command with this stack's name, and with its outputs and `words` for the words in capitals."""
        values = {word: self.stack.outputs[name] for word, name in outputs().items()} | words
        command = re.sub(rf"\b({'|'.join(values)})\b", lambda word: values[word[1]], command)
        command = command.replace("--stack-name ddbreplica", f"--stack-name {self.stack.name}")
        for one, other in _QUICKER.items():
            command = command.replace(one, other)
        assert not re.search(r"\b(OBJECT|BACKUP_ARN|EXPORT_BUCKET|[A-Z]+_ID)\b", command), command
        return command

    def run(self, command: str) -> Finished:
        """Execute a command in the shell; the question whether to deploy is answered with yes."""
        done = subprocess.run(  # noqa: S603
            ["/bin/bash", "-c", "\n".join([*self.variables, command])],
            cwd=self.directory,
            env=self.env,
            input=b"y\n" if command.startswith("sam deploy") else b"",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            check=False,
        )
        if re.match(r"[A-Z]+=", command):
            self.variables.append(command)
        return Finished(done.returncode, done.stdout.decode())

    def watch(self, command: str, until: str) -> Finished:
        """Execute a command that goes on until Ctrl-C, which is pressed as soon as its output contains a text."""
        output = self.directory / "output"
        with (
            output.open("wb") as written,
            subprocess.Popen(  # noqa: S603
                shlex.split(command, comments=True),
                cwd=self.directory,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
            ) as process,
        ):
            give_up_at = time.monotonic() + SECONDS
            while (
                until not in output.read_text() and process.poll() is None and time.monotonic() < give_up_at
            ):
                time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            return Finished(process.wait(SECONDS), output.read_text())


@dataclass
class Section:
    """A section of the page, whose commands are executed one after the other."""

    operator: Operator
    left: Iterator[str]
    executed: list[str] = field(default_factory=list)

    def run(self, beginning: str, *, exits: int = 0, **words: str) -> str:
        """Execute the next command of the section, which begins like this, and return its output."""
        command = self.next(beginning, **words)
        finished = self.operator.run(command)
        assert finished.exit_code == exits, f"$ {command}\n{finished.output}"
        return finished.output

    def watch(self, beginning: str, *, until: str) -> str:
        """Execute the next command likewise, until its output contains a text."""
        command = self.next(beginning)
        finished = self.operator.watch(command, until)
        assert until in finished.output, f"$ {command}\n{finished.output}"
        assert finished.exit_code == 128 + signal.SIGINT, f"$ {command}\n{finished.output}"
        return finished.output

    def next(self, beginning: str, **words: str) -> str:
        """Return the next command, filled in."""
        command = next(self.left)
        assert command.startswith(beginning), f"{command!r} is next, not {beginning!r}"
        self.executed.append(command)
        return self.operator.filled_in(command, **words)

    def is_over(self, *commands: str, exits: int = 0) -> str:
        """Execute the commands by which the page recognizes that a problem is over, and return their output.

        With another exit status they show that the problem is there.
        """
        output = ""
        for command in commands or ("ddbreplica status --stack-name ddbreplica",):
            finished = self.operator.run(self.operator.filled_in(command))
            assert finished.exit_code == exits, f"$ {command}\n{finished.output}"
            output += finished.output
        return output
