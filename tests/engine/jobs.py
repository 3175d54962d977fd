"""Run jobs of workers in process between two tables on DynamoDB Local, with their objects in memory."""

import json
from dataclasses import dataclass, field
from typing import Any, cast

from ddbreplica.bucket.store import Store
from ddbreplica.deadline import Deadline
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described
from ddbreplica.dynamodb.location import Location
from ddbreplica.jobs.actions import act
from ddbreplica.jobs.pair import FunctionPair
from ddbreplica.jobs.payload import Payload
from ddbreplica.transform.same_transform import NO_TRANSFORM, SameTransform
from tests.support.memory_store import MemoryStore
from tests.support.redriven import mapping
from tests.support.states import Execution, substituted


@dataclass(frozen=True, slots=True)
class EnginePair(FunctionPair):
    """The tables on DynamoDB Local, with a bucket in memory."""

    objects: MemoryStore = field(default_factory=MemoryStore)

    @classmethod
    def at(cls, endpoint: str, *, source: str = "source", replica: str = "replica") -> "EnginePair":
        """Return the pair of two tables."""
        location = Location(source, replica, None, "us-east-1", None, None, None, endpoint)
        return cls(Connection(location), mapping(), "bucket")

    @property
    def store(self) -> Store:
        return self.objects

    def unreserved_concurrency(self) -> int:
        return 1000

    def transform(self, source: Described) -> SameTransform:
        """Return none: there is no function."""
        return NO_TRANSFORM

    def run(self, job: str, what: str, *, seconds: float = 900.0, **options: Any) -> "Ended":
        """Run a job to its end. Each invocation that works on a segment has so many seconds."""
        clock = self.connection.clock

        def invoke(payload: Any) -> Any:
            ends_at = clock.ticks() + (seconds if payload["action"] == "work" else 900.0)
            deadline = Deadline(lambda: ends_at - clock.ticks())
            return act(Payload.read(payload), lambda _: self, deadline=deadline, note=lambda *_: None)

        execution = Execution(job, cast("Any", self.objects.objects), invoke)
        execution.run(substituted(), {"what": what, "options": options})
        return Ended(execution, json.loads(self.objects.objects[f"jobs/orders/{job}/report.json"]))


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that has ended, and its report."""

    execution: Execution
    report: Any
