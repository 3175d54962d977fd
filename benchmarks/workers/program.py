"""`python -m benchmarks.workers.program`: run a job by one worker in process, with its objects in memory.

The worker has the order of its tasks from here, and not from AWS Step Functions. Everything else is the worker's own.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ddbreplica.bucket.store import Store
from ddbreplica.deadline import Deadline
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.describe import Described
from ddbreplica.dynamodb.location import Location
from ddbreplica.jobs import plan
from ddbreplica.jobs.actions import act
from ddbreplica.jobs.pair import FunctionPair
from ddbreplica.jobs.payload import Payload
from ddbreplica.mapping.event_source_mapping import MappingState
from ddbreplica.transform.same_transform import NO_TRANSFORM, SameTransform
from tests.support.memory_store import MemoryStore

INVOCATION_SECONDS = 900.0
_NAMES = {"function": "benchmark", "stack": "benchmark", "job": "job", "attempt": "job-1"}
_RATE = 1_000_000
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "backfill": {"read_rate": _RATE, "rate": _RATE, "without_mapping": True},
    "verify": {"read_rate": _RATE, "grace": 0, "without_mapping": True},
}


@dataclass(frozen=True, slots=True)
class _Pair(FunctionPair):
    """Two tables, with a bucket in memory in place of Amazon S3."""

    objects: MemoryStore = field(default_factory=MemoryStore)

    @property
    def store(self) -> Store:
        return self.objects

    def unreserved_concurrency(self) -> int:
        return 1000

    def transform(self, source: Described) -> SameTransform:  # noqa: ARG002
        """Return none: there is no function."""
        return NO_TRANSFORM


def main() -> int:
    """Run the job, and write its report, its seconds and the number of its writes to a file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=_OPTIONS)
    for name in ("--source", "--replica", "--result"):
        parser.add_argument(name, required=True)
    parser.add_argument("--items-of-a-segment", type=int, default=plan.ITEMS_OF_A_SEGMENT)
    given = parser.parse_args()
    vars(plan)["ITEMS_OF_A_SEGMENT"] = given.items_of_a_segment
    pair = _Pair(_connection(given.source, given.replica), _mapping(given.replica), "bucket")
    began = time.perf_counter()
    _run(pair, given.what)
    seconds = time.perf_counter() - began
    report = json.loads(pair.objects.objects["jobs/benchmark/job/report.json"])
    result = {"seconds": seconds, "writes": pair.objects.writes, "report": report}
    Path(given.result).write_text(json.dumps(result))
    return 0


def _run(pair: _Pair, what: str) -> None:
    """Do the tasks in the order of the state machine. Raises SystemExit if one fails."""
    given = {"what": what, "options": _OPTIONS[what], "scheduled": False, "concurrency": 1, "max_units": 0}
    _invoke(pair, "plan", **given)
    for line in _lines(pair, "segments"):
        while not _invoke(pair, "work", line=line)["done"]:
            pass
    if _invoke(pair, "gather")["pieces"]:
        sys.exit("The tables differ.")
    _invoke(pair, "report")


def _lines(pair: _Pair, name: str) -> Iterator[Any]:
    return map(json.loads, pair.objects.objects[f"jobs/benchmark/job/{name}.jsonl"].splitlines())


def _invoke(pair: _Pair, action: str, **members: Any) -> Mapping[str, Any]:
    ends_at = time.monotonic() + INVOCATION_SECONDS
    response = act(
        Payload.read({"action": action, **_NAMES, **members}),
        lambda _: pair,
        deadline=Deadline(lambda: ends_at - time.monotonic()),
        note=lambda *_: None,
    )
    if response["failed"]:
        sys.exit(f"{action}: {response['failed']}")
    return response


def _connection(source: str, replica: str) -> Connection:
    region, endpoint = os.environ["AWS_REGION"], os.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    return Connection(Location(source, replica, None, region, None, None, None, endpoint))


def _mapping(replica: str) -> MappingState:
    return MappingState(
        uuid="uuid",
        stream_arn="arn:aws:dynamodb:us-east-1:123456789012:table/benchmark/stream/none",
        state="Enabled",
        state_reason="",
        last_result="OK",
        starting_position="TRIM_HORIZON",
        modified_at=datetime.now(UTC),
        on_failure=None,
        counts_events=True,
        patterns=(),
        function_arn="arn:aws:lambda:us-east-1:123456789012:function:benchmark",
        function_name="benchmark",
        log_group="log",
        settings={},
        environment={"REPLICA_TABLE_NAME": replica, "QUARANTINE_BUCKET": "bucket"},
    )


if __name__ == "__main__":
    sys.exit(main())
