"""What the tests of a verification's parts share."""

import pytest


@pytest.fixture
def silence() -> None:
    """Read the streams of moto."""
