"""The workers of a stack: the state machine that invokes them, and the bucket that keeps the state of their jobs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ddbreplica.bucket.bucket import Bucket
from ddbreplica.bucket.bucket_store import BucketStore
from ddbreplica.jobs.control import names
from ddbreplica.jobs.control.executions import Execution, Executions
from ddbreplica.jobs.objects import JobObjects


@dataclass(frozen=True, slots=True)
class Workers:
    """The workers of a function. `stack` is the name of its stack in AWS CloudFormation, `bucket` the quarantine."""

    function: str
    stack: str
    bucket: Bucket
    executions: Executions

    def objects(self, job: str) -> JobObjects:
        """Return the objects of a job."""
        return JobObjects(BucketStore(self.bucket), self.stack, job)

    def attempts(self, job: str) -> Sequence[Execution]:
        """Return the executions of a job, the oldest first."""
        if not names.is_job(job):
            return ()
        scheduled = self.executions.find(job)
        found = [scheduled] if scheduled else []
        while each := self.executions.find(names.attempt(job, len(found) + 1)):
            found.append(each)
        return found

    def start(self, job: str, number: int, given: Mapping[str, Any]) -> str:
        """Start an attempt of a job, and return its name."""
        attempt = names.attempt(job, number)
        self.executions.start(attempt, {**given, "job": job})
        return attempt
