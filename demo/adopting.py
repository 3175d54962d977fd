"""A table that was in use before ddbreplica came: its stream turned on, deployed over, backfilled under live writes."""

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from demo.command import run
from demo.deploy import deploy
from demo.errors import DidNotHoldError
from demo.pair import Pair, wait_until
from demo.stage import FAST, Stage, check_exit
from demo.writing import Writer, writing

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_SOURCE: Final = "accesslog"
_REPLICA: Final = "accesslog_replica"
_ITEMS: Final = 2000


@dataclass(frozen=True, slots=True)
class Adopted:
    """How long the backfill took, and how many items were written and deleted meanwhile."""

    seconds: float
    written: int
    deleted: int


def adopt(stage: Stage) -> Adopted:
    """Make a table with items and without a stream, give it a replica, and copy what the stream does not hold."""
    stage.begin("Take a table that was in use: turn its stream on, and deploy template.yaml over it")
    _make_table(stage)
    adopted = _deploy_over(stage)
    stage.begin("Copy what the stream does not hold, while a writer updates, deletes and adds items")
    with writing(adopted.pair) as writer:
        _wait_for_the_stream(adopted, writer)
        before, deleted = writer.written, len(writer.deleted)
        begun = time.monotonic()
        adopted.run("backfill")
        seconds = time.monotonic() - begun
        during = Adopted(seconds, writer.written - before, len(writer.deleted) - deleted)
    _check(adopted, writer, during)
    adopted.run("verify", *FAST)
    return during


def _make_table(stage: Stage) -> None:
    make_table(stage.aws.dynamodb, _SOURCE)
    finished = run(stage.aws, "load", "--generate", str(_ITEMS), "--source", _SOURCE)
    check_exit("load", finished)
    described = stage.aws.dynamodb.describe_table(TableName=_SOURCE)["Table"]
    if "LatestStreamArn" in described:
        raise DidNotHoldError(f"{_SOURCE} has no stream: it has {described['LatestStreamArn']}.")
    count = Pair(stage.aws.dynamodb, _SOURCE, _REPLICA).count(_SOURCE)
    stage.say(f"{_SOURCE} has {count:,} items and no stream.")


def make_table(dynamodb: "DynamoDBClient", name: str) -> None:
    """A table on demand, with the workshop's key, and neither index nor stream."""
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})


def turn_on_stream(dynamodb: "DynamoDBClient", table: str) -> str:
    """Let the table write a stream from now on, and return the stream's ARN."""
    described = dynamodb.update_table(
        TableName=table, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    )
    return described["TableDescription"]["LatestStreamArn"]


def _deploy_over(stage: Stage) -> Stage:
    stream = turn_on_stream(stage.aws.dynamodb, _SOURCE)
    stage.say(f"SourceStreamArn={stream}")
    begun = time.monotonic()
    stack = deploy(stage.aws, _SOURCE, SourceStreamArn=stream, ReplicaTableName=_REPLICA)
    adopted = replace(stage, stack=stack)
    seconds = time.monotonic() - begun
    stage.say(f"{stack.resources} resources in {seconds:.1f} s; {stack.source} → {stack.replica}")
    return adopted


def _wait_for_the_stream(stage: Stage, writer: Writer) -> None:
    """Wait until the stream has brought something, and see that it has brought nothing of what was there before."""
    pair = stage.pair
    wait_until(lambda: pair.count(pair.replica) > 0, "The replica has what is written from now on")
    held = pair.count(pair.replica)
    if held > writer.written + 1:  # which has perhaps not counted its latest
        raise DidNotHoldError(
            f"The replica has what was written since its stream, and no more: it has {held}."
        )
    stage.say(
        f"By its stream the replica has {held:,} of {pair.count(pair.source):,} items, those written since."
    )


def _check(stage: Stage, writer: Writer, during: Adopted) -> None:
    pair = stage.pair
    if not during.deleted:
        raise DidNotHoldError("Items are deleted during the backfill: none was.")
    pair.wait_until_equal()
    replica = pair.items(pair.replica)
    if came_back := replica.keys() & set(writer.deleted):
        raise DidNotHoldError(f"Nothing that was deleted is in the replica: {sorted(came_back)} are.")
    stage.say(
        f"Meanwhile {during.written:,} items were written, {during.deleted:,} of them deleted: none came back."
    )
    stage.say(f"The replica equals the source, {len(replica):,} items.")
