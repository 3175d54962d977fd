"""`ddbreplica verify` on moto, and the comparison of both tables."""

import json
import time
from contextlib import closing
from threading import Event
from typing import Any

import pytest

from ddbreplica.driver import Interrupt, Patience
from ddbreplica.dynamodb import scan
from ddbreplica.errors import TaskError
from ddbreplica.model import Key
from ddbreplica.records.decode import key_of
from ddbreplica.verify.compare.checkpoint import SegmentState
from ddbreplica.verify.compare.comparison import Comparison, InStep
from ddbreplica.verify.compare.merge import Merge
from ddbreplica.verify.keyset import KeySet
from ddbreplica_cli.terminal import minute_lines
from tests.support.cli import (
    REPLICA,
    SOURCE,
    Misbehaviour,
    Tables,
    lines,
    press_ctrl_c,
    press_ctrl_c_while_it_waits,
    run,
)
from tests.support.wire import dynamodb_json, error, response


def verify(*args: str) -> Any:
    """Run without a grace period, and return the JSON document."""
    result = run("verify", "--grace", "0", "--json", *args)
    document = json.loads(result.stdout)
    assert result.exit_code == (0 if document.get("verdict") == "equal" else 1)
    return document


def counts(document: Any) -> dict[str, int]:
    return {name: document[name] for name in ("missing", "different", "extra", "inconclusive")}


def test_two_empty_tables_are_equal(tables: Tables) -> None:
    document = verify()

    assert document["verdict"] == "equal"
    assert (document["source_items"], document["replica_items"]) == (0, 0)


def test_a_copy_is_equal(tables: Tables) -> None:
    run("load", "--generate", "1000")
    run("load", "--generate", "1000", "--source", REPLICA)

    result = run("verify", "--transform", "none")

    assert result.exit_code == 0
    assert lines(result.stdout)[:8] == [
        "source         logfile",
        "replica        logfile_replica",
        "source items          1,000",
        "replica items         1,000",
        "missing                   0",
        "different                 0",
        "extra                     0",
        "inconclusive              0",
    ]
    assert lines(result.stdout)[-1] == "equal"
    assert result.stderr == ""


def test_each_long_step_has_its_line_on_stderr_with_json_too(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ended(Event):
        """As if each step took a minute and a little more."""

        minutes = 0

        def wait(self, timeout: float | None = None) -> bool:
            self.minutes += 1
            return super().wait() if self.minutes > 1 else False

    monkeypatch.setattr(minute_lines, "Event", Ended)
    tables.put(SOURCE, "missing")

    result = run("verify", "--transform", "none", "--grace", "0", "--json")

    assert json.loads(result.stdout)["missing"] == 1
    assert [line.partition(":")[0] for line in lines(result.stderr)[:2]] == [
        "comparing",
        "looking at suspected differences",
    ]


def test_missing_different_and_extra_items_are_shown(tables: Tables) -> None:
    for number in range(300):
        tables.put_both(f"same{number}", n={"N": "1"})
    tables.put(SOURCE, "missing")
    tables.put(SOURCE, "different", n={"N": "1"}, same={"S": "x"})
    tables.put(REPLICA, "different", n={"S": "1"}, same={"S": "x"})
    tables.put(REPLICA, "extra")

    result = run("verify", "--grace", "0")

    assert result.exit_code == 1
    shown = lines(result.stdout)
    assert shown[2:8] == [
        "source items            302",
        "replica items           302",
        "missing                   1",
        "different                 1",
        "extra                     1",
        "inconclusive              0",
    ]
    assert 'missing      PK={"S": "missing"}  (in the source only)' in shown
    assert 'extra        PK={"S": "extra"}  (in the replica only)' in shown
    start = shown.index('different    PK={"S": "different"}')
    assert shown[start : start + 4] == [
        'different    PK={"S": "different"}',
        '             "n"',
        '               source   {"N": "1"}',
        '               replica  {"S": "1"}',
    ]
    assert shown[-1] == "NOT EQUAL"


def test_limit_is_the_maximum_number_of_differences_shown(tables: Tables) -> None:
    for number in range(5):
        tables.put(SOURCE, f"missing{number}")

    document = verify("--limit", "2")

    assert document["missing"] == 5
    assert len(document["differences"]) == 2


def test_equal_values_with_different_spellings_are_equal(tables: Tables) -> None:
    tables.put(SOURCE, "a", n={"N": "100"}, ns={"NS": ["1", "2"]}, ss={"SS": ["a", "b"]}, b={"B": b"\x00"})
    tables.put(REPLICA, "a", n={"N": "1E2"}, ns={"NS": ["2.0", "1"]}, ss={"SS": ["b", "a"]}, b={"B": b"\x00"})

    assert verify()["verdict"] == "equal"


def test_keys_of_binaries_and_numbers_are_compared_by_value(tables: Tables) -> None:
    for name in ("from", "to"):
        tables.create(name, {"part": "N", "sort": "B"})
    for number in range(120):
        key: Any = {"part": {"N": "7"}, "sort": {"B": bytes([255, number])}}
        tables.client.put_item(TableName="from", Item=key)
        tables.client.put_item(TableName="to", Item=key)
    tables.client.delete_item(TableName="to", Key={"part": {"N": "7"}, "sort": {"B": b"\xff\x00"}})

    document = verify("--source", "from", "--replica", "to")

    assert counts(document) == {"missing": 1, "different": 0, "extra": 0, "inconclusive": 0}
    assert document["differences"][0]["key"] == {"part": {"N": "7"}, "sort": {"B": "/wA="}}


def test_key_names_may_be_reserved_words(tables: Tables) -> None:
    for name in ("from", "to"):
        tables.create(name, {"name": "S", "date": "S"})
    tables.client.put_item(TableName="to", Item={"name": {"S": "a"}, "date": {"S": "b"}})

    assert verify("--source", "from", "--replica", "to")["extra"] == 1


@pytest.mark.parametrize("segments", ["1", "3"])
def test_tables_of_many_pages_are_read_to_the_end(tables: Tables, segments: str) -> None:
    for number in range(30):
        tables.put_both(f"large{number}", text={"S": "x" * 100_000})
    tables.put(SOURCE, "large29", text={"S": "y" * 100_000})

    document = verify("--segments", segments)

    assert (document["source_items"], document["replica_items"]) == (30, 30)
    assert counts(document) == {"missing": 0, "different": 1, "extra": 0, "inconclusive": 0}


def test_every_read_is_consistent(tables: Tables, aws: Misbehaviour) -> None:
    asked: list[bool] = []

    def see(request: Any, **_: Any) -> None:
        body = json.loads(request.body)
        asked.extend(part.get("ConsistentRead") for part in body.get("RequestItems", {"scan": body}).values())

    aws.on("before-send.dynamodb.Scan", see)
    aws.on("before-send.dynamodb.BatchGetItem", see)
    tables.put(SOURCE, "a")

    verify()

    assert len(asked) > 8
    assert all(asked)


def test_unprocessed_keys_are_read_again(tables: Tables, aws: Misbehaviour) -> None:
    run("load", "--generate", "40")
    items = tables.items(SOURCE)
    asked: list[int] = []

    def answer_ten(request: Any, **_: Any) -> Any:
        ((table, part),) = json.loads(request.body)["RequestItems"].items()
        asked.append(len(part["Keys"]))
        in_table = items if table == SOURCE else {}
        numbers = [key["PK"]["S"] for key in part["Keys"][:10]]
        found = [dynamodb_json(in_table[number]) for number in numbers if number in in_table]
        left = {table: {**part, "Keys": part["Keys"][10:]}} if len(part["Keys"]) > 10 else {}
        return response(request.url, 200, {"Responses": {table: found}, "UnprocessedKeys": left})

    aws.on("before-send.dynamodb.BatchGetItem", answer_ten)

    assert verify("--segments", "1")["missing"] == 40
    assert asked[:12] == [40, 30, 20, 10] * 3


def test_a_throttled_read_is_retried(tables: Tables, aws: Misbehaviour) -> None:
    tables.put_both("a")
    answers = [error("ProvisionedThroughputExceededException")] * 3

    def throttle(request: Any, **_: Any) -> Any:
        return response(request.url, *answers.pop()) if answers else None

    aws.on("before-send.dynamodb.Scan", throttle)

    assert verify()["verdict"] == "equal"
    assert answers == []


def test_an_incomplete_response_is_retried(tables: Tables, aws: Misbehaviour) -> None:
    tables.put(SOURCE, "a")
    answers: list[Any] = [{}, {"Responses": {}}, {"Responses": {}, "UnprocessedKeys": []}]

    def leave_out(request: Any, **_: Any) -> Any:
        return response(request.url, 200, answers.pop()) if answers else None

    aws.on("before-send.dynamodb.BatchGetItem", leave_out)

    assert verify()["missing"] == 1
    assert answers == []


class Clock(Interrupt):
    """An interrupt that sleeps without waiting."""

    now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.1)


def test_reading_fails_if_a_table_does_not_respond(tables: Tables) -> None:
    clock = Clock()
    reader = tables.reader(SOURCE, Patience(clock, seconds=60, clock=lambda: clock.now))

    def leave_all(request: Any, **_: Any) -> Any:
        unprocessed = json.loads(request.body)["RequestItems"]
        return response(request.url, 200, {"Responses": {}, "UnprocessedKeys": unprocessed})

    tables.client.meta.events.register_first("before-send.dynamodb.BatchGetItem", leave_all)

    with pytest.raises(
        TaskError, match=r"no read of the table logfile has succeeded for \d\d seconds \(UnprocessedKeys: "
    ):
        reader.get([key("a")])


def key(pk: str) -> Key:
    return key_of({"PK": {"S": pk}})


def merge(tables: Tables, suspects: KeySet, *, max_suspects: int) -> Merge:
    comparison = Comparison(
        (tables.reader(SOURCE), tables.reader(REPLICA)),
        suspects,
        advance=lambda _: None,
        in_step=InStep(lambda *_: None),
        max_suspects=max_suspects,
    )
    # One segment and little memory, so that it is halted at the same place in each run.
    merged = Merge(comparison, [SegmentState(0)], of=1, bound=1)
    merged.run()
    return merged


def test_a_comparison_is_halted_when_nearly_everything_differs_and_can_go_on(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "PAGE", 50)
    run("load", "--generate", "300")

    with closing(KeySet()) as suspects:
        merged = merge(tables, suspects, max_suspects=100)
        was_done = merged.is_done
        assert 100 <= len(suspects) < 300

        while not merged.is_done:
            merged.run()

        assert len(suspects) == 300
    assert not was_done
    assert merged.counts.source_items == 300


def test_a_comparison_reads_no_more_after_a_failure(tables: Tables) -> None:
    for number in range(1000):
        tables.put(SOURCE, f"missing{number}")
    calls: list[None] = []

    def fail_once(request: Any, **_: Any) -> Any:
        calls.append(None)
        return (
            response(request.url, *error("AccessDeniedException", message="broken"))
            if len(calls) == 1
            else None
        )

    tables.client.meta.events.register_first("before-send.dynamodb.BatchGetItem", fail_once)

    with closing(KeySet()) as suspects, pytest.raises(TaskError, match="broken"):
        merge(tables, suspects, max_suspects=10_000)

    assert len(calls) <= 3


@pytest.mark.hazard(number=13)
def test_an_inconclusive_result_has_a_hint(tables: Tables, aws: Misbehaviour) -> None:
    tables.put(SOURCE, "busy")
    numbers = iter(range(1, 1000))
    aws.on(
        "before-send.dynamodb.BatchGetItem",
        lambda **_: tables.put(SOURCE, "busy", n={"N": str(next(numbers))}),
    )

    result = run("verify", "--grace", "0", "--rounds", "2")

    assert result.exit_code == 3
    assert lines(result.stdout)[-1] == "inconclusive"
    assert lines(result.stderr)[-1] == (
        "Try: do what docs/commands.md (How verify decides) says about each reason, then run the command again."
    )


def test_ctrl_c_prints_how_many_items_were_compared(
    tables: Tables, aws: Misbehaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "PAGE", 50)
    run("load", "--generate", "120")
    run("load", "--generate", "120", "--source", REPLICA)
    calls = iter(range(1, 1000))

    def press(**_: Any) -> None:
        if next(calls) == 3:
            press_ctrl_c()
            time.sleep(0.2)  # the main thread handles the signal before the response is read

    aws.on("before-send.dynamodb.Scan", press)

    result = run("verify", "--transform", "none", "--segments", "1", "--json")

    assert result.exit_code == 130
    document = json.loads(result.stdout)
    assert document["source_items"] == document["replica_items"] == 50
    assert lines(result.stderr) == [
        "Error: interrupted; 50 items of the source and 50 of the replica were compared; suspected differences: 0.",
        "Try: run the same command again; it resumes from logfile-logfile_replica.verify.",
    ]


def test_ctrl_c_ends_the_grace_period(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    tables.put(SOURCE, "a")
    press_ctrl_c_while_it_waits(monkeypatch)

    result = run("verify", "--grace", "600")

    assert result.exit_code == 130
    assert "suspected differences: 1." in result.stderr


def test_source_and_replica_must_be_two_tables(tables: Tables) -> None:
    result = run("verify", "--replica", SOURCE)

    assert result.exit_code == 2
    assert lines(result.stderr) == [
        "Error: source and replica are the same table, arn:aws:dynamodb:us-east-1:123456789012:table/logfile.",
        "Try: give two tables with --source and --replica.",
    ]


@pytest.mark.parametrize("key", [{"id": "S"}, {"PK": "N"}, {"PK": "S", "SK": "S"}])
def test_tables_with_different_keys_are_not_compared(tables: Tables, key: dict[str, str]) -> None:
    tables.create("other", key)

    result = run("verify", "--replica", "other")

    assert result.exit_code == 2
    named = ", ".join(f"{name} ({tag})" for name, tag in key.items())
    assert lines(result.stderr) == [
        f"Error: the source's key is PK (S) and the replica's is {named}.",
        "Try: check --source and --replica, or recreate the replica with the source's key.",
    ]


def test_a_replica_that_does_not_exist(tables: Tables) -> None:
    result = run("verify", "--replica", "nowhere")

    assert result.exit_code == 2
    assert lines(result.stderr) == [
        "Error: the table nowhere does not exist in us-east-1.",
        "Try: check --replica or --stack-name, check --region, or deploy a stack (docs/deployment.md).",
    ]


def test_a_replica_in_another_region_can_be_given_by_its_arn(tables: Tables) -> None:
    tables.put(SOURCE, "a")
    tables.client = tables.in_region("eu-west-1")
    tables.create_logfile("copy")
    tables.put("copy", "a")

    assert verify("--replica", "arn:aws:dynamodb:eu-west-1:123456789012:table/copy")["verdict"] == "equal"


def test_a_denied_read_is_an_error(tables: Tables, aws: Misbehaviour) -> None:
    aws.refuse("Scan", "AccessDeniedException", message="not you")

    result = run("verify", "--transform", "none")

    assert result.exit_code == 2
    assert lines(result.stderr) == [
        "Error: the table logfile cannot be read: AccessDeniedException: not you",
        "Try: use credentials that may do this (--profile), or have the permission added.",
    ]


def test_a_stack_names_both_tables(tables: Tables, aws: Misbehaviour) -> None:
    tables.create("from", {"PK": "S"})
    tables.create("to", {"PK": "S"})
    outputs = {"SourceTableName": "from", "ReplicaTableName": "to", "FunctionName": "f"}
    aws.answer_stack({"Outputs": [{"OutputKey": k, "OutputValue": v} for k, v in outputs.items()]})

    document = verify("--stack-name", "mine")
    assert (document["source"], document["replica"]) == ("from", "to")

    document = verify("--stack-name", "mine", "--replica", REPLICA)
    assert (document["source"], document["replica"]) == ("from", REPLICA)
