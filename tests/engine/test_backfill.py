"""`ddbreplica backfill` is killed repeatedly during writes to both tables, and ends with equal tables."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.conftest import connect
from tests.support.killable import PAGE

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ROOT = Path(__file__).parents[2]
ITEMS = 2000
SEGMENTS = 4
COMMAND = (
    "backfill",
    "--without-mapping",
    "--transform",
    "none",
    "--segments",
    str(SEGMENTS),
    "--source",
    "old",
    "--replica",
    "new",
)


@pytest.fixture
def client(endpoint: str) -> Iterator["DynamoDBClient"]:
    client = connect(endpoint)
    for name in ("old", "new"):
        client.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    for start in range(0, ITEMS, 25):
        puts: Any = [{"PutRequest": {"Item": item(number, 0)}} for number in range(start, start + 25)]
        client.batch_write_item(RequestItems={"old": puts})
    yield client
    for name in ("old", "new"):
        client.delete_table(TableName=name)


def item(number: int, version: int) -> Any:
    return {"PK": {"S": f"item{number}"}, "v": {"N": str(version)}, "b": {"B": b"\x00\xff"}}


def items(client: "DynamoDBClient", table: str) -> dict[str, Any]:
    pages = client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return {item["PK"]["S"]: item for page in pages for item in page["Items"]}


@contextmanager
def changes_replicated(client: "DynamoDBClient", random: Random) -> Iterator[None]:
    """Change and delete items of the source in a thread, and replicate each change as the stream and function do."""
    is_over = threading.Event()

    def change() -> None:
        version = 0
        while not is_over.wait(0.005):
            version += 1
            number = random.randrange(ITEMS)
            for table in ("old", "new"):
                if version % 10:
                    client.put_item(TableName=table, Item=item(number, version))
                else:
                    client.delete_item(TableName=table, Key={"PK": {"S": f"item{number}"}})

    writer = threading.Thread(target=change)
    writer.start()
    try:
        yield
    finally:
        is_over.set()
        writer.join()


def run_and_kill(endpoint: str, directory: Path, after_bytes: int) -> int:
    """Kill a run when its state file has grown by so many bytes. Return its exit status, -9 if it was killed."""
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": endpoint,
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "src", ROOT / "cli", ROOT))),
    }
    with (directory / "said").open("wb") as said:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "tests.support.killable", *COMMAND],
            cwd=directory,
            env=environment,
            stdout=said,
            stderr=said,
        )
    with process:
        began_with = None
        while process.poll() is None:
            size = size_of(directory / "old-new.backfill")
            if size and began_with is None:
                began_with = size
            if began_with is not None and size - began_with > after_bytes:
                process.kill()
            time.sleep(0.002)
    return process.returncode


def size_of(state: Path) -> int:
    """Return the size of a state file, or 0 if the run has removed it."""
    try:
        return state.stat().st_size
    except FileNotFoundError:
        return 0


@pytest.mark.parametrize("seed", range(2))
def test_a_backfill_killed_at_any_time_resumes_and_ends_with_equal_tables(
    client: "DynamoDBClient", endpoint: str, tmp_path: Path, seed: int
) -> None:
    random = Random(seed)  # noqa: S311
    kills = 0

    with changes_replicated(client, Random(seed)):  # noqa: S311
        while (status := run_and_kill(endpoint, tmp_path, random.randrange(20_000))) == -9:
            kills += 1
            assert kills < 100

    assert status == 0, (tmp_path / "said").read_text()
    assert kills >= 3
    assert items(client, "new") == items(client, "old")
    scanned = sum(map(int, (tmp_path / "scanned").read_text().split()))
    assert scanned <= ITEMS + kills * SEGMENTS * PAGE
    assert not (tmp_path / "old-new.backfill").exists()
