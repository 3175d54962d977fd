"""The verification job: what it plans and writes, what ends it, and what it never calls equal."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from ddbreplica.aws.request import Unknown
from ddbreplica.bucket.verification_record import read
from ddbreplica.errors import TaskError
from ddbreplica.jobs import plan
from ddbreplica.jobs.ending import YIELD_SECONDS
from ddbreplica.jobs.verify import gather, piece, segment
from ddbreplica.jobs.verify.report import metrics_of
from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.verify import options
from ddbreplica.verify.confirm import plan as watching
from ddbreplica.verify.difference import Difference, DifferenceKind, Swept
from ddbreplica.verify.result.findings import Findings
from ddbreplica.verify.result.verdict import Verified
from tests.support.job_pair import ARN, CREATED, MemoryPair, SilentStream
from tests.support.memory_store import Fate
from tests.support.scanned import ScannedTable, item
from tests.support.state_machine import TRIES, FailedError, Killed, StateMachine, Trouble

ITEMS = 60
QUICK = Trouble(seconds=(0.0, 0.01))

Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def three_segments(monkeypatch: Patch) -> None:
    monkeypatch.setattr(plan, "ITEMS_OF_A_SEGMENT", 20)


def pair(**options: Any) -> MemoryPair:
    """Return two tables of 60 items, of which one is missing, one different and one extra."""
    source, replica = (ScannedTable({n: item(n) for n in range(ITEMS)}, range(100)) for _ in range(2))
    del replica.items[3]
    replica.items[5] = item(5, 9)
    replica.items[70] = item(70)
    return MemoryPair((source, replica), **options)


def equal() -> MemoryPair:
    source, replica = (ScannedTable({n: item(n) for n in range(ITEMS)}, range(100)) for _ in range(2))
    return MemoryPair((source, replica))


def machine_of(of: MemoryPair, **options: Any) -> StateMachine:
    return StateMachine(of, **{"trouble": QUICK, **options})


def object_of(machine: StateMachine, name: str) -> Any:
    return json.loads(machine.pair.store.objects[f"jobs/stack/job-1/{name}"])


def failure(machine: StateMachine) -> str:
    with pytest.raises(FailedError) as failed:
        machine.execute()
    return str(failed.value)


def test_a_job_finds_what_differs_and_records_it() -> None:
    machine = machine_of(pair())

    machine.execute()

    found = object_of(machine, "report.json")
    assert found["verdict"] == "not equal"
    assert (found["missing"], found["different"], found["extra"], found["inconclusive"]) == (1, 1, 1, 0)
    assert (found["source"], found["replica"], found["looked_at"]) == ("orders", "orders_copy", "everything")
    assert (found["source_items"], found["replica_items"], found["confirmed_by"]) == (60, 60, "stream")
    (name,) = (name for name in machine.pair.store.objects if name.startswith("verifications/"))
    record = read(machine.pair.store.objects[name], name=name, stored_at=CREATED + timedelta(days=3650))
    assert (
        record.began.isoformat(timespec="microseconds")
        == object_of(machine, "plan.json")["began"]
        == found["began"]
    )
    assert (record.verdict, record.segments, record.source.arn) == ("not equal", 3, f"{ARN}orders")
    assert record.differences == {"missing": 1, "different": 1, "extra": 1, "inconclusive": 0}


def test_a_job_of_equal_tables_gathers_nothing() -> None:
    machine = machine_of(equal())

    machine.execute()

    assert object_of(machine, "report.json")["verdict"] == "equal"
    assert object_of(machine, "suspects.json") == {"all": True, "pieces": [], "sizes": []}
    assert machine.invocations == 1 + 3 + 1 + 1


def emitted(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return the values of the metrics by their names."""
    (line,) = (json.loads(each) for each in capsys.readouterr().out.splitlines() if "_aws" in each)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    return {each["Name"]: line[each["Name"]][0] for each in directive["Metrics"]}


def test_the_report_emits_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    machine_of(pair()).execute()

    assert emitted(capsys) == {
        "ItemsCompared": 120,
        "ItemsUnequal": 3,
        "ReplicaUnequal": 1,
        "VerificationCompleted": 1,
    }


def test_equal_tables_are_emitted_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    machine_of(equal()).execute()

    assert emitted(capsys) == {
        "ItemsCompared": 120,
        "ItemsUnequal": 0,
        "ReplicaUnequal": 0,
        "VerificationCompleted": 1,
    }


@pytest.mark.parametrize(
    ("kind", "stopped_early", "emitted"),
    [
        (DifferenceKind.INCONCLUSIVE, False, {}),
        (DifferenceKind.ARCHIVED, True, {}),
        (DifferenceKind.MOVING, False, {"ReplicaUnequal": 0, "VerificationCompleted": 1}),
        (DifferenceKind.EXTRA, True, {"ReplicaUnequal": 1}),
    ],
)
def test_a_verdict_is_emitted_only_if_it_is_known(
    kind: DifferenceKind, stopped_early: bool, emitted: Mapping[str, int]
) -> None:
    """An inconclusive verification is no verification, and one that stopped early is not complete."""
    findings = Findings(keep=1)
    findings.add(Difference(kind, (("PK", "S", "a"),)))
    result = Verified(
        "orders",
        "copy",
        "everything",
        Swept(source_items=2, replica_items=1),
        findings,
        is_repair=False,
        seconds=1.0,
        began=str(CREATED),
        stopped_early=stopped_early,
    )

    assert metrics_of(result) == {
        "ItemsCompared": 3,
        "ItemsUnequal": int(kind is DifferenceKind.EXTRA),
        **emitted,
    }


def test_the_plan_has_what_all_workers_need() -> None:
    machine = machine_of(pair(), options={"read_rate": 8}, concurrency=2)

    machine.execute()

    planned = object_of(machine, "plan.json")
    assert (planned["segments"], planned["lines"], planned["workers"]) == (3, 3, 2)
    assert planned["read_rates"] == [8, 8]
    assert planned["pair"]["source"] == f"{ARN}orders of 2026-01-01 00:00:00+00:00"
    assert planned["options"]["read_rate"] == 8
    assert planned["options"]["rounds"] == 3
    assert planned["estimate"]["items"] == 120
    lines = machine.pair.store.objects["jobs/stack/job-1/segments.jsonl"].splitlines()
    assert [json.loads(line) for line in lines] == [{"segments": [0]}, {"segments": [1]}, {"segments": [2]}]


def test_with_little_concurrency_a_line_has_several_segments() -> None:
    machine = machine_of(pair(unreserved=5))

    machine.execute()

    lines = machine.pair.store.objects["jobs/stack/job-1/segments.jsonl"].splitlines()
    assert [json.loads(line) for line in lines] == [{"segments": [0, 2]}, {"segments": [1]}]
    assert object_of(machine, "report.json")["missing"] == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sample": 0.5}, "no option 'sample'"),
        ({"keys_from": "f"}, "no option 'keys_from'"),
        ({"repair": 1}, "the option repair of the verification is 1"),
        ({"rate": 0}, "the option rate of the verification is 0"),
        ({"rounds": 0}, "the option rounds of the verification is 0"),
        ({"rounds": True}, "the option rounds of the verification is True"),
        ({"grace": -1}, "grace"),
        ({"grace": "5"}, "grace"),
        ({"read_rate": 0}, "read_rate"),
        ({"limit": 1.5}, "limit"),
        ({"limit": 101}, "limit"),
        ({"archive": 1}, "archive"),
        ({"no_values": None}, "no_values"),
    ],
)
def test_an_option_that_a_job_does_not_have_is_refused(options: Any, said: str) -> None:
    machine = machine_of(pair(), options=options)

    assert said in failure(machine)
    assert [*machine.pair.store.objects] == []


def plan_payload(**changes: Any) -> dict[str, Any]:
    return {"what": "verify", "options": {}, "scheduled": True, "max_units": 0, **changes}


def test_work_of_an_unknown_kind_is_refused() -> None:
    response = machine_of(pair()).invoke("plan", **plan_payload(what="erase"))

    assert response["failed"] == "'erase' is no kind of job."


@pytest.mark.parametrize(
    ("scheduled", "most", "is_refused"),
    [(True, 3, True), (True, 4, False), (True, 0, False), (False, 3, False)],
)
def test_a_scheduled_job_that_takes_too_much_is_refused(scheduled: bool, most: int, is_refused: bool) -> None:
    machine = machine_of(pair())

    response = machine.invoke("plan", **plan_payload(scheduled=scheduled, max_units=most))

    said = "the scheduled verification would take 4 read capacity units, and MaxVerificationUnits is 3."
    assert response["failed"] == (said if is_refused else "")
    assert ("jobs/stack/job-1/plan.json" in machine.pair.store.objects) is not is_refused


def test_whoever_finds_a_plan_goes_on_with_it() -> None:
    machine = machine_of(pair())
    assert machine.invoke("plan", **plan_payload())["failed"] == ""
    first = machine.pair.store.objects["jobs/stack/job-1/plan.json"]
    machine.pair.clock.pass_by(60)
    machine.pair.tables[0].items |= {number: item(number) for number in range(100)}

    assert machine.invoke("plan", **plan_payload(options={"limit": 3}))["failed"] == ""

    assert machine.pair.store.objects["jobs/stack/job-1/plan.json"] == first
    assert "a verify of the function" in machine.invoke("plan", **plan_payload(what="backfill"))["failed"]


def other(of: StateMachine) -> StateMachine:
    """Return the state machine of another job of the same stack."""
    return machine_of(of.pair, job="job-2")


def test_a_job_does_not_start_while_another_one_runs() -> None:
    machine = machine_of(pair())
    machine.invoke("plan", **plan_payload())

    response = other(machine).invoke("plan", **plan_payload(scheduled=False))

    assert response == {"skipped": False, "failed": "the job job-1 of the stack stack runs."}
    assert not [name for name in machine.pair.store.objects if "job-2" in name]
    assert machine.invoke("plan", **plan_payload(scheduled=False)) == {"skipped": False, "failed": ""}


def test_a_scheduled_job_is_skipped_while_another_one_runs() -> None:
    machine = machine_of(pair())
    machine.invoke("plan", **plan_payload())

    assert other(machine).invoke("plan", **plan_payload()) == {"skipped": True, "failed": ""}
    assert not [name for name in machine.pair.store.objects if "job-2" in name]


@pytest.mark.parametrize("wrong", [{"what": "erase"}, {"options": {"colour": 1}}])
def test_a_scheduled_job_that_is_not_valid_fails_also_while_another_one_runs(wrong: Any) -> None:
    machine = machine_of(pair())
    machine.invoke("plan", **plan_payload())

    response = other(machine).invoke("plan", **{**plan_payload(), **wrong})

    assert response["failed"]
    assert not response["skipped"]


def test_a_job_that_has_ended_makes_room_for_the_next() -> None:
    machine = machine_of(pair())
    machine.execute()

    assert other(machine).invoke("plan", **plan_payload()) == {"skipped": False, "failed": ""}


@pytest.mark.parametrize("ended", ["plan", "gather", "report"])
def test_a_job_that_fails_makes_room_for_the_next(ended: str) -> None:
    machine = machine_of(pair())
    machine.invoke("plan", **plan_payload())
    members = plan_payload(what="backfill") if ended == "plan" else {}

    assert machine.invoke(ended, **members)["failed"]

    assert other(machine).invoke("plan", **plan_payload()) == {"skipped": False, "failed": ""}


@pytest.mark.parametrize("action", ["gather", "report"])
def test_a_refusal_of_the_bucket_is_raised_so_that_the_state_machine_tries_again(
    action: str, monkeypatch: Patch
) -> None:
    machine = machine_of(pair())
    machine.invoke("plan", **plan_payload())
    machine.invoke("work", line={"segments": [0, 1, 2]})

    def refuse(_name: str) -> None:
        raise TaskError("the objects cannot be read: SlowDown.", hint="try again.")

    with monkeypatch.context() as refusing:
        refusing.setattr(machine.pair.store, "read", refuse)
        with pytest.raises(TaskError, match="SlowDown"):
            machine.invoke(action)

    assert machine.invoke("gather") == {"pieces": 1, "failed": ""}
    assert other(machine).invoke("plan", **plan_payload())["skipped"]


@pytest.mark.parametrize(("action", "line"), [("work", {"segments": [0]}), ("confirm", {"pieces": [0]})])
def test_a_worker_renews_the_lease(action: str, line: Any) -> None:
    machine = machine_of(pair())
    machine.invoke("plan", **plan_payload())
    machine.invoke("work", line={"segments": [0, 1, 2]})
    machine.invoke("gather")

    for _ in range(3):
        machine.pair.clock.pass_by(1500)
        machine.invoke(action, line=line)

    assert other(machine).invoke("plan", **plan_payload())["skipped"]
    machine.pair.clock.pass_by(1801)
    assert not other(machine).invoke("plan", **plan_payload())["skipped"]


def test_segments_that_are_not_those_of_the_plan_are_refused() -> None:
    machine = machine_of(pair())
    machine.pair.store.objects["jobs/stack/job-1/segments.jsonl"] = b'{"segments": [0]}\n'

    assert "segments.jsonl does not have the segments of the plan" in failure(machine)


@pytest.mark.parametrize("action", ["work", "gather", "confirm", "report"])
def test_a_job_without_a_plan_does_not_exist(action: str) -> None:
    line = {"work": {"line": {"segments": [0]}}, "confirm": {"line": {"pieces": [0]}}}.get(action, {})

    response = machine_of(pair()).invoke(action, **line)

    assert "the job job-1 does not exist" in response["failed"]


def test_a_plan_that_is_damaged_ends_the_job() -> None:
    machine = machine_of(pair())
    machine.pair.store.objects["jobs/stack/job-1/plan.json"] = b"{}"

    assert "damaged" in machine.invoke("work", line={"segments": [0]})["failed"]


def test_a_segment_that_fails_again_and_again_is_named_after_all_others_are_done() -> None:
    of = pair()
    machine = machine_of(of)
    scan = of.tables[1].scan_page

    def refuse(number: int, **how: Any) -> Any:
        if number == 1:
            raise TaskError("the table is throttled.", hint="wait.")
        return scan(number, **how)

    of.tables[1].scan_page = refuse  # type: ignore[assignment,method-assign]

    assert failure(machine) == "segments were not compared: 1 (the table is throttled)."
    assert machine.invocations == 1 + TRIES + 2 + 1
    of.tables[1].scan_page = scan  # type: ignore[method-assign]
    before = of.tables[0].reads.copy()
    machine.execute()
    assert object_of(machine, "report.json")["verdict"] == "not equal"
    assert of.tables[0].reads[len(before) :].count("scan") < before.count("scan")


def test_a_segment_that_was_never_begun_is_named() -> None:
    machine = machine_of(pair())
    machine.invoke("plan", **plan_payload())
    machine.invoke("work", line={"segments": [1]})

    response = machine.invoke("gather")

    assert response == {"pieces": 0, "failed": "segments were not compared: 0, 2."}
    assert "jobs/stack/job-1/suspects.json" not in machine.pair.store.objects
    assert machine.invoke("report")["failed"] == "segments were not compared: 0, 2."


def test_of_many_segments_that_are_not_done_ten_are_named(monkeypatch: Patch) -> None:
    monkeypatch.setattr(plan, "ITEMS_OF_A_SEGMENT", 1)
    machine = machine_of(pair())
    machine.invoke("plan", **plan_payload())

    assert machine.invoke("gather")["failed"].endswith("compared: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 50 more.")


def test_a_piece_that_is_not_done_is_named() -> None:
    machine = machine_of(pair())
    machine.invoke("plan", **plan_payload())
    machine.invoke("work", line={"segments": [0, 1, 2]})

    assert machine.invoke("report")["failed"] == "the suspected differences were not gathered."
    assert (
        machine.invoke("confirm", line={"pieces": [0]})["failed"]
        == "the suspected differences were not gathered."
    )
    assert machine.invoke("gather") == {"pieces": 1, "failed": ""}
    assert machine.invoke("report")["failed"] == "suspected differences were not confirmed, of pieces: 0."
    assert "jobs/stack/job-1/report.json" not in machine.pair.store.objects


@pytest.mark.parametrize(("action", "what"), [("work", "segment"), ("confirm", "piece")])
def test_a_number_that_the_plan_does_not_have_is_an_error(action: str, what: str) -> None:
    machine = machine_of(pair())
    machine.execute()

    with pytest.raises(TaskError, match=f"no {what} 3"):
        machine.invoke(action, line={f"{what}s": [3]})


def recreated(of: MemoryPair) -> None:
    of.created += timedelta(days=1)


def filtered(of: MemoryPair) -> None:
    of.key_filter = KeyFilter.of(['{"dynamodb": {"Keys": {"PK": {"S": ["0001"]}}}}'])


def archived(of: MemoryPair) -> None:
    of.is_archive = True


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (recreated, "was recreated"),
        (filtered, "the filter of the event source mapping changed"),
        (archived, "the replica was changed into an archive"),
    ],
)
@pytest.mark.parametrize("done", range(4))
def test_what_changes_before_the_report_ends_the_job(
    change: Callable[[MemoryPair], None], said: str, done: int
) -> None:
    machine = machine_of(pair())
    steps: list[tuple[str, Any]] = [
        ("plan", plan_payload()),
        ("work", {"line": {"segments": [0, 1, 2]}}),
        ("gather", {}),
        ("confirm", {"line": {"pieces": [0]}}),
        ("report", {}),
    ]
    for action, members in steps[: done + 1]:
        assert machine.invoke(action, **members)["failed"] == ""

    change(machine.pair)
    action, members = steps[done + 1]
    response = machine.invoke(action, **members)

    if action == "gather":  # it looks at no table
        assert response["failed"] == ""
    else:
        assert said in response["failed"]
    assert said in machine.invoke("plan", **plan_payload())["failed"]


def test_a_stopped_attempt_ends_and_a_later_one_resumes() -> None:
    machine = machine_of(pair(), trouble=Trouble(seconds=(3.0, 4.0)))
    machine.attempts = 1
    machine.invoke("plan", **plan_payload())
    machine.pair.store.create("jobs/stack/job-1/stop-1", b"{}")

    for action, members in (("work", {"line": {"segments": [0]}}), ("gather", {}), ("report", {})):
        assert machine.invoke(action, **members)["failed"] == "the job was stopped."
    assert machine.invoke("plan", **plan_payload())["failed"] == "the job was stopped."

    machine.execute()
    assert object_of(machine, "report.json")["missing"] == 1


def test_a_worker_that_is_stopped_in_the_middle_saves_its_progress() -> None:
    machine = machine_of(pair(), trouble=Trouble(seconds=(3.0, 4.0)))
    of = machine.pair
    machine.attempts = 1
    machine.invoke("plan", **plan_payload())
    of.tables[1].before = lambda: of.store.objects.update({"jobs/stack/job-1/stop-1": b"{}"})

    response = machine.invoke("work", line={"segments": [0]})

    assert response == {"done": False, "wait_seconds": 0, "failed": "the job was stopped."}
    assert object_of(machine, "states/segment-00000.json")["content"]["segment"]["source"]["after"]


def test_a_worker_whose_time_is_over_asks_to_be_invoked_again() -> None:
    machine = machine_of(pair(), timeout=59)
    machine.timeout = 900
    machine.invoke("plan", **plan_payload())
    machine.timeout = 59

    assert machine.invoke("work", line={"segments": [0]}) == {"done": False, "wait_seconds": 0, "failed": ""}
    assert machine.invoke("report")["failed"] == "the invocation had not enough time."


def test_a_worker_whose_segment_another_one_has_taken_waits() -> None:
    machine = machine_of(pair(), trouble=Trouble(seconds=(11.0, 12.0)))
    of = machine.pair
    machine.invoke("plan", **plan_payload())
    again = [True]

    def take_over() -> None:
        if again and again.pop():
            machine.invoke("work", line={"segments": [0]})

    of.tables[1].before = take_over

    assert machine.invoke("work", line={"segments": [0]}) == {"done": False, "wait_seconds": 30, "failed": ""}
    assert machine.invoke("work", line={"segments": [0]}) == {"done": True, "wait_seconds": 0, "failed": ""}


def test_too_many_suspected_differences_end_a_segment_early(monkeypatch: Patch) -> None:
    monkeypatch.setattr(options, "MAX_SUSPECTS", 2)
    monkeypatch.setattr(segment, "WAITING_BYTES", 1)
    of = pair()
    of.tables[1].items.clear()
    of.tables[0].page = lambda: 2
    machine = machine_of(of)

    machine.execute()

    found = object_of(machine, "report.json")
    assert found["stopped_early"]
    assert found["verdict"] == "not equal"
    assert 6 <= found["missing"] < 60
    assert not [name for name in of.store.objects if name.startswith("verifications/")]


def test_suspected_differences_that_are_left_out_are_never_equal(monkeypatch: Patch) -> None:
    monkeypatch.setattr(gather, "MAX_SUSPECTS_AT_ONCE", 2)
    monkeypatch.setattr(gather, "_CHUNK", 1)
    of = equal()
    of.late = {number: item(number) for number in (3, 5, 7)}
    of.tables[1].items |= {number: item(number, 9) for number in of.late}
    machine = machine_of(of)

    machine.execute()

    found = object_of(machine, "report.json")
    assert object_of(machine, "suspects.json")["all"] is False
    assert found["stopped_early"]
    assert found["verdict"] == "inconclusive"


def test_all_pieces_share_what_may_be_watched(monkeypatch: Patch) -> None:
    monkeypatch.setattr(gather, "PIECE", 20)
    monkeypatch.setattr(watching, "LEAST_WATCHED", 20)
    monkeypatch.setattr(piece, "MOST_WATCHED", 12)
    of = pair()
    of.tables[1].items.clear()
    machine = machine_of(of)

    machine.execute()

    found = object_of(machine, "report.json")
    assert object_of(machine, "suspects.json")["sizes"] == [20, 20, 20]
    assert (found["missing"], found["inconclusive"]) == (12, 48)


def test_a_low_rate_makes_pieces_small() -> None:
    of = pair()
    of.tables[1].items.clear()
    of.tables[0].items |= {number: item(number) for number in range(100, 400)}
    of.tables[0].order = range(400)
    machine = machine_of(of, options={"read_rate": 2}, concurrency=1)

    machine.execute()

    assert object_of(machine, "suspects.json")["sizes"] == [90, 90, 90, 90]


class _NoStream(SilentStream):
    def keep_up(self, watched: Any) -> Unknown | None:
        return Unknown("denied")


def test_a_job_whose_stream_cannot_be_read_confirms_by_looks() -> None:
    machine = machine_of(pair(witness_of=_NoStream))

    machine.execute()

    found = object_of(machine, "report.json")
    assert found["confirmed_by"] == "looks"
    assert found["missing"] == 1
    assert any("denied" in note for note in machine.notes)


def test_a_piece_whose_time_is_never_enough_watches_fewer_and_fewer_keys_and_then_fails() -> None:
    machine = machine_of(pair(), timeout=900)
    machine.invoke("plan", **plan_payload())
    machine.invoke("work", line={"segments": [0, 1, 2]})
    machine.invoke("gather")
    machine.timeout = 62

    tries = []
    while not (response := machine.invoke("confirm", line={"pieces": [0]}))["failed"]:
        assert response["done"] is False
        tries.append(object_of(machine, "states/piece-00000.json")["content"]["tries"])

    assert tries == [1, 2]
    assert response["failed"].startswith(
        "the suspected differences of piece 0 cannot be confirmed in one inv"
    )
    machine.timeout = 900
    assert machine.invoke("confirm", line={"pieces": [0]})["done"]


def test_values_are_left_out_if_asked_for() -> None:
    machine = machine_of(pair(), options={"no_values": True, "limit": 10})

    machine.execute()

    differences = object_of(machine, "report.json")["differences"]
    assert {"name": "value"} in [each for found in differences for each in found["attributes"]]


def test_at_most_so_many_differences_are_shown() -> None:
    machine = machine_of(pair(), options={"limit": 2})

    machine.execute()

    found = object_of(machine, "report.json")
    assert len(found["differences"]) == 2
    assert found["missing"] + found["different"] + found["extra"] == 3


def test_archived_items_are_counted_and_the_first_are_shown() -> None:
    of = pair(is_archive=True)
    of.tables[1].items |= {number: item(number) for number in range(80, 90)}
    machine = machine_of(of, options={"limit": 4})

    machine.execute()

    found = object_of(machine, "report.json")
    assert (found["archived"], found["extra"], len(found["archived_items"])) == (11, 0, 4)


@pytest.mark.parametrize("fate", [Fate.LOST, Fate.UNSENT, Fate.LATE, Fate.RACE])
@pytest.mark.parametrize("at", range(2))
def test_a_report_that_is_repeated_changes_nothing(fate: Fate, at: int) -> None:
    machine = machine_of(pair())
    machine.execute()
    del machine.pair.store.objects["jobs/stack/job-1/report.json"]
    record = {name: body for name, body in machine.pair.store.objects.items() if name.startswith("verif")}
    machine.pair.store.fates.extend([Fate.ANSWERED] * at + [fate])
    machine.pair.clock.pass_by(100)

    assert machine.invoke("report")["failed"] == ""
    first = object_of(machine, "report.json")
    machine.pair.store.land()
    machine.pair.clock.pass_by(100)
    assert machine.invoke("report")["failed"] == ""

    assert object_of(machine, "report.json") == first
    assert {
        name: body for name, body in machine.pair.store.objects.items() if name.startswith("verif")
    } == record


@pytest.mark.parametrize("state", ["segment-00001", "piece-00000"])
def test_a_state_that_is_damaged_ends_the_job(state: str) -> None:
    machine = machine_of(pair())
    machine.execute()
    stored = object_of(machine, f"states/{state}.json")
    stored["content"] = {"done": True}
    machine.pair.store.objects[f"jobs/stack/job-1/states/{state}.json"] = json.dumps(stored).encode()

    assert "is damaged" in machine.invoke("report")["failed"]


def test_a_worker_saves_at_most_once_in_ten_seconds() -> None:
    of = pair()
    for table in of.tables:
        table.page = lambda: 1
    machine = machine_of(of, trouble=Trouble(seconds=(1.0, 1.0)))
    machine.invoke("plan", **plan_payload())
    began, writes = of.clock.monotonic, of.store.writes

    assert machine.invoke("work", line={"segments": [0]})["done"]

    seconds = of.clock.monotonic - began
    assert seconds > 30
    # One takes the state, and one is the last; each may come with an object of suspected differences.
    assert of.store.writes - writes <= 2 * (seconds / 10 + 2)


def test_a_worker_makes_room_for_the_replicator_that_lambda_throttles() -> None:
    of = pair(throttled_function=True)
    for table in of.tables:
        table.page = lambda: 1
    machine = machine_of(of, trouble=Trouble(seconds=(2.0, 2.0)))
    machine.invoke("plan", **plan_payload())
    began = of.clock.monotonic

    response = machine.invoke("work", line={"segments": [0]})

    assert response == {"done": False, "wait_seconds": YIELD_SECONDS, "failed": ""}
    assert YIELD_SECONDS <= of.clock.monotonic - began < 2 * YIELD_SECONDS
    assert object_of(machine, "states/segment-00000.json")["content"]["segment"]["source"]["after"]
    machine.execute()
    assert object_of(machine, "report.json")["missing"] == 1


def test_a_worker_that_was_killed_loses_what_it_had_not_saved_only() -> None:
    machine = machine_of(pair(), trouble=Trouble(kills=1.0))
    machine.trouble.kills = 0
    machine.invoke("plan", **plan_payload())
    machine.trouble.kills = 1.0

    with pytest.raises(Killed):
        machine.invoke("work", line={"segments": [0]})
    machine.trouble.kills = 0.0
    machine.execute()

    assert object_of(machine, "report.json")["source_items"] == ITEMS


def test_a_worker_whose_clock_is_a_second_behind_reports_no_negative_time() -> None:
    machine = machine_of(pair())
    machine.invoke("plan", **plan_payload())
    machine.invoke("work", line={"segments": [0, 1, 2]})
    machine.invoke("gather")
    machine.invoke("confirm", line={"pieces": [0]})
    planned = datetime.fromisoformat(object_of(machine, "plan.json")["began"]).timestamp()
    machine.pair.clock.pass_by(planned - 1 - machine.pair.clock.aws)
    machine.pair.clock.respond()

    machine.invoke("report")

    assert object_of(machine, "report.json")["seconds"] == 0
