"""The verification job that repairs: what it repairs and reports, what it waits for, and what it never calls equal."""

import json
from typing import Any

import pytest

from ddbreplica.errors import TaskError
from ddbreplica.jobs import plan
from ddbreplica.jobs.ending import YIELD_SECONDS
from ddbreplica.jobs.objects import JobObjects
from ddbreplica.jobs.plan import Plan
from ddbreplica.jobs.state.journal import has_open_keys
from ddbreplica.jobs.takeover import take_over
from ddbreplica.jobs.verify import piece
from ddbreplica.jobs.verify.piece import MOST_YIELDS
from ddbreplica.model import Write
from ddbreplica.verify import repair
from tests.support.fake_bucket import s3_error
from tests.support.scanned import ScannedTable, item
from tests.support.state_machine import FailedError, StateMachine, Trouble
from tests.support.written_pair import STREAM, WrittenPair
from tests.unit.jobs.test_backfill_job import HOLD, unanswered

ITEMS = 60
QUICK = Trouble(seconds=(0.0, 0.01))
REPAIR = {"repair": True, "limit": 100, "rounds": 1, "grace": 0}

Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def three_segments(monkeypatch: Patch) -> None:
    monkeypatch.setattr(plan, "ITEMS_OF_A_SEGMENT", 20)


def pair(**options: Any) -> WrittenPair:
    """Return two tables of 60 items, of which one is missing, one different and one extra."""
    source, replica = (ScannedTable({n: item(n) for n in range(ITEMS)}, range(100)) for _ in range(2))
    del replica.items[3]
    replica.items[5] = item(5, 9)
    replica.items[70] = item(70)
    return WrittenPair((source, replica), **options)


def machine_of(of: WrittenPair, **options: Any) -> StateMachine:
    return StateMachine(of, **{"trouble": QUICK, "options": REPAIR, **options})


def report_of(machine: StateMachine) -> Any:
    return json.loads(machine.pair.store.objects["jobs/stack/job-1/report.json"])


def outcomes(report: Any) -> dict[str, str]:
    return {each["key"]["PK"]["S"]: each.get("repair") for each in report["differences"]}


def until_confirm(machine: StateMachine) -> None:
    machine.invoke("plan", what="verify", options=REPAIR, scheduled=False, max_units=0)
    machine.invoke("work", line={"segments": [0, 1, 2]})
    assert machine.invoke("gather") == {"pieces": 1, "failed": ""}


def test_a_job_repairs_what_differs() -> None:
    of = pair()
    machine = machine_of(of, options={**REPAIR, "rate": 7})

    machine.execute()

    assert of.tables[1].items == of.tables[0].items
    report = report_of(machine)
    assert (report["verdict"], report["repaired"], report["in_doubt"]) == ("repaired", 3, 0)
    assert outcomes(report) == dict.fromkeys(("0003", "0005", "0070"), "repaired")
    assert not of.bucket.objects
    assert (report["attention"], report["left_open_until"]) == ([], None)
    planned = json.loads(of.store.objects["jobs/stack/job-1/plan.json"])
    assert (planned["write_rate"], planned["stream"]) == (7, None)


def test_without_repair_nothing_is_written() -> None:
    of = pair()
    machine = machine_of(of, options={"rounds": 1})

    machine.execute()

    assert report_of(machine)["verdict"] == "not equal"
    assert "attention" not in report_of(machine)
    assert of.writes == 0
    assert json.loads(of.store.objects["jobs/stack/job-1/plan.json"])["write_rate"] == 0


def test_a_repair_needs_a_mapping_unless_it_is_ignored(monkeypatch: Patch) -> None:
    of = pair()

    def refuse(stream: str | None) -> None:
        raise TaskError(f"no mapping of {stream}.", hint="deploy one.")

    monkeypatch.setattr(of, "refuse_unrepairable", refuse)
    with pytest.raises(FailedError, match="no mapping of"):
        machine_of(of).execute()

    machine_of(of, job="job-2", options={**REPAIR, "without_mapping": True}).execute()
    assert of.tables[1].items == of.tables[0].items


def test_a_repair_asks_about_the_sources_last_stream() -> None:
    of = pair(sizes={"StreamSpecification": {"StreamEnabled": False}})

    machine_of(of).execute()

    assert of.asked_for_stream == STREAM


def test_a_refused_item_stays_different() -> None:
    of = pair(poison=frozenset({3}))
    machine = machine_of(of)

    machine.execute()

    report = report_of(machine)
    assert (report["verdict"], report["repaired"], report["missing"]) == ("not equal", 2, 1)
    assert outcomes(report)["0003"] == "refused: ValidationException: type mismatch for an index key"
    assert report["in_doubt"] == 0


def test_without_values_the_message_of_a_refusal_is_not_kept() -> None:
    of = pair(poison=frozenset({3}))
    machine = machine_of(of, options={**REPAIR, "no_values": True})

    machine.execute()

    assert outcomes(report_of(machine))["0003"] == "refused: ValidationException"
    assert not any(b"type mismatch" in body for body in of.store.objects.values())


def test_a_piece_waits_for_in_doubt_writes_and_decides_then(monkeypatch: Patch) -> None:
    of = pair()
    machine = machine_of(of)
    until_confirm(machine)
    unanswered(of, monkeypatch, times=1)

    first = machine.invoke("confirm", line={"pieces": [0]})

    assert first == {"done": False, "wait_seconds": 600, "failed": ""}
    assert {each["error_code"] for each in of.bucket.kept} == {"SuspectWrite"}
    of.clock.pass_by(600)
    second = machine.invoke("confirm", line={"pieces": [0]})
    assert not second["done"]
    assert 0 < second["wait_seconds"] <= HOLD - 600
    of.clock.pass_by(second["wait_seconds"])
    assert machine.invoke("confirm", line={"pieces": [0]})["done"]
    assert machine.invoke("report") == {"failed": ""}
    assert of.tables[1].items == of.tables[0].items
    report = report_of(machine)
    assert (report["verdict"], report["in_doubt"]) == ("equal", 0)


def test_writes_that_stay_in_doubt_are_counted_and_nothing_is_called_equal(monkeypatch: Patch) -> None:
    monkeypatch.setattr(piece, "MOST_WAITS", 2)
    of = pair()
    machine = machine_of(of)
    unanswered(of, monkeypatch, times=-1)
    monkeypatch.setattr(of, "redrive", lambda: None)

    machine.execute()

    report = report_of(machine)
    assert (report["verdict"], report["repaired"], report["in_doubt"]) == ("not equal", 0, 3)
    assert set(outcomes(report).values()) == {"an in-doubt write may still change the replica"}
    (sentence,) = report["attention"]
    assert sentence == (
        f"in-doubt writes may still change 3 items of the replica until {report['left_open_until']}; their keys are"
        " put into the quarantine bucket after that time, and a redrive repairs them."
    )


@pytest.mark.parametrize("options", [REPAIR, {"rounds": 1}], ids=["repair", "confirm"])
def test_a_piece_begins_later_while_lambda_throttles_the_replicator(options: Any) -> None:
    of = pair()
    machine = machine_of(of, options=options)
    machine.invoke("plan", what="verify", options=options, scheduled=False, max_units=0)
    machine.invoke("work", line={"segments": [0, 1, 2]})
    machine.invoke("gather")
    of.throttled_function = True
    reads = of.tables[0].reads.copy()

    responses = [machine.invoke("confirm", line={"pieces": [0]}) for _ in range(MOST_YIELDS)]

    assert responses == [{"done": False, "wait_seconds": YIELD_SECONDS, "failed": ""}] * MOST_YIELDS
    assert of.tables[0].reads == reads
    assert machine.invoke("confirm", line={"pieces": [0]})["done"]


def test_a_repair_makes_room_for_the_replicator_and_reports_what_it_had_repaired(monkeypatch: Patch) -> None:
    monkeypatch.setattr(repair, "PIECE", 2)
    of = pair()
    for number in range(10, 30):
        del of.tables[1].items[number]
    machine = machine_of(of)
    until_confirm(machine)
    apply = of.apply

    def applied_while_throttled(write: Write) -> None:
        of.throttled_function = True
        of.clock.pass_by(YIELD_SECONDS)
        apply(write)

    monkeypatch.setattr(of, "apply", applied_while_throttled)

    response = machine.invoke("confirm", line={"pieces": [0]})

    assert response == {"done": False, "wait_seconds": YIELD_SECONDS, "failed": ""}
    assert len(of.unequal) == 23 - 2
    monkeypatch.setattr(of, "apply", apply)
    of.throttled_function = False
    machine.execute()
    assert report_of(machine)["repaired"] == 23


def test_keys_of_a_worker_that_was_killed_are_waited_for_and_reconciled() -> None:
    of = pair()
    machine = machine_of(of)
    until_confirm(machine)
    before, kill = machine.before_request, [True]

    def killed() -> None:
        before()
        if of.writes and kill:
            kill.clear()
            machine.is_dead = True
            machine.check_alive()

    of.before = killed
    while not (response := machine.task("confirm", line={"pieces": [0]}) or {})["done"]:
        assert not response["failed"]
        of.clock.pass_by(response["wait_seconds"])
    machine.invoke("report")

    assert of.tables[1].items == of.tables[0].items
    assert (report_of(machine)["verdict"], report_of(machine)["in_doubt"]) == ("equal", 0)
    assert not kill


def test_a_repair_that_fails_is_named_with_the_reason_and_resumes(monkeypatch: Patch) -> None:
    of = pair()
    machine = machine_of(of)

    def refuse(_keys: object, **_: object) -> Any:
        raise TaskError("the table is throttled.", hint="wait.")

    with monkeypatch.context() as refusing:
        refusing.setattr(of.tables[1], "get", refuse)
        with pytest.raises(FailedError, match=r"were not confirmed, of pieces: 0 \(the table is throttled\)"):
            machine.execute()

    machine.execute()
    assert report_of(machine)["verdict"] == "repaired"


def test_a_key_that_cannot_be_quarantined_stays_in_the_state(monkeypatch: Patch) -> None:
    of = pair()
    machine = machine_of(of)
    until_confirm(machine)
    unanswered(of, monkeypatch, times=1)
    denied = s3_error("AccessDenied")

    def deny() -> None:
        raise denied

    with monkeypatch.context() as denying:
        denying.setattr(of, "before_put", deny)
        with pytest.raises(TaskError, match="cannot be quarantined"):
            machine.invoke("confirm", line={"pieces": [0]})

    assert not of.bucket.objects
    plan_of = Plan.read(of.store.objects["jobs/stack/job-1/plan.json"])
    state = of.store.objects["jobs/stack/job-1/states/piece-00000.json"]
    assert has_open_keys(json.loads(state)["content"])
    of.clock.pass_by(HOLD)
    of.store.before_write = lambda: None  # the worker has ended
    kept: list[Any] = []
    left = take_over(machine_objects(machine), plan_of, clock=of.clock, quarantine=kept.extend)
    assert (left.keys, len(kept)) == (0, 3)


def machine_objects(machine: StateMachine) -> JobObjects:
    return JobObjects(machine.pair.store, "stack", machine.job)


@pytest.mark.parametrize(("action", "line"), [("work", {"segments": [0]}), ("confirm", {"pieces": [0]})])
def test_a_worker_that_finds_its_part_done_meanwhile_has_nothing_to_do(
    action: str, line: Any, monkeypatch: Patch
) -> None:
    of = pair()
    machine = machine_of(of)
    machine.invoke("plan", what="verify", options=REPAIR, scheduled=False, max_units=0)
    if action == "confirm":
        machine.invoke("work", line={"segments": [0, 1, 2]})
        machine.invoke("gather")
    describe, again = of.describe, [True]

    def done_by_another() -> Any:
        if again and again.pop():
            assert machine.invoke(action, line=line)["done"]
        return describe()

    monkeypatch.setattr(of, "describe", done_by_another)

    assert machine.invoke(action, line=line) == {"done": True, "wait_seconds": 0, "failed": ""}
    assert not again
