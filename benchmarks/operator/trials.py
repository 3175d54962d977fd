"""Measure the commands and the loops on a service, in alternating rounds, and check their work."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import boto3

from benchmarks.operator.figures import Case, Runs
from benchmarks.operator.loops import REPLICA, SOURCE, Item
from benchmarks.operator.programs import PROGRAMS, Run, run
from benchmarks.operator.proxies.delay import delayed
from benchmarks.processes import ANYBODY, BenchmarkError, calling, endpoint
from benchmarks.rounds import Say
from benchmarks.server import Reset
from benchmarks.workloads import KEY
from ddbreplica_cli.samples.generate import rows
from ddbreplica_cli.samples.logfile import item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SERVICE_TIME = 4
"""Milliseconds that DynamoDB takes for a write in the same Region."""

LATENCY = 20
"""Milliseconds that a request takes on the way to a distant Region."""

READ_UNITS = 10
"""The read capacity units per second of the workshop's tables."""

_INTO_AN_EMPTY_REPLICA = ("backfill", "repair")


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
    def tables(self, items: int, *, stream: bool = False) -> Iterator[None]:
        """Create a source with a number of log items, by `ddbreplica load`, and an empty replica."""
        with self.empty_tables(stream=stream):
            self.load(items)
            yield

    @contextmanager
    def empty_tables(self, read_units: int | None = None, *, stream: bool = False) -> Iterator[None]:
        """Create an empty source and an empty replica: on demand, or with provisioned capacity.

        With a stream of the source, DynamoDB Local takes three times as long to load it.
        """
        self.create_both(read_units, stream=stream)
        try:
            yield
        finally:
            for name in (SOURCE, REPLICA):
                self._client.delete_table(TableName=name)

    def create_both(self, read_units: int | None = None, *, stream: bool = False) -> None:
        """Create an empty source and an empty replica."""
        self._create(SOURCE, read_units, stream=stream)
        self._create(REPLICA, read_units)

    def load(self, items: int) -> None:
        """Write a number of log items to the source, by `ddbreplica load`."""
        run(PROGRAMS["load"]["ours"], self.environment, str(items))

    def run(self, case: Case, *, url: str | None = None) -> Run:
        """Run a case at the service or at the URL of a proxy. Backfill and repair start with an empty replica.

        Raises BenchmarkError if the replica is incomplete afterwards.
        """
        if case.command in _INTO_AN_EMPTY_REPLICA:
            self.empty_replica()
        took = run(case.program, {**self.environment, **({} if url is None else calling(url))})
        _expect(case, self.count(REPLICA))
        return took

    def empty_replica(self) -> None:
        """Create the replica again."""
        self._client.delete_table(TableName=REPLICA)
        self._create(REPLICA)

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

    def count(self, name: str) -> int:
        """Return the number of items in a table."""
        pages = self._client.get_paginator("scan").paginate(TableName=name, Select="COUNT")
        return sum(page["Count"] for page in pages)

    def _create(self, name: str, read_units: int | None = None, *, stream: bool = False) -> None:
        capacity: Any = {"BillingMode": "PAY_PER_REQUEST"}
        if read_units is not None:
            throughput = {"ReadCapacityUnits": read_units, "WriteCapacityUnits": read_units}
            capacity = {"BillingMode": "PROVISIONED", "ProvisionedThroughput": throughput}
        if stream:
            capacity["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
        self._client.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": KEY, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": KEY, "AttributeType": "S"}],
            **capacity,
        )


def between_tables(service: Service, *, items: int, rounds: int, say: Say) -> Runs:
    """Copy and compare a number of items with every program."""
    # In this order: verify compares what backfill copied.
    cases = [
        Case(service.name, command, name, items)
        for command in ("backfill", "verify")
        for name in PROGRAMS[command]
    ]
    with service.tables(items):
        return _rounds(cases, service.run, rounds=rounds, say=say)


def largest(service: Service, *, items: int, rounds: int, say: Say) -> Runs:
    """Copy a large number of items once, and compare them in rounds: the command, and the loop of two bare scans."""
    copied = Case(service.name, "backfill", "ours", items)
    cases = [Case(service.name, "verify", name, items) for name in ("ours", "wire-scans")]
    with service.tables(items):
        say(f"{service.name}: backfill of {items:,} items")
        backfill = {copied: [service.run(copied)]}
        return {**backfill, **_rounds(cases, service.run, rounds=rounds, say=say)}


def repairing(service: Service, *, items: int, rounds: int, say: Say) -> Runs:
    """Repair and backfill an empty replica, with a latency in each request."""
    name = f"{service.name}, {LATENCY} ms"
    cases = [Case(name, "repair", contestant, items) for contestant in PROGRAMS["repair"]]
    # With a stream, as in a deployment: verify reads it to confirm differences.
    with service.tables(items, stream=True), delayed(service.url, LATENCY / 1000) as url:
        return _rounds(cases, partial(service.run, url=url), rounds=rounds, say=say)


def workshop(service: Service, *, items: int, say: Say) -> Runs:
    """Compare equal rows in tables of the workshop's capacity, once: the command's own rate sets the time."""
    case = Case(f"{service.name}, {READ_UNITS} units/s", "workshop", "ours", items)
    loaded = [item(row) for row in islice(rows(), items)]
    with service.empty_tables(READ_UNITS):
        for table in (SOURCE, REPLICA):
            service.put(table, loaded)
        return _rounds([case], service.run, rounds=1, say=say)


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


def _rounds(cases: Sequence[Case], measure: Callable[[Case], Run], *, rounds: int, say: Say) -> Runs:
    """Run all cases in each round, in turn forwards and backwards, so that no program always follows the same one."""
    runs: dict[Case, list[Run]] = {case: [] for case in cases}
    for number in range(rounds):
        for case in cases[:: -1 if number % 2 else 1]:
            say(f"{case.service}: round {number + 1} of {rounds}, {case.command}: {case.program.title}")
            runs[case].append(measure(case))
    return runs


def _expect(case: Case, written: int) -> None:
    if written != case.items:
        raise BenchmarkError(
            f"{case.program.title} on {case.service} left {written:,} items of {case.items:,}"
        )
