"""What the tests of several commands share."""

from typing import TYPE_CHECKING

import pytest

from tests.support.fleet import Account
from tests.support.short_watches import let_streams_be_read, watch_without_pauses

if TYPE_CHECKING:
    from tests.support.cli import Misbehaviour, Tables


@pytest.fixture
def account(tables: "Tables", aws: "Misbehaviour") -> Account:
    """An account with two replications."""
    return Account(tables, aws)


@pytest.fixture(autouse=True)
def silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the source's stream. A module that reads real streams has another fixture of this name."""
    let_streams_be_read(monkeypatch)


@pytest.fixture(autouse=True)
def short_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Watch without pauses."""
    watch_without_pauses(monkeypatch)
