"""AWS Step Functions in process, on moto: its executions run the definition of the state machine with the worker.

An execution advances by one invocation of the worker with each request to describe it, so that a test sees a job that
runs. `run_to_the_end` runs all of it at once.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import StringIO
from threading import Semaphore, Thread
from types import SimpleNamespace
from typing import Any, Final

import boto3

from ddbreplica.deadline import Deadline
from ddbreplica.jobs import pair
from ddbreplica.jobs.actions import act
from ddbreplica.jobs.pair import FunctionPair
from ddbreplica.jobs.payload import Payload
from tests.support.cli import REPLICA, Misbehaviour
from tests.support.kept_records import QUARANTINE
from tests.support.states import EndedError, Execution, substituted

STACK: Final = "mine"
STATE_MACHINE: Final = "BulkStateMachine-1"
SCHEDULE: Final = "mine-VerifySchedule-1"
ARN: Final = f"arn:aws:states:us-east-1:123456789012:stateMachine:{STATE_MACHINE}"


class Objects(Mapping[str, str]):
    """The objects of the quarantine bucket."""

    def __init__(self) -> None:
        self._client = boto3.client("s3", region_name="us-east-1")

    def __getitem__(self, name: str) -> str:
        try:
            return self._client.get_object(Bucket=QUARANTINE, Key=name)["Body"].read().decode()
        except self._client.exceptions.NoSuchKey:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError


@dataclass
class Run:
    """An execution, which runs in a thread between two requests to describe it."""

    name: str
    given: Any
    started: datetime
    status: str = "RUNNING"
    ended: datetime | None = None
    error: str = ""
    cause: str = ""
    goes: Semaphore = field(default_factory=lambda: Semaphore(0))
    waits: Semaphore = field(default_factory=lambda: Semaphore(0))
    is_over: bool = False

    def step(self) -> None:
        """Let the execution invoke the worker once more, also after it was stopped."""
        if not self.is_over:
            self.goes.release()
            assert self.waits.acquire(timeout=60)

    @property
    def described(self) -> dict[str, Any]:
        listed = {
            "executionArn": f"{ARN.replace('stateMachine', 'execution')}:{self.name}",
            "stateMachineArn": ARN,
            "name": self.name,
            "status": self.status,
            "startDate": self.started,
        }
        return {**listed, **({"stopDate": self.ended} if self.ended else {})}


class JobMachine:
    """The state machine of a stack. `before_invocation` may raise, as a worker does that fails.

    `advances` is whether an execution advances when it is described.
    """

    def __init__(self, aws: Misbehaviour) -> None:
        self.runs: dict[str, Run] = {}
        self.requests: list[str] = []
        self.payloads: list[dict[str, Any]] = []
        self.before_invocation: Callable[[dict[str, Any]], None] = lambda _: None
        self.substitutions: dict[str, str | int] = {
            "Bucket": QUARANTINE,
            "Function": "ddbreplica",
            "Stack": STACK,
        }
        self.runs_at_once = False
        self.advances = True
        self._objects = Objects()
        answer_stack(aws)
        for operation in ("StartExecution", "DescribeExecution", "ListExecutions", "StopExecution"):
            aws.on(f"before-call.sfn.{operation}", self._hook(operation))
        self.renew()

    def renew(self) -> None:
        """Create the clients of the workers, so that their requests are not taken for those of a command."""
        pair._clients.cache_clear()
        pair._clients()

    def run_to_the_end(self) -> None:
        """Let each execution end before the request that starts it returns."""
        self.runs_at_once = True

    def end(self) -> None:
        """Run all executions to their end."""
        for run in self.runs.values():
            while not run.is_over:
                run.step()

    def close(self) -> None:
        """End the threads of executions that a test has left, and forget the clients of their workers."""
        self.end()
        pair._clients.cache_clear()

    def _hook(self, operation: str) -> Callable[..., Any]:
        answers = {
            "StartExecution": self._start,
            "DescribeExecution": self._describe,
            "ListExecutions": self._list,
            "StopExecution": self._stop,
        }

        def answer(params: Any, **_: Any) -> Any:
            self.requests.append(operation)
            return answers[operation](json.loads(params["body"]))

        return answer

    def _start(self, asked: Any) -> Any:
        assert asked["stateMachineArn"] == ARN
        given = json.loads(asked["input"])
        present = self.runs.get(asked["name"])
        if present is None:
            self.start(asked["name"], given)
        elif present.status != "RUNNING" or present.given != given:
            return _refused("ExecutionAlreadyExists")
        run = self.runs[asked["name"]]
        return _ok({"executionArn": run.described["executionArn"], "startDate": run.started})

    def start(self, name: str, given: Any) -> Run:
        """Start an execution, as a command or a schedule does."""
        run = self.runs[name] = Run(name, given, datetime.now(UTC))
        Thread(target=self._run, args=(run,), daemon=True).start()
        assert run.waits.acquire(timeout=60)
        if self.runs_at_once:
            self.end()
        return run

    def _run(self, run: Run) -> None:
        execution = Execution(run.name, self._objects, lambda payload: self._invoke(run, payload))
        status = "SUCCEEDED"
        try:
            execution.run(substituted(**self.substitutions), run.given)
        except EndedError as error:
            status, run.error, run.cause = "FAILED", error.error, error.cause
        if run.status == "RUNNING":
            run.status, run.ended = status, datetime.now(UTC)
        run.is_over = True
        run.waits.release()

    def _invoke(self, run: Run, payload: dict[str, Any]) -> Any:
        run.waits.release()
        run.goes.acquire()
        self.payloads.append(payload)
        self.before_invocation(payload)
        # The log of the worker is no output of a command.
        with redirect_stdout(StringIO()):
            return act(
                Payload.read(payload), FunctionPair.of, deadline=Deadline(lambda: 900.0), note=lambda *_: None
            )

    def _describe(self, asked: Any) -> Any:
        run = self.runs.get(asked["executionArn"].rpartition(":")[2])
        if run is None:
            return _refused("ExecutionDoesNotExist")
        answer = {**run.described, "input": json.dumps(run.given)}
        if run.error:
            answer |= {"error": run.error, "cause": run.cause}
        if run.status == "RUNNING" and self.advances:
            run.step()
        return _ok(answer)

    def _list(self, asked: Any) -> Any:
        found = [run.described for run in self.runs.values() if run.status == asked["statusFilter"]]
        found.sort(key=lambda each: each["startDate"], reverse=True)
        return _ok({"executions": found[: asked["maxResults"]]})

    def _stop(self, asked: Any) -> Any:
        run = self.runs[asked["executionArn"].rpartition(":")[2]]
        run.status, run.ended = "ABORTED", datetime.now(UTC)
        run.error, run.cause = asked["error"], asked["cause"]
        return _ok({"stopDate": run.ended})


def answer_stack(aws: Misbehaviour, *, schedule: str | None = None) -> None:
    """Describe the stack of the function, perhaps with a schedule of verifications, and the account."""
    tags = {"Tags": {"ddbreplica": REPLICA, "aws:cloudformation:stack-name": STACK}}
    aws.on("before-call.lambda.ListTags", lambda **_: _ok(tags))
    resources = {"BulkStateMachine": ARN, **({"VerifySchedule": SCHEDULE} if schedule else {})}

    def describe(params: Any, **_: Any) -> Any:
        name = resources.get(params["body"]["LogicalResourceId"])
        return (
            _ok({"StackResourceDetail": {"PhysicalResourceId": name}})
            if name
            else _refused("ValidationError")
        )

    aws.on("before-call.cloudformation.DescribeStackResource", describe)
    answer = {
        "ScheduleExpression": schedule,
        "CreationDate": datetime(2026, 11, 1, 12, tzinfo=UTC),
        "Target": {"Input": '{"what": "verify", "options": {}}'},
    }
    aws.on("before-call.scheduler.GetSchedule", lambda **_: _ok(answer))
    limit = {"AccountLimit": {"UnreservedConcurrentExecutions": 1000}}
    aws.on("before-call.lambda.GetAccountSettings", lambda **_: _ok(limit))


def _ok(answer: Any) -> Any:
    return SimpleNamespace(status_code=200), answer


def _refused(code: str) -> Any:
    return SimpleNamespace(status_code=400), {"Error": {"Code": code, "Message": "why"}}
