"""What the tests of several commands share."""

from typing import TYPE_CHECKING

import pytest

from tests.support.fleet import Account

if TYPE_CHECKING:
    from tests.support.cli import Misbehaviour, Tables


@pytest.fixture
def account(tables: "Tables", aws: "Misbehaviour") -> Account:
    """An account with two replications."""
    return Account(tables, aws)
