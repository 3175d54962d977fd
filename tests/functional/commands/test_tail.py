"""`ddbreplica tail` on moto's streams."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.cli import Misbehaviour, Tables, lines, press_ctrl_c, refusal, run


@pytest.fixture
def stream(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> str:
    # moto answers for no endpoint that has the account's number in its name.
    monkeypatch.setenv("AWS_ACCOUNT_ID_ENDPOINT_MODE", "disabled")
    answer = tables.client.update_table(
        TableName="logfile",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    arn: str = answer["TableDescription"]["LatestStreamArn"]
    return arn


def when_first_asked(action: Callable[[], Any]) -> Callable[..., None]:
    """A hook that acts at the first call."""
    left = [action]

    def act(**_: Any) -> None:
        if left:
            left.pop()()

    return act


def heads(text: str) -> list[str]:
    """Return the lines of changes, without their times."""
    return [line[22:] for line in lines(text) if not line.startswith(" ")]


def test_new_changes_are_shown_and_older_ones_are_not(tables: Tables, stream: str, aws: Misbehaviour) -> None:
    tables.put("logfile", "before")

    def write() -> None:
        tables.put("logfile", "a", n={"N": "1"})
        tables.put("logfile", "a", n={"N": "2"})
        tables.delete("logfile", "a")

    aws.on("before-call.dynamodbstreams.GetRecords", when_first_asked(write))

    result = run("tail", "--limit", "3")

    assert result.exit_code == 0
    assert [line if line.startswith(" ") else line[22:] for line in lines(result.stdout)] == [
        'INSERT  PK={"S": "a"}',
        '  n  {"N": "1"}',
        'MODIFY  PK={"S": "a"}',
        '  n  {"N": "1"} → {"N": "2"}',
        'REMOVE  PK={"S": "a"}',
        '  n  {"N": "2"} → (absent)',
    ]
    assert lines(result.stderr) == [
        f"Reading {stream}. At most two processes should read a stream; Lambda is one of them."
    ]


@pytest.mark.parametrize("since", ["90s", "15m", "1h", "2020-01-31T12:00:00Z", "2020-01-31"])
def test_since_starts_with_older_changes(tables: Tables, stream: str, since: str) -> None:
    tables.put("logfile", "a")
    tables.put("logfile", "b")

    result = run("tail", "--since", since, "--limit", "2", "--keys-only")

    assert heads(result.stdout) == ['INSERT  PK={"S": "a"}', 'INSERT  PK={"S": "b"}']


def test_changes_before_that_time_are_left_out(tables: Tables, stream: str, aws: Misbehaviour) -> None:
    tables.put("logfile", "a")
    soon = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    aws.on("after-call.dynamodbstreams.GetRecords", lambda **_: press_ctrl_c())

    result = run("tail", "--since", soon)

    assert result.stdout == ""
    assert lines(result.stderr)[1:] == ["Interrupted. There were no changes."]


def test_json_prints_one_line_for_each_change(tables: Tables, stream: str) -> None:
    tables.put("logfile", "a", b={"B": b"\x00\xff"})
    tables.delete("logfile", "a")

    documents = [
        json.loads(line) for line in lines(run("tail", "--since", "1h", "--limit", "2", "--json").stdout)
    ]

    image = {"PK": {"S": "a"}, "b": {"B": "AP8="}}
    assert [(made["event"], made["old"], made["new"]) for made in documents] == [
        ("INSERT", None, image),
        ("REMOVE", image, None),
    ]


def test_ctrl_c_ends_after_the_present_change_and_shows_how_to_resume(
    tables: Tables, stream: str, aws: Misbehaviour
) -> None:
    tables.put("logfile", "a")
    tables.put("logfile", "b")
    aws.on("after-call.dynamodbstreams.GetRecords", when_first_asked(press_ctrl_c))

    result = run("tail", "--since", "1h", "--source", "logfile")

    assert result.exit_code == 130
    assert heads(result.stdout) == ['INSERT  PK={"S": "a"}']
    assert lines(result.stderr)[1] == (
        f"Interrupted. To resume: ddbreplica tail --source logfile --since {result.stdout[:20]}"
    )


def test_a_disabled_stream(tables: Tables, stream: str, aws: Misbehaviour) -> None:
    tables.client.update_table(TableName="logfile", StreamSpecification={"StreamEnabled": False})
    aws.on("before-call.dynamodbstreams.DescribeStream", when_first_asked(press_ctrl_c))

    result = run("tail")

    note = (
        "Note: the stream of the table logfile is disabled. It keeps older changes for 24 hours, and receives no new"
        " ones."
    )
    assert lines(result.stderr)[:2] == [
        note,
        f"Reading {stream}. At most two processes should read a stream; Lambda is one of them.",
    ]


def test_a_table_without_a_stream(tables: Tables) -> None:
    result = run("tail")

    assert result.exit_code == 2
    assert lines(result.stderr) == [
        "Error: the table logfile has no stream.",
        "Try: check --source, or enable the stream of the table.",
    ]


def test_a_stream_without_permission(tables: Tables, stream: str, aws: Misbehaviour) -> None:
    aws.on("before-call.dynamodbstreams.DescribeStream", lambda **_: refusal("AccessDeniedException"))

    result = run("tail")

    assert result.exit_code == 2
    assert lines(result.stderr)[1:] == [
        "Error: the stream cannot be read: AccessDeniedException: why",
        "Try: use credentials that may do this (--profile), or have the permission added.",
    ]


def test_an_invalid_time() -> None:
    result = run("tail", "--since", "yesterday")

    assert result.exit_code == 2
    assert lines(result.stderr)[-1] == (
        "Error: Invalid value for '--since': invalid time 'yesterday'; use a time such as"
        " 2026-01-31T12:00:00Z, or an age such as 90s, 15m or 2h."
    )


def test_a_time_that_is_out_of_range() -> None:
    result = run("tail", "--since", "0001-01-01T00:00:00")

    assert result.exit_code == 2
    assert lines(result.stderr)[-1].startswith(
        "Error: Invalid value for '--since': invalid time '0001-01-01T00:00:00'; use"
    )
