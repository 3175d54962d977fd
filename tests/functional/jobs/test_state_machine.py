"""The definition of the state machine and the worker fit together, on tables in memory."""

import json
from typing import Any, cast

import pytest

from ddbreplica.deadline import Deadline
from ddbreplica.jobs import plan
from ddbreplica.jobs.actions import act
from ddbreplica.jobs.payload import Payload
from ddbreplica.jobs.state.skipped import Skipped, last_skipped
from ddbreplica.mapping.key_filter import EVERY_KEY
from ddbreplica.mapping.preflight import Preflight
from tests.support.job_pair import MemoryPair
from tests.support.redrive_pair import RedrivePair
from tests.support.scanned import ScannedTable, item
from tests.support.states import EndedError, Execution, substituted

SCHEDULED: dict[str, Any] = {"what": "verify", "options": {}}


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> MemoryPair:
    """Two tables of three segments, with one item that is different."""
    monkeypatch.setattr(plan, "ITEMS_OF_A_SEGMENT", 20)
    source, replica = (ScannedTable({n: item(n) for n in range(60)}, range(60)) for _ in range(2))
    replica.items[5] = item(5, 9)
    return MemoryPair((source, replica))


def execute(
    pair: MemoryPair, given: Any, *, name: str = "verify-1.1", timeout: float = 900, **values: int
) -> Execution:
    """Run an execution whose invocations have so many seconds. Raises EndedError if it fails."""

    def invoke(payload: Any) -> Any:
        ends_at = pair.clock.monotonic + timeout
        deadline = Deadline(lambda: ends_at - pair.clock.monotonic, sleep=pair.clock.pass_by)
        return act(Payload.read(payload), lambda _: pair, deadline=deadline, note=lambda *_: None)

    started = Execution(name, cast("Any", pair.store.objects), invoke)
    started.run(substituted(**values), given)
    return started


def report(pair: MemoryPair, job: str) -> Any:
    return json.loads(pair.store.objects[f"jobs/orders/{job}/report.json"])


def test_a_schedule_verifies(pair: MemoryPair) -> None:
    execute(pair, SCHEDULED)

    found = report(pair, "verify-1.1")
    assert (found["verdict"], found["different"], found["source_items"]) == ("not equal", 1, 60)


@pytest.mark.parametrize("job", [{}, {"job": "verify-1.1"}], ids=["without a job", "with a job"])
def test_an_execution_that_is_started_by_hand_without_options_has_their_defaults(
    job: dict[str, str], pair: MemoryPair
) -> None:
    execute(pair, {"what": "verify", **job})

    assert report(pair, "verify-1.1")["verdict"] == "not equal"


def test_an_execution_that_does_not_say_what_to_do_fails_at_once(pair: MemoryPair) -> None:
    with pytest.raises(EndedError) as failed:
        execute(pair, {})

    assert failed.value.cause == "'' is no kind of job."


def test_invocations_that_are_short_go_on_where_the_last_one_ended(pair: MemoryPair) -> None:
    pair.before = lambda: pair.clock.pass_by(0.5)

    started = execute(pair, SCHEDULED, timeout=100)

    assert report(pair, "verify-1.1")["different"] == 1
    assert started.waited == 0


def test_equal_tables_need_no_pieces(pair: MemoryPair) -> None:
    pair.tables[1].items[5] = item(5)

    execute(pair, SCHEDULED)

    assert report(pair, "verify-1.1")["verdict"] == "equal"


def test_a_job_that_failed_is_resumed_by_its_name(pair: MemoryPair) -> None:
    scan = pair.tables[1].scan_page

    def broken(segment: int, **how: Any) -> Any:
        if segment == 1:
            raise RuntimeError("broken")
        return scan(segment, **how)

    pair.tables[1].scan_page = broken  # type: ignore[method-assign]
    with pytest.raises(EndedError) as failed:
        execute(pair, {**SCHEDULED, "job": "verify-1"})
    assert (failed.value.error, failed.value.cause) == ("JobFailed", "segments were not compared: 1.")

    pair.tables[1].scan_page = scan  # type: ignore[method-assign]
    execute(pair, {**SCHEDULED, "job": "verify-1"}, name="verify-1.2")

    assert report(pair, "verify-1")["different"] == 1


def test_a_schedule_that_finds_another_job_succeeds_and_does_nothing(pair: MemoryPair) -> None:
    pair.store.create(
        "jobs/orders/lease.json", json.dumps({"job": "other", "until": pair.clock.aws + 1000}).encode()
    )

    execute(pair, SCHEDULED)

    assert [*pair.store.objects] == ["jobs/orders/lease.json", "jobs/orders/skipped.json"]
    skipped = last_skipped(pair.store, "orders")
    assert skipped == Skipped("verify-1.1", "other", pair.clock.moment)
    execute(pair, SCHEDULED, name="verify-2")
    assert last_skipped(pair.store, "orders") == Skipped("verify-2", "other", pair.clock.moment)


def test_a_command_that_finds_another_job_fails(pair: MemoryPair) -> None:
    pair.store.create(
        "jobs/orders/lease.json", json.dumps({"job": "other", "until": pair.clock.aws + 1000}).encode()
    )

    with pytest.raises(EndedError) as failed:
        execute(pair, {**SCHEDULED, "job": "verify-1"})

    assert failed.value.cause == "the job other of the stack orders runs."


def test_a_job_that_takes_too_much_fails(pair: MemoryPair) -> None:
    with pytest.raises(EndedError) as failed:
        execute(pair, SCHEDULED, MaxVerificationUnits=1)

    assert "MaxVerificationUnits is 1" in failed.value.cause


def test_a_schedule_redrives() -> None:
    pair = RedrivePair("a")
    pair.doubt("a")

    started = execute(pair, {"what": "redrive", "options": {}}, name="redrive-1")

    assert pair.world.replica.items == pair.world.source.items
    assert started.visited[-3:] == ["Redrive", "HasSucceeded", "Succeeded"]


def test_a_redrive_that_cannot_be_done_fails() -> None:
    pair = RedrivePair()
    pair.world.ground = Preflight(None, EVERY_KEY, is_archive=False)

    with pytest.raises(EndedError, match="no event source mapping"):
        execute(pair, {"what": "redrive", "options": {}}, name="redrive-1")
