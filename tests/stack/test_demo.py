"""What the demo's steps are made of, each seen to work and to complain."""

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
    """The first stack's tables, with twelve items in each."""
    pair = Pair(aws.dynamodb, first.source, first.replica)
    for number in range(12):
        pair.dynamodb.put_item(TableName=pair.source, Item=row(f"row-{number:02}"))
    pair.wait_until_equal()
    return pair


def row(key: str) -> Item:
    return {"PK": {"S": key}, "GSI_1_PK": {"S": "host#192.0.2.1"}, "bytessent": {"N": "7"}}


def test_a_stack_with_parameters_stands_beside_the_first(aws: EmbeddedAws, first: Stack) -> None:
    second = deploy(aws, "orders", SourceTableName="orders", ReplicaTableName="orders_copy")

    assert (first.name, first.source, first.replica) == ("ddbreplica", "logfile", "logfile_replica")
    assert (second.name, second.source, second.replica) == ("orders", "orders", "orders_copy")
    pair = Pair(aws.dynamodb, second.source, second.replica)
    pair.dynamodb.put_item(TableName=pair.source, Item=row("1"))
    pair.wait_until_equal()
    assert pair.item("orders_copy", "1") == row("1")


def test_a_command_is_shown_with_what_it_wrote(aws: EmbeddedAws, first: Stack, pair: Pair) -> None:
    told = io.StringIO()

    output = Stage(Console(file=told), aws, first).run("verify", "--read-rate", "1000")

    assert output.rstrip().endswith("\nequal")
    assert told.getvalue().startswith("  $ ddbreplica verify --stack-name ddbreplica --read-rate 1000\n")
    assert told.getvalue().endswith("\n  equal\n  Exit code 0\n")
    assert len(pair.items(pair.replica)) == 12


def test_a_command_that_ends_otherwise_did_not_hold(aws: EmbeddedAws, first: Stack) -> None:
    stage = Stage(Console(file=io.StringIO()), aws, first)

    with pytest.raises(DidNotHoldError, match=r"ends with 0: it ended with 2\.\nUsage: "):
        stage.run("verify", "--no-such-option")


def test_what_a_hand_did_in_the_replica_is_found_and_repaired(aws: EmbeddedAws, pair: Pair) -> None:
    done = tamper(pair)
    verify = ("verify", "--stack-name", "ddbreplica", "--grace", "1", "--read-rate", "1000")

    seen = run(aws, *verify)
    mended = run(aws, *verify, "--repair")

    assert done == {"row-00": "different", "row-01": "missing", "row-00-copy": "extra"}
    assert (seen.exit_code, found(seen.output, repaired=False)) == (1, done)
    assert (mended.exit_code, found(mended.output, repaired=True)) == (0, done)
    assert found(seen.output, repaired=True) == found(mended.output, repaired=False) == {}
    assert pair.items(pair.replica) == pair.items(pair.source)


def test_a_writer_updates_deletes_and_adds(pair: Pair) -> None:
    before = pair.items(pair.source)

    with writing(pair) as writer:
        wait_until(lambda: writer.written == len(before), "Each item has had its turn")

    after = pair.items(pair.source)
    assert (len(writer.updated), len(writer.deleted), len(writer.added)) == (4, 4, 4)
    assert before.keys() - after.keys() == set(writer.deleted)
    assert after.keys() - before.keys() == set(writer.added)
    assert {key for key in before.keys() & after.keys() if before[key] != after[key]} == set(writer.updated)


def test_a_writer_ends_with_the_block(pair: Pair) -> None:
    with pytest.raises(ZeroDivisionError), writing(pair) as writer:
        raise ZeroDivisionError

    assert writer.written < len(pair.items(pair.source))


def test_what_a_writer_met_is_raised(aws: EmbeddedAws) -> None:
    with (
        pytest.raises(ClientError, match="ResourceNotFoundException"),
        writing(Pair(aws.dynamodb, "no", "no")),
    ):
        pass


def test_a_stream_brings_nothing_from_before_it_and_a_backfill_does(aws: EmbeddedAws) -> None:
    make_table(aws.dynamodb, "before")
    aws.dynamodb.put_item(TableName="before", Item=row("old"))
    stream = turn_on_stream(aws.dynamodb, "before")
    stack = deploy(aws, "before", SourceStreamArn=stream, ReplicaTableName="before_replica")
    pair = Pair(aws.dynamodb, stack.source, stack.replica)
    aws.dynamodb.put_item(TableName="before", Item=row("new"))
    wait_until(lambda: pair.item(pair.replica, "new") is not None, "What is new arrives")

    lacking = pair.items(pair.replica)
    finished = run(aws, "backfill", "--stack-name", "before")

    assert (pair.source, lacking) == ("before", {"new": row("new")})
    assert finished.exit_code == 0
    assert pair.items(pair.replica) == {"new": row("new"), "old": row("old")}
