"""Give every test dummy credentials, one Region, no socket unless its layer allows it, and the common fixtures.

A fixture imports what it needs itself, so that tests without it do not wait for the import.
"""

import gc
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import boto3
import pytest
from hypothesis import settings
from moto import mock_aws
from pytest_socket import disable_socket, enable_socket, socket_allow_hosts

from ddbreplica import CLIENT_CONFIG
from tests.support.build import build
from tests.support.models import read_models_once

if TYPE_CHECKING:
    from tests.support.cli import Misbehaviour, Tables
    from tests.support.kept_records import KeptRecords
    from tests.support.machine import Machine

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# No test checks an absolute time: a busy machine is not a failure.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

_TESTS = Path(__file__).parent
_LAYERS_WITH_SOCKETS = {"stack", "engine"}


def pytest_configure() -> None:
    """Parse botocore's files once, and make sure that the processes of tests do not ignore SIGINT or SIGHUP.

    A background job of a script ignores SIGINT, and `nohup` ignores SIGHUP; the processes of tests would inherit
    this. They do not inherit a handler, and with it a SIGHUP still does not end the tests.
    """

    def nothing(_number: int, _frame: FrameType | None) -> None: ...

    read_models_once()
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, nothing)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def pytest_collection_finish() -> None:
    """Exclude the thousands of tests from garbage collection, which would otherwise take a tenth of the time."""
    gc.collect()
    gc.freeze()


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
    elif request.path.relative_to(_TESTS).parts[0] not in _LAYERS_WITH_SOCKETS:
        disable_socket()
    yield
    enable_socket()
    socket_allow_hosts(None)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle that is deployed. Building it takes some time."""
    return build(tmp_path_factory.mktemp("build")) / "ReplicatorFunction"


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Iterator[Tables]":
    """The template's two tables, empty, and a working directory of the test's own, where commands keep their state."""
    from tests.support.cli import on_moto

    monkeypatch.chdir(tmp_path)
    with on_moto() as made:
        yield made


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> "Misbehaviour":
    """AWS, whose responses a test can replace by errors."""
    from tests.support.cli import Misbehaviour

    return Misbehaviour(monkeypatch)


@pytest.fixture
def kept_records(tables: "Tables", aws: "Misbehaviour") -> "KeptRecords":
    """Two empty buckets, and a mapping with the on-failure bucket as its destination."""
    from tests.support.kept_records import mapped

    return mapped(tables, aws)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> "Machine":
    """The machine on which commands run, and its clocks."""
    from tests.support.machine import running

    return running(monkeypatch)


@pytest.fixture
def archive(
    tables: "Tables",
    aws: "Misbehaviour",
    kept_records: "KeptRecords",
) -> "Tables":
    """Two tables with an item in both, and an item that has expired in the source."""
    from tests.support.cli import REPLICA
    from tests.support.kept_records import answer_mapping

    answer_mapping(tables, aws, REPLICATE_TTL_DELETES="false")
    tables.put_both("same")
    tables.put(REPLICA, "expired", n={"N": "1"})
    return tables


@pytest.fixture
def filtered(tables: "Tables", aws: "Misbehaviour", kept_records: "KeptRecords") -> "Tables":
    """Two tables, and a mapping whose filter passes one tenant's changes."""
    from tests.support.kept_records import TENANT, answer_mapping

    answer_mapping(tables, aws, patterns=[TENANT])
    return tables


@pytest.fixture(scope="module")
def counts_client() -> Iterator["DynamoDBClient"]:
    """A client of an emulated DynamoDB, for the recipe that counts."""
    with mock_aws():
        yield boto3.client(
            "dynamodb",
            region_name="us-east-1",
            aws_access_key_id="dummy",
            aws_secret_access_key="dummy",
            config=CLIENT_CONFIG,
        )
