"""Load and change items, change them with ten concurrent batches, and quarantine a record."""

from itertools import cycle, islice

from demo import traffic
from demo.errors import DidNotHoldError
from demo.pair import INDEX, wait_until
from tests.e2e import alarms
from tests.e2e.deployment import Deployed
from tests.e2e.programs import ddbreplica
from tests.e2e.report import Claim
from tests.e2e.trouble import mapping_set


def load(deployed: Deployed) -> None:
    """Load the rows, and wait until the replica equals the source."""
    run = deployed.run
    run.begin(f"Load {run.pace.rows:,} rows")
    loaded = ddbreplica(run, "load", "--generate", str(run.pace.rows))
    if loaded.returncode:
        raise DidNotHoldError(
            f"`ddbreplica load` failed with exit status {loaded.returncode}.\n{loaded.stderr}"
        )
    deployed.wait_until_equal()
    run.found(Claim.REPLICATED, f"Equal after the load. {loaded.stdout.strip()}")


def change(deployed: Deployed) -> None:
    """Update an eighth of the items and delete another eighth."""
    run, keys = deployed.run, deployed.keys()
    share = len(keys) // 8
    run.begin(f"Update {share} items and delete {share} others")
    traffic.update(deployed.pair, keys[:share])
    traffic.delete(deployed.pair, keys[share : 2 * share])
    deployed.wait_until_equal()
    run.found(Claim.REPLICATED, f"Equal after {share} updates and {share} deletes.")


def change_in_parallel(deployed: Deployed) -> None:
    """Update a few items repeatedly with ParallelizationFactor=10."""
    run, keys = deployed.run, deployed.keys()[:20]
    updates = min(len(keys) * 15, run.pace.rows)
    run.begin(f"Make {updates} updates of {len(keys)} items, with ParallelizationFactor=10")
    with mapping_set(deployed, ParallelizationFactor=10):
        traffic.update(deployed.pair, islice(cycle(keys), updates))
        deployed.wait_until_equal()
    run.found(Claim.ORDERED, f"Equal after {updates} updates of {len(keys)} items.")


def quarantine(deployed: Deployed) -> None:
    """Write an item that the replica rejects and ten that it accepts, then correct it in the source."""
    run, pair = deployed.run, deployed.pair
    run.begin("Write an item that the replica rejects, together with ten that it accepts")
    traffic.drop_source_index(pair, within=run.pace.resources)
    run.say(f"The source's index {INDEX} is removed, so that it accepts what the replica rejects.")
    like = pair.item(pair.source, deployed.keys()[0])
    assert like is not None
    neighbours, poison, corrected = traffic.neighbours_and_poison(like)
    key = poison["PK"]["S"]
    since = alarms.moments(deployed)
    traffic.write_together(pair, neighbours, poison)
    wait_until(
        lambda: deployed.differing() == [key],
        f"The replica equals the source, except for {key}",
        every=run.pace.look,
        within=run.pace.data,
    )
    refused = traffic.quarantined(run.account.s3, deployed.outputs["QuarantineBucketName"])
    if [found.key for found in refused] != [key]:
        raise DidNotHoldError(
            f"Only {key} must be in quarantine, but these are: {[found.key for found in refused]}."
        )
    run.found(Claim.QUARANTINED, f"{key} is quarantined: {refused[0].reason}")
    alarms.wait_for(deployed, ["RecordsQuarantinedAlarm"], since=since)
    pair.dynamodb.put_item(TableName=pair.source, Item=corrected)
    deployed.wait_until_equal()
    run.found(Claim.REPLICATED, "Equal after the item was corrected in the source.")
