"""`ddbreplica verify` during continuous writes to the source and replication by the function."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from queue import Empty, Queue
from random import Random
from typing import Any

import pytest

from ddbreplica.dynamodb.table import DynamoDBReplica
from tests.engine.conftest import connect
from tests.support import records
from tests.support.function import Function

RUNS = int(os.environ.get("VERIFY_RUNS", "2"))
"""The number of verifications; 20 find errors that a single one may miss."""

KEYS = 400


class Pair:
    """A source, a replica and a stream, which delivers the changes of the source in their order."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.client = connect(endpoint)
        for name in ("source", "replica"):
            self.client.create_table(
                TableName=name,
                KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        self.writes = 0
        self._random = Random(7)  # noqa: S311  the same in every run
        self._stream: Queue[Any] = Queue()
        self._function = Function(DynamoDBReplica(connect(endpoint), "replica"))

    def write(self) -> None:
        """Write 25 changes: puts of new or changed items, and deletes."""
        keys = self._random.sample(range(KEYS), 25)
        changes = [self._record(str(key)) for key in keys]
        self.client.batch_write_item(RequestItems={"source": [_request(each) for each in changes]})
        self._stream.put(changes)
        self.writes += len(changes)

    def _record(self, pk: str) -> Any:
        number = self.writes
        if self._random.random() < 0.2:
            return records.delete(number, pk)
        return records.put(number, pk, n={"N": str(self._random.random())})

    def replicate(self) -> None:
        """Deliver all pending records to the function, as the event source mapping does."""
        with suppress(Empty):
            while True:
                assert self._function.invoke({"Records": self._stream.get_nowait()}) == []

    def verify(self, *args: str) -> Any:
        """Run `ddbreplica verify` in a process, and return its JSON document."""
        tables = ("--source", "source", "--replica", "replica", "--endpoint-url", self.endpoint)
        command = [sys.executable, "-m", "ddbreplica_cli", "verify", *tables, "--json", *args]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout)  # noqa: S603


def _request(record: Any) -> Any:
    image = record["dynamodb"].get("NewImage")
    if image is None:
        return {"DeleteRequest": {"Key": record["dynamodb"]["Keys"]}}
    return {"PutRequest": {"Item": image}}


@pytest.fixture
def pair(endpoint: str) -> Iterator[Pair]:
    pair = Pair(endpoint)
    yield pair
    for name in ("source", "replica"):
        pair.client.delete_table(TableName=name)


@contextmanager
def over_and_over(do: Callable[[], None]) -> Iterator[None]:
    """Repeat a call in a thread during the block, and raise its error at the end."""
    stop = threading.Event()
    raised: list[BaseException] = []

    def go() -> None:
        try:
            while not stop.is_set():
                do()
                time.sleep(0.02)
        except BaseException as error:  # noqa: BLE001  raised below
            raised.append(error)

    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if raised:
        raise raised[0]


def test_an_item_that_is_being_written_is_never_reported_as_different(
    pair: Pair, record_property: Callable[[str, object], None]
) -> None:
    with ExitStack() as stack:
        stack.enter_context(over_and_over(pair.replicate))
        stack.enter_context(over_and_over(pair.write))
        for _ in range(RUNS):
            before, started = pair.writes, time.monotonic()

            document = pair.verify("--rounds", "1")

            rate = (pair.writes - before) / (time.monotonic() - started)
            record_property("writes per second", round(rate))
            assert pair.writes > before
            assert (document["missing"], document["different"], document["extra"]) == (0, 0, 0)
    pair.replicate()

    assert pair.verify()["verdict"] == "equal"


def test_a_real_difference_is_found_and_repaired_while_others_are_written(pair: Pair) -> None:
    gone: Any = {"PK": {"S": "gone"}}
    pair.client.put_item(TableName="replica", Item=gone)
    with ExitStack() as stack:
        stack.enter_context(over_and_over(pair.replicate))
        stack.enter_context(over_and_over(pair.write))

        document = pair.verify("--rounds", "1", "--repair", "--without-mapping", "--transform", "none")

    assert document["extra"] == document["repaired"] == 1
    assert "Item" not in pair.client.get_item(TableName="replica", Key=gone)
    pair.replicate()
    assert pair.verify()["verdict"] == "equal"
