"""The figures for workers in docs/costs.md and docs/large-tables.md follow from the formula and the code."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from benchmarks import jobs
from benchmarks.cost import FULL_CORE_MB
from tests.support.modules import ROOT
from tests.support.redrive_pair import RedrivePair
from tests.support.states import Execution, substituted
from tests.support.template import properties

COSTS = (ROOT / "docs" / "costs.md").read_text()
LARGE_TABLES = (ROOT / "docs" / "large-tables.md").read_text()
BILLION = 10**9


def rows(page: str, first: str) -> list[str]:
    """Return the rows of the table whose first line begins so."""
    lines = page.partition(f"\n{first}")[2].split("\n")[2:]
    return lines[: next(number for number, line in enumerate(lines) if not line.startswith("|"))]


def test_the_pages_have_the_figures_of_the_formula() -> None:
    assert rows(COSTS, "| items | reads | read units |") == list(jobs.cost_rows())
    assert rows(LARGE_TABLES, "| items | reads | 10 workers |") == list(jobs.time_rows())


def test_the_page_has_what_an_idle_month_costs() -> None:
    month = jobs.idle_month()
    section = COSTS.partition("\n## Workers\n")[2].partition("\n## ")[0]
    assert f"costs ${sum(month.values()):.2f} a month more" in " ".join(section.split())
    assert [row.split(" | ")[1].removesuffix(" |") for row in rows(section, "| part | per month |")] == [
        f"${part:.2f}" for part in month.values()
    ]


@pytest.mark.parametrize(
    ("consistent", "minutes", "dollars"), [(False, 60, 50), (True, 110, 100)], ids=["eventually", "strongly"]
)
def test_two_billion_items_are_verified_within_the_goals(
    consistent: bool, minutes: float, dollars: float
) -> None:
    job = jobs.Verification(2 * BILLION, 500, workers=200, consistent=consistent)
    assert job.seconds <= minutes * 60
    assert job.dollars <= dollars


def test_more_workers_are_faster_up_to_the_quota_of_the_tables() -> None:
    times = [
        jobs.Verification(2 * BILLION, 500, workers, consistent=True).seconds for workers in (10, 100, 1_000)
    ]
    assert (
        times[0]
        > times[1]
        == times[2]
        == jobs.Verification(2 * BILLION, 500, 500, True).read_units / 2 / (jobs.QUOTA)
    )


def test_the_worker_has_the_memory_and_the_timeout_of_the_formula() -> None:
    worker = properties("WorkerFunction", Workers="true")
    assert (worker["MemorySize"], worker["Timeout"]) == (FULL_CORE_MB, jobs.TIMEOUT)
    assert properties("RedriveSchedule", Workers="true")["ScheduleExpression"] == "rate(5 minutes)"


@dataclass(slots=True)
class Worker:
    """Responds as the worker; each segment takes so many invocations."""

    rounds: int
    invocations: Counter[int] = field(default_factory=Counter)

    def __call__(self, given: Any) -> dict[str, Any]:
        if given["action"] != "work":
            return {"skipped": False, "pieces": 0, "failed": ""}
        (segment,) = given["line"]["segments"]
        self.invocations[segment] += 1
        return {"done": self.invocations[segment] == self.rounds, "wait_seconds": 0, "failed": ""}


@pytest.mark.parametrize("rounds", [1, 3])
def test_the_transitions_are_those_of_the_state_machine(rounds: int) -> None:
    segments = 4
    lines = "".join(f'{{"segments": [{number}]}}\n' for number in range(segments))
    name = "jobs/orders/1/segments.jsonl"
    execution = Execution("1", {name: lines}, Worker(rounds))

    execution.run(substituted(), {"what": "verify", "options": {}})

    assert len(execution.visited) == jobs.TRANSITIONS_OF_A_VERIFICATION + (
        jobs.TRANSITIONS_OF_AN_INVOCATION * segments * rounds
    )


def test_the_transitions_of_a_redrive_are_those_of_the_state_machine() -> None:
    execution = Execution("1", {}, Worker(1))

    execution.run(substituted(), {"what": "redrive", "options": {}})

    assert len(execution.visited) == jobs.TRANSITIONS_OF_A_REDRIVE


def test_the_requests_of_an_idle_redrive_are_those_of_the_formula() -> None:
    pair = RedrivePair()
    pair.redrive()
    pair.store.writes = 0
    pair.s3.requests.clear()
    pair.clock.pass_by(300)

    pair.redrive()

    assert {operation for operation, _ in pair.s3.requests} == {"list"}
    assert pair.store.writes + len(pair.s3.requests) == jobs.REQUESTS_OF_A_REDRIVE
