"""Every test: dummy credentials, no Region but one, and no socket unless its layer says so; the bundle, built."""

import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import settings
from pytest_socket import disable_socket, enable_socket, socket_allow_hosts

from tests.support.build import build

# No test asserts an absolute time: a busy machine is no failure.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

_LAYERS_WITH_SOCKETS = ("stack", "engine")


def pytest_configure() -> None:
    """Let what the tests start get signals, though whoever started the tests ignores some of them.

    A script's background job ignores SIGINT, and `nohup` SIGHUP; every process that a test starts would inherit that.
    A handler in their place is inherited by nobody, and keeps a SIGHUP from ending the tests all the same.
    """

    def nothing(_number: int, _frame: FrameType | None) -> None: ...

    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, nothing)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "dummy")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "dummy")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(autouse=True)
def _sockets(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.node.get_closest_marker("loopback"):
        socket_allow_hosts(["127.0.0.1"])
    elif request.path.parent.name not in _LAYERS_WITH_SOCKETS:
        disable_socket()
    yield
    enable_socket()
    socket_allow_hosts(None)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle that is deployed; it takes a while to build."""
    return build(tmp_path_factory.mktemp("build")) / "ReplicatorFunction"
