"""The clocks of the commands that a test runs in process: time passes when it is told to, for AWS too."""

import time

import pytest

from ddbreplica.aws.clock import Clock


class Machine:
    """A machine, on which one command runs after the other; its clock is some seconds `ahead` of AWS's."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.ahead = 0.0

    def pass_by(self, seconds: float) -> None:
        self.passed += seconds


def running(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine whose clocks the commands go by."""
    machine = Machine()
    monkeypatch.setattr("ddbreplica.dynamodb.table.time", lambda: time.time() + machine.ahead)
    monkeypatch.setattr("ddbreplica.aws.clock.ticking", lambda: 5000.0 + machine.passed)
    monkeypatch.setattr(Clock, "now", property(lambda _: 1_764_288_000.0 + machine.passed))
    return machine
