"""What every step of the demo needs: an AWS with a stack and its tables, and somewhere to say what is done."""

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
"""The tables have 10 reads a second, of which the commands would take a quarter: here nobody else needs them."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stack at work, and the console that its story is told on."""

    console: Console
    aws: EmbeddedAws
    stack: Stack

    @property
    def pair(self) -> Pair:
        """The stack's two tables."""
        return Pair(self.aws.dynamodb, self.stack.source, self.stack.replica)

    def begin(self, step: str) -> None:
        """Open a step."""
        self.console.print(f"\n[bold]{step}[/]")

    def say(self, text: str, *, style: str = "") -> None:
        """Say one thing that was done or found."""
        self.console.print(f"  {text}", style=style, markup=False, highlight=False, soft_wrap=True)

    def show_command(self, *arguments: str) -> None:
        """Show `ddbreplica …` as it is typed."""
        self.say(f"$ ddbreplica {shlex.join(arguments)}", style="cyan")

    def run(self, command: str, *options: str, ends_with: int = 0) -> str:
        """Run `ddbreplica …` on this stack, show it with its output, and return that.

        Raises DidNotHoldError if it ends with another exit code.
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
    """Raise DidNotHoldError with what the command wrote, if it ended otherwise."""
    if finished.exit_code != ends_with:
        raise DidNotHoldError(
            f"`ddbreplica {command}` ends with {ends_with}: it ended with {finished.exit_code}.\n{finished.output}"
        )
