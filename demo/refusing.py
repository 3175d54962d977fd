"""An item that the replica can never take: kept aside, seen by `status`, mended at the source, redriven."""

from dataclasses import dataclass

from demo import traffic
from demo.errors import DidNotHoldError
from demo.pair import INDEX, Item
from demo.stage import Stage


@dataclass(frozen=True, slots=True)
class Refusal:
    """The object in quarantine, the item as it ought to be, and how many changes it took, its mending included."""

    kept: traffic.Refused
    mended: Item
    changes: int


def refuse(stage: Stage) -> Refusal:
    """Write one item that the replica refuses, among others that it takes."""
    stage.begin("Write an item that the replica can never take, among ten that it can")
    pair = stage.pair
    neighbours, poison, mended = traffic.neighbours_and_poison(next(iter(pair.items(pair.source).values())))
    traffic.drop_source_index(pair)
    stage.say(
        f"The source's {INDEX} is removed, so that it takes a number as GSI_1_PK; the replica's wants text."
    )
    traffic.write_together(pair, neighbours, poison)
    kept = _kept(stage, poison["PK"]["S"])
    pair.wait_until_equal(but_for=frozenset({kept.key}))
    stage.say(f"Its {len(neighbours)} neighbours are in the replica.")
    return Refusal(kept, mended, changes=len(neighbours) + 2)


def _kept(stage: Stage, key: str) -> traffic.Refused:
    bucket = stage.stack.quarantine_bucket
    refused = traffic.wait_for_quarantine(stage.aws.s3, bucket)
    if [found.key for found in refused] != [key]:
        raise DidNotHoldError(f"Only {key} is quarantined: {', '.join(found.key for found in refused)} are.")
    stage.say(f"Quarantined: {key}, {refused[0].reason}")
    stage.say(f"  s3://{bucket}/{refused[0].name}")
    return refused[0]


def redrive(stage: Stage, refusal: Refusal) -> int:
    """Mend the item at the source, redrive, and return how many objects are done with."""
    stage.begin("See what is wrong, mend it, and clear the quarantine")
    told = stage.run("status", ends_with=1)
    if "ddbreplica redrive" not in told:
        raise DidNotHoldError("`ddbreplica status` says to redrive: it does not.")
    pair = stage.pair
    pair.dynamodb.put_item(TableName=pair.source, Item=refusal.mended)
    pair.wait_until_equal()
    stage.say("The item is mended at the source, as its owner would, and arrives by the stream.")
    stage.run("redrive")
    return _check_cleared(stage, refusal.kept)


def _check_cleared(stage: Stage, kept: traffic.Refused) -> int:
    bucket = stage.stack.quarantine_bucket
    if left := traffic.quarantined(stage.aws.s3, bucket):
        raise DidNotHoldError(f"Nothing is in quarantine after the redrive: {left[0].name} is.")
    done = [found.name for found in traffic.quarantined(stage.aws.s3, bucket, under=traffic.DONE)]
    if done != [traffic.DONE + kept.name.removeprefix(traffic.QUARANTINE)]:
        raise DidNotHoldError(f"The object of {kept.key} is in {traffic.DONE}, and no other: {done} are.")
    stage.say("Nothing is in quarantine any more; what was there is kept as done:")
    stage.say(f"  s3://{bucket}/{done[0]}")
    return len(done)
