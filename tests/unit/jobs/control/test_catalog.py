"""catalog: a command resumes the newest job that does the same on the same pair, and no other."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ddbreplica.jobs.control.catalog import RESUMED_WITHIN, PlannedJob, Wanted, resumable
from ddbreplica.jobs.plan import Conditions, Plan

NOW = datetime(2026, 11, 29, 21, tzinfo=UTC)
PAIR = {"source": "orders of 2026", "replica": "orders_copy of 2026"}
OPTIONS: Mapping[str, Any] = {"grace": None, "read_rate": 5}
NOW_TRUE = Conditions(
    PAIR, ("pattern",), is_archive=False, stream="stream", transform=None, function_updated=None
)
WANTED = Wanted("verify", "replicator", OPTIONS, NOW_TRUE)


def job(name: str = "job", *, hours: float = 1, **changes: Any) -> PlannedJob:
    plan = Plan(
        what="verify",
        function="replicator",
        began=(NOW - timedelta(hours=hours)).isoformat(),
        options=OPTIONS,
        pair=PAIR,
        patterns=["pattern"],
        is_archive=False,
        segments=1,
        lines=1,
        workers=1,
        read_rates=[5.0, 5.0],
        write_rate=0.0,
        stream=None,
        transform=None,
        function_updated=None,
        estimate={},
    )
    return PlannedJob(name, replace(plan, **changes))


def found(*jobs: PlannedJob, ended: str = "") -> str | None:
    one = resumable(jobs, WANTED, now=NOW, is_ended=lambda name: name == ended)
    return one.job if one else None


def test_the_newest_job_is_resumed() -> None:
    assert found(job("new"), job("old", hours=2)) == "new"


def test_a_job_that_has_ended_is_not_resumed() -> None:
    assert found(job("new"), job("old", hours=2), ended="new") == "old"
    assert found(job("new"), ended="new") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"what": "backfill"},
        {"function": "other"},
        {"options": {**OPTIONS, "read_rate": 6}},
        {"pair": {**PAIR, "source": "orders of 2025"}},
        {"pair": {**PAIR, "replica": "orders_copy of 2025"}},
        {"patterns": []},
        {"is_archive": True},
        {"stream": "earlier"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_job_that_does_anything_else_is_not_resumed(changes: Any) -> None:
    assert found(job(**changes)) is None
    assert found(job(**changes), job("old", hours=2)) == "old"


def test_a_job_whose_plan_may_expire_is_not_resumed() -> None:
    limit = RESUMED_WITHIN / timedelta(hours=1)

    assert found(job(hours=limit - 1)) == "job"
    assert found(job(hours=limit)) is None
