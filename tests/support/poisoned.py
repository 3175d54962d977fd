"""An AWS whose responses contain characters that control a terminal or are invisible."""

import gzip
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias
from unicodedata import category
from urllib.parse import parse_qs, urlsplit

from click.testing import Result

from ddbreplica.jobs.plan import Plan
from tests.support.cli import invoke, press_ctrl_c
from tests.support.on_failure import DiscardedBatch, on_failure_object
from tests.support.records import put
from tests.support.responses import Response, body_of, path_of
from tests.support.right import ACCOUNT, FUNCTION, NOW, RIGHT, as_json, as_xml, content

FORGED = "FORGED: in a line of its own"
CONTROLS = f"\x1b[31m\x9b1m\x00\x08\x7f\x85\xad\u200b\u202e\u2028\u2029\ufeff\U000e0001[red]\r\n{FORGED}\n\t"
SURROGATE = "\ud800-\udc80"
IN_XML = f"\x7f\x85\x9b1m\xad\u202e\u2028\U000e0001\n{FORGED}\n"
IN_A_HEADER = "\x9b1m\x85\xad"
FORBIDDEN = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})
Path_: TypeAlias = tuple[Any, ...]
REQUESTS = 300
NESTED = "(JSON)"
"""A step of a path into a text that is a JSON document."""


def check(result: Result, *, as_json: bool = False) -> None:
    """Raise AssertionError unless a command ended as documented and printed none of these characters."""
    for stream in (result.stdout_bytes, result.stderr_bytes or b""):
        text = stream.decode()
        assert not {each for each in text if category(each) in FORBIDDEN} - {"\n"}, ascii(text)
        assert not [line for line in text.split("\n") if line.strip().startswith("FORGED")], text
        assert "Traceback" not in text, text
    assert result.exit_code in (0, 1, 2, 3, 130), result.output
    if as_json and result.stdout:
        json.loads(result.stdout)


def check_lines(content: bytes) -> int:
    """Raise AssertionError unless each line is JSON without these characters. Return the number of lines."""
    lines = content.decode().split("\n")[:-1]
    for line in lines:
        assert not {each for each in line if category(each) in FORBIDDEN}, ascii(line)
        json.loads(line)
    return len(lines)


KEPT = "quarantine/orders_copy/1.json"
SOURCE_ARN = f"{ACCOUNT}/orders"
STREAM = f"{SOURCE_ARN}/stream/2026-11-01T00:00:00.000"


def _record(number: int, key: str) -> dict[str, Any]:
    return {**put(number, key, v={"S": "x"}), "eventSourceARN": STREAM}


def _mappings(request: Any) -> Response:
    """Return a mapping with a filter that a poisoned key passes."""
    content = json.loads(RIGHT["ListEventSourceMappings"](request).body)
    pattern = json.dumps({"dynamodb": {"Keys": {"PK": {"S": [{"anything-but": "z"}]}}}})
    content["EventSourceMappings"][0]["FilterCriteria"] = {"Filters": [{"Pattern": pattern}]}
    return as_json(**content)


def _scan(request: Any) -> Response:
    name = body_of(request)["TableName"]
    keys = ("a", "b") if name == "orders" else ("a", "c")
    return as_json(Items=[_item(name, {"PK": {"S": key}}) for key in keys], Count=2, ScannedCount=2)


def _item(table: str, key: Mapping[str, Any]) -> dict[str, Any]:
    return {**key, "v": {"S": table}, "list": {"L": [{"M": {"x": {"S": "deep"}}}]}}


def _items(request: Any) -> Response:
    ((name, asked),) = body_of(request)["RequestItems"].items()
    other = "c" if name == "orders" else "b"
    keys = [key for key in asked["Keys"] if not key["PK"]["S"].startswith(other)]
    return as_json(Responses={name: [_item(name, key) for key in keys]}, UnprocessedKeys={})


def _objects(request: Any) -> Response:
    query = parse_qs(urlsplit(request.url).query)
    prefix = query.get("prefix", [""])[0]
    if "delimiter" in query:
        return as_xml(
            "<ListBucketResult><Name>kept</Name><KeyCount>1</KeyCount><IsTruncated>false</IsTruncated>"
            "<CommonPrefixes><Prefix>jobs/s/job/</Prefix></CommonPrefixes></ListBucketResult>"
        )
    name = {"quarantine/orders_copy/": KEPT, "aws/lambda/": _discarded()[0]}.get(
        prefix, "data/manifest-summary.json"
    )
    return as_xml(
        f"<ListBucketResult><Name>kept</Name><KeyCount>1</KeyCount><IsTruncated>false</IsTruncated><Contents><Key>{name}"
        f"</Key><Size>1</Size><LastModified>{NOW.replace(year=2025):%Y-%m-%dT%H:%M:%S.000Z}</LastModified></Contents>"
        "</ListBucketResult>"
    )


def _versions(request: Any) -> Response:
    prefix = parse_qs(urlsplit(request.url).query).get("prefix", [""])[0]
    name = KEPT if KEPT.startswith(prefix) else f"done/{KEPT}" if f"done/{KEPT}".startswith(prefix) else ""
    version = (
        f"<Version><Key>{name}</Key><VersionId>v</VersionId><IsLatest>false</IsLatest><Size>1</Size><ETag>e</ETag>"
        f"<LastModified>{NOW:%Y-%m-%dT%H:%M:%S.000Z}</LastModified></Version>"
    )
    found = version if name else ""
    return as_xml(
        f"<ListVersionsResult><Name>kept</Name><IsTruncated>false</IsTruncated>{found}</ListVersionsResult>"
    )


def _discarded() -> tuple[str, str]:
    records = [_record(number, key) for number, key in enumerate("ab")]
    batch = DiscardedBatch(records, "shardId-1", "RetryAttemptsExhausted", "request", 3, None)
    name, body = on_failure_object(batch, now=1.7940960e9, name="1")
    context = json.loads(body)
    context["requestContext"]["functionArn"] = FUNCTION
    context["DDBStreamBatchInfo"]["streamArn"] = STREAM
    return name, json.dumps(context)


def _content(request: Any) -> Response:
    if "/jobs/s/" in path_of(request):
        if path_of(request).endswith("/plan.json"):
            return Response(_planned().encode(), headers={"etag": '"e"'})
        return replace(as_xml("<Error><Code>NoSuchKey</Code><Message>none</Message></Error>"), status=404)
    bodies = {
        KEPT: {
            "schema": 1,
            "record": _record(1, "a"),
            "reason": "refused: why",
            "error_code": "ValidationException",
        },
        _discarded()[0]: json.loads(_discarded()[1]),
    }
    found = [body for name, body in bodies.items() if path_of(request).endswith(name)]
    return Response(json.dumps(found[0]).encode(), headers={"etag": '"e"'}) if found else content(request)


MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:machine"
EXECUTION = {
    "executionArn": f"{MACHINE.replace('stateMachine', 'execution')}:job_1",
    "stateMachineArn": MACHINE,
    "name": "job_1",
    "status": "FAILED",
    "startDate": 1.7e9,
    "stopDate": 1.7e9,
}


def _executions(request: Any) -> Response:
    return as_json(executions=[EXECUTION] if body_of(request)["statusFilter"] == "FAILED" else [])


def _execution(request: Any) -> Response:
    if body_of(request)["executionArn"] != EXECUTION["executionArn"]:
        return Response(b'{"__type": "ExecutionDoesNotExist", "message": "none"}', status=400)
    given = json.dumps({"what": "verify", "options": {}, "job": "job"})
    return as_json(**EXECUTION, input=given, error="JobFailed", cause="segments were not compared: 0.")


def _planned() -> str:
    tables = {side: f"{ACCOUNT}/{name} of 2023" for side, name in (("source", "orders"), ("replica", "copy"))}
    plan = Plan(
        what="verify",
        function="replicator",
        began="2023-11-14T22:13:20.000000+00:00",
        options={"limit": 10},
        pair=tables,
        patterns=["pattern"],
        is_archive=False,
        segments=1,
        lines=1,
        workers=1,
        read_rates=[5.0, 5.0],
        write_rate=0.0,
        stream=None,
        transform=None,
        function_updated=None,
        estimate={"items": 2, "read_units": 1, "dollars": 0.1},
    )
    return plan.body.decode()


WORLD: Mapping[str, Callable[[Any], Response]] = {
    **RIGHT,
    "ListEventSourceMappings": _mappings,
    "Scan": _scan,
    "BatchGetItem": _items,
    "ListObjectsV2": _objects,
    "ListObjectVersions": _versions,
    "GetObject": _content,
    "DescribeStacks": lambda _: as_xml(
        "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>s</StackName><Outputs>"
        "<member><OutputKey>SourceTableName</OutputKey><OutputValue>orders</OutputValue></member>"
        "<member><OutputKey>ReplicaTableName</OutputKey><OutputValue>orders_copy</OutputValue></member>"
        "</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"
    ),
    "ListTags": lambda _: as_json(Tags={"ddbreplica": "orders_copy", "aws:cloudformation:stack-name": "s"}),
    "DescribeStackResource": lambda _: as_xml(
        "<DescribeStackResourceResponse><DescribeStackResourceResult><StackResourceDetail>"
        f"<PhysicalResourceId>{MACHINE}</PhysicalResourceId>"
        "</StackResourceDetail></DescribeStackResourceResult></DescribeStackResourceResponse>"
    ),
    "ListExecutions": _executions,
    "DescribeExecution": _execution,
}


@dataclass
class World:
    """Responds to every request. The responses to one operation are changed."""

    asked: dict[str, list[Response]] = field(default_factory=dict)
    left: int = 0
    reported: int = 0
    at: str = ""
    change: Callable[[Response], Response] = lambda response: response

    def ran(self, *args: str) -> Result:
        """Run a command in an empty directory, and interrupt it if it does not end."""
        self.left = REQUESTS
        result = invoke(*args)
        if (report := Path("report.jsonl")).exists():
            self.reported += check_lines(report.read_bytes())
        for path in Path().iterdir():
            path.unlink()
        return result

    def count(self) -> None:
        self.left -= 1
        if self.left == 0:
            press_ctrl_c()

    def respond(self, request: Any, event_name: str, **_: Any) -> Any:
        self.count()
        operation = event_name.rpartition(".")[2]
        right = WORLD[operation](request)
        self.asked.setdefault(operation, []).append(right)
        return (self.change(right) if operation == self.at else right).over(request.url)

    @contextmanager
    def changing(self, operation: str, change: Callable[[Response], Response]) -> Iterator[None]:
        self.at, self.change = operation, change
        try:
            yield
        finally:
            self.at = ""


def texts(content: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Yield the places of all texts in a document, and of the names of an item's attributes."""
    if isinstance(content, dict):
        for name, value in content.items():
            yield from texts(value, (*path, name))
            if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in ("S", "N", "L"):
                yield (*path, name, None)
    elif isinstance(content, list):
        for at, value in enumerate(content):
            yield from texts(value, (*path, at))
    elif isinstance(content, str):
        yield path
        if content.startswith("{"):
            yield from texts(json.loads(content), (*path, NESTED))


def poisoned(content: Any, path: Path_, poison: str) -> Any:
    """Return the document with the characters added to the text at a place, if it has that place."""
    if not path:
        return f"{content}{poison}" if isinstance(content, str) else content
    first, *rest = path
    if first == NESTED and isinstance(content, str) and content.startswith("{"):
        return json.dumps(poisoned(json.loads(content), tuple(rest), poison))
    if isinstance(content, dict) and first in content:
        if rest == [None]:
            return {f"{name}{poison}" if name == first else name: value for name, value in content.items()}
        return {**content, first: poisoned(content[first], tuple(rest), poison)}
    if isinstance(content, list) and isinstance(first, int) and first < len(content):
        return [*content[:first], poisoned(content[first], tuple(rest), poison), *content[first + 1 :]]
    return content


def _json_of(response: Response) -> Any:
    body = response.body
    try:
        return json.loads(gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body)
    except ValueError:
        return None


def places(response: Response) -> Iterator[Path_]:
    """Yield the places of the texts in a response: in its JSON, its XML and its headers."""
    yield from texts(_json_of(response))
    yield from (("xml", at) for at, _ in enumerate(re.findall(rb">[^<]+<", response.body)))
    yield from (("header", name) for name in response.headers)


def changed(response: Response, place: Path_, poison: str) -> Response:
    """Return the response with the characters added at one of its places."""
    match place:
        case ("xml", int(at)):
            parts = re.split(rb"(>[^<]+<)", response.body)
            if len(parts) > 2 * at + 1:
                parts[2 * at + 1] = parts[2 * at + 1][:-1] + IN_XML.encode() + b"<"
            return replace(response, body=b"".join(parts))
        case ("header", str(name)) if name in response.headers:
            return replace(response, headers={**response.headers, name: response.headers[name] + IN_A_HEADER})
        case _:
            before = _json_of(response)
            after = poisoned(before, place, poison)
            if before is None or after == before:
                return response
            body = json.dumps(after).encode()
            return replace(
                response, body=gzip.compress(body) if response.body.startswith(b"\x1f\x8b") else body
            )


OPTIONAL = {
    "verify": ("GetMetricData",),
    "backfill": ("GetMetricData",),
    "status": ("DescribeTimeToLive", "GetObject"),
}
"""Each command does its work without these values, and does not report that they are missing."""


IN_XML_OPERATIONS = (
    "DescribeStackResource",
    "DescribeStacks",
    "ListObjectVersions",
    "ListObjectsV2",
    "GetObject",
    "HeadObject",
    "CopyObject",
    "DeleteObject",
    "PutObject",
)


CODES = (f"Bad{IN_XML}", "ValidationException", "ResourceNotFoundException", "AccessDenied", "NoSuchKey")


def an_error(_: Response, operation: str, code: str) -> Response:
    """Return an error with these characters in its message, and in its code unless the code is one of AWS's."""
    poison = CONTROLS + SURROGATE
    body = json.dumps({"__type": f"x#{code}{poison * (IN_XML in code)}", "message": f"why {poison}"})
    if operation in IN_XML_OPERATIONS:
        body = f"<Error><Code>{code}</Code><Message>why{IN_XML}</Message></Error>"
    if operation in ("DescribeStackResource", "DescribeStacks"):
        body = f"<ErrorResponse>{body}</ErrorResponse>"
    return Response(body.encode(), status=400)


_RULES = Path(__file__).with_name("rules.json")
TABLES = ("--source", "orders", "--replica", "orders_copy")
GRACE = ("--grace", "0")
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "verify": ("verify", *TABLES, *GRACE, "--report", "report.jsonl"),
    "repair": ("verify", *TABLES, *GRACE, "--repair"),
    "redrive": ("redrive", *TABLES),
    "what a redrive would do": ("redrive", *TABLES, "--dry-run"),
    "backfill": ("backfill", *TABLES, "--no-wait", "--segments", "1"),
    "an export": ("backfill", *TABLES, "--no-wait", "--from-export", "s3://bucket/prefix"),
    "find": ("redrive", *TABLES, "--find", '{"PK": {"S": "a"}}'),
    "purge": ("redrive", *TABLES, "--purge-done", "--yes"),
    "an estimate": ("backfill", *TABLES, "--dry-run"),
    "load": ("load", "--generate", "3", "--source", "orders"),
    "status": ("status", "--stack-name", "s"),
    "the fleet": ("status", "--all"),
    "tail": ("tail", "--source", "orders", "--limit", "1"),
    "jobs": ("jobs", "show", *TABLES),
    "a job": ("jobs", "show", "job", *TABLES),
    "transform": ("transform", "check", str(_RULES), "--source", "orders"),
}
