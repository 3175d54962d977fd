"""What the tests of the worker share."""

from collections.abc import Iterator

import boto3
import pytest

from ddbreplica.jobs import pair


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Create the clients in each test, as a new execution environment does."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    yield
    pair._clients.cache_clear()
    pair._clients_as.cache_clear()
