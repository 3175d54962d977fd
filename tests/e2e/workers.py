"""Do bulk work by workers inside AWS: verify, repair, copy, stop a job, and let schedules start jobs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ddbreplica.model import INTERRUPTED
from demo.errors import DidNotHoldError
from demo.pair import wait_until
from tests.e2e import alarms
from tests.e2e.deployment import Deployed, describe, redeploy
from tests.e2e.programs import ddbreplica
from tests.e2e.report import Claim

_COPIED: Final = 20
_RATE: Final = ("--read-rate", "1000")
_EQUAL: Final = ("equal", "repaired")
"""The verdicts of a repair that leaves equal tables."""

_EVERY_MINUTE: Final = "rate(1 minute)"


def turn_on(deployed: Deployed) -> Deployed:
    """Add the workers to the stack, without schedules, and return the stack as it is then."""
    run = deployed.run
    run.begin("Redeploy with Workers=true")
    redeploy(run, Workers="true", RedriveScheduleExpression="none")
    changed = describe(run)
    run.found(Claim.DEPLOYED, f"The stack has {len(changed.resources)} resources with workers.")
    return changed


def verify(deployed: Deployed) -> None:
    """Remove an item from the replica. Workers must find it, and then repair it."""
    run, key = deployed.run, deployed.keys()[0]
    run.begin("Remove an item from the replica, and verify and repair the tables by workers")
    since = alarms.moments(deployed)
    _remove(deployed, [key])
    found = _verification(deployed, *_RATE)
    if [each["key"]["PK"]["S"] for each in found["differences"]] != [key]:
        raise DidNotHoldError(f"A verification by workers must report only {key}, but it reported {found}.")
    run.found(Claim.VERIFIED_BY_WORKERS, f"Workers compared {found['source_items']} items, and found {key}.")
    alarms.wait_for(deployed, ["ReplicaUnequalAlarm"], since=since)
    repaired = _verification(deployed, *_RATE, "--repair")
    if repaired["verdict"] not in _EQUAL:
        raise DidNotHoldError(f"A repair by workers must leave equal tables, but it reported {repaired}.")
    deployed.wait_until_equal()
    run.found(Claim.REPAIRED_BY_WORKERS, f"Equal after workers repaired {key}.")


def copy(deployed: Deployed) -> None:
    """Remove items from the replica, and copy the source by workers."""
    run, keys = deployed.run, deployed.keys()[:_COPIED]
    run.begin(f"Remove {len(keys)} items from the replica, and backfill it by workers")
    _remove(deployed, keys)
    copied = _json(deployed, "backfill", "--in-aws", "--rate", "1000", *_RATE)
    deployed.wait_until_equal()
    run.found(Claim.COPIED_BY_WORKERS, f"Equal after workers copied {copied['items']} items.")


def stop(deployed: Deployed) -> None:
    """Start a job, stop it, and resume it."""
    run, key = deployed.run, deployed.keys()[0]
    run.begin("Remove an item from the replica, and stop and resume the job that repairs it")
    since = alarms.moments(deployed)
    _remove(deployed, [key])
    # The job waits for the grace period, so that it still runs when it is stopped.
    repair = ("verify", "--in-aws", "--repair", "--no-follow", *_RATE, "--grace", str(run.pace.stop))
    job = _json(deployed, *repair, "--new-job")["job"]
    _json(deployed, "jobs", "stop", job)
    state = _json(deployed, "jobs", "show", job)["state"]
    if state != "stopped":
        raise DidNotHoldError(f"`ddbreplica jobs show` must report that {job} is stopped, and not {state}.")
    alarms.wait_for(deployed, ["BulkJobFailedAlarm"], since=since)
    resumed = _json(deployed, *repair)
    if (resumed["job"], resumed["resumed"]) != (job, True):
        raise DidNotHoldError(f"The same command must resume {job}, but it reported {resumed}.")
    wait_until(
        lambda: _json(deployed, "jobs", "show", job)["state"] in _EQUAL,
        f"The resumed job {job} makes the tables equal",
        every=run.pace.look,
        within=run.pace.data,
    )
    deployed.wait_until_equal()
    run.found(Claim.STOPPED, f"{job} was stopped and resumed, and repaired {key}.")


def schedule(deployed: Deployed) -> Deployed:
    """Let schedules start a redrive and a verification, and return the stack with them."""
    run, key = deployed.run, deployed.keys()[0]
    run.begin("Redeploy with schedules, while the record of an in-doubt write is in quarantine")
    _remove(deployed, [key])
    name = _put_in_doubt(deployed, key)
    redeploy(
        run, VerifyScheduleExpression=_EVERY_MINUTE, RedriveScheduleExpression=_EVERY_MINUTE, Workers="true"
    )
    wait_until(
        lambda: _names(deployed, f"done/{name}") == [f"done/{name}"],
        "A redrive by schedule moves the record",
        every=run.pace.look,
        within=run.pace.data,
    )
    deployed.wait_until_equal()
    run.found(Claim.SCHEDULED, f"A redrive by schedule reconciled {key}.")
    wait_until(
        lambda: "equal" in _verdicts(deployed),
        "A verification by schedule finds equal tables",
        every=run.pace.look,
        within=run.pace.data,
    )
    run.found(Claim.SCHEDULED, "A verification by schedule found equal tables.")
    return describe(run)


def _remove(deployed: Deployed, keys: Sequence[str]) -> None:
    pair = deployed.pair
    for key in keys:
        pair.dynamodb.delete_item(TableName=pair.replica, Key={"PK": {"S": key}})


def _verification(deployed: Deployed, *more: str) -> Mapping[str, Any]:
    return _json(deployed, "verify", "--in-aws", *_grace(deployed), *more, allowed=(0, 1))


def _grace(deployed: Deployed) -> Sequence[str]:
    return ("--grace", str(deployed.run.pace.grace))


def _json(deployed: Deployed, *arguments: str, allowed: Sequence[int] = (0,)) -> Mapping[str, Any]:
    """Run a command, and return its result. Raises DidNotHoldError for an exit status that is not allowed."""
    done = ddbreplica(deployed.run, *arguments, "--json")
    if done.returncode not in allowed:
        command = " ".join(arguments)
        raise DidNotHoldError(
            f"`ddbreplica {command}` failed with exit status {done.returncode}.\n{done.stderr}"
        )
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found


def _put_in_doubt(deployed: Deployed, key: str) -> str:
    """Put an object into quarantine, as an interrupted command leaves it, and return its name."""
    name = f"quarantine/{deployed.pair.replica}/none/none-backfill-1-in-doubt.json"
    record = {"dynamodb": {"Keys": {"PK": {"S": key}}}}
    content = {"schema": 1, "record": record, "reason": "interrupted", "error_code": INTERRUPTED}
    deployed.run.account.s3.put_object(
        Bucket=deployed.outputs["QuarantineBucketName"],
        Key=name,
        Body=json.dumps(content).encode(),
        IfNoneMatch="*",
    )
    return name


def _verdicts(deployed: Deployed) -> set[str]:
    """Return the verdicts of the verifications that schedules started."""
    bucket, s3 = deployed.outputs["QuarantineBucketName"], deployed.run.account.s3
    recorded = (
        json.loads(s3.get_object(Bucket=bucket, Key=name)["Body"].read())
        for name in _names(deployed, f"verifications/{deployed.pair.replica}/")
    )
    return {each["verdict"] for each in recorded}


def _names(deployed: Deployed, prefix: str) -> Sequence[str]:
    pages = deployed.run.account.s3.get_paginator("list_objects_v2").paginate(
        Bucket=deployed.outputs["QuarantineBucketName"], Prefix=prefix
    )
    return [found["Key"] for page in pages for found in page.get("Contents", ())]
