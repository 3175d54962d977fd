"""What a test of the rules needs of the modules whose tests it runs."""

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The state file of a backfill, as its own tests have it."""
    return tmp_path / "state"
