"""A stack with workers on the embedded AWS: start its state machine, and read what a job has stored."""

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from demo.deploy import Package, Stack, deploy, upload
from demo.embedded import EmbeddedAws
from demo.pair import Pair, wait_until
from tests.support.template import ROOT

WORKERS: Final = {"Workers": "true", "BillingMode": "PAY_PER_REQUEST"}
BATCH: Final = 25


def package(
    aws: EmbeddedAws, path: Path, *, items_of_a_segment: int, margin_of_an_update: int = 60
) -> Package:
    """Upload a copy of the code that cuts a table into smaller segments, so that a small one has several.

    A backfill waits after an update of the function for its timeout and the margin, in seconds.
    """
    shutil.copytree(ROOT / "src", path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    library = path / "src" / "ddbreplica"
    _change(
        library / "jobs" / "plan.py", "SEGMENT: Final = 200_000\n", f"SEGMENT: Final = {items_of_a_segment}\n"
    )
    _change(library / "mapping" / "last_update.py", "(seconds=60)\n", f"(seconds={margin_of_an_update})\n")
    return upload(aws, code=path / "src", name="workers")


def _change(module: Path, before: str, after: str) -> None:
    text = module.read_text()
    assert text.count(before) == 1
    module.write_text(text.replace(before, after))


@dataclass(frozen=True, slots=True)
class Deployed:
    """A stack with workers, and its pair of tables."""

    aws: EmbeddedAws
    stack: Stack
    pair: Pair

    @classmethod
    def by(
        cls,
        aws: EmbeddedAws,
        name: str,
        package: Package,
        there: EmbeddedAws | None = None,
        /,
        **parameters: str,
    ) -> "Deployed":
        """Deploy a stack. Its tables have its name, and no schedule starts a job unless one is given.

        `there` is the Region and account of the replica, if it is elsewhere.
        """
        names = {"SourceTableName": name, "ReplicaTableName": f"{name}_replica"}
        stack = deploy(
            aws, name, package, **{**WORKERS, **names, "RedriveScheduleExpression": "none", **parameters}
        )
        return cls(
            aws, stack, Pair(aws.dynamodb, stack.source, stack.replica, there.dynamodb if there else None)
        )

    def fill(self, numbers: Iterable[int]) -> None:
        """Write items to the source, and wait until they are in the replica."""
        left = iter(numbers)
        while puts := [{"PutRequest": {"Item": item(number)}} for number in islice(left, BATCH)]:
            requests: Any = {self.pair.source: puts}
            self.pair.dynamodb.batch_write_item(RequestItems=requests)
        self.pair.wait_until_equal()

    def start(self, what: str, job: str, *, attempt: int = 1, **options: Any) -> str:
        """Start a job, and return the ARN of its execution."""
        given = {"what": what, "job": job, "options": options}
        started = self.aws.stepfunctions.start_execution(
            stateMachineArn=self.machine, name=f"{job}-{attempt}", input=json.dumps(given)
        )
        return str(started["executionArn"])

    def invoke(self, action: str, job: str, *, members: Mapping[str, Any] | None = None) -> "Response":
        """Invoke the worker as the state machine does, and return its response."""
        names = {"function": self.stack.outputs["FunctionName"], "stack": self.stack.name}
        given = {"action": action, **names, "job": job, "attempt": f"{job}-1", **(members or {})}
        invoked = self.aws.lambda_.invoke(
            FunctionName=self.stack.outputs["WorkerFunctionName"], Payload=json.dumps(given).encode()
        )
        body = json.loads(invoked["Payload"].read())
        return Response(body, is_error="FunctionError" in invoked)

    def processes(self) -> Sequence[int]:
        """Return the processes that run the worker now, or are kept for its next invocation."""
        name = f"AWS_LAMBDA_FUNCTION_NAME={self.stack.outputs['WorkerFunctionName']}".encode()
        return [
            int(path.parent.name)
            for path in Path("/proc").glob("[0-9]*/environ")
            if name in variables_of(path) and os.getpgid(int(path.parent.name)) == self.aws.pid
        ]

    def ended(self, execution: str, *, within: float = 120) -> Mapping[str, Any]:
        """Wait until an execution has ended, and return how."""
        described: list[Any] = []

        def has_ended() -> bool:
            described.append(self.aws.stepfunctions.describe_execution(executionArn=execution))
            return bool(described[-1]["status"] != "RUNNING")

        wait_until(has_ended, f"The execution {execution} ends", within=within)
        found: Mapping[str, Any] = described[-1]
        return found

    def run(self, what: str, job: str, **options: Any) -> Mapping[str, Any]:
        """Run a job to its end, and return its report."""
        end = self.ended(self.start(what, job, **options))
        assert end["status"] == "SUCCEEDED", (end.get("cause"), self.aws.complaints())
        report: Mapping[str, Any] = self.stored(f"{job}/report.json")
        return report

    @property
    def machine(self) -> str:
        return self.stack.outputs["BulkStateMachineArn"]

    def stored(self, name: str) -> Any:
        """Return an object of a job."""
        key = f"jobs/{self.stack.name}/{name}"
        return json.loads(self.aws.s3.get_object(Bucket=self.stack.quarantine_bucket, Key=key)["Body"].read())

    def names(self, prefix: str) -> Sequence[str]:
        """Return the names of the objects of the quarantine bucket under a prefix."""
        pages = self.aws.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.stack.quarantine_bucket, Prefix=prefix
        )
        return [found["Key"] for page in pages for found in page.get("Contents", ())]

    def records(self) -> Sequence[Any]:
        """Return the records of the verifications of the replica, the oldest first."""
        return [
            json.loads(self.aws.s3.get_object(Bucket=self.stack.quarantine_bucket, Key=name)["Body"].read())
            for name in sorted(self.names(f"verifications/{self.stack.replica}/"))
        ]


@dataclass(frozen=True, slots=True)
class Response:
    """What an invocation of the worker returned, or the error that it ended with."""

    body: Any
    is_error: bool

    @property
    def failed(self) -> str:
        """Return why the task failed; empty if it did not."""
        return str(self.body["errorMessage"] if self.is_error else self.body["failed"])


def variables_of(environ: Path) -> Sequence[bytes]:
    """Return the environment of a process; nothing if it has ended or belongs to another user."""
    try:
        return environ.read_bytes().split(b"\0")
    except OSError:
        return ()


def item(number: int) -> dict[str, Any]:
    return {"PK": {"S": key(number)}, "bytessent": {"N": str(number)}, "text": {"S": "x" * 200}}


def key(number: int) -> str:
    return f"item#{number:06}"
