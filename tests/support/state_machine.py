"""The state machine of bulk work, which invokes the worker in the order of its states, and what goes wrong there.

An invocation has a deadline. It is tried again if it raises or is killed, and given up after five attempts. At any
request, another invocation of the same task may run: one whose first response was lost, or a repetition of AWS Lambda.
The first one then goes on as if it were alone.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ddbreplica.deadline import Deadline
from ddbreplica.errors import TaskError
from ddbreplica.jobs.actions import SUPERSEDED_SECONDS, act
from ddbreplica.jobs.payload import Payload
from tests.support.job_pair import MemoryPair
from tests.support.memory_store import Fate

TRIES = 5
FATES = [Fate.LOST, Fate.UNSENT, Fate.LATE, Fate.RACE]


class Killed(BaseException):
    """The worker was killed: nothing of it happens any more."""


class FailedError(Exception):
    """The execution ended in its state Fail, with this cause."""


@dataclass
class Trouble:
    """How often things go wrong: with each request to a table, and with each write to the store."""

    kills: float = 0.0
    doubles: float = 0.0
    lost: float = 0.0
    seconds: tuple[float, float] = (0.0, 1.0)
    """What a request takes, at least and at most."""


@dataclass
class StateMachine:
    """Executions of one job. `timeout` are the seconds of an invocation."""

    pair: MemoryPair
    random: Random = field(default_factory=lambda: Random(0))  # noqa: S311
    trouble: Trouble = field(default_factory=Trouble)
    timeout: float = 900.0
    job: str = "job-1"
    options: Mapping[str, Any] = field(default_factory=dict)
    concurrency: int = 10
    notes: list[str] = field(default_factory=list)
    attempts: int = 0
    invocations: int = 0
    superseded: int = 0
    depth: int = 0
    what: str = "verify"
    leave_after: int = 5000
    """The invocations after which every worker is killed at once, for good."""
    is_dead: bool = False
    ends_at: float = math.inf

    def __post_init__(self) -> None:
        self.pair.before = self.before_request
        self.pair.die = self.die
        self.pair.store.before_write = self.before_write

    def execute(self) -> None:
        """Start the job, or start it again."""
        self.attempts += 1
        planned = self.checked("plan", what=self.what, options=self.options, scheduled=False, max_units=0)
        assert not planned["skipped"]
        self.map("work", "segments")
        if self.checked("gather")["pieces"]:
            self.map("confirm", "pieces")
        self.checked("report")

    def checked(self, action: str, **members: Any) -> Mapping[str, Any]:
        response = self.task(action, **members)
        if response is None or response["failed"]:
            raise FailedError(response["failed"] if response else f"{action} was given up")
        return response

    def map(self, action: str, what: str) -> None:
        """Run a child for each line, one after the other."""
        for line in self.lines(what):
            while (response := self.task(action, line=line)) and not (response["done"] or response["failed"]):
                self.pair.clock.pass_by(response["wait_seconds"])

    def lines(self, what: str) -> Sequence[Any]:
        body = self.pair.store.objects[f"jobs/stack/{self.job}/{what}.jsonl"]
        lines = [json.loads(line) for line in body.splitlines()]
        self.random.shuffle(lines)
        return lines

    def task(self, action: str, **members: Any) -> Mapping[str, Any] | None:
        """Invoke the worker until it responds; None if it was given up."""
        for _ in range(TRIES):
            try:
                return self.invoke(action, **members)
            except (TaskError, Killed):
                self.pair.clock.pass_by(2)
        return None

    def invoke(self, action: str, **members: Any) -> Mapping[str, Any]:
        """Invoke the worker once."""
        clock = self.pair.clock
        ends_at = clock.monotonic + self.timeout
        names = {"function": "replicator", "stack": "stack", "job": self.job, "attempt": f"{self.attempts}"}
        event = {"action": action, **names, **({"concurrency": self.concurrency} if action == "plan" else {})}
        self.task_under_way = action, members
        self.is_dead, self.ends_at = False, ends_at
        self.invocations += 1
        assert self.invocations < 5000, "it never ends"
        deadline = Deadline(lambda: ends_at - clock.monotonic, sleep=clock.pass_by)
        # As AWS Step Functions passes them on.
        payload = Payload.read(json.loads(json.dumps({**event, **members})))
        response = act(
            payload, lambda _: self.pair, deadline=deadline, note=lambda *texts: self.notes.extend(texts)
        )
        self.superseded += response.get("wait_seconds", 0) == SUPERSEDED_SECONDS
        return json.loads(json.dumps(response))  # type: ignore[no-any-return]

    def before_request(self) -> None:
        self.check_alive()
        self.pair.clock.pass_by(self.random.uniform(*self.trouble.seconds))
        self.go_wrong()

    def before_write(self) -> None:
        self.check_alive()
        if self.random.random() < self.trouble.lost:
            self.pair.store.fates.append(self.random.choice(FATES))
        if self.random.random() < 0.1:
            self.pair.store.land()
        self.go_wrong()

    def die(self) -> None:
        """Kill the worker."""
        self.is_dead = True
        raise Killed

    def check_alive(self) -> None:
        """End whatever a worker does while it is killed, or after its deadline."""
        if self.is_dead or self.pair.clock.monotonic > self.ends_at:
            self.is_dead = True
            raise Killed

    def go_wrong(self) -> None:
        is_left = self.invocations > self.leave_after
        self.is_dead = is_left or self.random.random() < self.trouble.kills
        self.check_alive()
        if self.depth < 2 and self.random.random() < self.trouble.doubles:
            self.depth += 1
            (action, members), ends_at = self.task_under_way, self.ends_at
            try:
                self.invoke(action, **members)
            except (TaskError, Killed):
                pass
            finally:
                self.task_under_way, self.ends_at = (action, members), ends_at
                self.is_dead = False
                self.depth -= 1
            self.check_alive()
