"""Run the command line in this process on moto's DynamoDB, and simulate errors of AWS."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
from threading import Lock, current_thread, main_thread
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import boto3
import pytest
from botocore import handlers
from click.testing import CliRunner, Result
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.dynamodb.models import dynamodb_backends

from ddbreplica.driver import Interrupt, Patience
from ddbreplica.dynamodb.scan import TableReader
from ddbreplica.dynamodb.table import DynamoDBReplica
from ddbreplica.model import Table
from ddbreplica_cli.app import main
from ddbreplica_cli.terminal.signals import Signals
from tests.support.permissions import listed, of_a_hash, recorded
from tests.support.wire import error, response

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SOURCE = "logfile"
REPLICA = "logfile_replica"


def invoke(*args: str) -> Result:
    """Run `ddbreplica` with these arguments. An unexpected exception is raised."""
    # Before 8.2 click mixed stdout and stderr by default.
    apart: Any = {"mix_stderr": False} if "mix_stderr" in signature(CliRunner).parameters else {}
    return CliRunner(**apart).invoke(main, args, catch_exceptions=False)


def run(*args: str) -> Result:
    """Run `ddbreplica`; raise an unexpected exception, and an error for a request without a documented permission."""
    with recorded() as needed:
        result = invoke(*args)
    documented = {action for action, _ in listed(args) | of_a_hash(args)}
    undocumented = {action for action, _ in needed} - documented
    assert not undocumented, f"docs/permissions.md does not list {sorted(undocumented)} for {args}"
    return result


_PRESSING = Lock()
_PRESSED: WeakSet[Signals] = WeakSet()


def lines(text: str) -> list[str]:
    return text.rstrip("\n").split("\n")


def press_ctrl_c() -> None:
    """Send the signal of Ctrl-C to this process, from any thread.

    Each command gets it only once: a second signal ends the process at once, and the tests with it.
    """
    with _PRESSING:
        handler = signal.getsignal(signal.SIGINT)
        if isinstance(handler, Signals):
            if handler in _PRESSED:
                return
            _PRESSED.add(handler)
        os.kill(os.getpid(), signal.SIGINT)
    if isinstance(handler, Signals):
        _wait_until_handled(handler)


def press_ctrl_c_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C when the main thread of the command sleeps."""
    wait = Interrupt.sleep

    def sleep(interrupt: Interrupt, seconds: float) -> None:
        if current_thread() is main_thread():
            press_ctrl_c()
        wait(interrupt, seconds)

    monkeypatch.setattr(Interrupt, "sleep", sleep)


def _wait_until_handled(handler: Signals) -> None:
    """Block this thread until the main thread handles the signal; otherwise its work may end before."""
    end = time.monotonic() + 10
    while handler.first is None and time.monotonic() < end:
        time.sleep(0.001)


class Tables:
    """Tables on moto, which a test reads and writes directly."""

    def __init__(self) -> None:
        self.client = self.in_region("us-east-1")

    def in_region(self, region: str) -> "DynamoDBClient":
        return boto3.client("dynamodb", region_name=region)

    def create(self, name: str, key: Mapping[str, Any], **more: Any) -> None:
        """Create a table. `key` maps the partition key, and the sort key if there is one, to their types."""
        types = {**key, **more.pop("also", {})}
        roles: Any = zip(key, ("HASH", "RANGE"), strict=False)
        self.client.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": part, "KeyType": role} for part, role in roles],
            AttributeDefinitions=[
                {"AttributeName": part, "AttributeType": tag} for part, tag in types.items()
            ],
            BillingMode="PAY_PER_REQUEST",
            **more,
        )

    def create_logfile(self, name: str) -> None:
        """Create a table like those of the template."""
        index = {
            "IndexName": "GSI_1",
            "KeySchema": [{"AttributeName": "GSI_1_PK", "KeyType": "HASH"}],
            "Projection": {
                "ProjectionType": "INCLUDE",
                "NonKeyAttributes": ["bytessent", "requestid", "host"],
            },
        }
        self.create(name, {"PK": "S"}, also={"GSI_1_PK": "S"}, GlobalSecondaryIndexes=[index])

    def put(self, table: str, pk: str, **attributes: Any) -> None:
        """Write an item directly into moto's table, since a request takes four times as long."""
        dynamodb_backends[ACCOUNT][self.client.meta.region_name].put_item(
            table, {"PK": {"S": pk}, **attributes}
        )

    def put_both(self, pk: str, **attributes: Any) -> None:
        self.put(SOURCE, pk, **attributes)
        self.put(REPLICA, pk, **attributes)

    def delete(self, table: str, pk: str) -> None:
        self.client.delete_item(TableName=table, Key={"PK": {"S": pk}})

    def items(self, table: str) -> dict[str, Any]:
        """Return all items by PK."""
        pages = self.client.get_paginator("scan").paginate(TableName=table)
        return {item["PK"]["S"]: item for page in pages for item in page["Items"]}

    def reader(self, name: str, patience: Patience | None = None) -> TableReader:
        table = DynamoDBReplica(self.in_region("us-east-1"), name).describe()
        assert isinstance(table, Table)
        return TableReader(self.client, name, table, patience or Patience(Interrupt()))


@contextmanager
def on_moto() -> Iterator[Tables]:
    """Create the two empty tables of the template for the duration of the block."""
    with mock_aws():
        made = Tables()
        made.create_logfile(SOURCE)
        made.create_logfile(REPLICA)
        yield made


class Misbehaviour:
    """Hooks into all clients that are created from now on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def on(self, event: str, hook: Callable[..., Any]) -> None:
        """Call `hook` on a botocore event, before all other hooks."""
        hooks: Any = [(event, hook), *handlers.BUILTIN_HANDLERS]
        self._monkeypatch.setattr(handlers, "BUILTIN_HANDLERS", hooks)

    def refuse(self, operation: str, code: str, *, after: int = 0, message: str = "why") -> None:
        """Respond to an operation with an error after `after` calls."""
        left = [None] * after

        def refuse_call(**_: Any) -> Any:
            return left.pop() if left else refusal(code, message)

        def refuse_request(request: Any, **_: Any) -> Any:
            return left.pop() if left else response(request.url, *error(code, message=message))

        # Requests for items are sent without a `before-call` event.
        if operation in ("BatchGetItem", "BatchWriteItem", "DeleteItem", "PutItem", "Scan"):
            self.on(f"before-send.dynamodb.{operation}", refuse_request)
        else:
            self.on(f"before-call.dynamodb.{operation}", refuse_call)

    def answer_stack(self, stack: Mapping[str, Any]) -> None:
        """Make CloudFormation describe each stack like this one."""
        answer = SimpleNamespace(status_code=200), {"Stacks": [stack]}
        self.on("before-call.cloudformation.DescribeStacks", lambda **_: answer)


def refusal(code: str, message: str = "why") -> Any:
    """Return the error that a `before-call` hook returns in place of a response."""
    return SimpleNamespace(status_code=400), {"Error": {"Code": code, "Message": message}}
