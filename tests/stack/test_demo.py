"""The building blocks of the demo's steps: each works, and each raises an error if its check fails."""

import io
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError
from rich.console import Console

from demo.adopting import make_table, turn_on_stream
from demo.command import run
from demo.deploy import Stack, deploy
from demo.embedded import EmbeddedAws, embedded_aws
from demo.errors import DidNotHoldError
from demo.pair import Item, Pair, wait_until
from demo.stage import Stage
from demo.tampering import found, tamper
from demo.writing import writing


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    with embedded_aws() as running:
        yield running


@pytest.fixture(scope="module")
def first(aws: EmbeddedAws) -> Stack:
    return deploy(aws)


@pytest.fixture
def pair(aws: EmbeddedAws, first: Stack) -> Pair:
    """Return the first stack's tables, with twelve items in each."""
    pair = Pair(aws.dynamodb, first.source, first.replica)
    for number in range(12):
        pair.dynamodb.put_item(TableName=pair.source, Item=row(f"row-{number:02}"))
    pair.wait_until_equal()
    return pair


def row(key: str) -> Item:
    return {"PK": {"S": key}, "GSI_1_PK": {"S": "host#192.0.2.1"}, "bytessent": {"N": "7"}}


def test_a_second_stack_with_parameters_is_deployed_beside_the_first(aws: EmbeddedAws, first: Stack) -> None:
    second = deploy(aws, "orders", SourceTableName="orders", ReplicaTableName="orders_copy")

    assert (first.name, first.source, first.replica) == ("ddbreplica", "logfile", "logfile_replica")
    assert (second.name, second.source, second.replica) == ("orders", "orders", "orders_copy")
    pair = Pair(aws.dynamodb, second.source, second.replica)
    pair.dynamodb.put_item(TableName=pair.source, Item=row("1"))
    pair.wait_until_equal()
    assert pair.item("orders_copy", "1") == row("1")


def test_a_command_is_printed_with_its_output(aws: EmbeddedAws, first: Stack, pair: Pair) -> None:
    printed = io.StringIO()

    output = Stage(Console(file=printed), aws, first).run("verify", "--read-rate", "1000")

    assert output.rstrip().endswith("\nequal")
    assert printed.getvalue().startswith("  $ ddbreplica verify --stack-name ddbreplica --read-rate 1000\n")
    assert printed.getvalue().endswith("\n  equal\n  Exit code 0\n")
    assert len(pair.items(pair.replica)) == 12


def test_a_command_with_an_unexpected_exit_code_raises(aws: EmbeddedAws, first: Stack) -> None:
    stage = Stage(Console(file=io.StringIO()), aws, first)

    with pytest.raises(DidNotHoldError, match=r"must end with 0, but ended with 2\.\nUsage: "):
        stage.run("verify", "--no-such-option")


def test_manual_edits_of_the_replica_are_found_and_repaired(aws: EmbeddedAws, pair: Pair) -> None:
    done = tamper(pair)
    verify = ("verify", "--stack-name", "ddbreplica", "--grace", "1", "--read-rate", "1000")

    seen = run(aws, *verify)
    repaired = run(aws, *verify, "--repair")

    assert done == {"row-00": "different", "row-01": "missing", "row-00-copy": "extra"}
    assert (seen.exit_code, found(seen.output, repaired=False)) == (1, done)
    assert (repaired.exit_code, found(repaired.output, repaired=True)) == (0, done)
    assert found(seen.output, repaired=True) == found(repaired.output, repaired=False) == {}
    assert pair.items(pair.replica) == pair.items(pair.source)


def test_a_writer_updates_deletes_and_adds(pair: Pair) -> None:
    before = pair.items(pair.source)

    with writing(pair) as writer:
        wait_until(lambda: writer.written == len(before), "Each item was used")

    after = pair.items(pair.source)
    assert (len(writer.updated), len(writer.deleted), len(writer.added)) == (4, 4, 4)
    assert before.keys() - after.keys() == set(writer.deleted)
    assert after.keys() - before.keys() == set(writer.added)
    assert {key for key in before.keys() & after.keys() if before[key] != after[key]} == set(writer.updated)


def test_a_writer_stops_at_the_end_of_the_block(pair: Pair) -> None:
    with pytest.raises(ZeroDivisionError), writing(pair) as writer:
        raise ZeroDivisionError

    assert writer.written < len(pair.items(pair.source))


def test_an_error_of_a_writer_is_raised(aws: EmbeddedAws) -> None:
    with (
        pytest.raises(ClientError, match="ResourceNotFoundException"),
        writing(Pair(aws.dynamodb, "no", "no")),
    ):
        pass


def test_a_stream_replicates_no_older_item_and_a_backfill_copies_them(aws: EmbeddedAws) -> None:
    make_table(aws.dynamodb, "before")
    aws.dynamodb.put_item(TableName="before", Item=row("old"))
    stream = turn_on_stream(aws.dynamodb, "before")
    stack = deploy(aws, "before", SourceStreamArn=stream, ReplicaTableName="before_replica")
    pair = Pair(aws.dynamodb, stack.source, stack.replica)
    aws.dynamodb.put_item(TableName="before", Item=row("new"))
    wait_until(lambda: pair.item(pair.replica, "new") is not None, "The new item is replicated")

    before = pair.items(pair.replica)
    finished = run(aws, "backfill", "--stack-name", "before")

    assert (pair.source, before) == ("before", {"new": row("new")})
    assert finished.exit_code == 0
    assert pair.items(pair.replica) == {"new": row("new"), "old": row("old")}
