"""A worker of a backfill that was killed, and has left a key open in the state of its segment."""

import time
from collections.abc import Sequence

import boto3

from ddbreplica.bucket.bucket import Bucket
from ddbreplica.bucket.bucket_store import BucketStore
from ddbreplica.jobs.backfill.progress import SegmentProgress
from ddbreplica.jobs.objects import PLAN, SEGMENT, JobObjects
from ddbreplica.jobs.plan import Plan
from ddbreplica.jobs.state.fenced_state import FencedState, Owner
from ddbreplica.jobs.state.journal import StateJournal
from ddbreplica.jobs.takeover import take_over
from ddbreplica.model import Key
from tests.support.job_machine import STACK
from tests.support.kept_records import QUARANTINE, KeptRecords
from tests.support.memory_state import ManualClock


def leave_open(kept_records: KeptRecords, job: str, *, hours_ago: float) -> None:
    """Let a worker of a backfill be killed after it has opened a key.

    If that was hours ago, an operator has stopped the job then, and the key had to wait.
    """
    objects = JobObjects(
        BucketStore(Bucket(boto3.client("s3"), QUARANTINE, option="--stack-name")), STACK, job
    )
    planned = Plan.read(kept_records.body(QUARANTINE, objects.name(PLAN)))
    clock = ManualClock(aws=time.time() - hours_ago * 3600)
    clock.respond()
    name = objects.state(SEGMENT, 0)
    state = FencedState.take(objects.store, name, plan=planned.digest, owner=Owner.until(clock.aws))
    progress = SegmentProgress(items=1)
    StateJournal(state, clock=clock).advance(progress.document(), [(("PK", "S", "open"),)])
    if hours_ago:
        assert take_over(objects, planned, clock=clock, quarantine=_refuse).keys == 1


def _refuse(_keys: Sequence[Key]) -> None:
    raise AssertionError("the key has to wait")
