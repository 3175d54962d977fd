"""The clocks of commands that run in the process of a test, and of AWS; the test advances them."""

import time

import pytest

from ddbreplica.aws.clock import Clock


class Machine:
    """A machine on which commands run one after the other. Its clock is `ahead` of AWS by some seconds."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.ahead = 0.0

    def pass_by(self, seconds: float) -> None:
        self.passed += seconds


def running(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Return a machine whose clocks the commands use."""
    machine = Machine()
    monkeypatch.setattr("ddbreplica.dynamodb.table.time", lambda: time.time() + machine.ahead)
    monkeypatch.setattr("ddbreplica.aws.clock.ticking", lambda: 5000.0 + machine.passed)
    monkeypatch.setattr(Clock, "now", property(lambda _: 1_764_288_000.0 + machine.passed))
    return machine
