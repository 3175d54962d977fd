"""The bulk work takes every path of its definition with a worker that follows a script."""

import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from ddbreplica.jobs.payload import Payload
from tests.support.states import EndedError, Execution, FailedError, substituted

DONE: Final = {"done": True, "wait_seconds": 0, "failed": ""}
GO_ON: Final = {"done": False, "wait_seconds": 7, "failed": ""}
REFUSED: Final = {"done": False, "wait_seconds": 0, "failed": "segment 1 cannot be read"}
Script = dict[str, list[Any]]


@dataclass(slots=True)
class Worker:
    """A worker that follows a script: its responses or exceptions, by action and number of the line."""

    script: Script
    segments: int = 3
    pieces: int = 2
    objects: dict[str, str] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)
    report: str = ""

    def __call__(self, payload: dict[str, Any]) -> Any:
        self.calls.append(payload)
        action = payload["action"]
        line = payload.get("line", {})
        name = " ".join([action, *(str(number) for numbers in line.values() for number in numbers)])
        if self.script.get(name):
            step = self.script[name].pop(0)
            if isinstance(step, Exception):
                raise step
            return step
        standard: Callable[[dict[str, Any]], Any] = getattr(self, f"_{action}")
        return standard(payload)

    def _write(self, payload: dict[str, Any], name: str, count: int) -> None:
        lines = [json.dumps({name: [number]}) for number in range(count)]
        self.objects[f"jobs/{payload['stack']}/{payload['job']}/{name}.jsonl"] = "\n".join(lines)

    def _plan(self, payload: dict[str, Any]) -> Any:
        self._write(payload, "segments", self.segments)
        return {"skipped": False, "failed": ""}

    def _work(self, payload: dict[str, Any]) -> Any:
        return DONE

    def _gather(self, payload: dict[str, Any]) -> Any:
        if self.pieces:
            self._write(payload, "pieces", self.pieces)
        return {"pieces": self.pieces, "failed": ""}

    def _confirm(self, payload: dict[str, Any]) -> Any:
        return DONE

    def _report(self, payload: dict[str, Any]) -> Any:
        return {"failed": self.report}

    def _redrive(self, payload: dict[str, Any]) -> Any:
        return {"failed": ""}

    @property
    def actions(self) -> list[str]:
        """The actions that were called, with the numbers of their lines."""
        return [
            " ".join(
                [call["action"], *(str(n) for numbers in call.get("line", {}).values() for n in numbers)]
            )
            for call in self.calls
        ]


def execution(worker: Worker, name: str = "verify-1-2") -> Execution:
    return Execution(name, worker.objects, worker)


GIVEN: Final = {"what": "verify", "options": {"grace": 5}, "job": "verify-1"}
ALL: Final = ["plan", "work 0", "work 1", "work 2", "gather", "confirm 0", "confirm 1", "report"]


def run(worker: Worker, given: Any = GIVEN) -> Execution:
    started = execution(worker)
    started.run(substituted(), given)
    return started


def failed(worker: Worker, given: Any = GIVEN) -> tuple[str, str]:
    with pytest.raises(EndedError) as ended:
        run(worker, given)
    return ended.value.error, ended.value.cause


def test_all_segments_and_pieces_are_done_and_reported() -> None:
    worker = Worker({})
    assert run(worker).waited == 0
    assert worker.actions == ALL


def test_every_call_is_a_payload_that_the_worker_accepts() -> None:
    worker = Worker({})
    run(worker)
    assert [Payload.read(call).action for call in worker.calls] == [each.split()[0] for each in ALL]


def test_every_call_names_the_function_the_stack_the_job_and_the_attempt() -> None:
    worker = Worker({})
    run(worker)
    common = {"function": "replicator", "stack": "orders", "job": "verify-1", "attempt": "verify-1-2"}
    assert [call | common for call in worker.calls] == worker.calls


@pytest.mark.parametrize(
    ("given", "job", "scheduled"),
    [(GIVEN, "verify-1", False), ({"what": "verify", "options": {"grace": 5}}, "verify-1-2", True)],
    ids=["a command", "a schedule"],
)
def test_the_plan_gets_the_task_and_a_schedule_s_job_is_the_execution(
    given: Any, job: str, scheduled: bool
) -> None:
    worker = Worker({})
    run(worker, given)
    (plan, *_) = worker.calls
    assert plan == {
        "action": "plan",
        "function": "replicator",
        "stack": "orders",
        "job": job,
        "attempt": "verify-1-2",
        "what": "verify",
        "options": {"grace": 5},
        "scheduled": scheduled,
        "concurrency": 10,
        "max_units": 0,
    }
    assert {call["job"] for call in worker.calls} == {job}


def test_a_segment_and_a_piece_go_on_after_a_wait_until_they_are_done() -> None:
    worker = Worker({"work 1": [GO_ON, GO_ON], "confirm 0": [GO_ON]})
    assert run(worker).waited == 3 * 7
    assert Counter(worker.actions) == Counter(ALL) + Counter({"work 1": 2, "confirm 0": 1})


def test_after_a_failed_segment_all_others_are_done_and_the_report_fails_the_job() -> None:
    worker = Worker({"work 1": [REFUSED]}, report="segment 1 is not done: segment 1 cannot be read")
    assert failed(worker) == ("JobFailed", "segment 1 is not done: segment 1 cannot be read")
    assert worker.actions == ALL


def test_a_piece_that_fails_ends_no_other() -> None:
    worker = Worker({"confirm 0": [REFUSED]}, report="piece 0 is not done")
    assert failed(worker) == ("JobFailed", "piece 0 is not done")
    assert worker.actions == ALL


def test_a_segment_is_tried_five_times_and_then_all_others_are_done() -> None:
    worker = Worker({"work 1": [RuntimeError("out of memory")] * 9}, report="segment 1 is not done")
    assert failed(worker) == ("JobFailed", "segment 1 is not done")
    assert Counter(worker.actions) == Counter(ALL) + Counter({"work 1": 4})


@pytest.mark.parametrize("error", ["States.Timeout", "Sandbox.Timedout", "Lambda.TooManyRequestsException"])
def test_a_segment_goes_on_after_an_invocation_that_ended_without_a_response(error: str) -> None:
    worker = Worker({"work 1": [FailedError(error), FailedError(error), GO_ON]})
    run(worker)
    assert Counter(worker.actions) == Counter(ALL) + Counter({"work 1": 3})


def test_the_attempts_are_counted_in_each_round() -> None:
    broken = [RuntimeError("broken")] * 4
    worker = Worker({"work 1": [*broken, GO_ON, *broken]})
    run(worker)
    assert worker.actions.count("work 1") == 10


def test_a_lambda_that_has_no_concurrency_left_counts_as_no_attempt_of_the_segment() -> None:
    throttled = [FailedError("Lambda.TooManyRequestsException")] * 9
    worker = Worker({"work 1": [*throttled, *[RuntimeError("broken")] * 4]})
    run(worker)
    assert worker.actions.count("work 1") == 14


@pytest.mark.parametrize("response", [{}, {"done": False, "failed": ""}, {**GO_ON, "wait_seconds": 1.5}])
def test_a_child_that_ends_abnormally_ends_no_other(response: Any) -> None:
    worker = Worker({"work 1": [response]}, report="segment 1 is not done")
    assert failed(worker) == ("JobFailed", "segment 1 is not done")
    assert worker.actions == ALL


def test_a_plan_that_failed_starts_no_segment() -> None:
    worker = Worker({"plan": [{"skipped": False, "failed": "the table orders was recreated"}]})
    assert failed(worker) == ("JobFailed", "the table orders was recreated")
    assert worker.actions == ["plan"]


def test_a_job_that_is_skipped_succeeds_and_starts_no_segment() -> None:
    worker = Worker({"plan": [{"skipped": True, "failed": ""}]})
    run(worker)
    assert worker.actions == ["plan"]


@pytest.mark.parametrize("action", ["plan", "gather", "report"])
def test_an_exception_is_repeated_by_the_execution_after_five_attempts(action: str) -> None:
    worker = Worker({action: [RuntimeError("the bucket does not exist")] * 9})
    assert failed(worker) == ("RuntimeError", "the bucket does not exist")
    assert worker.actions.count(action) == 5
    assert worker.actions[-1] == action


def test_without_suspected_differences_nothing_is_confirmed() -> None:
    worker = Worker({}, pieces=0)
    run(worker)
    assert worker.actions == ["plan", "work 0", "work 1", "work 2", "gather", "report"]


def test_suspected_differences_that_cannot_be_gathered_fail_the_job() -> None:
    worker = Worker({"gather": [{"pieces": 0, "failed": "the state of segment 2 is damaged"}]})
    assert failed(worker) == ("JobFailed", "the state of segment 2 is damaged")
    assert worker.actions[-1] == "gather"


def test_a_redrive_is_one_call() -> None:
    worker = Worker({})
    run(worker, {"what": "redrive", "options": {}})
    assert worker.calls == [
        {
            "action": "redrive",
            "function": "replicator",
            "stack": "orders",
            "job": "verify-1-2",
            "attempt": "verify-1-2",
        }
    ]


def test_a_redrive_that_failed_fails_the_execution() -> None:
    worker = Worker({"redrive": [{"failed": "the clock is 400 seconds ahead"}]})
    assert failed(worker, {"what": "redrive", "options": {}}) == (
        "JobFailed",
        "the clock is 400 seconds ahead",
    )


def test_an_input_without_options_has_the_default_of_each() -> None:
    worker = Worker({})
    run(worker, {"what": "verify"})
    assert worker.actions == ALL
    assert worker.calls[0]["options"] == {}


@pytest.mark.parametrize("given", [{}, {"options": {}}, {"job": "verify-1"}])
def test_an_input_without_a_task_is_refused_by_the_worker(given: Any) -> None:
    worker = Worker({"plan": [{"skipped": False, "failed": "the payload has no task"}]})
    assert failed(worker, given) == ("JobFailed", "the payload has no task")
    assert (worker.actions, worker.calls[0]["what"]) == (["plan"], "")


def test_ten_thousand_children_return_less_than_the_limit() -> None:
    worker = Worker({}, segments=10_000, pieces=10_000)
    run(worker)
    assert len(worker.calls) == 20_003


def visited(script: Script, given: Any = GIVEN) -> set[str]:
    started = execution(Worker(script))
    with suppress(EndedError):
        started.run(substituted(), given)
    return set(started.visited)


def test_every_state_is_visited() -> None:
    went_on = visited({"work 0": [GO_ON], "confirm 0": [GO_ON]})
    did_not = visited({"work 0": [REFUSED], "confirm 0": [REFUSED], "report": [{"failed": "not done"}]})
    redrove = visited({}, {"what": "redrive", "options": {}})
    machine = substituted()["States"]
    inner = {name for state in machine.values() for name in state.get("ItemProcessor", {}).get("States", {})}
    by_hand = visited({}, {})
    assert went_on | did_not | redrove | by_hand == {*machine, *inner}
