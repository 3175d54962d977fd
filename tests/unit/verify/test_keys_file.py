"""keys_file: read keys from lines of JSON."""

import json
from io import BytesIO

import pytest

from ddbreplica.errors import TaskError
from ddbreplica.model import Table
from ddbreplica.records.decode import key_of
from ddbreplica.verify import keys_file

TABLE = Table("arn", status="ACTIVE", key_schema=frozenset({("PK", "S"), ("SK", "N")}))


def test_a_line_is_a_key_or_a_difference_from_a_report() -> None:
    lines = [
        b'{"PK": {"S": "a"}, "SK": {"N": "1.0"}}\n',
        b"\n",
        b'{"finding": "missing", "key": {"PK": {"S": "b"}, "SK": {"N": "2"}}, "attributes": []}',
    ]

    assert list(keys_file.read(lines, TABLE, name="keys")) == [
        key_of({"PK": {"S": "a"}, "SK": {"N": "1"}}),
        key_of({"PK": {"S": "b"}, "SK": {"N": "2"}}),
    ]


def test_key_attributes_may_have_names_that_a_report_uses() -> None:
    table = Table("arn", status="ACTIVE", key_schema=frozenset({("key", "S"), ("finding", "S")}))
    attributes = {"key": {"S": "a"}, "finding": {"S": "b"}}

    assert list(keys_file.read([b'{"key": {"S": "a"}, "finding": {"S": "b"}}'], table, name="keys")) == [
        key_of(attributes)
    ]


@pytest.mark.parametrize(
    "line",
    [
        "request#1",
        "{",
        "[]",
        "null",
        '"a"',
        "{}",
        '{"PK": {"S": "a"}}',
        '{"PK": {"S": "a"}, "SK": {"S": "1"}}',
        '{"PK": {"S": "a"}, "SK": {"N": "one"}}',
        '{"PK": {"S": "a"}, "SK": {"N": "1"}, "more": {"S": "b"}}',
        '{"finding": "missing"}',
        '{"PK": {"S": "\udcff"}, "SK": {"N": "1"}}',
        "[" * 100_000,
        '{"PK": {"S": "%s"}, "SK": {"N": "1"}}' % ("x" * 2049),
        '{"PK": {"S": "%s"}, "SK": {"N": "1"}}' % ("x" * 100_000),
        '{"finding": "missing", "key": {"PK": {"S": "%s"}, "SK": {"N": "1"}}}' % ("x" * 100_000),
    ],
)
def test_an_error_has_the_line_that_is_not_a_key(line: str) -> None:
    good = b'{"PK": {"S": "a"}, "SK": {"N": "1"}}'

    with pytest.raises(TaskError, match=r"^keys:2: not a primary key of this table: .+\.$") as raised:
        list(keys_file.read([good, line.encode("utf-8", "surrogateescape")], TABLE, name="keys"))

    assert raised.value.hint == (
        'write one key per line, such as {"PK": {"S": "…"}, "SK": {"N": "…"}}, or use a file that --report has written.'
    )


def test_an_empty_key_attribute_is_named_with_its_line() -> None:
    """DynamoDB refuses a request with such a key as a whole."""
    with pytest.raises(TaskError, match=r"^keys:1: .+: a key attribute is empty\.$"):
        list(keys_file.read([b'{"PK": {"S": ""}, "SK": {"N": "1"}}'], TABLE, name="keys"))


def test_a_difference_of_items_of_the_maximum_size_is_read() -> None:
    value = {"S": "\0" * 400_000}
    difference = {
        "finding": "different",
        "attributes": [{"name": "v", "source": value, "replica": {"N": "1"}}],
        "key": {"PK": {"S": "a"}, "SK": {"N": "1"}},
    }
    line = json.dumps(difference).encode() + b"\n"

    assert (
        list(keys_file.read(keys_file.lines_of(BytesIO(line * 2)), TABLE, name="keys"))
        == [key_of({"PK": {"S": "a"}, "SK": {"N": "1"}})] * 2
    )


def test_an_endless_line_is_read_only_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_file, "MAX_LINE", 100)
    file = BytesIO(b"[" * 1000)

    with pytest.raises(TaskError, match=r"^keys:1: not a primary key of this table: .+\.$"):
        list(keys_file.read(keys_file.lines_of(file), TABLE, name="keys"))

    assert file.tell() == 100
