"""reconciler: keys are reconciled on moto, by several threads and within a command's patience."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ddbreplica.driver import Interrupt, Patience
from ddbreplica.dynamodb import describe
from ddbreplica.dynamodb.connection import Connection
from ddbreplica.dynamodb.rate import Rate
from ddbreplica.errors import SourceError, TaskError
from ddbreplica.model import Key
from ddbreplica.reconcile.reconciler import Rates, Reconciler
from ddbreplica.reconcile.requests_under_way import UnderWay
from ddbreplica.transform.same_transform import NO_TRANSFORM
from ddbreplica_cli.terminal.options import Options
from tests.support.cli import REPLICA, SOURCE, Misbehaviour, Tables
from tests.support.fake_journal import FakeJournal
from tests.support.wire import error, response


class _Clock(Interrupt):
    """An interrupt whose sleeps end at once and advance a clock."""

    now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def key(name: str) -> Key:
    return (("PK", "S", name),)


def reconciler(clock: Interrupt | None = None, **more: Any) -> Reconciler:
    clock = clock or _Clock()
    patience = Patience(clock, clock=lambda: getattr(clock, "now", 0.0))
    return between(patience, **more)


def between(patience: Patience, **more: Any) -> Reconciler:
    pair = connection()
    return Reconciler.between(
        pair,
        describe.describe_pair(pair),
        journal=FakeJournal(),
        patience=patience,
        **{"is_archive": False, "transform": NO_TRANSFORM, **more},
    )


def connection(**named: Any) -> Connection:
    silent = dict.fromkeys(set(Options.__dataclass_fields__) - {"as_json"})
    return Connection(Options(**{**silent, **named}, as_json=False))


def test_a_key_gets_the_sources_state_or_none(tables: Tables) -> None:
    tables.put(SOURCE, "missing", b={"B": b"\xff"})
    tables.put(SOURCE, "different", n={"N": "1.0"})
    tables.put(REPLICA, "different", n={"N": "2"})
    tables.put(REPLICA, "extra")
    keys = [key("missing"), key("different"), key("extra"), key("nowhere")]

    reconciled = reconciler().reconcile(keys)

    assert sorted(reconciled.confirmed) == sorted(keys)
    assert tables.items(REPLICA) == tables.items(SOURCE)


def test_an_archive_gets_the_items_of_the_source_and_keeps_the_others(tables: Tables) -> None:
    tables.put(SOURCE, "different", n={"N": "1"})
    tables.put(REPLICA, "different", n={"N": "2"})
    tables.put(REPLICA, "expired")

    reconciled = reconciler(is_archive=True).reconcile([key("different"), key("expired"), key("nowhere")])

    assert (reconciled.confirmed, reconciled.undecided) == (
        [key("different")],
        [key("expired"), key("nowhere")],
    )
    assert tables.items(REPLICA) == {**tables.items(SOURCE), "expired": {"PK": {"S": "expired"}}}


def test_an_item_in_seen_is_written_before_it_is_read(tables: Tables, aws: Misbehaviour) -> None:
    order: list[str] = []
    for operation in ("BatchGetItem", "BatchWriteItem"):
        aws.on(f"before-send.dynamodb.{operation}", lambda operation=operation, **_: order.append(operation))
    tables.put(SOURCE, "a", n={"N": "2"})
    seen = {key("a"): {"PK": {"S": "a"}, "n": {"N": "1"}}}

    assert reconciler().reconcile([key("a")], seen).confirmed == [key("a")]

    assert order == ["BatchWriteItem", "BatchGetItem", "BatchWriteItem", "BatchGetItem"]
    assert tables.items(REPLICA) == tables.items(SOURCE)


@pytest.mark.parametrize("recreated", [SOURCE, REPLICA])
def test_nothing_is_reconciled_with_a_recreated_table(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, recreated: str
) -> None:
    """A new source has none of the items. Reconciled with it, the replica would lose them."""
    monkeypatch.setattr(describe, "DESCRIBE_SECONDS", 0.0)
    tables.put_both("a")
    began = reconciler()
    tables.client.delete_table(TableName=recreated)
    tables.create_logfile(recreated)
    before = tables.items(REPLICA)

    with pytest.raises(TaskError, match="was recreated meanwhile"):
        began.reconcile([key("a")])

    assert tables.items(REPLICA) == before


@pytest.mark.parametrize(("operation", "table"), [("BatchGetItem", "source"), ("BatchWriteItem", "replica")])
def test_a_table_that_refuses_everything(
    tables: Tables, aws: Misbehaviour, operation: str, table: str
) -> None:
    tables.put(SOURCE, "a")
    aws.refuse(operation, "AccessDeniedException")

    with pytest.raises(TaskError) as refused:
        reconciler().reconcile([key("a")])

    assert refused.value.fact == f"the {table} table refuses every request: AccessDeniedException: why."
    assert refused.value.hint == "use credentials that may do this (--profile), or have the permission added."


@pytest.mark.parametrize("operation", ["BatchGetItem", "BatchWriteItem"])
def test_throttled_requests_are_retried(tables: Tables, aws: Misbehaviour, operation: str) -> None:
    tables.put(SOURCE, "a")
    left = [error("ProvisionedThroughputExceededException")] * 5

    def throttle(request: Any, **_: Any) -> Any:
        return response(request.url, *left.pop()) if left else None

    aws.on(f"before-send.dynamodb.{operation}", throttle)

    assert reconciler().reconcile([key("a")]).confirmed == [key("a")]
    assert left == []


@pytest.mark.parametrize("operation", ["BatchGetItem", "BatchWriteItem"])
def test_a_table_that_stands_still_ends_it(tables: Tables, aws: Misbehaviour, operation: str) -> None:
    tables.put(SOURCE, "a")
    aws.refuse(operation, "ProvisionedThroughputExceededException")

    with pytest.raises(TaskError) as stopped:
        reconciler().reconcile([key("a")])

    assert stopped.value.fact.startswith("the tables accepted no request for ")
    assert stopped.value.fact.endswith(" seconds (ProvisionedThroughputExceededException: why).")
    assert stopped.value.hint.startswith("wait a moment, or raise the table's capacity")


def test_a_refused_item_counts_as_progress(tables: Tables, aws: Misbehaviour) -> None:
    tables.put(SOURCE, "a")
    tables.put(SOURCE, "b")

    def refuse(request: Any, **_: Any) -> Any:
        return response(request.url, *error("ValidationException")) if b'"b"' in request.body else None

    aws.on("before-send.dynamodb.BatchWriteItem", refuse)
    aws.on("before-send.dynamodb.PutItem", refuse)

    reconciled = reconciler().reconcile([key("a"), key("b")])

    assert reconciled.confirmed == [key("a")]
    assert [(refused, why.code) for refused, why in reconciled.refused] == [(key("b"), "ValidationException")]


def test_after_ctrl_c_nothing_is_sent(tables: Tables, aws: Misbehaviour) -> None:
    for number in range(200):
        tables.put(SOURCE, f"item{number}")
    clock = _Clock()
    writes: list[None] = []

    def interrupt(**_: Any) -> None:
        writes.append(None)
        clock.is_set = True

    aws.on("before-send.dynamodb.BatchWriteItem", interrupt)
    interrupted = reconciler(clock)

    with pytest.raises(KeyboardInterrupt):
        interrupted.reconcile([key(f"item{number}") for number in range(200)])
    with pytest.raises(KeyboardInterrupt):
        interrupted.reconcile([key("item0")])

    assert len(writes) == 1


def test_ctrl_c_ends_a_wait_for_the_rate(tables: Tables, aws: Misbehaviour) -> None:
    tables.put(SOURCE, "a")
    clock = _Clock()

    def interrupted(_: float) -> None:
        clock.is_set = True

    rate = Rate(0.001, clock=lambda: clock.now, sleep=interrupted)

    with pytest.raises(KeyboardInterrupt):
        reconciler(clock, rates=Rates(write=rate)).reconcile([key("a")])

    assert tables.items(REPLICA) == {}


def test_rates_are_waited_for_without_losing_patience(tables: Tables) -> None:
    """The wait is longer than a table may stand still, while other threads use the same patience."""
    tables.put(SOURCE, "a", text={"S": "x" * 100_000})
    clock = _Clock()
    patience = Patience(clock, clock=lambda: clock.now)
    left: list[float] = []

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        left.append(patience.remaining())

    rate = Rate(1, clock=lambda: clock.now, sleep=sleep)
    slow = between(patience, rates=Rates(write=rate))
    reconciled = slow.reconcile([key("a")])

    assert reconciled.confirmed == [key("a")]
    assert clock.now == pytest.approx(98)
    assert min(left) >= 50


@pytest.mark.parametrize(("units", "seconds"), [("write", 10), ("read", 20)])
def test_a_delete_and_an_absent_item_take_a_unit(tables: Tables, units: str, seconds: int) -> None:
    clock = _Clock()
    rate = Rate(1, clock=lambda: clock.now, sleep=clock.sleep)
    rates = Rates(write=rate) if units == "write" else Rates(read=rate)

    reconciler(clock, rates=rates).reconcile([key(f"item{number}") for number in range(10)])

    assert clock.now == pytest.approx(seconds)


def test_threads_use_no_more_connections_than_the_pool_has(tables: Tables, aws: Misbehaviour) -> None:
    under_way: list[None] = []
    most = 0
    lock = threading.Lock()

    def count(**_: Any) -> None:
        nonlocal most
        with lock:
            under_way.append(None)
            most = max(most, len(under_way))
        time.sleep(0.02)
        with lock:
            under_way.pop()

    aws.on("before-send.dynamodb.BatchGetItem", count)
    reconcile: Callable[[list[Key]], Any] = reconciler().reconcile

    with ThreadPoolExecutor(64) as pool:
        reconciled = list(pool.map(reconcile, [[key(f"item{number}")] for number in range(64)]))

    assert sum(len(one.confirmed) for one in reconciled) == 64
    assert 1 < most <= 16


@pytest.mark.hazard(number=19)
def test_a_call_with_another_exception_may_have_a_request_under_way() -> None:
    under_way = UnderWay()

    with pytest.raises(KeyboardInterrupt), under_way.call():
        raise KeyboardInterrupt

    assert not under_way.is_none


@pytest.mark.parametrize(
    "error", [TaskError("no quarantine", hint="none"), SourceError("no table", hint="none")]
)
def test_a_call_that_ends_in_order_has_none(error: Exception) -> None:
    under_way = UnderWay()

    with pytest.raises(type(error)), under_way.call():
        raise error
    with under_way.call():
        assert not under_way.is_none

    assert under_way.is_none
