"""Characters that a terminal acts upon, or that nobody sees, wherever a value comes from: none of them is printed.

Every text of every response that a command gets is poisoned in turn, and every response is an error in turn; then the
options, the environment and the files. What is looked at are the bytes of stdout and stderr.
"""

import gzip
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias
from unicodedata import category
from urllib.parse import parse_qs, urlsplit

import click
import pytest
from click.testing import Result

from ddbreplica.aws.session import Clients
from ddbreplica.driver import Interrupt
from ddbreplica.dynamodb import connection
from ddbreplica_cli.app import main
from tests.functional.test_cli_responses import (
    ACCOUNT,
    FUNCTION,
    NOW,
    RIGHT,
    as_json,
    as_xml,
    content,
    hurried,
)
from tests.support.cli import invoke, press_ctrl_c
from tests.support.on_failure import GivenUp, on_failure_object
from tests.support.records import put
from tests.support.responses import Response, body_of, path_of

__all__ = ["hurried"]

FORGED = "FORGED: in a line of its own"
CONTROLS = f"\x1b[31m\x9b1m\x00\x08\x7f\x85\xad\u200b\u202e\u2028\u2029\ufeff\U000e0001[red]\r\n{FORGED}\n\t"
SURROGATE = "\ud800-\udc80"
IN_XML = f"\x7f\x85\x9b1m\xad\u202e\u2028\U000e0001\n{FORGED}\n"
IN_A_HEADER = "\x9b1m\x85\xad"
FORBIDDEN = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})

Path_: TypeAlias = tuple[Any, ...]
REQUESTS = 300
NESTED = "(JSON)"
"""A step of a path: into a text that is a JSON document."""


def check(result: Result, *, as_json: bool = False) -> None:
    """Raise AssertionError unless a command ended as documented and has printed nothing of this."""
    for stream in (result.stdout_bytes, result.stderr_bytes or b""):
        text = stream.decode()
        assert not {each for each in text if category(each) in FORBIDDEN} - {"\n"}, ascii(text)
        assert not [line for line in text.split("\n") if line.strip().startswith("FORGED")], text
        assert "Traceback" not in text, text
    assert result.exit_code in (0, 1, 2, 3, 130), result.output
    if as_json and result.stdout:
        json.loads(result.stdout)


def check_lines(content: bytes) -> int:
    """Raise AssertionError unless each line is a document of JSON with nothing of this in it; return how many."""
    lines = content.decode().split("\n")[:-1]
    for line in lines:
        assert not {each for each in line if category(each) in FORBIDDEN}, ascii(line)
        json.loads(line)
    return len(lines)


# The world: two tables that differ, a mapping, its function, its buckets, an export, a stack.

KEPT = "quarantine/orders_copy/1.json"
SOURCE_ARN = f"{ACCOUNT}/orders"
STREAM = f"{SOURCE_ARN}/stream/2026-11-01T00:00:00.000"


def _record(number: int, key: str) -> dict[str, Any]:
    return {**put(number, key, v={"S": "x"}), "eventSourceARN": STREAM}


def _mappings(request: Any) -> Response:
    """With a filter that a poisoned key passes."""
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
    prefix = parse_qs(urlsplit(request.url).query).get("prefix", [""])[0]
    name = {"quarantine/orders_copy/": KEPT, "aws/lambda/": _given_up()[0]}.get(
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


def _given_up() -> tuple[str, str]:
    records = [_record(number, key) for number, key in enumerate("ab")]
    batch = GivenUp(records, "shardId-1", "RetryAttemptsExhausted", "request", 3, None)
    name, body = on_failure_object(batch, now=1.7940960e9, name="1")
    context = json.loads(body)
    context["requestContext"]["functionArn"] = FUNCTION
    context["DDBStreamBatchInfo"]["streamArn"] = STREAM
    return name, json.dumps(context)


def _content(request: Any) -> Response:
    bodies = {
        KEPT: {
            "schema": 1,
            "record": _record(1, "a"),
            "reason": "refused: why",
            "error_code": "ValidationException",
        },
        _given_up()[0]: json.loads(_given_up()[1]),
    }
    found = [body for name, body in bodies.items() if path_of(request).endswith(name)]
    return Response(json.dumps(found[0]).encode(), headers={"etag": '"e"'}) if found else content(request)


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
    "ListTags": lambda _: as_json(Tags={"ddbreplica": "orders_copy"}),
}


@dataclass
class World:
    """Responds to every request; those of one operation are changed first."""

    asked: dict[str, list[Response]] = field(default_factory=dict)
    left: int = 0
    reported: int = 0
    at: str = ""
    change: Callable[[Response], Response] = lambda response: response

    def ran(self, *args: str) -> Result:
        """A run, in a directory without files, which is interrupted if it goes on for ever."""
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


@pytest.fixture(scope="module")
def signed_in() -> tuple[Clients, World]:
    """Clients, created once, and the world behind them."""
    clients, world = Clients(None, "us-east-1", None), World()
    events: Any = clients._session.events
    events.register_first("before-send", world.respond)
    return clients, world


@pytest.fixture
def world(
    signed_in: tuple[Clients, World], hurried: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> World:
    clients, world = signed_in
    monkeypatch.setattr(connection, "Clients", lambda *_: clients)
    monkeypatch.chdir(tmp_path)
    world.asked.clear()
    sleep = Interrupt.sleep

    def counted(interrupt: Interrupt, seconds: float) -> None:
        world.count()
        sleep(interrupt, seconds)

    monkeypatch.setattr(Interrupt, "sleep", counted)
    return world


# What is poisoned.


def texts(content: Any, path: Path_ = ()) -> Iterator[Path_]:
    """The places of all texts in a document, and of the names of an item's attributes."""
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
    """The document with the poison behind the text at a place, if it has that place."""
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
    """The places of the texts of a response: of its JSON, of its XML and of its headers."""
    yield from texts(_json_of(response))
    yield from (("xml", at) for at, _ in enumerate(re.findall(rb">[^<]+<", response.body)))
    yield from (("header", name) for name in response.headers)


def changed(response: Response, place: Path_, poison: str) -> Response:
    """The response with the poison at one of its places."""
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


UNTOLD = ("GetMetricStatistics", "DescribeTimeToLive")
"""Without what these say a command does its work, and says nothing of it."""

IN_XML_OPERATIONS = (
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
    """An error with such characters in its message, and in its code if that is none of AWS's."""
    poison = CONTROLS + SURROGATE
    body = json.dumps({"__type": f"x#{code}{poison * (IN_XML in code)}", "message": f"why {poison}"})
    if operation in IN_XML_OPERATIONS:
        body = f"<Error><Code>{code}</Code><Message>why{IN_XML}</Message></Error>"
    if operation == "DescribeStacks":
        body = f"<ErrorResponse>{body}</ErrorResponse>"
    return Response(body.encode(), status=400)


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
}


@pytest.fixture(params=COMMANDS)
def command(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return COMMANDS[request.param]


def asked(world: World, command: Sequence[str]) -> Mapping[str, list[Response]]:
    """The right responses that a command gets, by operation."""
    check(world.ran(*command))
    found = dict(world.asked)
    assert found
    return found


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "JSON"])
def test_no_text_of_a_response_acts_upon_the_terminal(
    world: World, command: tuple[str, ...], *, as_json: bool
) -> None:
    args = (*command, "--json") if as_json else command
    shown = 0
    for operation, responses in asked(world, args).items():
        found = dict.fromkeys(place for response in responses for place in places(response))
        # All JSON is written by one function: some of the places are enough.
        for place in list(found)[:: 3 if as_json else 1]:
            poison = CONTROLS if as_json else CONTROLS + SURROGATE
            with world.changing(operation, partial(changed, place=place, poison=poison)):
                result = world.ran(*args)
            check(result, as_json=as_json and command[0] != "tail")
            if as_json and command[0] == "tail" and not result.exit_code:
                check_lines(result.stdout_bytes)
            shown += "\\u202e" in result.stdout + result.stderr
    assert shown or as_json or command[0] == "load", "nothing of it was printed, and so nothing was tried"
    assert world.reported or "--report" not in command


def test_a_program_is_given_the_same_value(world: World) -> None:
    poison = "\x1b\x9b\u202e\u2028\ud800-\udc80\U000e0001[red]\r\n\tå🍓"
    args = ("verify", *TABLES, *GRACE, "--without-mapping", "--report", "kept.jsonl", "--json")

    with world.changing("Scan", partial(changed, place=("Items", 1, "PK", "S"), poison=poison)):
        document = json.loads(invoke(*args).stdout_bytes)
    reported = [json.loads(line) for line in Path("kept.jsonl").read_bytes().splitlines()]

    assert {"PK": {"S": f"b{poison}"}} in [each["key"] for each in document["differences"]]
    assert {"PK": {"S": f"b{poison}"}} in [each["key"] for each in reported]


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "JSON"])
def test_no_error_acts_upon_the_terminal(world: World, command: tuple[str, ...], *, as_json: bool) -> None:
    args = (*command, "--json") if as_json else command
    for operation in asked(world, args):
        shown = 0
        for code in CODES:
            with world.changing(operation, partial(an_error, operation=operation, code=code)):
                result = world.ran(*args)
            check(result, as_json=as_json and command[0] != "tail")
            if as_json and command[0] == "tail" and not result.exit_code:
                check_lines(result.stdout_bytes)
            shown += "\\u202e" in result.stdout + result.stderr
        assert shown or operation in UNTOLD, operation


# What the one who runs a command gives it.

VALUE = "x\x1b[31m\x9b1m\x7f\u202e\u2028\udc80\U000e0001[red]\r\n" + FORGED + "\n\t"
NAME = "x\x1b[31m\x9b1m\u202e\udc80\n" + FORGED


def options() -> Iterator[tuple[str, ...]]:
    for name, each in main.commands.items():
        yield name, VALUE, VALUE
        yield name, f"--{VALUE}"
        for parameter in each.params:
            if isinstance(parameter, click.Option) and not parameter.is_flag:
                yield name, parameter.opts[0], VALUE


@pytest.mark.parametrize("args", list(options()), ids=lambda args: " ".join(map(ascii, args))[:40])
def test_no_value_of_an_option_acts_upon_the_terminal(world: World, args: tuple[str, ...]) -> None:
    base = COMMANDS["load" if args[0] == "load" else args[0]]
    for more in ((), ("--json",)):
        check(world.ran(*base, *args[1:], *more))


@pytest.mark.parametrize(
    "args", [(VALUE,), (f"--{VALUE}",), (VALUE, "--help")], ids=["command", "option", "help"]
)
def test_no_name_of_a_command_does(args: tuple[str, ...]) -> None:
    result = invoke(*args)

    check(result)
    assert "\\u202e" in result.stdout + result.stderr


@pytest.mark.usefixtures("hurried")
class TestEnvironment:
    """With clients that are really signed in, and nothing behind them."""

    @pytest.fixture(autouse=True)
    def _apart(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    @pytest.mark.parametrize(
        "name", ["AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_CONFIG_FILE"]
    )
    @pytest.mark.parametrize("value", [VALUE, f"http://127.0.0.1:9/{VALUE}", f"[profile {VALUE}"])
    def test_variable(self, name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(name, value)

        check(invoke("status"))
        check(invoke("verify", "--json"), as_json=True)

    @pytest.mark.parametrize("option", ["--profile", "--region", "--endpoint-url", "--replica-region"])
    @pytest.mark.parametrize("value", [VALUE, f"http://127.0.0.1:9/{VALUE}", f"http://{VALUE}:5"])
    def test_option(self, option: str, value: str) -> None:
        for command in ("verify", "status", "redrive"):
            check(invoke(command, option, value))

    @pytest.mark.parametrize(
        "text",
        [
            f"[default]\nregion = {NAME[:-30]}\n",
            f"[default\n{NAME}",
            f"[default]\ncredential_process = /nowhere/{NAME.split(chr(10))[0]}\n",
            f"[default]\nsso_session = {NAME.split(chr(10))[0]}\n",
        ],
        ids=["region", "no section", "process", "session"],
    )
    def test_configuration(self, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name, raising=False)
        config = tmp_path / "config"
        config.write_bytes(text.encode("utf-8", "surrogateescape"))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(config))

        check(invoke("status"))
        check(invoke("status", "--region", "us-east-1"))


CONTENTS: Mapping[str, bytes] = {
    "text": VALUE.encode("utf-8", "surrogateescape"),
    "JSON": json.dumps({"PK": {"S": VALUE}, VALUE: VALUE}).encode(),
    "a list": json.dumps([VALUE]).encode(),
    "a key": json.dumps({VALUE: {"S": VALUE}}).encode(),
    "a difference": json.dumps({"finding": VALUE, "key": {"PK": {"S": VALUE}}}).encode(),
    "rows": (f"{VALUE[:-2]},{VALUE[:10]},h,1,GMT,GET,/,x,y,z,more\n" * 2).encode("utf-8", "surrogateescape"),
    "state": json.dumps({"state": VALUE, "command": VALUE, "version": VALUE}).encode() + b"\n{}\n",
}


@pytest.mark.parametrize("text", CONTENTS)
def test_nothing_in_a_file_acts_upon_the_terminal(world: World, text: str) -> None:
    for args in (
        ("load", NAME, "--source", "orders"),
        ("load", NAME, "--dry-run"),
        ("load", NAME, "--dry-run", "--skip-bad-rows", "--json"),
        ("verify", *TABLES, *GRACE, "--keys-from", NAME),
        ("verify", *TABLES, *GRACE, "--repair", "--state", NAME),
        ("redrive", *TABLES, "--state", NAME),
        ("backfill", *TABLES, "--state", NAME),
    ):
        Path(NAME).write_bytes(CONTENTS[text])
        check(world.ran(*args))


def test_no_text_of_a_state_file_acts_upon_the_terminal(world: World) -> None:
    with world.changing("BatchWriteItem", lambda _: Response(b"\xff")):  # which may have been carried out
        check(invoke(*COMMANDS["backfill"], "--state", "left"))
    left = Path("left").read_bytes().splitlines(keepends=True)
    for args in (COMMANDS["backfill"], COMMANDS["redrive"], COMMANDS["repair"]):
        lines = [line.replace(b'"backfill"', f'"{args[0]}"'.encode()) for line in left]
        for at, line in enumerate(lines):
            for place in texts(json.loads(line)):
                wrong = json.dumps(poisoned(json.loads(line), place, CONTROLS + SURROGATE)).encode() + b"\n"
                Path(NAME).write_bytes(b"".join([*lines[:at], wrong, *lines[at + 1 :]]))
                check(world.ran(*args, "--state", NAME))
