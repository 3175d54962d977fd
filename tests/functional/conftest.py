"""What the tests of several commands share."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from ddbreplica.driver import Interrupt
from tests.support.fleet import Account
from tests.support.short_watches import let_streams_be_read, watch_without_pauses

if TYPE_CHECKING:
    from tests.support.cli import Misbehaviour, Tables
    from tests.support.job_machine import JobMachine
    from tests.support.kept_records import KeptRecords


@pytest.fixture
def account(tables: "Tables", aws: "Misbehaviour") -> Account:
    """An account with two replications."""
    return Account(tables, aws)


@pytest.fixture
def job_machine(
    tables: "Tables", kept_records: "KeptRecords", aws: "Misbehaviour", monkeypatch: pytest.MonkeyPatch
) -> "Iterator[JobMachine]":
    """The state machine of a stack with workers, whose jobs are followed without pauses."""
    from tests.support.job_machine import JobMachine  # noqa: PLC0415  only these tests wait for its imports

    monkeypatch.setattr(Interrupt, "sleep", lambda *_: None)
    made = JobMachine(aws)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the source's stream. A module that reads real streams has another fixture of this name."""
    let_streams_be_read(monkeypatch)


@pytest.fixture(autouse=True)
def short_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Watch without pauses."""
    watch_without_pauses(monkeypatch)
