"""Measure the commands and the loops on a service, in alternating rounds, and check their work."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3

from benchmarks.operator.figures import Case, Runs
from benchmarks.operator.loops import REPLICA, SOURCE, Item
from benchmarks.operator.programs import PROGRAMS, Run, run
from benchmarks.processes import ANYBODY, BenchmarkError, calling, endpoint
from benchmarks.rounds import Say
from benchmarks.server import Reset
from benchmarks.workloads import KEY

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SERVICE_TIME = 4
"""Milliseconds that DynamoDB takes for a write in the same Region."""

_BETWEEN_TABLES = ("backfill", "verify")  # in this order: verify compares what backfill copied


class Service:
    """A service with the API of DynamoDB, and its two tables."""

    def __init__(self, name: str, url: str, credentials: Mapping[str, str] = ANYBODY) -> None:
        self.name = name
        self.url = url
        self.environment = {**calling(url), **credentials}
        self._client: DynamoDBClient = boto3.client(
            "dynamodb",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
        )

    @contextmanager
    def tables(self, items: int) -> Iterator[None]:
        """Create a source with a number of log items, by `ddbreplica load`, and an empty replica."""
        with self.empty_tables():
            run(PROGRAMS["load"]["ours"], self.environment, str(items))
            yield

    @contextmanager
    def empty_tables(self) -> Iterator[None]:
        """Create an empty source and an empty replica."""
        self._create(SOURCE)
        self._create(REPLICA)
        try:
            yield
        finally:
            for name in (SOURCE, REPLICA):
                self._client.delete_table(TableName=name)

    def run(self, case: Case) -> Run:
        """Run a case; a backfill starts with an empty replica. Raises BenchmarkError if the replica is incomplete."""
        if case.command == "backfill":
            self._client.delete_table(TableName=REPLICA)
            self._create(REPLICA)
        took = run(case.program, self.environment)
        _expect(case, self._count(REPLICA))
        return took

    def put(self, table: str, items: Sequence[Item]) -> None:
        """Write items with different keys to a table."""
        for start in range(0, len(items), 25):
            puts: Any = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
            left = self._client.batch_write_item(RequestItems={table: puts})["UnprocessedItems"]
            if left:
                raise BenchmarkError(f"{self.name} left items unprocessed")

    def items(self, table: str) -> Mapping[str, Item]:
        """Return all items of a table by their keys."""
        pages = self._client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        return {item[KEY]["S"]: item for page in pages for item in page["Items"]}

    def _create(self, name: str) -> None:
        self._client.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": KEY, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": KEY, "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )

    def _count(self, name: str) -> int:
        pages = self._client.get_paginator("scan").paginate(TableName=name, Select="COUNT")
        return sum(page["Count"] for page in pages)


def between_tables(service: Service, *, items: int, rounds: int, say: Say) -> Runs:
    """Copy and compare a number of items with every program."""
    runs: dict[Case, list[Run]] = {case: [] for case in _cases(service.name, items, backwards=False)}
    with service.tables(items):
        for number in range(rounds):
            say(f"{service.name}: round {number + 1} of {rounds}")
            for case in _cases(service.name, items, backwards=bool(number % 2)):
                runs[case].append(service.run(case))
    return runs


def largest(service: Service, *, items: int, say: Say) -> Runs:
    """Copy and compare a number of items with the commands only, once."""
    runs = {}
    with service.tables(items):
        for command in _BETWEEN_TABLES:
            say(f"{service.name}: {command} of {items:,} items")
            case = Case(service.name, command, "ours", items)
            runs[case] = [service.run(case)]
    return runs


def loading(*, rows: int, rounds: int, say: Say) -> Runs:
    """Write rows to a simulated table that responds after SERVICE_TIME."""
    runs: dict[Case, list[Run]] = {}
    with endpoint() as server:
        for number in range(rounds):
            say(f"loading: round {number + 1} of {rounds}")
            for name in PROGRAMS["load"]:
                case = Case(f"a simulated table ({SERVICE_TIME} ms)", "load", name, rows)
                server.reset(Reset(SERVICE_TIME / 1000))
                took = run(case.program, server.environment, str(rows))
                _expect(case, server.reset(Reset(0)).items)
                runs.setdefault(case, []).append(took)
    return runs


def _cases(service: str, items: int, *, backwards: bool) -> Iterator[Case]:
    # Every other round has the reverse order, so that no program always follows the same one.
    for command in _BETWEEN_TABLES:
        for name in tuple(PROGRAMS[command])[:: -1 if backwards else 1]:
            yield Case(service, command, name, items)


def _expect(case: Case, written: int) -> None:
    if written != case.items:
        raise BenchmarkError(
            f"{case.program.title} on {case.service} left {written:,} items of {case.items:,}"
        )
