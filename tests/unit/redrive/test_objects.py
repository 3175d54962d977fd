"""objects: each object has an outcome, and is moved only after all its keys are confirmed."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from threading import current_thread
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ddbreplica.bucket.bucket import Listed
from ddbreplica.bucket.object_format import ForeignError, Unpacked, UnreadableError
from ddbreplica.driver import Interrupt
from ddbreplica.errors import TaskError, TransformChangedError
from ddbreplica.files import limits
from ddbreplica.model import Key, Refusal, RefusalKind
from ddbreplica.reconcile.algorithm import UNDECIDED, Reconciled
from ddbreplica.records.text import printable
from ddbreplica.redrive import bounded_list, objects
from ddbreplica.redrive.objects import (
    BucketPrefix,
    FoundObject,
    ObjectOutcome,
    Redriven,
    Redriver,
    RemainingObject,
    find,
)
from tests.support.fake_s3 import NOW, FakeS3

PREFIX = "quarantine/t/"
REFUSAL = Refusal(RefusalKind.REJECTED, "ValidationException", "why")
EARLIER = "the record is older than the source table, which was recreated"
OUTSIDE = "the mapping's filter excludes the key now, but did not when the record was stored"
MAY_LAND = "an in-doubt write may still change the replica"


def key(name: str) -> Key:
    return (("PK", "S", name),)


A, B, C = key("a"), key("b"), key("c")


class World:
    """A bucket whose objects list their keys, and the outcome of each key."""

    def __init__(self, **names: Any) -> None:
        self.s3 = FakeS3(page=1000)
        self.place = BucketPrefix(self.s3.bucket(), PREFIX, self.unpack)
        self.unpacked: dict[str, Unpacked | Exception] = {}
        self.stored_at: list[datetime] = []
        self.calls: list[Sequence[Key]] = []
        self.fates: dict[Key, str] = {}
        self.advanced: list[int] = []
        self.interrupt = Interrupt()
        self.transform_changed = False
        for name, content in names.items():
            self.keep(name, content)

    def keep(self, name: str, content: Any, *, age: float = 0.0, **more: Any) -> None:
        """Store an object with these keys."""
        if not isinstance(content, Unpacked | Exception):
            content = Unpacked(tuple(content), 0, "its writer's word", 0.0)
        self.unpacked[name] = content if isinstance(content, Exception) else replace(content, **more)
        self.s3.store(PREFIX + name, name.encode(), age=age)

    def unpack(self, body: bytes | memoryview, stored_at: datetime) -> Unpacked:
        self.stored_at.append(stored_at)
        unpacked = self.unpacked[bytes(body).decode()]
        if isinstance(unpacked, Exception):
            raise unpacked
        return unpacked

    def reconcile(self, keys: Sequence[Key]) -> Reconciled:
        self.calls.append(keys)
        result = Reconciled()
        for each in keys:
            fate = self.fates.get(each, "confirmed")
            getattr(result, fate).append((each, REFUSAL) if fate == "refused" else each)
        return result

    def reconcile_objects(self, keys: Sequence[Key]) -> Reconciled:
        return self.reconcile(keys)

    def check_transform(self) -> None:
        if self.transform_changed:
            raise TransformChangedError("changed", hint="again")

    @property
    def found(self) -> list[FoundObject]:
        return list(find([self.place], older_than=0, limit=None))

    def run(self, *, dry: bool = False) -> Redriven:
        redriver = Redriver(None if dry else self, interrupt=self.interrupt)
        redriver.run(self.found, self.advanced.append)
        return redriver.redriven

    @property
    def moved(self) -> list[str]:
        return [name.rpartition("/")[2] for name in self.s3.names if name.startswith("done/" + PREFIX)]


def left_of(redriven: Redriven) -> RemainingObject:
    (left,) = redriven.left.first
    return left


def seen(left: RemainingObject) -> tuple[ObjectOutcome, str, tuple[Key, ...]]:
    return left.outcome, left.reason, left.keys


class TestFind:
    def test_objects_that_are_old_enough_by_prefix_and_name(self) -> None:
        world = World()
        for name, age in (("b", 10.0), ("a", 11.0), ("c", 9.9)):
            world.keep(name, [A], age=age)
        other = BucketPrefix(world.s3.bucket(), "aws/lambda/", world.unpack)
        world.s3.store("aws/lambda/x", b"x", age=20)

        found = list(find([world.place, other], older_than=10.0, limit=None))

        assert [each.url for each in found] == [
            f"s3://bucket/{PREFIX}a",
            f"s3://bucket/{PREFIX}b",
            "s3://bucket/aws/lambda/x",
        ]
        assert [each.place for each in found] == [world.place, world.place, other]

    def test_only_the_first_few_of_these(self) -> None:
        world = World()
        for name, age in (("a", 0.0), ("b", 5.0), ("c", 5.0), ("d", 5.0)):
            world.keep(name, [A], age=age)

        found = find([world.place], older_than=5.0, limit=2)

        assert [each.listed.name for each in found] == [f"{PREFIX}b", f"{PREFIX}c"]


class TestReconciled:
    def test_an_object_is_moved_with_the_number_of_its_keys(self) -> None:
        world = World(one=[A, B], two=[C])

        redriven = world.run()

        assert redriven.counts == {ObjectOutcome.RECONCILED: 2}
        assert (redriven.keys, redriven.left.count, redriven.wait) == (3, 0, 0)
        assert world.moved == ["one", "two"]
        assert world.calls == [(A, B, C)]
        assert world.advanced == [2]
        stored = world.s3.present(f"done/{PREFIX}one")
        assert stored is not None
        assert stored.metadata == {"outcome": "healed", "keys": "2"}
        assert world.stored_at == [NOW, NOW]

    def test_it_is_read_before_its_keys_are_reconciled_and_moved_after(self) -> None:
        world = World(one=[A])
        order: list[str] = []
        world.s3.before = lambda operation, _name: order.append(operation)
        reconcile = world.reconcile

        def noted(keys: Sequence[Key]) -> Reconciled:
            order.append("reconcile")
            return reconcile(keys)

        world.reconcile = noted  # type: ignore[method-assign]

        world.run()

        assert order == ["list", "get", "reconcile", "copy", "delete"]

    def test_a_key_of_many_objects_is_reconciled_once(self) -> None:
        world = World(one=[A, B], two=[B, A], three=[B])

        assert world.run().counts == {ObjectOutcome.RECONCILED: 3}

        assert world.calls == [(A, B)]

    def test_keys_in_requests_of_a_hundred(self) -> None:
        world = World(one=[key(f"{number}") for number in range(201)])

        assert world.run().keys == 201

        assert sorted(map(len, world.calls)) == [1, 100, 100]

    def test_an_object_without_keys_is_moved(self) -> None:
        world = World(one=[])

        assert world.run().counts == {ObjectOutcome.RECONCILED: 1}

        assert (world.calls, world.moved) == ([], ["one"])

    def test_nothing_there(self) -> None:
        world = World()

        assert world.run().counts == {}

        assert (world.calls, world.advanced) == ([], [])

    def test_the_names_of_the_threads(self) -> None:
        world = World(one=[A])
        threads: list[str] = []
        world.s3.before = lambda _operation, _name: threads.append(current_thread().name)

        world.run()

        assert threads[1].startswith("redrive_")

    def test_eight_objects_at_a_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made: list[int] = []

        class Pool(ThreadPoolExecutor):
            def __init__(self, workers: int, thread_name_prefix: str) -> None:
                made.append(workers)
                super().__init__(workers, thread_name_prefix=thread_name_prefix)

        monkeypatch.setattr(objects, "ThreadPoolExecutor", Pool)

        World(one=[A]).run()

        assert made == [8]


class TestPieces:
    def pieces(self, world: World) -> list[int]:
        world.run()
        return world.advanced

    def test_at_most_so_many_objects(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(objects, "PIECE", 2)

        assert self.pieces(World(a=[A], b=[B], c=[C], d=[], e=[])) == [2, 2, 1]

    def test_at_most_so_many_bytes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(objects, "PIECE_BYTES", 4)

        assert self.pieces(World(aa=[A], bb=[B], c=[C], dd=[], ee=[], f=[])) == [2, 2, 2]

    def test_an_object_that_is_larger_is_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(objects, "PIECE_BYTES", 2)

        assert self.pieces(World(aaa=[A], b=[B], c=[C], ddd=[])) == [1, 2, 1]

    def test_each_is_reconciled_before_the_next_is_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(objects, "PIECE", 1)
        world = World(a=[A], b=[A])

        world.run()

        assert world.calls == [(A,), (A,)]
        assert [name for name, _ in world.s3.requests] == ["list", *["get", "copy", "delete"] * 2]


class TestInterrupted:
    def test_before_the_next_piece(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(objects, "PIECE", 1)
        world = World(a=[A], b=[B])
        redriver = Redriver(world, interrupt=world.interrupt)

        with pytest.raises(KeyboardInterrupt):
            redriver.run(world.found, lambda _: world.interrupt.set())

        assert redriver.redriven.counts == {ObjectOutcome.RECONCILED: 1}
        assert world.moved == ["a"]

    def test_before_the_next_keys_of_a_state(self) -> None:
        world = World()
        world.interrupt.set()
        redriver = Redriver(None, interrupt=world.interrupt)

        with pytest.raises(KeyboardInterrupt):
            redriver.resume([A], world.reconcile)

        assert world.calls == []

    def test_an_error_of_reconcile_ends_it(self) -> None:
        world = World(a=[A])

        def fail(keys: Sequence[Key]) -> Reconciled:
            raise TaskError("refused", hint="look")

        redriver = Redriver(
            cast("Any", SimpleNamespace(reconcile_objects=fail, check_transform=lambda: None)),
            interrupt=world.interrupt,
        )

        with pytest.raises(TaskError):
            redriver.run(world.found, lambda _: None)

        assert (redriver.redriven.counts, world.moved) == ({}, [])


class TestStaying:
    @pytest.mark.parametrize(
        ("fate", "outcome", "reason"),
        [
            ("changing", ObjectOutcome.UNSETTLED, "the source changed in every round"),
            ("in_doubt", ObjectOutcome.WAITING, MAY_LAND),
            ("undecided", ObjectOutcome.UNDECIDED, UNDECIDED),
            ("refused", ObjectOutcome.UNWRITABLE, "ValidationException: why"),
        ],
    )
    def test_keys_that_are_not_confirmed_are_listed(
        self, fate: str, outcome: ObjectOutcome, reason: str
    ) -> None:
        world = World(one=[A, B, C], two=[A])
        world.fates = {B: fate, C: "changing"}

        redriven = world.run()

        left = left_of(redriven)
        assert seen(left) == (outcome, reason, (B, C))
        assert (left.found.url, left.wait, left.more_keys) == (f"s3://bucket/{PREFIX}one", 0, 0)
        assert redriven.counts == {ObjectOutcome.RECONCILED: 1, outcome: 1}
        assert (redriven.keys, world.moved) == (1, ["two"])

    @pytest.mark.parametrize("dry", [False, True])
    @pytest.mark.parametrize(
        ("more", "outcome", "reason", "keys"),
        [
            ({"earlier": (C,), "outside": (B,), "keyless": 1}, ObjectOutcome.EARLIER, EARLIER, (C,)),
            ({"outside": (B,), "keyless": 1}, ObjectOutcome.OUTSIDE, OUTSIDE, (B,)),
            (
                {"keyless": 2},
                ObjectOutcome.KEYLESS,
                "no key can be read from 2 of its records (its writer's word)",
                (),
            ),
        ],
    )
    def test_records_that_can_never_be_reconciled(
        self, more: Any, outcome: ObjectOutcome, reason: str, keys: tuple[Key, ...], dry: bool
    ) -> None:
        world = World()
        world.keep("one", [A], **more)

        redriven = world.run(dry=dry)

        assert seen(left_of(redriven)) == (outcome, reason, keys)
        assert left_of(redriven).found.url.endswith("/one")
        assert (world.calls, world.moved) == ([] if dry else [(A,)], [])

    def test_keys_of_two_requests_that_are_not_confirmed_have_the_first_ones_reason(self) -> None:
        keys = [key(f"{number}") for number in range(101)]
        world = World(one=keys)
        world.fates = {keys[0]: "changing", keys[100]: "refused"}

        left = left_of(world.run())

        assert (left.outcome, left.keys) == (ObjectOutcome.UNSETTLED, (keys[0], keys[100]))

    def test_an_unconfirmed_key_comes_first(self) -> None:
        world = World()
        world.keep("one", [A], keyless=1)
        world.fates = {A: "changing"}

        assert left_of(world.run()).outcome is ObjectOutcome.UNSETTLED

    @pytest.mark.parametrize(
        ("error", "outcome"),
        [
            (ForeignError("is of another table"), ObjectOutcome.FOREIGN),
            (UnreadableError("is of another table"), ObjectOutcome.UNREADABLE),
        ],
    )
    def test_an_object_of_another_table(self, error: Exception, outcome: ObjectOutcome) -> None:
        redriven = World(one=error).run()

        assert seen(left_of(redriven)) == (outcome, "it is of another table", ())
        assert left_of(redriven).found.url.endswith("/one")

    def test_too_large_to_be_read(self) -> None:
        world = World(one=[A])
        (found,) = world.found
        largest = replace(found.listed, size=limits.MAX_OBJECT)
        redriver = Redriver(world, interrupt=world.interrupt)

        redriver.run(
            [
                replace(found, listed=replace(largest, size=limits.MAX_OBJECT + 1)),
                replace(found, listed=largest),
            ],
            lambda _: None,
        )

        reason = "it is too large for a quarantined record or a discarded batch (at most 38,797,312 bytes)"
        left = left_of(redriver.redriven)
        assert seen(left) == (ObjectOutcome.UNREADABLE, reason, ())
        assert left.found.listed.size == limits.MAX_OBJECT + 1
        assert redriver.redriven.counts == {ObjectOutcome.UNREADABLE: 1, ObjectOutcome.RECONCILED: 1}

    def test_its_memory_is_taken_while_it_is_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        world = World(four=[A])
        taken: list[int] = []

        def memory_for(size: int) -> AbstractContextManager[None]:
            taken.append(size)
            return limits.memory_for(size)

        monkeypatch.setattr(objects, "memory_for", memory_for)

        world.run()

        assert taken == [4]

    def test_moved_before_it_was_read(self) -> None:
        world = World(one=[A])
        found = world.found
        world.s3.store(f"{PREFIX}one", None)

        self.assert_gone(world, found, "another process has moved or replaced it")

    def test_replaced_by_a_longer_one_before_it_was_read(self) -> None:
        world = World(one=[A])
        found = world.found
        world.s3.store(f"{PREFIX}one", b"longer")

        self.assert_gone(world, found, "another process has moved or replaced it")

    def test_replaced_after_it_was_read(self) -> None:
        world = World(one=[A])

        def replaced(operation: str, _name: str) -> None:
            if operation == "copy":
                world.s3.store(f"{PREFIX}one", b"two")

        world.s3.before = replaced

        self.assert_gone(
            world, world.found, "another process has moved or replaced it; its keys were repaired"
        )
        assert world.calls == [(A,)]

    def assert_gone(self, world: World, found: list[FoundObject], reason: str) -> None:
        redriver = Redriver(world, interrupt=world.interrupt)

        redriver.run(found, world.advanced.append)

        assert seen(left_of(redriver.redriven)) == (ObjectOutcome.GONE, reason, ())
        assert left_of(redriver.redriven).found == found[0]
        assert (redriver.redriven.keys, world.advanced) == (0, [1])


class TestWaiting:
    def test_for_an_in_doubt_write_of_it(self) -> None:
        world = World()
        world.keep("one", [A, B], age=100.0, hold_seconds=161.0)
        world.keep("two", [C], age=100.0, hold_seconds=130.0)

        redriven = world.run()

        one, two = redriven.left.first
        assert seen(one) == (ObjectOutcome.WAITING, f"{MAY_LAND} for 2 more minutes", (A, B))
        assert seen(two) == (ObjectOutcome.WAITING, f"{MAY_LAND} for 1 more minutes", (C,))
        assert one.found.url.endswith("/one")
        assert (one.wait, two.wait) == (61, 30)
        assert (redriven.objects_wait, redriven.wait) == (61, 61)
        assert (world.calls, world.moved) == ([], [])

    @pytest.mark.parametrize(("hold", "is_moved"), [(100.0, True), (100.5, False)])
    def test_no_longer_than_it_may_land(self, hold: float, is_moved: bool) -> None:
        world = World()
        world.keep("one", [A], age=100.0, hold_seconds=hold)

        world.run()

        assert world.moved == (["one"] if is_moved else [])

    def test_not_for_one_without_keys(self) -> None:
        world = World()
        world.keep("one", [], keyless=1, hold_seconds=100.0)

        assert left_of(world.run()).outcome is ObjectOutcome.KEYLESS

    @pytest.mark.parametrize(("in_doubt", "wait"), [(99.0, 99.0), (9.0, 10.0)])
    def test_the_longest_of_all(self, in_doubt: float, wait: float) -> None:
        assert Redriven(in_doubt_seconds=in_doubt, objects_wait=10.0).wait == wait


class TestDryRun:
    def test_an_object_that_is_due(self) -> None:
        world = World(one=[A, B])

        redriven = world.run(dry=True)

        assert seen(left_of(redriven)) == (ObjectOutcome.DUE, "its writer's word", (A, B))
        assert left_of(redriven).found.url.endswith("/one")
        assert redriven.counts == {ObjectOutcome.DUE: 1}
        assert (world.calls, world.moved, world.advanced) == ([], [], [1])


class TestResuming:
    def test_keys_that_no_object_has(self) -> None:
        world = World()
        world.fates = {A: "in_doubt", B: "refused", C: "undecided"}
        keys = [A, B, C, *(key(f"{number}") for number in range(100))]
        redriver = Redriver(None, interrupt=world.interrupt)

        redriver.resume(keys, world.reconcile)

        assert list(map(len, world.calls)) == [100, 3]
        assert redriver.redriven.resumed == 100
        assert redriver.redriven.open == {
            B: (ObjectOutcome.UNWRITABLE, "ValidationException: why"),
            C: (ObjectOutcome.UNDECIDED, UNDECIDED),
        }

    def test_keys_that_are_excluded_by_the_filter_are_counted_as_well(self) -> None:
        world = World()
        world.fates = {C: "changing"}
        redriver = Redriver(None, interrupt=world.interrupt)

        redriver.leave_outside([A])
        redriver.leave_outside([B])
        redriver.resume([C], world.reconcile)

        assert redriver.redriven.open == {
            A: (ObjectOutcome.OUTSIDE, OUTSIDE),
            B: (ObjectOutcome.OUTSIDE, OUTSIDE),
            C: (ObjectOutcome.UNSETTLED, "the source changed in every round"),
        }


class TestCounting:
    def stay(self, reason: str = "why", keys: int = 0, wait: float = 0.0) -> Callable[[Redriven], None]:
        place = BucketPrefix(FakeS3().bucket(), PREFIX, lambda _body, _at: Unpacked((), 0, "", 0.0))
        found = FoundObject(place, Listed(f"{PREFIX}one", 1, 0.0, NOW))
        named = tuple(key(f"{number}") for number in range(keys))
        return lambda redriven: redriven.stays(
            RemainingObject(ObjectOutcome.UNSETTLED, found, reason, named, wait)
        )

    def test_ten_keys_are_listed(self) -> None:
        redriven = Redriven()

        self.stay(keys=12)(redriven)

        assert left_of(redriven).keys == tuple(key(f"{number}") for number in range(10))
        assert left_of(redriven).more_keys == 2

    def test_a_long_reason_is_cut(self) -> None:
        redriven = Redriven()

        self.stay("x" * 501)(redriven)

        assert left_of(redriven).reason == "x" * 500

    def test_objects_and_the_longest_wait(self) -> None:
        redriven = Redriven()

        for wait in (0.0, 2.0, 1.0):
            self.stay(wait=wait)(redriven)

        assert (redriven.counts, redriven.objects_wait) == ({ObjectOutcome.UNSETTLED: 3}, 2.0)

    @pytest.mark.parametrize(("missing", "listed"), [(0, 1), (1, 0)])
    def test_objects_are_listed_while_there_is_room(
        self, missing: int, listed: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        printed = (f"s3://bucket/{PREFIX}one", "why", "PK", "S", "0", "PK", "S", "1")
        room = sum(len(printable(text)) for text in printed)
        monkeypatch.setattr(bounded_list, "ROOM", room - missing)
        redriven = Redriven()

        self.stay(keys=2)(redriven)

        assert (len(redriven.left.first), redriven.left.count) == (listed, 1)
