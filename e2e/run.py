"""What every step has at hand: the account, the names, the pace, the report, and a place to say what happens."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from botocore.exceptions import NoRegionError
from rich.console import Console
from rich.markup import escape

from e2e.account import Account
from e2e.names import Names
from e2e.report import Claim, Report

ROOT: Final = Path(__file__).parents[1]


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
    """One run, before and after there is a stack. `made` are the buckets that it has made itself."""

    console: Console
    account: Account = field(default_factory=Account)
    names: Names = field(default_factory=Names)
    pace: Pace = field(default_factory=Pace)
    report: Report = field(default_factory=Report)
    template: Path = ROOT / "template.yaml"
    reports: Path = ROOT / "build" / "e2e"
    made: list[str] = field(default_factory=list)
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
        self.console.print(f"\n[bold]{self._clock()}  {escape(step)}[/]", soft_wrap=True)

    def say(self, text: str) -> None:
        """Say one thing that was done or found."""
        self.console.print(f"{self._clock()}  {text}", markup=False, soft_wrap=True)

    def found(self, claim: Claim, evidence: str, *, held: bool = True) -> None:
        """Say what was seen of a claim, and note it for the report."""
        self.report.add(claim, evidence, held=held)
        self.say(evidence if held else f"DID NOT HOLD: {evidence}")

    def _clock(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self.begun), 60)
        return f"{minutes:4}:{seconds:02}"
