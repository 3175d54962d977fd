"""What the tests of the commands have in their own folder, and need here too."""

from functools import partial

import pytest

from tests.support.short_watches import let_streams_be_read, watch_without_pauses


@pytest.fixture(autouse=True)
def as_in_its_folder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test of the commands watch without pauses. The other tests need the real lengths of a watch."""
    parameters = getattr(request.node, "callspec", None)
    test = parameters.params.get("test") if parameters else None
    function = test.func if isinstance(test, partial) else test
    if getattr(function, "__module__", "").startswith("tests.functional."):
        let_streams_be_read(monkeypatch)
        watch_without_pauses(monkeypatch)
