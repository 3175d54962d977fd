"""Replicate an existing table: turn its stream on, deploy, and copy its items while it is written to.

A backfill begins when no invocation with earlier settings of the function can be under way. So the stack is deployed
long before its items are copied.
"""

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
_TIMEOUT: Final = 30
_MARGIN: Final = 60


@dataclass(frozen=True, slots=True)
class Adopted:
    """The seconds that the backfill took, and the number of items written and deleted during it."""

    seconds: float
    written: int
    deleted: int


@dataclass(frozen=True, slots=True)
class Existing:
    """A table whose replica is deployed, and when a backfill can begin, by the monotonic clock."""

    stage: Stage
    begins_at: float


def adopt(stage: Stage) -> Existing:
    """Create a table with items and without a stream, and deploy a replica for it."""
    stage.begin("Replicate an existing table: turn its stream on, and deploy template.yaml")
    _make_table(stage)
    adopted = _deploy_replica(stage)
    return Existing(adopted, time.monotonic() + _TIMEOUT + _MARGIN)


def copy_items(existing: Existing) -> Adopted:
    """Copy the items of an existing table while it is written to."""
    adopted = existing.stage
    adopted.begin(f"Copy the existing items of {_SOURCE}, while a writer updates, deletes and adds items")
    _wait_until_begin(existing)
    with writing(adopted.pair) as writer:
        _wait_for_stream(adopted, writer)
        before, deleted = writer.written, len(writer.deleted)
        begun = time.monotonic()
        adopted.run("backfill")
        seconds = time.monotonic() - begun
        during = Adopted(seconds, writer.written - before, len(writer.deleted) - deleted)
    _check(adopted, writer, during)
    adopted.run("verify", *FAST)
    return during


def _wait_until_begin(existing: Existing) -> None:
    left = max(0.0, existing.begins_at - time.monotonic())
    existing.stage.say(
        f"backfill begins {_TIMEOUT + _MARGIN} seconds after a deployment, when no earlier invocation can be under way:"
        f" in {left:.0f} s."
    )
    time.sleep(left)


def _make_table(stage: Stage) -> None:
    make_table(stage.aws.dynamodb, _SOURCE)
    finished = run(stage.aws, "load", "--generate", str(_ITEMS), "--source", _SOURCE)
    check_exit("load", finished)
    described = stage.aws.dynamodb.describe_table(TableName=_SOURCE)["Table"]
    if "LatestStreamArn" in described:
        raise DidNotHoldError(
            f"The table {_SOURCE} must have no stream, but it has {described['LatestStreamArn']}."
        )
    count = Pair(stage.aws.dynamodb, _SOURCE, _REPLICA).count(_SOURCE)
    stage.say(f"{_SOURCE} has {count:,} items and no stream.")


def make_table(dynamodb: "DynamoDBClient", name: str) -> None:
    """Create an on-demand table with the workshop's key, without an index or a stream."""
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "PK", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})


def turn_on_stream(dynamodb: "DynamoDBClient", table: str) -> str:
    """Turn the table's stream on, and return the stream's ARN."""
    described = dynamodb.update_table(
        TableName=table, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    )
    return described["TableDescription"]["LatestStreamArn"]


def _deploy_replica(stage: Stage) -> Stage:
    stream = turn_on_stream(stage.aws.dynamodb, _SOURCE)
    stage.say(f"SourceStreamArn={stream}")
    begun = time.monotonic()
    stack = deploy(
        stage.aws, _SOURCE, SourceStreamArn=stream, ReplicaTableName=_REPLICA, Timeout=str(_TIMEOUT)
    )
    adopted = replace(stage, stack=stack)
    seconds = time.monotonic() - begun
    stage.say(f"{stack.resources} resources in {seconds:.1f} s; {stack.source} → {stack.replica}")
    return adopted


def _wait_for_stream(stage: Stage, writer: Writer) -> None:
    """Wait for the first replicated change, and check that no older item was replicated."""
    pair = stage.pair
    wait_until(lambda: pair.count(pair.replica) > 0, "New changes are replicated")
    held = pair.count(pair.replica)
    if held > writer.written + 1:  # the writer may not have counted its latest write yet
        raise DidNotHoldError(
            f"The replica must have only what was written since, {writer.written} items at most, but has {held}."
        )
    stage.say(
        f"The stream replicated {held:,} of {pair.count(pair.source):,} items: those written after it was turned on."
    )


def _check(stage: Stage, writer: Writer, during: Adopted) -> None:
    pair = stage.pair
    if not during.deleted:
        raise DidNotHoldError("The writer must delete items during the backfill, but it deleted none.")
    pair.wait_until_equal()
    replica = pair.items(pair.replica)
    if came_back := replica.keys() & set(writer.deleted):
        raise DidNotHoldError(f"The replica must have no deleted items, but it has {sorted(came_back)}.")
    stage.say(
        f"Writes during the backfill: {during.written:,}, including {during.deleted:,} deletes."
        " No deleted item is in the replica."
    )
    stage.say(f"The replica equals the source: {len(replica):,} items.")
