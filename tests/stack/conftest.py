"""Set up the tests that use the embedded AWS of the demo."""

import boto3
import pytest

from demo.embedded import MINISTACK


@pytest.fixture(autouse=True)
def _credentials_of_this_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use no boto3 session of an earlier test, since each embedded AWS has its own credentials."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark these tests, and skip them if the embedded AWS is not installed."""
    missing = pytest.mark.skipif(not MINISTACK.exists(), reason="needs the embedded AWS: run `make setup`")
    for item in items:
        if item.path.parent.name == "stack":
            item.add_marker(pytest.mark.stack)
            item.add_marker(missing)
