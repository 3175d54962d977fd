"""Histories of a table of tasks, their expected counts, and the counting function with simulated failures."""

from collections import Counter as SendResult
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from botocore.exceptions import ClientError, ReadTimeoutError
from hypothesis import strategies as st

from ddbreplica.deadline import Deadline, deadline_of
from task_counts import Counter, count, list_of
from tests.support.function import Context
from tests.support.mapping import Mapping, MappingSettings, Shard
from tests.support.records import delete, put
from tests.support.stream import state_after

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_dynamodb import DynamoDBClient

TROUBLES = (
    "none",
    "throttled",
    "conflict",
    "overtaken",
    "unanswered",
    "late",
    "killed before",
    "killed after",
)

settings_of_mapping = st.builds(
    MappingSettings,
    batch_size=st.integers(1, 10),
    parallelization_factor=st.integers(1, 2),
    bisect_batch_on_function_error=st.booleans(),
)
calm = st.sampled_from([0, 10, 40])
"""The number of successful requests for each failure."""

crashes = st.lists(st.booleans(), max_size=8)

Request: TypeAlias = Callable[[], Any]


class Killed(Exception):  # noqa: N818  what happens to a sandbox is no error of the code
    """The execution environment ended before or after a request."""


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Generate changes that add tasks to lists, move them, remove them from all lists, and delete them."""
    lists = st.sampled_from([{"S": "home"}, {"S": "work"}, {"N": "7"}, None])
    steps = st.tuples(st.sampled_from("abc"), st.one_of(lists, lists, st.just("deleted")))
    length = draw(st.integers(1, 15))
    drawn = draw(st.lists(steps, min_size=length, max_size=length))
    return [task(place, pk, to) for place, (pk, to) in enumerate(drawn)]


def weather(chance: Random, *, calm: int) -> list[str]:
    """Return random failures for the next requests."""
    return chance.choices([*TROUBLES, *["none"] * calm], k=60)


def task(sequence_number: int, pk: str, to: Any) -> dict[str, Any]:
    """Return the record of a deleted task, or of a task whose list is this attribute, or that has none."""
    if to == "deleted":
        return delete(sequence_number, pk)
    attributes = {} if to is None else {"list": to}
    return put(sequence_number, pk, change={"N": str(sequence_number)}, **attributes)


def counts_after(history: Iterable[Any]) -> dict[str, int]:
    """Return the number of tasks of each list that is not empty."""
    names = map(list_of, state_after(history).values())
    return dict(SendResult(name for name in names if name is not None))


@dataclass
class Troubled:
    """A client with a failure for each request in turn. Late writes land at random, or when a test calls `land`."""

    client: "DynamoDBClient"
    troubles: list[str] = field(default_factory=list)
    chance: Random | None = None
    requests: list[str] = field(default_factory=list)
    late: list[Request] = field(default_factory=list)

    def get_item(self, **request: Any) -> Any:
        return self._meet("GetItem", lambda: self.client.get_item(**request))

    def transact_write_items(self, **request: Any) -> Any:
        return self._meet("TransactWriteItems", lambda: self.client.transact_write_items(**request))

    def land(self) -> None:
        """Perform the late writes, and ignore those whose condition fails."""
        while self.late:
            try:
                self.late.pop()()
            except ClientError as error:
                assert error.response["Error"]["Code"] == "TransactionCanceledException"  # noqa: PT017

    def _meet(self, name: str, request: Request) -> Any:
        if self.chance and self.chance.random() < 0.1:
            self.land()
        self.requests.append(name)
        trouble = self.troubles.pop(0) if self.troubles else "none"
        self._before(trouble, request)
        answer = request()
        if trouble == "unanswered":
            raise ReadTimeoutError(endpoint_url="x")
        if trouble == "killed after":
            raise Killed
        return answer

    def _before(self, trouble: str, request: Request) -> None:
        match trouble:
            case "throttled":
                raise refused("ProvisionedThroughputExceededException")
            case "conflict":
                raise refused("TransactionCanceledException", "None", "TransactionConflict")
            case "invalid":
                raise refused("TransactionCanceledException", "None", "ValidationError")
            case "overtaken":  # by a concurrent invocation with the same record
                request()
            case "late":
                self.late.append(request)
                raise ReadTimeoutError(endpoint_url="x")
            case "killed before":
                raise Killed


def refused(code: str, *reasons: str) -> ClientError:
    """Return DynamoDB's error. That of a transaction has a reason for each item."""
    response: Any = {"Error": {"Code": code, "Message": "why"}}
    if reasons:
        response["CancellationReasons"] = [{"Code": reason} for reason in reasons]
    return ClientError(response, "TransactWriteItems")


class Counting:
    """The function with its own tables, and their content."""

    def __init__(self, client: "DynamoDBClient", name: str, troubled: Troubled | None = None) -> None:
        """Create no table yet."""
        self.client = client
        self.troubled = troubled or Troubled(client)
        self.counter = Counter(
            cast("DynamoDBClient", self.troubled), f"{name}-counts", f"{name}-markers", lambda: 1_000_000.5
        )

    @contextmanager
    def tables(self) -> Iterator[None]:
        """Create the tables, and delete them at the end."""
        for table, key in ((self.counter.counts, "list"), (self.counter.markers, "task")):
            self.client.create_table(
                TableName=table,
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
                KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
                BillingMode="PAY_PER_REQUEST",
            )
        yield
        for table in (self.counter.counts, self.counter.markers):
            self.client.delete_table(TableName=table)

    def invoke(self, event: Any, context: Context | None = None) -> list[str]:
        """Invoke the function, and return the item identifiers that it reports."""
        context = context or Context()
        remaining = deadline_of(cast("LambdaContext", context)).remaining
        answer = count(event, self.counter, Deadline(remaining, sleep=context.sleep))
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def deliver(
        self, shards: Sequence[Shard], settings: MappingSettings, *, crashes: list[bool], chance: Random
    ) -> None:
        """Deliver all records with crashes, and check the tables after each invocation."""

        def invoke(event: Any, request_id: str) -> Any:
            reported = self.invoke(event, Context(request_id))
            return {"batchItemFailures": [{"itemIdentifier": one} for one in reported]}

        mapping = Mapping([*shards], invoke, settings, chance=chance)
        while mapping.step():
            assert self.counts() == self.marked()
            if crashes and crashes.pop():
                mapping.crash(lambda done: chance.randint(0, done))
        self.troubled.land()

    def counts(self) -> dict[str, int]:
        """Return the counts that are not zero."""
        items = self._items(self.counter.counts)
        return {item["list"]["S"]: number for item in items if (number := int(item["tasks"]["N"]))}

    def marked(self) -> dict[str, int]:
        """Return the number of markers of each list."""
        return dict(SendResult(item["list"]["S"] for item in self.markers() if "list" in item))

    def markers(self) -> list[Any]:
        return self._items(self.counter.markers)

    def _items(self, table: str) -> list[Any]:
        pages = self.client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]
