"""Fixtures for the commands: no command waits, and a test can change each response."""

from pathlib import Path
from typing import Any

import botocore.endpoint
import pytest

from ddbreplica.aws.clients.session import Clients
from ddbreplica.driver import Interrupt, Patience
from ddbreplica.dynamodb import connection
from tests.support.poisoned import World
from tests.support.short_watches import let_streams_be_read, watch_without_pauses
from tests.support.waiting import NoTime, Waiting


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each sleep of a command return immediately and count as slept."""
    waiting = Waiting()
    watch_without_pauses(monkeypatch)
    monkeypatch.setattr(botocore.endpoint, "time", NoTime)
    monkeypatch.setattr(Interrupt, "sleep", lambda _, seconds: waiting.sleep(max(seconds, 1.0)))
    defaults: Any = Patience.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "clock", lambda: waiting.now)


@pytest.fixture
def short_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Watch suspected differences without pauses, with a stream that can be read."""
    let_streams_be_read(monkeypatch)
    watch_without_pauses(monkeypatch)


@pytest.fixture(scope="module")
def signed_in() -> tuple[Clients, World]:
    """Clients, created once, and the simulated AWS that responds to them."""
    clients, world = Clients(None, "us-east-1", None), World()
    events: Any = clients._session.events
    events.register_first("before-send", world.respond)
    return clients, world


@pytest.fixture
def world(
    signed_in: tuple[Clients, World], hurried: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> World:
    clients, world = signed_in
    monkeypatch.setattr(connection, "Clients", lambda *_: clients)
    monkeypatch.chdir(tmp_path)
    world.asked.clear()
    sleep = Interrupt.sleep

    def counted(interrupt: Interrupt, seconds: float) -> None:
        world.count()
        sleep(interrupt, seconds)

    monkeypatch.setattr(Interrupt, "sleep", counted)
    return world


# The poisoned records.
