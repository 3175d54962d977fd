"""Any response to a request of a command leads to a result or to one error line, and in-doubt writes are kept.

Each operation is asked by the commands' own code. Taking the guard away from any of them turns its test red.
"""

import ast
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any, TypeAlias

import boto3
import botocore.endpoint
import pytest
from click.testing import Result

from ddbreplica import deadline
from ddbreplica.aws import refusal
from ddbreplica.aws.clients.session import Clients
from ddbreplica.aws.hints import explain
from ddbreplica.backfill.export import Export, Exported
from ddbreplica.backfill.export import find as find_export
from ddbreplica.backfill.listing import DamagedError, KeyPage
from ddbreplica.bucket.bucket import Bucket, Version
from ddbreplica.driver import Interrupt
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import describe, describe_pair
from ddbreplica.dynamodb.scan import TableReader
from ddbreplica.dynamodb.stream import Stream, list_streams
from ddbreplica.errors import TaskError
from ddbreplica.inspect import observe, observe_fleet
from ddbreplica.inspect.written import written
from ddbreplica.mapping import metrics
from ddbreplica.mapping.lookup import find_mappings, latest_stream
from ddbreplica.model import SUSPECT, Key, Refusal, RefusalKind
from ddbreplica.reconcile.algorithm import Reconciled
from ddbreplica.reconcile.in_doubt_quarantine import QuarantiningJournal
from ddbreplica.reconcile.reconciler import Reconciler
from ddbreplica.records.decode import key_of
from ddbreplica.transform.same_transform import NO_TRANSFORM
from ddbreplica_cli.runs import tail
from ddbreplica_cli.terminal.exit_status import ATTENTION, FAILED, INCONCLUSIVE, exit_status
from ddbreplica_cli.terminal.options import Options
from tests.support.cli import SOURCE, Misbehaviour, Tables, lines, run
from tests.support.fake_journal import FakeJournal
from tests.support.kept_records import QUARANTINE, KeptRecords
from tests.support.modules import ENGINE, TERMINAL, modules_of
from tests.support.records import put
from tests.support.responses import Response, Services, foreign, garbage, misshapen
from tests.support.right import ACCOUNT, FILE, NOW, RIGHT, as_json
from tests.support.waiting import NoTime, Waiting

A = key_of({"PK": {"S": "a"}})

OPTIONS = Options("orders", "orders_copy", None, "us-east-1", None, None, None, None, as_json=False)
ERROR = 300
REJECTED = {"__type": "ValidationException", "message": "why"}

Call: TypeAlias = Callable[[], Any]


@pytest.fixture(scope="module")
def signed_in() -> tuple[Clients, Services]:
    """Clients, each created when it is first used, and the services that respond to all of them."""
    clients, services = Clients(None, "us-east-1", None), Services({})
    events: Any = clients._session.events
    events.register_first("before-send", services.respond)
    return clients, services


@pytest.fixture
def services(signed_in: tuple[Clients, Services], monkeypatch: pytest.MonkeyPatch) -> Services:
    """The same services with correct responses again, and without pauses before retries."""
    monkeypatch.setattr(botocore.endpoint, "time", NoTime)
    monkeypatch.setattr(Interrupt, "sleep", lambda *_: None)
    monkeypatch.setattr(deadline, "MOST_ATTEMPTS", 1)
    _, services = signed_in
    services.right = {**RIGHT}
    return services


@dataclass(frozen=True, slots=True)
class Operation:
    """A request of a command. `prepare` returns a call that makes the request and reads the response.

    `harmless` is a result that the call may return for a malformed response. `is_content`: any body may be correct.
    """

    name: str
    prepare: Callable[[Connection], Call]
    harmless: tuple[Any, ...] = ()
    is_content: bool = False


def always(call: Callable[[Connection], Any]) -> Callable[[Connection], Call]:
    return lambda connection: partial(call, connection)


def _scanning(connection: Connection) -> Call:
    reader = _reader(connection)
    return lambda: reader.by_key(reader.scan_page(0, of=1, after=None, consistent=True).items)


def _paging(connection: Connection) -> Call:
    reader = _reader(connection)
    return lambda: list(reader.scan_on(0, of=1, after=None, limit=1))


def _rescanning(connection: Connection) -> Call:
    return partial(_reader(connection).rescan, 0, of=1, after=None, limit=1)


def _getting(connection: Connection) -> Call:
    return partial(_reader(connection).get, [A])


def _reader(connection: Connection) -> TableReader:
    patience = Waiting().patience(0.0)
    described = describe(connection.source)
    return TableReader.of(described.side, described.table, patience, threads=1, read_rate=None)


def _following(connection: Connection) -> Call:
    """Read the first page of a stream; here, a temporary refusal is raised."""

    def read() -> Any:
        arn = f"{ACCOUNT}/orders/stream/2026-11-01T00:00:00.000"
        stream = Stream(connection.streams(), arn, from_oldest=True, gap=lambda _: None)
        pages = stream.read()
        if stream.refusal is not None:
            raise explain(stream.refusal)
        return [tail._seen(record) for page in pages for record in page]

    return read


def _streams(connection: Connection) -> Any:
    """List the streams of a table; here, a refusal is raised."""
    listed = refusal.asked(lambda: list_streams(connection.streams(), "orders", {}))
    if isinstance(listed, Refusal):
        raise explain(listed)
    return listed


def _mapped(connection: Connection) -> Any:
    return [
        (found.key_filter.patterns, found.quarantine, found.modified_at.year)
        for found in find_mappings(connection, f"{ACCOUNT}/orders")
    ]


def _figures(connection: Connection) -> Any:
    query = metrics.query("IteratorAge", "AWS/Lambda", {})
    return metrics.read_series(connection.source.metrics(), [query], begin=NOW, end=NOW)


def _written(connection: Connection) -> Any:
    return written(connection.source.metrics(), "orders", since=NOW - timedelta(hours=1), until=NOW)


def _has_metrics(connection: Connection) -> bool:
    return metrics.has_reported(connection.source.metrics(), {"EventSourceMappingUUID": "u"})


def _of_stack(connection: Connection) -> str:
    return connection.to(replace(OPTIONS, source=None, stack_name="stack")).source.name


def _export(connection: Connection) -> Sequence[KeyPage]:
    return list(
        Exported(connection.buckets, Export("s3://b/", "arn", NOW, {FILE: 1}), ["PK"]).pages(FILE, None)
    )


def _found_export(connection: Connection) -> Any:
    return find_export(connection.buckets, ["s3://bucket/prefix"])


def _bucket(connection: Connection) -> Bucket:
    return Bucket(connection.buckets, "kept", option="--quarantine-bucket")


def _keeping(connection: Connection) -> Call:
    source = describe(connection.source).table

    def keep() -> None:
        QuarantiningJournal.of(FakeJournal(), connection, "kept", source, command="redrive").mark_in_doubt(
            [A]
        )

    return keep


OPERATIONS: Mapping[str, Operation] = {
    "describe": Operation("DescribeTable", always(lambda c: describe(c.source))),
    "latest stream": Operation("DescribeTable", always(latest_stream)),
    "time to live": Operation("DescribeTimeToLive", always(lambda c: observe._ttl(c.source))),
    "scan": Operation("Scan", _scanning),
    "page": Operation("Scan", _paging),
    "rescan": Operation("Scan", _rescanning),
    "get": Operation("BatchGetItem", _getting),
    "mappings": Operation("ListEventSourceMappings", always(_mapped)),
    # The mapping of a deleted function remains, but it has no replica.
    "function": Operation("GetFunctionConfiguration", always(_mapped), harmless=([],)),
    "tags": Operation("ListTags", always(_mapped)),
    "figures": Operation("GetMetricData", always(_figures)),
    "written since": Operation("GetMetricData", always(_written)),
    "any metric": Operation("ListMetrics", always(_has_metrics)),
    "fleet": Operation("GetResources", always(lambda c: dict(observe_fleet._tagged(c)))),
    "stack": Operation("DescribeStacks", always(_of_stack)),
    "streams": Operation("ListStreams", always(_streams)),
    "stream": Operation("DescribeStream", _following),
    "iterator": Operation("GetShardIterator", _following),
    "records": Operation("GetRecords", _following),
    "list": Operation("ListObjectsV2", always(lambda c: list(_bucket(c).list("")))),
    "versions": Operation("ListObjectVersions", always(lambda c: list(_bucket(c).versions("")))),
    "read": Operation(
        "GetObject", always(lambda c: _bucket(c).read("a", most=1000)), harmless=(None,), is_content=True
    ),
    "copy": Operation(
        "CopyObject", always(lambda c: _bucket(c).finish("a", "e", metadata={})), harmless=(False,)
    ),
    "delete": Operation(
        "DeleteObject",
        always(lambda c: _bucket(c).finish("a", "e", metadata={})),
        harmless=(False,),
        is_content=True,
    ),
    "delete a version": Operation(
        "DeleteObject",
        always(
            lambda c: _bucket(c).delete(Version("a", "v", is_present=False, size=1, etag="e", stored_at=NOW))
        ),
        harmless=(None,),
        is_content=True,
    ),
    "keep": Operation("PutObject", _keeping, is_content=True),
    "create": Operation("PutObject", always(lambda c: _bucket(c).create("a", b"{}")), is_content=True),
    "manifests": Operation("GetObject", always(_found_export)),
    "size of a file": Operation("HeadObject", always(_export), is_content=True),
    "file": Operation("GetObject", always(_export), is_content=True),
}


def outcome(call: Call) -> Any:
    """Return the result of a call, or the TaskError that it raises; any other error is a bug."""
    try:
        return call()
    except DamagedError as error:
        return error
    except TaskError as error:
        refused = error
    assert exit_status(refused) != 0
    assert "\n" not in refused.fact + refused.hint
    assert refused.fact
    return refused


@pytest.fixture
def connection(services: Services, signed_in: tuple[Clients, Services]) -> Connection:
    clients, _ = signed_in
    return Connection(OPTIONS, source_clients=clients)


@pytest.fixture(params=OPERATIONS)
def asked(request: pytest.FixtureRequest) -> Operation:
    return OPERATIONS[request.param]


def right_response(services: Services, name: str, call: Call) -> Response:
    """Return the correct response of an operation, which is read without an error."""
    result = outcome(call)
    assert not isinstance(result, Exception), result
    return services.seen[name]


def test_a_meaningless_response_is_one_error_line_and_never_a_result(
    asked: Operation, services: Services, connection: Connection
) -> None:
    call = asked.prepare(connection)
    right = right_response(services, asked.name, call)
    for wrong in garbage(right):
        with services.responding(asked.name, wrong):
            result = outcome(call)
        is_read = asked.is_content and wrong.status < ERROR
        assert is_read or isinstance(result, TaskError) or result in asked.harmless, (wrong, result)


def test_the_error_says_that_a_response_is_not_from_aws(
    asked: Operation, services: Services, connection: Connection
) -> None:
    call = asked.prepare(connection)
    right = right_response(services, asked.name, call)
    for wrong in foreign(right):
        with services.responding(asked.name, wrong):
            result = outcome(call)
        assert isinstance(result, TaskError), (wrong, result)
        assert "ForeignResponse" in result.fact, (wrong, result)


def test_a_response_of_another_shape_raises_only_a_task_error(
    asked: Operation, services: Services, connection: Connection
) -> None:
    call = asked.prepare(connection)
    for wrong in misshapen(right_response(services, asked.name, call)):
        with services.responding(asked.name, wrong):
            outcome(call)


@pytest.mark.parametrize(
    "response",
    [
        as_json(Responses={"orders": [{"PK": {"S": "another"}}]}, UnprocessedKeys={}),
        as_json(Responses={}, UnprocessedKeys={"orders": {"Keys": [{"PK": {"S": "another"}}]}}),
    ],
)
def test_a_response_with_other_keys_is_an_error(
    response: Response, services: Services, connection: Connection
) -> None:
    call = OPERATIONS["get"].prepare(connection)

    with services.responding("BatchGetItem", response):
        assert "UnreadableResponse" in outcome(call).fact


def test_the_error_names_the_member_of_another_type(services: Services, connection: Connection) -> None:
    call = OPERATIONS["mappings"].prepare(connection)

    with services.responding("ListEventSourceMappings", as_json(EventSourceMappings=[{"UUID": 5}])):
        assert outcome(call).fact == (
            "the event source mappings cannot be listed: UnreadableResponse: the response cannot be read: the type"
            " at EventSourceMappings.[].UUID is not as documented"
        )


def test_an_error_is_one_line_of_bounded_length() -> None:
    refusal = Refusal(RefusalKind.TRANSIENT, "Code\n" * 100, "x\n" * 5000)

    error = explain(refusal, doing="reading\nfailed")

    assert "\n" not in error.fact
    assert len(error.fact) < 2000


def test_every_operation_of_the_commands_is_tested_here() -> None:
    services: Any = ("cloudformation", "cloudwatch", "dynamodb", "dynamodbstreams", "lambda", "s3", "sts")
    methods: dict[str, str] = {}
    for service in (*services, "resourcegroupstaggingapi"):
        methods |= boto3.client(service, region_name="us-east-1").meta.method_to_api_mapping
    # Only the functions use these: a command has profiles, and runs no job itself.
    of_functions = {ENGINE / "aws" / "role.py", *modules_of(ENGINE / "jobs")}
    modules = [path for path in (*modules_of(ENGINE), *modules_of(TERMINAL)) if path not in of_functions]
    tried = {operation.name for operation in OPERATIONS.values()} | set(WRITES)

    assert {operation for path in modules for operation in operations_in(path, methods)} <= tried


def operations_in(path: Path, methods: Mapping[str, str]) -> Iterator[str]:
    """Yield the operations that a module requests with methods of boto3 clients."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super"))):
                pass  # a method of this project that has the name of a boto3 method
            case ast.Attribute(attr=name) if name in methods:
                yield methods[name]
            case ast.Call(func=ast.Attribute(attr="get_paginator"), args=[ast.Constant(value=str(name))]):
                yield methods[name]


WRITES = ("BatchWriteItem", "PutItem", "DeleteItem")


class Forgetful(FakeJournal):
    """A journal that holds no key, and records the in-doubt keys of the last call."""

    def __init__(self) -> None:
        self.in_doubt: set[Key] = set()
        super().__init__()

    def intend(self, keys: Sequence[Key]) -> Sequence[Key]:
        self.in_doubt.clear()
        return keys

    def mark_in_doubt(self, keys: Sequence[Key]) -> None:
        self.in_doubt.update(keys)

    def confirm(self, keys: Sequence[Key]) -> None:
        pass


@pytest.mark.parametrize("operation", WRITES)
def test_a_write_without_a_response_from_aws_is_in_doubt(
    operation: str, services: Services, connection: Connection
) -> None:
    if operation != "BatchWriteItem":
        services.right["BatchWriteItem"] = lambda _: replace(as_json(**REJECTED), status=400)
    if operation == "DeleteItem":
        services.right["BatchGetItem"] = lambda _: as_json(Responses={}, UnprocessedKeys={})
    journal = Forgetful()
    reconciler = Reconciler.between(
        connection,
        describe_pair(connection),
        journal=journal,
        patience=Waiting().patience(20.01),
        transform=NO_TRANSFORM,
        is_archive=False,
    )
    right = right_response(services, operation, lambda: reconciler.reconcile([A]))
    for wrong in (*garbage(right), *foreign(right), *misshapen(right)):
        with services.responding(operation, wrong):
            result = outcome(lambda: reconciler.reconcile([A]))
        is_no_end = not wrong.is_from_aws or (wrong.status < ERROR and not is_end(operation, wrong))
        assert journal.in_doubt or not is_no_end, (wrong, result)
        assert isinstance(result, TaskError | Reconciled)


def is_end(operation: str, response: Response) -> bool:
    """Return whether a 2xx response from AWS contains the result of the request."""
    try:
        content = json.loads(response.body.decode())
    except (ValueError, RecursionError):
        return False
    if response.status != 200 or not isinstance(content, dict):
        return False
    return operation != "BatchWriteItem" or isinstance(content.get("UnprocessedItems"), dict)


@pytest.mark.parametrize("header", ["etag", "content-length"])
@pytest.mark.parametrize("value", [None, "", "5000", "text"])
def test_a_file_with_another_header(
    header: str, value: str | None, services: Services, connection: Connection
) -> None:
    for name in ("read", "manifests", "size of a file", "file"):
        operation = OPERATIONS[name]
        call = operation.prepare(connection)
        right = right_response(services, operation.name, call)
        headers = {each: text for each, text in right.headers.items() if each != header}
        wrong = replace(right, headers=headers if value is None else {**headers, header: value})
        with services.responding(operation.name, wrong):
            outcome(call)


def test_a_truncated_body_is_an_error(services: Services, connection: Connection) -> None:
    for name in ("read", "manifests", "file"):
        operation = OPERATIONS[name]
        call = operation.prepare(connection)
        right = right_response(services, operation.name, call)
        length = str(len(right.body))
        with services.responding(
            operation.name,
            replace(right, body=right.body[:-1], headers={**right.headers, "content-length": length}),
        ):
            assert isinstance(outcome(call), TaskError), name


@pytest.mark.parametrize(
    "date", [None, "", "yesterday", "Sat, 28 Nov 2026 10:00:00", "Sat, 99 Nov 2026 10:00:00 GMT"]
)
def test_a_listing_without_a_time_is_refused(
    date: str | None, services: Services, connection: Connection
) -> None:
    operation = OPERATIONS["list"]
    call = operation.prepare(connection)
    right = right_response(services, operation.name, call)
    with services.responding(
        operation.name, replace(right, headers={"date": date} if date is not None else {})
    ):
        assert "UnreadableResponse" in outcome(call).fact


GATEWAY = Response(b"<html><h1>504 Gateway Time-out</h1></html>", status=504, is_from_aws=False)
SIGN_IN = replace(GATEWAY, body=b"<html>Sign in to the network</html>", status=200)
NO_END = (GATEWAY, SIGN_IN, Response(b"\xff"))


def _respond(response: Response, request: Any, **_: Any) -> Any:
    return response.over(request.url)


@pytest.mark.usefixtures("hurried")
class TestCommands:
    """Whole commands on moto: they end with one line, and keep in-doubt writes for the next run."""

    ITEMS = 25

    @pytest.fixture(autouse=True)
    def _apart(
        self,
        tables: Tables,
        short_watches: None,
        kept_records: KeptRecords,
        aws: Misbehaviour,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        self.aws = aws
        self.kept_records = kept_records
        for number in range(self.ITEMS):
            tables.put(SOURCE, f"item{number}")

    def respond(self, operation: str, response: Response) -> None:
        self.aws.on(f"before-send.{operation}", partial(_respond, response))

    def ran(self, *args: str) -> Result:
        """Run a command that fails, and check that its last line is a hint."""
        result = run(*args)
        assert result.exit_code in (ATTENTION, FAILED, INCONCLUSIVE), (args, result.output)
        said = lines(result.stderr)
        assert said[-1].startswith("Try: "), result.output
        errors = sum(line.startswith("Error: ") for line in said)
        assert errors == 1 or (errors == 0 and result.exit_code == ATTENTION), result.output
        return result

    def in_doubt(self) -> set[str]:
        """Return the quarantined items with in-doubt writes."""
        bodies = [
            json.loads(self.kept_records.body(QUARANTINE, name))
            for name in self.kept_records.names(QUARANTINE)
        ]
        return {
            body["record"]["dynamodb"]["Keys"]["PK"]["S"] for body in bodies if body["error_code"] == SUSPECT
        }

    @pytest.mark.parametrize("response", NO_END)
    def test_redrive_keeps_in_doubt_writes(self, response: Response) -> None:
        self.kept_records.discard(*(put(number, f"item{number}") for number in range(self.ITEMS)))
        self.respond("dynamodb.BatchWriteItem", response)

        self.ran("redrive")

        assert len(self.in_doubt()) == self.ITEMS

    @pytest.mark.parametrize("response", NO_END)
    def test_a_repair_keeps_in_doubt_writes(self, response: Response) -> None:
        self.respond("dynamodb.BatchWriteItem", response)

        self.ran("verify", "--repair", "--grace", "0")

        assert len(self.in_doubt()) == self.ITEMS

    @pytest.mark.parametrize("response", NO_END)
    def test_the_state_of_a_backfill_keeps_in_doubt_writes(self, response: Response) -> None:
        self.respond("dynamodb.BatchWriteItem", response)

        self.ran("backfill", "--segments", "1", "--no-wait")
        again = self.ran("backfill", "--segments", "1", "--no-wait")

        assert f"{self.ITEMS} items were not copied." in again.stderr

    @pytest.mark.parametrize(
        ("operations", "args"),
        [
            (
                (
                    "dynamodb.DescribeTable",
                    "s3.ListObjectsV2",
                    "s3.GetObject",
                    "dynamodb.BatchGetItem",
                    "s3.CopyObject",
                ),
                ["redrive"],
            ),
            (("dynamodb.Scan", "dynamodb.BatchGetItem"), ["verify", "--grace", "0"]),
            (("dynamodb.Scan", "dynamodb.Scan"), ["backfill", "--segments", "1"]),
            (("s3.ListObjectsV2",), ["backfill", "--from-export", f"s3://{QUARANTINE}/prefix"]),
            (("dynamodb.DescribeTable", "dynamodb.BatchWriteItem"), ["load", "--generate", "30"]),
            (("dynamodb.DescribeTable",), ["status"]),
            (("dynamodb.DescribeTable", "dynamodbstreams.DescribeStream"), ["tail", "--limit", "1"]),
            (("cloudformation.DescribeStacks",), ["status", "--stack-name", "stack"]),
            (("resourcegroupstaggingapi.GetResources",), ["status", "--all"]),
        ],
    )
    def test_an_error_has_a_hint(self, operations: Sequence[str], args: Sequence[str]) -> None:
        self.kept_records.quarantine(put(1, "item1"))
        for operation, response in zip(operations, cycle((GATEWAY, Response(b"[" * 50_000)))):
            with pytest.MonkeyPatch.context() as until_the_next:
                hook = partial(_respond, response)
                Misbehaviour(until_the_next).on(f"before-send.{operation}", hook)
                self.ran(*args)

    def test_status_shows_unreadable_values_as_unknown(self) -> None:
        for operation in ("dynamodb.DescribeTimeToLive", "cloudwatch.GetMetricData", "s3.ListObjectsV2"):
            self.respond(operation, Response(b"null"))

        document = json.loads(run("status", "--json").stdout)

        assert document["unknown"].keys() == {
            "the replica's time to live",
            "CloudWatch's metrics",
            "the quarantine",
            "what Lambda gave up",
            "the last verification",
        }
