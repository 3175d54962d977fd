"""A copy of this project in a directory of its own, built and deployed to the embedded AWS by SAM CLI."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from demo.command import Finished
from demo.deploy import spare
from demo.embedded import EmbeddedAws
from tests.support.build import SAM, build
from tests.support.runbook import AWS_CLI
from tests.support.template import ROOT, load

BUILT: Final = Path(".aws-sam", "build")
_COPIED: Final = ("LICENSE", "README.md", "samconfig.toml")
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_ENTER: Final = b"\n"


@dataclass(frozen=True, slots=True)
class Project:
    """The directory, and the AWS that it is deployed to."""

    aws: EmbeddedAws
    path: Path

    @property
    def config(self) -> Path:
        return self.path / "samconfig.toml"

    def configured(self, environment: str) -> dict[str, Any]:
        """Return the parameters of `sam deploy` in a config-env of samconfig.toml."""
        parameters: dict[str, Any] = tomllib.loads(self.config.read_text())[environment]["deploy"][
            "parameters"
        ]
        return parameters

    def sam(self, *arguments: str, env: Mapping[str, str] | None = None) -> Finished:
        """Run `sam …` without a terminal."""
        finished = subprocess.run(  # noqa: S603
            [SAM, *arguments],
            cwd=self.path,
            env=self.env if env is None else env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Finished(finished.returncode, finished.stdout)

    def deploy(self, *options: str, env: Mapping[str, str] | None = None) -> Finished:
        """Run `sam deploy …`, which does not ask whether to deploy the change set."""
        return self.sam("deploy", "--no-confirm-changeset", *options, env=env)

    def shell(self, command: str) -> Finished:
        """Execute a command of a page, with this project's SAM CLI, AWS CLI and `ddbreplica`."""
        programs = (AWS_CLI.parent, Path(sys.executable).parent, SAM.parent)
        path = os.pathsep.join([*map(str, programs), os.environ["PATH"]])
        finished = subprocess.run(  # noqa: S603
            ["/bin/bash", "-c", command],
            cwd=self.path,
            env={**self.env, "PATH": path, "AWS_PAGER": ""},
            input="y\n" if command.startswith("sam deploy") else "",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Finished(finished.returncode, finished.stdout)

    def asked(self, answer: Callable[[str], str], *arguments: str) -> tuple[Finished, list[str]]:
        """Run `sam …` in a pseudo-terminal and answer its questions; return these, too."""
        controller, terminal = pty.openpty()
        with subprocess.Popen(  # noqa: S603
            [SAM, *arguments],
            cwd=self.path,
            env={**self.env, "TERM": "dumb"},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        ) as process:
            os.close(terminal)
            output, questions = "", []
            for read in _read(controller):
                output += _COLOUR.sub("", read)
                question = output.rpartition("\n")[2].strip()
                if question.endswith("]:"):
                    questions.append(question)
                    os.write(controller, answer(question).encode() + _ENTER)
                    output += "\n"
        os.close(controller)
        return Finished(process.returncode, output), questions

    @property
    def env(self) -> dict[str, str]:
        """The environment of SAM CLI, with credentials that may do anything."""
        settings = {"SAM_CLI_TELEMETRY": "0", "SAM_CLI_POLL_DELAY": "0.5"}
        return {**self.aws.env, "AWS_ENDPOINT_URL": self.aws.endpoint_url, **settings}

    def status(self, stack: str) -> str:
        return str(self._described(stack)["StackStatus"])

    def parameters(self, stack: str) -> dict[str, str]:
        """Return the values of the parameters that a stack has."""
        return {each["ParameterKey"]: each["ParameterValue"] for each in self._described(stack)["Parameters"]}

    def outputs(self, stack: str) -> dict[str, str]:
        return {each["OutputKey"]: each["OutputValue"] for each in self._described(stack)["Outputs"]}

    def tables(self) -> set[str]:
        return set(self.aws.dynamodb.list_tables()["TableNames"])

    def _described(self, stack: str) -> Any:
        return self.aws.cloudformation.describe_stacks(StackName=stack)["Stacks"][0]


def _read(controller: int) -> Iterator[str]:
    """Yield what the program writes to its terminal, until it has closed it."""
    with suppress(OSError):  # what Linux reports when the other side is closed
        while read := os.read(controller, 65536):
            yield read.decode(errors="replace")


def project(aws: EmbeddedAws, path: Path) -> Project:
    """Copy the project into a directory and build it. Skip the test if SAM CLI or Python 3.13 is missing."""
    template = spare(load())
    path.mkdir(parents=True, exist_ok=True)
    (path / "template.yaml").write_text(json.dumps(template))
    for name in _COPIED:
        shutil.copy(ROOT / name, path)
    for name in ("src", "statemachine"):
        shutil.copytree(ROOT / name, path / name, ignore=shutil.ignore_patterns("__pycache__"))
    build(path / BUILT, project=path)
    return Project(aws, path)
