"""What each step of the demo uses: the embedded AWS, a stack with its tables, and a console."""

import shlex
from dataclasses import dataclass
from typing import Final

from rich.console import Console

from demo.command import Finished, run
from demo.deploy import Stack
from demo.embedded import EmbeddedAws
from demo.errors import DidNotHoldError
from demo.pair import Pair

FAST: Final = ("--read-rate", "1000")
"""The tables have 10 read capacity units per second. By default a command uses a quarter of them."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A deployed stack, and the console that shows what the demo does with it."""

    console: Console
    aws: EmbeddedAws
    stack: Stack

    @property
    def pair(self) -> Pair:
        """Return the stack's two tables."""
        return Pair(self.aws.dynamodb, self.stack.source, self.stack.replica)

    def begin(self, step: str) -> None:
        """Print the title of a step."""
        self.console.print(f"\n[bold]{step}[/]")

    def say(self, text: str, *, style: str = "") -> None:
        """Print what was done or found."""
        self.console.print(f"  {text}", style=style, markup=False, highlight=False, soft_wrap=True)

    def show_command(self, *arguments: str) -> None:
        """Print `ddbreplica …` as it is typed."""
        self.say(f"$ ddbreplica {shlex.join(arguments)}", style="cyan")

    def run(self, command: str, *options: str, ends_with: int = 0) -> str:
        """Run `ddbreplica …` on this stack, print it with its output, and return the output.

        Raises DidNotHoldError if its exit code is not `ends_with`.
        """
        arguments = (command, "--stack-name", self.stack.name, *options)
        self.show_command(*arguments)
        finished = run(self.aws, *arguments)
        check_exit(command, finished, ends_with=ends_with)
        for line in filter(None, finished.output.splitlines()):
            self.say(line)
        self.say(f"Exit code {finished.exit_code}")
        return finished.output


def check_exit(command: str, finished: Finished, *, ends_with: int = 0) -> None:
    """Raise DidNotHoldError with the command's output if its exit code is not `ends_with`."""
    if finished.exit_code != ends_with:
        raise DidNotHoldError(
            f"`ddbreplica {command}` must end with {ends_with}, but ended with {finished.exit_code}.\n{finished.output}"
        )
