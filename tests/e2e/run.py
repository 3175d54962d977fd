"""What each step uses: the account, the names, the pace, the report and the console."""

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
    """The number of rows, the poll interval, the grace periods and the time limits in seconds.

    `stop` is the grace period of a job that is stopped before it ends.
    The workshop's tables have five write capacity units per second, and metrics appear after a few minutes.
    """

    rows: int = 2000
    look: float = 15.0
    grace: float = 10.0
    stop: float = 120.0
    resources: float = 1800.0
    data: float = 1800.0
    alarms: float = 2700.0
    metrics: float = 900.0


@dataclass(frozen=True, slots=True)
class Run:
    """One run, with or without its stack."""

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
        """Return the directory of its report, its build and SAM CLI's output."""
        return self.reports / self.names.suffix

    @property
    def region(self) -> str:
        """Return the Region of the account's clients and all programs. Raises NoRegionError if there is none."""
        if self.account.region is None:
            raise NoRegionError
        return self.account.region

    def begin(self, step: str) -> None:
        """Print the title of a step."""
        self._print(f"\n[bold]{self._clock()}  {escape(step)}[/]", markup=True)

    def show(self, text: str) -> None:
        """Print a text unchanged."""
        self._print(text, markup=False)

    def say(self, text: str) -> None:
        """Print what was done or found."""
        self._print(f"{self._clock()}  {text}", markup=False)

    def found(self, claim: Claim, evidence: str, *, held: bool = True) -> None:
        """Print the evidence for a claim, and add it to the report."""
        self.report.add(claim, evidence, held=held)
        self.say(evidence if held else f"DID NOT HOLD: {evidence}")

    @property
    def how_to_remove(self) -> str:
        """Return the command that removes what is left of the run, for any terminal."""
        settings = ((name, os.environ.get(name)) for name in _NAMED_IN_HINTS)
        given = "".join(f"{name}={shlex.quote(value)} " for name, value in settings if value)
        return f"{given}.venv/bin/python -m tests.e2e --remove {self.names.suffix} --region {self.region}"

    def _print(self, text: str, **options: Any) -> None:
        """Print, and ignore a closed terminal or pipe."""
        try:
            self.console.print(text, soft_wrap=True, **options)
        except (OSError, ValueError, SystemExit):  # rich exits on a broken pipe
            self.console.quiet = True
            output.discard(self.console.file)

    def _clock(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self.begun), 60)
        return f"{minutes:4}:{seconds:02}"
