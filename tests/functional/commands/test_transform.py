"""`ddbreplica transform check`, on files, events of a stream, and moto's tables."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from ddbreplica.transform.rules import Rules
from tests.support.cli import Misbehaviour, Tables, lines, run
from tests.support.modules import ROOT
from tests.support.template import refusals

INSERT = str(ROOT / "events" / "insert.json")
RULES = {
    "hash": ["useragent"],
    "concat": {"by_agent": ["agent#", {"attribute": "useragent"}]},
    "set": {"copy": {"BOOL": True}},
    "drop": ["url"],
    "rename": {"method": "verb"},
}


class Files:
    """Files with transforms and events, in a directory of the test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, name: str, content: Any) -> str:
        path = self.directory / name
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return str(path)

    def rules(self, **members: Any) -> str:
        return self.write("rules.json", members)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def parameter_of(line: str) -> str:
    """Return the parameter that AWS SAM CLI reads from a line of samconfig.toml."""
    (pair,) = tomllib.loads(f"parameter_overrides = [\n  {line}\n]")["parameter_overrides"]
    # As samcli.cli.types: a value in double quotes, in which a backslash escapes each character.
    ((name, value),) = re.findall(r' ([A-Za-z0-9]+)="((?:\\.|[^"\\]+)*)"$', f" {pair}")
    assert name == "Transform"
    text: str = value
    return text.replace("\\ ", " ").replace('\\"', '"').replace("\\'", "'")


def test_a_valid_transform_is_shown_with_its_size_its_digest_and_its_line(files: Files) -> None:
    result = run("transform", "check", files.rules(drop=["url"]))

    assert result.exit_code == 0
    assert lines(result.stdout) == [
        "The transform is valid. It has 16 of 1,500 bytes.",
        f"Digest: {Rules(drop=frozenset({'url'})).digest()}",
        "The key attributes are not known: give --event or --source to check the rules with them.",
        "",
        "Line for parameter_overrides in samconfig.toml:",
        r"""  'Transform="{\"drop\":[\"url\"]}"',""",
    ]


def test_the_template_accepts_the_transform_of_the_line(files: Files) -> None:
    shown = json.loads(run("transform", "check", files.rules(set={"é": {"S": "x" * 1470}}), "--json").stdout)

    assert shown["bytes"] > 1490
    assert refusals(Transform=shown["transform"]) == []


@pytest.mark.parametrize(
    "name",
    [
        "plain",
        'quo"ted',
        "it's",
        "back\\slash",
        "\\ ",
        "a\\nb",
        "line\nbreak",
        "naïve 🙂",
        "\x7f\u2028",
        "$ref",
    ],
)
def test_the_line_has_the_same_transform_whatever_characters_are_in_it(files: Files, name: str) -> None:
    rules = {"set": {name: {"S": name}}, "drop": [f"{name} "]}

    result = run("transform", "check", files.rules(**rules), "--json")

    shown = json.loads(result.stdout)
    assert json.loads(parameter_of(shown["samconfig"])) == rules
    assert parameter_of(shown["samconfig"]) == shown["transform"]
    assert shown["bytes"] == len(shown["transform"].encode())


def test_the_shortest_form_counts(files: Files) -> None:
    text = json.dumps({"drop": [f"attribute{number:03}" for number in range(90)]}, indent=20)
    assert len(text) > 3_000

    assert (
        "It has 1,360 of 1,500 bytes."
        in run("transform", "check", files.write("rules.json", text.encode())).stdout
    )


def test_the_items_of_an_event_are_shown_side_by_side(files: Files) -> None:
    result = run("transform", "check", files.rules(**RULES), "--event", INSERT)

    assert result.exit_code == 0
    assert lines(result.stdout)[1].startswith("Digest without the secret: ")
    assert lines(result.stdout)[5:] == [
        "Set TransformSecretArn and TransformSecretVersion as well, since it has a hash.",
        "",
        "(hash) is shown in place of a hash of 64 digits, since the secret is not read.",
        "",
        'PK={"S": "request#1"}',
        "  attribute     source                                    replica",
        '  GSI_1_PK      {"S": "host#host-1.example.com"}          {"S": "host#host-1.example.com"}',
        '  by_agent      (absent)                                  {"S": "agent#(hash)"}',
        '  bytessent     {"N": "4711"}                             {"N": "4711"}',
        '  copy          (absent)                                  {"BOOL": true}',
        '  date          {"S": "2026-11-01"}                       {"S": "2026-11-01"}',
        '  host          {"S": "host-1.example.com"}               {"S": "host-1.example.com"}',
        '  hourofday     {"N": "4"}                                {"N": "4"}',
        '  method        {"S": "GET"}                              (absent)',
        '  requestid     {"N": "1"}                                {"N": "1"}',
        '  responsecode  {"N": "200"}                              {"N": "200"}',
        '  timezone      {"S": "GMT+1"}                            {"S": "GMT+1"}',
        '  url           {"S": "/café/1?q=a,b"}                    (absent)',
        '  useragent     {"S": "Mozilla/5.0 (X11… (50 characters)  {"S": "(hash)"}',
        '  verb          (absent)                                  {"S": "GET"}',
    ]


def test_the_items_of_the_source_are_shown(files: Files, tables: Tables) -> None:
    for number in range(3):
        tables.put("logfile", f"item{number}", email={"S": "me@example.com"})

    result = run(
        "transform", "check", files.rules(hash=["email"]), "--source", "logfile", "--limit", "2", "--json"
    )

    assert result.exit_code == 0
    shown = json.loads(result.stdout)
    assert shown["key_checked"]
    assert len(shown["samples"]) == 2
    for sample in shown["samples"]:
        assert sample == {
            "key": {"PK": sample["key"]["PK"]},
            "source": {**sample["key"], "email": {"S": "me@example.com"}},
            "replica": {**sample["key"], "email": {"S": "(hash)"}},
            "untransformable": None,
        }


def test_items_on_later_pages_are_read_too(files: Files, tables: Tables, aws: Misbehaviour) -> None:
    for number in range(5):
        tables.put("logfile", f"item{number}")

    def one_item(request: Any, **_: Any) -> None:
        request.data = request.data.replace('"Limit": 4', '"Limit": 1')

    aws.on("request-created.dynamodb.Scan", one_item)
    shown = run("transform", "check", files.rules(), "--source", "logfile", "--limit", "4", "--json").stdout

    assert len(json.loads(shown)["samples"]) == 4


def test_an_empty_table_shows_its_key(files: Files, tables: Tables) -> None:
    shown = json.loads(run("transform", "check", files.rules(), "--source", "logfile", "--json").stdout)

    assert (shown["key_checked"], shown["samples"]) == (True, [])
    result = run("transform", "check", files.rules(drop=["PK"]), "--source", "logfile")
    assert result.exit_code == 2
    assert 'the transform drops the key attribute "PK".' in result.stderr


def test_without_a_table_and_an_event_nothing_is_asked(files: Files, aws: Misbehaviour) -> None:
    aws.refuse("DescribeTable", "AccessDeniedException")

    result = run("transform", "check", files.rules(hash=["a"]))

    assert result.exit_code == 0
    assert "(hash)" not in result.stdout


def test_an_item_that_cannot_be_transformed_is_shown_with_attribute_and_type(files: Files) -> None:
    event = str(ROOT / "events" / "every-type.json")

    result = run("transform", "check", files.rules(hash=["boolean"]), "--event", event)

    assert result.exit_code == 1
    assert lines(result.stdout)[-2:] == [
        'PK={"S": "every-type"}',
        "  cannot be transformed: attribute 'boolean' has type BOOL; hash takes S, N, B",
    ]
    assert lines(result.stderr) == [
        "Error: 1 of 1 items cannot be transformed.",
        "Try: change the rule, or the values at the source.",
    ]
    document = json.loads(
        run("transform", "check", files.rules(hash=["boolean"]), "--event", event, "--json").stdout
    )
    assert document["samples"][0]["replica"] is None
    assert document["samples"][0]["untransformable"].startswith("attribute 'boolean' has type BOOL")
    assert document["error"] == "1 of 1 items cannot be transformed."


def test_records_without_an_item_are_left_out_and_malformed_ones_are_counted(files: Files) -> None:
    event = json.loads((ROOT / "events" / "insert-modify-delete.json").read_text())
    records = [*event["Records"], {"eventSource": "aws:dynamodb"}]
    file = files.write("event.json", {"Records": records})

    result = run("transform", "check", files.rules(), "--event", file, "--json")

    shown = [sample["key"] for sample in json.loads(result.stdout)["samples"]]
    assert shown == [record["dynamodb"]["Keys"] for record in records[:-1] if record["eventName"] != "REMOVE"]
    assert lines(result.stderr) == [f"Note: {file}: 1 records cannot be decoded."]


@pytest.mark.parametrize(
    ("content", "error", "hint"),
    [
        (
            b"{",
            "the transform is not JSON (Expecting property name",
            "correct the file; allowed: a JSON object.",
        ),
        (
            b"[]",
            "the transform is not a JSON object but a list.",
            "correct the file; allowed: a JSON object.",
        ),
        (
            json.dumps({"drop": ["x" * 1500]}).encode(),
            "the transform has 1,513 bytes.",
            "correct the file; allowed: at most 1,500 bytes of JSON in UTF-8.",
        ),
        (b" " * 65537, "has more than 65,536 bytes.", "a transform has at most 1,500 bytes."),
        (b'{"drop": ["\xff"]}', "is not in UTF-8.", "save the file in UTF-8."),
        (
            b'{"mask": []}',
            'the transform has an unknown member "mask".',
            "correct the file; allowed: the members hash, concat, set, keep, drop, rename.",
        ),
    ],
)
def test_a_transform_that_is_not_valid(files: Files, content: bytes, error: str, hint: str) -> None:
    result = run("transform", "check", files.write("rules.json", content))

    assert result.exit_code == 2
    assert result.stdout == ""
    (first, second) = lines(result.stderr)
    assert first.startswith(f"Error: {files.directory / 'rules.json'}")
    assert error in first
    assert second == f"Try: {hint}"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"{", "is not JSON: "),
        (b"[" * 100_000, "is not JSON: "),
        (b"{}", "is not an event of a DynamoDB stream: Expected an event with a list of Records"),
        (b" " * (8 * 1024 * 1024 + 1), "is larger than an event."),
    ],
)
def test_an_event_that_cannot_be_read(files: Files, content: bytes, error: str) -> None:
    event = files.write("event.json", content)

    result = run("transform", "check", files.rules(), "--event", event)

    assert result.exit_code == 2
    assert lines(result.stderr)[0].startswith(f"Error: {event} {error}")


def test_control_characters_of_names_do_nothing_to_the_terminal(files: Files) -> None:
    name = "\x1b[2J\n" + "n" * 40
    event = files.write(
        "event.json",
        {
            "Records": [
                {
                    "eventSource": "aws:dynamodb",
                    "eventName": "INSERT",
                    "dynamodb": {
                        "SequenceNumber": "1",
                        "Keys": {"PK": {"S": "a"}},
                        "NewImage": {"PK": {"S": "a"}, name: {"S": "\x1b[2J"}},
                    },
                }
            ]
        },
    )

    result = run("transform", "check", files.rules(rename={name: "new"}), "--event", event)

    assert "\x1b" not in result.output
    assert lines(result.stdout)[-2].split() == [
        "\\u001b[2J\\n" + "n" * 19 + "…",
        '{"S":',
        '"\\u001b[2J"}',
        "(absent)",
    ]
