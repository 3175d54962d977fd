"""What the tests of several commands share."""

from typing import TYPE_CHECKING

import pytest

from ddbreplica.verify.confirm import plan
from tests.support.fleet import Account

if TYPE_CHECKING:
    from tests.support.cli import Misbehaviour, Tables


@pytest.fixture
def account(tables: "Tables", aws: "Misbehaviour") -> Account:
    """An account with two replications."""
    return Account(tables, aws)


@pytest.fixture(autouse=True)
def watch_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at a suspected difference as often as always, but without the pauses of a watch."""
    monkeypatch.setattr(plan, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(plan, "SECONDS_BETWEEN_LOOKS_ALONE", 0.0)
