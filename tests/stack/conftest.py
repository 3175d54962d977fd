"""What every test of this layer needs: the embedded AWS of the demo."""

import pytest

from demo.embedded import MINISTACK


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark this layer, and skip it where the embedded AWS has not been set up."""
    missing = pytest.mark.skipif(not MINISTACK.exists(), reason=".venv-stack is not there: run `make setup`")
    for item in items:
        if item.path.parent.name == "stack":
            item.add_marker(pytest.mark.stack)
            item.add_marker(missing)
