"""What every test of this layer needs: the embedded AWS of the demo."""

import boto3
import pytest

from demo.embedded import MINISTACK


@pytest.fixture(autouse=True)
def _credentials_of_this_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no session of an earlier test sign: each embedded AWS has credentials of its own."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark this layer, and skip it where the embedded AWS has not been set up."""
    missing = pytest.mark.skipif(not MINISTACK.exists(), reason="needs the embedded AWS: run `make setup`")
    for item in items:
        if item.path.parent.name == "stack":
            item.add_marker(pytest.mark.stack)
            item.add_marker(missing)
