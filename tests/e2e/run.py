"""What every step has at hand: the account, the names, the pace, the report, and a place to say what happens."""

import os
import shlex
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import NoRegionError
from rich.console import Console
from rich.markup import escape

from ddbreplica_cli.terminal import output
from tests.e2e.account import Account
from tests.e2e.names import Names
from tests.e2e.report import Claim, Report

ROOT: Final = Path(__file__).parents[2]

_NAMED_IN_HINTS: Final = ("AWS_PROFILE", "AWS_ENDPOINT_URL")
"""Environment variables without which a command may reach another account."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How many rows there are, how often to look, and how long to wait for what; all times in seconds.

    The workshop's tables take five writes a second, and a metric is a few minutes old when it can be seen.
    """

    rows: int = 2000
    look: float = 15.0
    grace: float = 10.0
    resources: float = 1800.0
    data: float = 1800.0
    alarms: float = 2700.0
    metrics: float = 900.0


@dataclass(frozen=True, slots=True)
class Run:
    """One run, before and after there is a stack."""

    console: Console
    account: Account = field(default_factory=Account)
    names: Names = field(default_factory=Names)
    pace: Pace = field(default_factory=Pace)
    report: Report = field(default_factory=Report)
    template: Path = ROOT / "template.yaml"
    reports: Path = ROOT / "build" / "e2e"
    begun: float = field(default_factory=time.monotonic)

    @property
    def home(self) -> Path:
        """Where its report, its build and SAM CLI's output go."""
        return self.reports / self.names.suffix

    @property
    def region(self) -> str:
        """The Region that the account's clients and all programs are given. Raises NoRegionError if there is none."""
        if self.account.region is None:
            raise NoRegionError
        return self.account.region

    def begin(self, step: str) -> None:
        """Open a step."""
        self._print(f"\n[bold]{self._clock()}  {escape(step)}[/]", markup=True)

    def show(self, text: str) -> None:
        """Show a text as it is."""
        self._print(text, markup=False)

    def say(self, text: str) -> None:
        """Say one thing that was done or found."""
        self._print(f"{self._clock()}  {text}", markup=False)

    def found(self, claim: Claim, evidence: str, *, held: bool = True) -> None:
        """Say what was seen of a claim, and note it for the report."""
        self.report.add(claim, evidence, held=held)
        self.say(evidence if held else f"DID NOT HOLD: {evidence}")

    @property
    def how_to_remove(self) -> str:
        """The command that removes what is left of the run, from any terminal."""
        settings = ((name, os.environ.get(name)) for name in _NAMED_IN_HINTS)
        given = "".join(f"{name}={shlex.quote(value)} " for name, value in settings if value)
        return f"{given}.venv/bin/python -m tests.e2e --remove {self.names.suffix} --region {self.region}"

    def _print(self, text: str, **options: Any) -> None:
        """Print to whoever still reads; a terminal or a pipe that is gone ends nothing."""
        try:
            self.console.print(text, soft_wrap=True, **options)
        except (OSError, ValueError, SystemExit):  # rich exits where a pipe is broken
            self.console.quiet = True
            output.discard(self.console.file)

    def _clock(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self.begun), 60)
        return f"{minutes:4}:{seconds:02}"
