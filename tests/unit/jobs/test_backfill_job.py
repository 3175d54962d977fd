"""The backfill job: what it plans, copies and reports, what it waits for, and what ends it."""

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from random import Random
from typing import Any, cast

import pytest

from ddbreplica.backfill import listing
from ddbreplica.dynamodb.rate import Rate
from ddbreplica.errors import TaskError
from ddbreplica.jobs import plan
from ddbreplica.jobs.backfill import segment
from ddbreplica.jobs.ending import YIELD_SECONDS
from ddbreplica.jobs.state import journal
from ddbreplica.jobs.state.journal import PAGE_KEYS
from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.model import Items, Key
from ddbreplica.reconcile.algorithm import Reconciled
from tests.support.job_pair import CREATED, MemoryPair
from tests.support.memory_store import Fate
from tests.support.scanned import ScannedTable, item, key
from tests.support.state_machine import FailedError, StateMachine, Trouble
from tests.support.written_pair import STREAM, Weather, WrittenPair

ITEMS = 60
QUICK = Trouble(seconds=(0.0, 0.01))
HOLD = 930

Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def three_segments(monkeypatch: Patch) -> None:
    monkeypatch.setattr(plan, "ITEMS_OF_A_SEGMENT", 20)


def pair(**options: Any) -> WrittenPair:
    """Return a source of 60 items, and a replica that lacks most of them, with an old and a foreign one."""
    source = ScannedTable({n: item(n) for n in range(ITEMS)}, range(100))
    replica = ScannedTable({5: item(5, 9), 70: item(70)}, range(100))
    return WrittenPair((source, replica), **options)


def machine_of(of: MemoryPair, **options: Any) -> StateMachine:
    return StateMachine(of, **{"trouble": QUICK, "what": "backfill", **options})


def object_of(machine: StateMachine, name: str) -> Any:
    return json.loads(machine.pair.store.objects[f"jobs/stack/job-1/{name}"])


def failure(machine: StateMachine) -> str:
    with pytest.raises(FailedError) as failed:
        machine.execute()
    return str(failed.value)


def test_a_job_copies_every_item_and_reports_it() -> None:
    of = pair()
    machine = machine_of(of)

    machine.execute()

    assert of.tables[1].items == {**of.tables[0].items, 70: item(70)}
    report = object_of(machine, "report.json")
    assert report.pop("seconds") > 0
    assert report == {
        "source": "orders",
        "replica": "orders_copy",
        "began": object_of(machine, "plan.json")["began"],
        "items": 60,
        "outside": 0,
        "left": 0,
        "left_items": [],
        "undecided": 0,
        "undecided_objects": [],
        "handed_over": 0,
        "keys_left_open": 0,
        "left_open_until": None,
        "attention": [],
    }
    assert machine.invocations == 1 + 3 + 1 + 1


def test_the_plan_has_the_budget_the_stream_and_the_estimate() -> None:
    machine = machine_of(pair(sizes={"TableSizeBytes": 6_000_000}), options={"rate": 50}, concurrency=2)

    machine.execute()

    planned = object_of(machine, "plan.json")
    assert (planned["what"], planned["segments"], planned["workers"]) == ("backfill", 3, 2)
    assert (planned["read_rates"], planned["write_rate"]) == ([3000], 50)
    assert planned["stream"] == STREAM
    assert planned["options"] == {"rate": 50, "read_rate": None, "without_mapping": False, "archive": False}
    estimate = planned["estimate"]
    assert (estimate["items"], estimate["read_units"], estimate["write_units"]) == (60, 2930, 5880)
    assert estimate["dollars"] == pytest.approx(0.0040413, rel=0.01)
    assert (estimate["rate"], estimate["read_rate"]) == (50, 3000)
    assert machine.notes == [
        "The job takes about 2,930 read and 5,880 write capacity units, $0.00 on demand, and at least 117.2 s."
    ]


def test_a_backfill_that_takes_longer_than_the_stream_keeps_changes_is_warned_of() -> None:
    machine = machine_of(pair(sizes={"TableSizeBytes": 6_000_000}), options={"rate": 0.05})

    machine.invoke("plan", what="backfill", options={"rate": 0.05}, scheduled=False, max_units=0)

    assert machine.notes[1].startswith(
        "Warning: the replica's lag is 0:00:00, and the backfill takes about 1 day"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"from_export": "s3://b/p"}, "a backfill that runs as a job has no option 'from_export'"),
        ({"rate": 0}, "the option rate of the backfill is 0"),
        ({"read_rate": True}, "read_rate"),
        ({"archive": 1}, "archive"),
    ],
)
def test_an_option_that_a_job_does_not_have_is_refused(options: Any, said: str) -> None:
    assert said in failure(machine_of(pair(), options=options))


def test_a_change_that_would_be_missed_is_refused_unless_the_mapping_is_ignored(monkeypatch: Patch) -> None:
    of = pair()

    def refuse(stream: str | None) -> None:
        raise TaskError(
            f"the mapping of {stream} is Disabled; later changes would be missed.", hint="enable it."
        )

    monkeypatch.setattr(of, "refuse_unsafe", refuse)
    assert failure(machine_of(of)) == f"the mapping of {STREAM} is Disabled; later changes would be missed."

    machine_of(of, job="job-2", options={"without_mapping": True}).execute()
    assert 0 in of.tables[1].items


def test_a_mapping_that_is_disabled_meanwhile_ends_the_work() -> None:
    of = pair()
    machine = machine_of(of)
    machine.invoke("plan", what="backfill", options={}, scheduled=False, max_units=0)

    def refuse(stream: str | None) -> None:
        raise TaskError("the mapping is Disabled.", hint="enable it.")

    of.refuse_unsafe = refuse  # type: ignore[method-assign]

    with pytest.raises(TaskError, match="Disabled"):
        machine.invoke("work", line={"segments": [0]})
    assert of.writes == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"LatestStreamArn": "arn:new"}, f"the source's stream changed from {STREAM} to arn:new"),
        (
            {"StreamSpecification": {"StreamEnabled": False}},
            f"the source's stream changed from {STREAM} to none",
        ),
        ({"CreationDateTime": CREATED + timedelta(days=1)}, "was recreated"),
    ],
)
def test_a_new_stream_or_table_ends_the_job(change: Any, said: str) -> None:
    of = pair()
    machine = machine_of(of)
    machine.invoke("plan", what="backfill", options={}, scheduled=False, max_units=0)
    of.sizes |= change

    response = machine.invoke("work", line={"segments": [0]})

    assert said in response["failed"]
    assert of.writes == 0


def test_excluded_items_are_counted_and_not_copied() -> None:
    of = pair(key_filter=KeyFilter.of(['{"dynamodb": {"Keys": {"PK": {"S": [{"prefix": "000"}]}}}}']))
    machine = machine_of(of)

    machine.execute()

    report = object_of(machine, "report.json")
    assert (report["items"], report["outside"]) == (10, 50)
    assert of.tables[1].items.keys() == {*range(10), 70}


def test_refused_items_are_named_and_quarantined() -> None:
    of = pair(poison=frozenset(range(0, 40, 2)))
    machine = machine_of(of)

    machine.execute()

    report = object_of(machine, "report.json")
    assert (report["items"], report["left"], report["keys_left_open"]) == (60, 20, 0)
    assert len(report["left_items"]) == 10
    assert report["left_items"][0]["reason"] == "ValidationException: type mismatch for an index key"
    assert report["attention"] == [
        "20 items were not copied; their keys are in the quarantine bucket, and a redrive copies them."
    ]
    kept = of.bucket.kept
    assert {each["error_code"] for each in kept} == {"InterruptedWrite"}
    assert sorted(each["record"]["dynamodb"]["Keys"]["PK"]["S"] for each in kept) == [
        f"{number:04}" for number in range(0, 40, 2)
    ]


def test_a_worker_without_time_hands_over_the_rest_in_the_next_invocation(monkeypatch: Patch) -> None:
    monkeypatch.setattr(journal, "_HANDED_OVER_AT_ONCE", 1)
    monkeypatch.setattr(plan, "ITEMS_OF_A_SEGMENT", 100)
    of = pair(poison=frozenset(range(0, 40, 2)))
    machine = machine_of(of)
    machine.invoke("plan", what="backfill", options={}, scheduled=False, max_units=0)
    before = of.before_put

    def slow() -> None:
        before()
        of.clock.pass_by(60)

    monkeypatch.setattr(of, "before_put", slow)

    assert machine.invoke("work", line={"segments": [0]}) == {"done": False, "wait_seconds": 0, "failed": ""}
    assert 0 < len(of.bucket.objects) < 20
    monkeypatch.setattr(of, "before_put", before)
    assert machine.invoke("work", line={"segments": [0]})["done"]

    machine.invoke("report")
    report = object_of(machine, "report.json")
    assert (report["left"], len(report["left_items"]), report["keys_left_open"]) == (20, 10, 0)
    assert len(of.bucket.objects) == 20


def test_too_many_refused_items_fail_the_segment(monkeypatch: Patch) -> None:
    monkeypatch.setattr(segment, "MOST_LEFT", 3)
    of = pair(poison=frozenset(range(0, 60, 3)))
    machine = machine_of(of)

    said = failure(machine)

    assert said.startswith("segments were not copied: 0 (")
    assert "items cannot be copied; the last reason: ValidationException" in said
    of.poison = frozenset()
    machine.execute()
    assert of.tables[1].items == {**of.tables[0].items, 70: item(70)}
    assert object_of(machine, "report.json")["items"] == 60


def unanswered(of: WrittenPair, monkeypatch: Patch, *, times: int) -> None:
    """Leave the next writes without a response. None of them lands."""
    of.weather = Weather(unanswered=1.0)
    left = [times]

    def send(_writes: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            of.weather = Weather()

    monkeypatch.setattr(of, "send", send)


def test_a_segment_waits_for_in_doubt_writes_and_copies_their_items_again(monkeypatch: Patch) -> None:
    monkeypatch.setattr(plan, "ITEMS_OF_A_SEGMENT", 100)
    of = pair()
    machine = machine_of(of)
    machine.invoke("plan", what="backfill", options={}, scheduled=False, max_units=0)
    unanswered(of, monkeypatch, times=1)

    first = machine.invoke("work", line={"segments": [0]})

    assert first == {"done": False, "wait_seconds": 600, "failed": ""}
    assert len(of.bucket.objects) == 10
    of.clock.pass_by(600)
    second = machine.invoke("work", line={"segments": [0]})
    assert second == {"done": False, "wait_seconds": second["wait_seconds"], "failed": ""}
    assert HOLD - 601 < second["wait_seconds"] <= HOLD - 600
    before = len(of.bucket.objects)
    of.clock.pass_by(second["wait_seconds"])
    assert machine.invoke("work", line={"segments": [0]})["done"]
    assert of.tables[1].items == {**of.tables[0].items, 70: item(70)}
    machine.invoke("report")
    assert (object_of(machine, "report.json")["left"], len(of.bucket.objects)) == (0, before)


def test_writes_that_are_in_doubt_for_hours_are_reported_with_their_end(monkeypatch: Patch) -> None:
    monkeypatch.setattr(segment, "MOST_WAITS", 2)
    of = pair()
    machine = machine_of(of)
    unanswered(of, monkeypatch, times=-1)

    machine.execute()

    report = object_of(machine, "report.json")
    assert (report["items"], report["left"], report["keys_left_open"]) == (60, 60, 60)
    assert report["left_items"][0] == {
        "key": {"PK": {"S": "0000"}},
        "reason": "a write got no response and may still land",
    }
    assert report["attention"][1] == (
        f"in-doubt writes may still change 60 of these items until {report['left_open_until']}; their keys are put"
        " into the quarantine bucket after that time."
    )


def test_an_archive_lists_items_that_are_gone_for_review() -> None:
    of = pair(is_archive=True)
    machine = machine_of(of)
    source = of.tables[0]
    scan = source.scan_page

    def vanish(number: int, **how: Any) -> Any:
        page = scan(number, **how)
        for each in (9, 10):
            if page.cursor is None and each in source.items and each % 3 == number:
                del source.items[each]
        return page

    source.scan_page = vanish  # type: ignore[assignment,method-assign]

    machine.execute()

    report = object_of(machine, "report.json")
    assert (report["items"], report["left"], report["undecided"]) == (60, 0, 2)
    listed = [
        json.loads(line)
        for name in report["undecided_objects"]
        for line in machine.pair.store.objects[name].splitlines()
    ]
    assert sorted(each["PK"]["S"] for each in listed) == ["0009", "0010"]
    assert report["attention"] == [
        "2 items no longer exist in the source: they were deleted or have expired."
    ]


def test_a_worker_ends_before_its_deadline_and_the_next_goes_on() -> None:
    of = pair()
    of.tables[0].page = lambda: 2
    machine = machine_of(of, trouble=Trouble(seconds=(1.0, 1.0)), timeout=100)

    machine.execute()

    assert of.tables[1].items == {**of.tables[0].items, 70: item(70)}
    assert machine.invocations > 1 + 3 + 2
    assert not of.bucket.objects
    assert object_of(machine, "report.json")["items"] == 60


def test_a_worker_that_finds_its_segment_done_meanwhile_has_nothing_to_do(monkeypatch: Patch) -> None:
    of = pair()
    machine = machine_of(of)
    machine.invoke("plan", what="backfill", options={}, scheduled=False, max_units=0)
    describe, again = of.describe, [True]

    def done_by_another() -> Any:
        if again and again.pop():
            assert machine.invoke("work", line={"segments": [0]})["done"]
        return describe()

    monkeypatch.setattr(of, "describe", done_by_another)

    assert machine.invoke("work", line={"segments": [0]}) == {"done": True, "wait_seconds": 0, "failed": ""}
    assert of.writes == 20


def test_a_segment_that_is_not_done_is_named() -> None:
    machine = machine_of(pair())
    machine.invoke("plan", what="backfill", options={}, scheduled=False, max_units=0)
    machine.invoke("work", line={"segments": [1]})

    assert machine.invoke("gather") == {"pieces": 0, "failed": ""}
    assert machine.invoke("report") == {"failed": "segments were not copied: 0, 2."}
    assert "jobs/stack/job-1/report.json" not in machine.pair.store.objects


def test_a_save_that_is_not_confirmed_moves_no_position(monkeypatch: Patch) -> None:
    monkeypatch.setattr(plan, "ITEMS_OF_A_SEGMENT", 100)
    of = pair()
    machine = machine_of(of)
    machine.invoke("plan", what="backfill", options={}, scheduled=False, max_units=0)
    of.store.fates += [Fate.ANSWERED] * 2 + [Fate.UNSENT] * 4

    with pytest.raises(TaskError, match="S3 did not confirm"):
        machine.invoke("work", line={"segments": [0]})
    assert machine.invoke("work", line={"segments": [0]})["done"]

    assert of.tables[1].items == {**of.tables[0].items, 70: item(70)}


def test_a_job_that_is_stopped_resumes(monkeypatch: Patch) -> None:
    monkeypatch.setattr(listing, "PAGE", 5)
    of = pair()
    machine = machine_of(of, trouble=Trouble(seconds=(1.0, 1.0)))
    before = machine.before_request

    def stop() -> None:
        before()
        if of.writes > 20:
            of.store.objects.setdefault("jobs/stack/job-1/stop-1", b"{}")

    of.before = stop
    assert failure(machine) == "the job was stopped."
    assert 20 < of.writes < 60

    machine.execute()
    assert of.tables[1].items == {**of.tables[0].items, 70: item(70)}
    assert object_of(machine, "report.json")["items"] == 60


def test_a_worker_makes_room_for_the_replicator_that_lambda_throttles(monkeypatch: Patch) -> None:
    monkeypatch.setattr(listing, "PAGE", 5)
    monkeypatch.setattr(segment, "PAGE_KEYS", 5)
    monkeypatch.setattr(plan, "ITEMS_OF_A_SEGMENT", 30)
    of = pair(throttled_function=True)
    machine = machine_of(of, trouble=Trouble(seconds=(10.0, 10.0)))
    machine.invoke("plan", what="backfill", options={}, scheduled=False, max_units=0)

    response = machine.invoke("work", line={"segments": [0, 1]})

    assert response == {"done": False, "wait_seconds": YIELD_SECONDS, "failed": ""}
    assert 0 < of.writes < 30
    assert "jobs/stack/job-1/states/segment-00001.json" not in of.store.objects
    machine.execute()
    assert of.tables[1].items == {**of.tables[0].items, 70: item(70)}


class _ManyItems(MemoryPair):
    """A pair whose source has many items, all of which can be copied at once."""

    items = 100_000

    def described(self, name: str, table: ScannedTable) -> Any:
        described = super().described(name, table)
        described.description["ItemCount"] = self.items  # type: ignore[index]
        return described

    def refuse_unsafe(self, stream: str | None) -> None: ...

    def reader(self, *_: Any, **__: Any) -> Any:
        return _ManyItemsReader(self.items)

    def quarantining(self, journal: Any, *_: Any, **__: Any) -> Any:
        return cast("Any", _Open(journal))

    def reconciler(self, _tables: Any, journal: Any, _writing: Any) -> Any:
        return journal


class _ManyItemsReader:
    rate = Rate(None)

    def __init__(self, items: int) -> None:
        self._items = items

    def scan_on(self, segment: int, *, of: int, after: Any, limit: int) -> Iterator[tuple[Items, Any, float]]:
        share = self._items // of
        for start in range(after or 0, share, limit):
            end = start + limit
            items = {key(segment * share + n): item(segment * share + n) for n in range(start, end)}
            yield items, end if end < share else None, 12.5

    def rescan(self, *_: Any, **__: Any) -> Sequence[Any]:
        return ()


class _Open:
    """A journal with which keys are confirmed as soon as they are reconciled."""

    def __init__(self, journal: Any) -> None:
        self.journal = journal

    def hand_over(self, keys: Sequence[Key]) -> None:
        raise AssertionError(keys)

    def reconcile(self, keys: Sequence[Key], seen: Items, rescan: Any) -> Reconciled:
        assert list(self.journal.intend(keys)) == list(keys)
        self.journal.confirm(keys)
        return Reconciled(confirmed=list(keys))


def test_a_backfill_of_a_million_items_takes_at_most_600_writes_of_states(monkeypatch: Patch) -> None:
    """The writes are counted for a tenth of the items; those of a segment beside its pages are counted in full."""
    monkeypatch.setattr(plan, "ITEMS_OF_A_SEGMENT", 200_000 // 10)
    of = _ManyItems((ScannedTable({}, ()), ScannedTable({}, ())))
    machine = machine_of(of, random=Random(1))  # noqa: S311
    written: list[str] = []
    replace = of.store.replace
    create = of.store.create

    def counted(name: str, *how: Any, **more: Any) -> Any:
        written.append(name)
        return (replace if more else create)(name, *how, **more)

    of.store.replace = of.store.create = counted  # type: ignore[method-assign]

    machine.execute()

    states = [name for name in written if "/states/" in name]
    pages = of.items // PAGE_KEYS
    assert object_of(machine, "report.json")["items"] == of.items
    assert object_of(machine, "plan.json")["segments"] == 5
    beside = len(states) - pages
    assert 10 * pages + beside <= 600, (pages, beside)
