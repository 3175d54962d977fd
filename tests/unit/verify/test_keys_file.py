"""keys_file: keys from lines of JSON."""

import json
from io import BytesIO

import pytest

from ddbreplica.errors import TaskError
from ddbreplica.model import Table
from ddbreplica.records.decode import key_of
from ddbreplica.verify import keys_file

TABLE = Table("arn", status="ACTIVE", key_schema=frozenset({("PK", "S"), ("SK", "N")}))


def test_a_line_is_a_key_or_a_difference_of_a_report() -> None:
    lines = [
        b'{"PK": {"S": "a"}, "SK": {"N": "1.0"}}\n',
        b"\n",
        b'{"finding": "missing", "key": {"PK": {"S": "b"}, "SK": {"N": "2"}}, "attributes": []}',
    ]

    assert list(keys_file.read(lines, TABLE)) == [
        key_of({"PK": {"S": "a"}, "SK": {"N": "1"}}),
        key_of({"PK": {"S": "b"}, "SK": {"N": "2"}}),
    ]


def test_a_key_may_have_the_names_that_a_report_uses() -> None:
    table = Table("arn", status="ACTIVE", key_schema=frozenset({("key", "S"), ("finding", "S")}))
    attributes = {"key": {"S": "a"}, "finding": {"S": "b"}}

    assert list(keys_file.read([b'{"key": {"S": "a"}, "finding": {"S": "b"}}'], table)) == [
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
def test_a_line_that_is_no_key_is_named(line: str) -> None:
    good = b'{"PK": {"S": "a"}, "SK": {"N": "1"}}'

    with pytest.raises(TaskError, match=r"^line 2 of the keys is no key: .+\.$") as raised:
        list(keys_file.read([good, line.encode("utf-8", "surrogateescape")], TABLE))

    assert raised.value.hint == (
        'write one key a line, as {"PK": {"S": "…"}, "SK": {"N": "…"}}, or take a file that --report wrote.'
    )


def test_a_difference_of_the_largest_items_is_read() -> None:
    value = {"S": "\0" * 400_000}
    difference = {
        "finding": "different",
        "attributes": [{"name": "v", "source": value, "replica": {"N": "1"}}],
        "key": {"PK": {"S": "a"}, "SK": {"N": "1"}},
    }
    line = json.dumps(difference).encode() + b"\n"

    assert (
        list(keys_file.read(keys_file.lines_of(BytesIO(line * 2)), TABLE))
        == [key_of({"PK": {"S": "a"}, "SK": {"N": "1"}})] * 2
    )


def test_a_line_without_an_end_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_file, "MAX_LINE", 100)
    file = BytesIO(b"[" * 1000)

    with pytest.raises(TaskError, match=r"^line 1 of the keys is no key: .+\.$"):
        list(keys_file.read(keys_file.lines_of(file), TABLE))

    assert file.tell() == 100
