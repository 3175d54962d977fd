"""Write an item that the replica rejects: it is quarantined, `status` reports it, `redrive` clears it."""

from dataclasses import dataclass

from demo import traffic
from demo.errors import DidNotHoldError
from demo.pair import INDEX, Item
from demo.stage import Stage


@dataclass(frozen=True, slots=True)
class Refusal:
    """The object in quarantine, the corrected item, and the number of changes including the correction."""

    kept: traffic.Refused
    corrected: Item
    changes: int


def refuse(stage: Stage) -> Refusal:
    """Write an item that the replica rejects, together with items that it accepts."""
    stage.begin("Write an item that the replica rejects, together with ten that it accepts")
    pair = stage.pair
    neighbours, poison, corrected = traffic.neighbours_and_poison(
        next(iter(pair.items(pair.source).values()))
    )
    traffic.drop_source_index(pair)
    stage.say(
        f"The source without its index {INDEX} accepts a number as GSI_1_PK; the replica's index requires a string."
    )
    traffic.write_together(pair, neighbours, poison)
    kept = _kept(stage, poison["PK"]["S"])
    pair.wait_until_equal(but_for=frozenset({kept.key}))
    stage.say(f"The other {len(neighbours)} items are in the replica.")
    return Refusal(kept, corrected, changes=len(neighbours) + 2)


def _kept(stage: Stage, key: str) -> traffic.Refused:
    bucket = stage.stack.quarantine_bucket
    refused = traffic.wait_for_quarantine(stage.aws.s3, bucket)
    if [found.key for found in refused] != [key]:
        raise DidNotHoldError(
            f"Only {key} must be quarantined, but these are: {', '.join(found.key for found in refused)}."
        )
    stage.say(f"Quarantined: {key}, {refused[0].reason}")
    stage.say(f"  s3://{bucket}/{refused[0].name}")
    return refused[0]


def redrive(stage: Stage, refusal: Refusal) -> int:
    """Correct the item in the source, redrive, and return the number of objects moved to `done/`."""
    stage.begin("Check the status, fix the cause, and clear the quarantine")
    status = stage.run("status", ends_with=1)
    if "ddbreplica redrive" not in status:
        raise DidNotHoldError("`ddbreplica status` must recommend `ddbreplica redrive`, but it does not.")
    pair = stage.pair
    pair.dynamodb.put_item(TableName=pair.source, Item=refusal.corrected)
    pair.wait_until_equal()
    stage.say("The item is corrected in the source, and the stream replicates it.")
    stage.run("redrive")
    return _check_cleared(stage, refusal.kept)


def _check_cleared(stage: Stage, kept: traffic.Refused) -> int:
    bucket = stage.stack.quarantine_bucket
    if left := traffic.quarantined(stage.aws.s3, bucket):
        raise DidNotHoldError(f"The quarantine must be empty after the redrive, but it has {left[0].name}.")
    done = [found.name for found in traffic.quarantined(stage.aws.s3, bucket, under=traffic.DONE)]
    if done != [traffic.DONE + kept.name.removeprefix(traffic.QUARANTINE)]:
        raise DidNotHoldError(f"{traffic.DONE} must have only the object of {kept.key}, but it has {done}.")
    stage.say("The quarantine is empty. The object was moved to:")
    stage.say(f"  s3://{bucket}/{done[0]}")
    return len(done)
