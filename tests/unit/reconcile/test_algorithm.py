"""algorithm: the replica gets the source's state of some keys, and each key has an outcome."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest

from ddbreplica.dynamodb.send import REQUEST_SECONDS
from ddbreplica.errors import ReplicaError, SourceError, TaskError
from ddbreplica.model import Change, Image, Key, Refusal, RefusalKind
from ddbreplica.reconcile.algorithm import ROUNDS, ReconcileContext, Reconciled, reconcile
from ddbreplica.reconcile.rescan import Rescan, Shown
from ddbreplica.records.decode import key_of
from ddbreplica.transform.view import seen_as_untransformable
from tests.support.clock import Clock
from tests.support.fake_journal import HOLD, FakeJournal
from tests.support.fake_replica import DENIED, INVALID, THROTTLED, TIMED_OUT, FakeReplica, Request, in_turn
from tests.support.fake_source import INVALID_KEY, FakeSource

LONG = 1e6


def key(name: str) -> Key:
    return (("PK", "S", name),)


def item(name: str, value: int = 1) -> dict[str, Any]:
    return {"PK": {"S": name}, "v": {"N": str(value)}}


A, B = key("a"), key("b")


class World:
    """A source, its replica, and a journal; `log` records the order of their calls."""

    def __init__(
        self,
        *source: dict[str, Any],
        replica: Iterable[dict[str, Any]] = (),
        on_read: Callable[[Sequence[Key]], Any] = lambda keys: (),
        on_write: Callable[[Request], Any] = lambda writes: (),
        is_archive: bool = False,
        **fakes: Any,
    ) -> None:
        self.is_archive = is_archive
        self.log: list[str] = []
        self.clock = Clock(LONG)
        self.source = FakeSource(
            *source, script=self._logged("read", on_read), rejects=fakes.get("rejects", _no)
        )
        self.replica = FakeReplica(script=self._logged("write", on_write), poison=fakes.get("poison", _no))
        self.replica.items = {key_of({"PK": one["PK"]}): one for one in replica}
        self.journal = _LoggedJournal(self)

    def _logged(self, what: str, script: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def logged(request: Any) -> Any:
            self.log.append(what)
            return script(request)

        return logged

    def reconcile(
        self,
        *keys: Key,
        seen: Mapping[Key, Image] | None = None,
        rescan: Rescan | None = None,
        seconds: float = LONG,
    ) -> Reconciled:
        pair = ReconcileContext(self.source, self.replica, self.journal, is_archive=self.is_archive)
        self.clock.left = seconds
        return reconcile(keys, pair, deadline=self.clock.deadline(), seen=seen or {}, rescan=rescan)

    def page(
        self, *items: dict[str, Any], shows: Callable[[list[dict[str, Any]]], Any] = list, units: float = 0.5
    ) -> Reconciled:
        """Reconcile a page of these items. The scan of its range `shows` items of those that the source has then."""

        def scan() -> Shown:
            self.log.append("scan")
            return [(key_of({"PK": one["PK"]}), one) for one in shows([*self.source.items.values()])]  # type: ignore[list-item]

        seen = {key_of({"PK": one["PK"]}): one for one in items}
        return self.reconcile(*seen, seen=seen, rescan=Rescan(units, scan))

    @property
    def is_equal(self) -> bool:
        return self.source.items == self.replica.items


class _LoggedJournal(FakeJournal):
    def __init__(self, world: World) -> None:
        self.now = 0.0
        self._log = world.log
        super().__init__(lambda: self.now)

    def intend(self, keys: Sequence[Key]) -> Sequence[Key]:
        self._log.append("intend")
        return super().intend(keys)

    def confirm(self, keys: Sequence[Key]) -> None:
        self._log.append("confirm")
        super().confirm(keys)


def _no(_: Any) -> bool:
    return False


def test_missing_different_and_extra_items_are_repaired() -> None:
    world = World(item("a"), item("b", 2), replica=[item("b", 1), item("c")])

    outcome = world.reconcile(A, B, key("c"))

    assert outcome == Reconciled(confirmed=[A, B, key("c")])
    assert world.replica.items == {A: item("a"), B: item("b", 2)}
    assert not world.journal.opened


@pytest.mark.hazard(number=11)
def test_keys_are_opened_before_and_closed_after_everything_else() -> None:
    world = World(item("a"))

    world.reconcile(A)

    assert world.log == ["intend", "read", "write", "read", "confirm"]


def test_an_item_in_seen_saves_the_first_read() -> None:
    world = World(item("a"), item("b"))

    assert world.reconcile(A, B, seen={A: item("a")}) == Reconciled(confirmed=[A, B])

    assert world.source.requests == [(B,), (A, B)]
    assert world.is_equal


def test_the_last_read_detects_an_old_item_in_seen() -> None:
    world = World(item("a", 2), replica=[item("a", 2)])

    assert world.reconcile(A, seen={A: item("a", 0)}) == Reconciled(confirmed=[A])

    assert world.is_equal


def test_a_deleted_item_in_seen_does_not_come_back() -> None:
    world = World()

    assert world.reconcile(A, seen={A: item("a")}) == Reconciled(confirmed=[A])

    assert world.replica.items == {}


def changing(world: World, times: int) -> None:
    """Change the source after each write to the replica."""
    values = iter(range(2, times + 2))

    def script(_: Request) -> tuple[()]:
        if (value := next(values, None)) is not None:
            world.source.put(item("a", value))
        return ()

    world.replica._script = script


@pytest.mark.hazard(number=11)
def test_only_a_key_that_changes_meanwhile_is_repeated() -> None:
    world = World(item("a"), item("b"))
    changing(world, 1)

    assert world.reconcile(A, B) == Reconciled(confirmed=[B, A])

    assert [[write.change.key for write in request] for request in world.replica.requests] == [[A, B], [A]]
    assert world.is_equal


def test_a_key_that_changes_in_every_round_but_the_last_is_confirmed() -> None:
    world = World(item("a"))
    changing(world, ROUNDS - 1)

    assert world.reconcile(A) == Reconciled(confirmed=[A])


def test_a_key_that_changes_in_every_round_is_not_confirmed_and_stays_open() -> None:
    world = World(item("a"))
    changing(world, ROUNDS)

    assert world.reconcile(A) == Reconciled(changing=[A])

    assert len(world.replica.requests) == ROUNDS
    assert list(world.journal.opened) == [A]
    assert world.reconcile(A) == Reconciled(confirmed=[A])


def test_a_key_given_twice_is_reconciled_once() -> None:
    world = World(item("a"))

    assert world.reconcile(A, B, A) == Reconciled(confirmed=[A, B])


def test_many_keys_go_in_full_requests() -> None:
    many = [item(f"key-{number}") for number in range(250)]
    world = World(*many)

    outcome = world.reconcile(*world.source.items)

    assert outcome.confirmed == list(world.source.items)
    assert [len(request) for request in world.source.requests] == [100, 100, 50] * 2
    assert sorted(len(request) for request in world.replica.requests) == [25] * 10
    assert world.is_equal


def test_without_keys_there_is_no_request() -> None:
    world = World()

    assert world.reconcile() == Reconciled()

    assert "read" not in world.log
    assert "write" not in world.log


@pytest.mark.hazard(number=11)
def test_a_write_without_a_response_is_not_confirmed_although_its_repetition_was_applied() -> None:
    world = World(item("a"), item("b"), on_write=in_turn(TIMED_OUT))

    outcome = world.reconcile(A, B)

    assert (sorted(outcome.in_doubt), outcome.confirmed, outcome.failed) == ([A, B], [], [])
    assert world.is_equal
    assert list(world.journal.opened) == [A, B]


def test_an_in_doubt_key_is_left_alone_until_its_write_can_no_longer_land() -> None:
    world = World(item("a"), item("b"), on_write=in_turn(TIMED_OUT))
    world.reconcile(A)
    requests = len(world.replica.requests)

    world.journal.now = HOLD - 1
    assert world.reconcile(A) == Reconciled(in_doubt=[A])
    assert len(world.replica.requests) == requests

    world.replica.items[A] = item("a", 0)  # it has landed
    world.journal.now = HOLD
    assert world.reconcile(A) == Reconciled(confirmed=[A])
    assert world.replica.items == {A: item("a")}


def test_a_key_that_is_held_back_does_not_hold_back_others() -> None:
    world = World(item("a"), item("b"), on_write=in_turn(TIMED_OUT))
    world.reconcile(A)

    assert world.reconcile(A, B) == Reconciled(in_doubt=[A], confirmed=[B])


def test_a_write_that_never_gets_a_response_is_in_doubt_and_not_only_failed() -> None:
    world = World(item("a"), on_write=lambda _: TIMED_OUT)

    assert world.reconcile(A, seconds=REQUEST_SECONDS) == Reconciled(in_doubt=[A])


def test_a_write_that_is_rejected_after_one_without_a_response_is_in_doubt() -> None:
    world = World(item("a"), on_write=in_turn(TIMED_OUT, INVALID, INVALID))

    assert world.reconcile(A) == Reconciled(in_doubt=[A])


def test_an_item_that_the_replica_refuses_does_not_affect_others() -> None:
    world = World(item("a"), item("b", 666), poison=lambda image: image["v"] == {"N": "666"})

    assert world.reconcile(A, B) == Reconciled(confirmed=[A], refused=[(B, INVALID)])

    assert world.replica.items == {A: item("a")}
    assert list(world.journal.opened) == [B]


def test_a_key_that_the_source_refuses_does_not_affect_others() -> None:
    world = World(item("a"), rejects=lambda one: one == B)

    assert world.reconcile(A, B) == Reconciled(confirmed=[A], refused=[(B, INVALID_KEY)])

    assert list(world.journal.opened) == [B]


def test_a_write_that_is_throttled_for_too_long_fails_and_stays_open() -> None:
    world = World(item("a"), on_write=lambda _: THROTTLED)

    assert world.reconcile(A, seconds=60) == Reconciled(failed=[(A, THROTTLED)])

    assert list(world.journal.opened) == [A]


@pytest.mark.parametrize("reads", [0, 1])
def test_neither_the_first_nor_the_last_read_may_fail(reads: int) -> None:
    left = [()] * reads
    world = World(item("a"), on_read=lambda _: left.pop() if left else THROTTLED)

    assert world.reconcile(A, seconds=60) == Reconciled(failed=[(A, THROTTLED)])

    assert len(world.replica.requests) == reads
    assert list(world.journal.opened) == [A]


def test_a_read_and_a_write_that_fail_are_both_reported() -> None:
    world = World(item("a"), item("b"), on_read=lambda _: [A], on_write=lambda _: THROTTLED)

    outcome = world.reconcile(A, B, seconds=60)

    assert [(failed, refusal.code) for failed, refusal in outcome.failed] == [
        (A, "UnprocessedKeys"),
        (B, "ThrottlingException"),
    ]


def test_a_state_is_sent_as_the_change_that_a_stream_would_bring() -> None:
    world = World(item("a"))

    world.reconcile(A, B)

    (request,) = world.replica.requests
    assert [write.change for write in request] == [
        Change(0, "0", A, {"PK": {"S": "a"}}, item("a"), None, {}),
        Change(1, "1", B, {"PK": {"S": "b"}}, None, None, {}),
    ]


def test_a_fault_of_the_source_is_raised_and_the_written_keys_stay_open() -> None:
    left: list[tuple[()]] = [()]
    world = World(item("a"), on_read=lambda _: left.pop() if left else DENIED)

    with pytest.raises(SourceError, match=r"source table .* AccessDeniedException: not authorised") as raised:
        world.reconcile(A)

    assert raised.value.code == "AccessDeniedException"
    assert "stay open in the state file" in raised.value.hint
    assert len(world.replica.requests) == 1
    assert list(world.journal.opened) == [A]


def test_a_fault_of_the_replica_is_raised_and_its_keys_stay_open() -> None:
    world = World(item("a"), on_write=lambda _: DENIED)

    with pytest.raises(
        ReplicaError, match=r"replica table .* AccessDeniedException: not authorised"
    ) as raised:
        world.reconcile(A)

    assert raised.value.code == "AccessDeniedException"
    assert "stay open in the state file" in raised.value.hint
    assert list(world.journal.opened) == [A]


def test_an_in_doubt_key_is_held_back_although_a_fault_follows() -> None:
    world = World(item("a"), on_write=in_turn(TIMED_OUT, DENIED))

    with pytest.raises(ReplicaError):
        world.reconcile(A)

    assert world.reconcile(A) == Reconciled(in_doubt=[A])


@pytest.mark.hazard(number=14)
def test_nothing_is_ever_deleted_from_an_archive() -> None:
    world = World(item("a"), replica=[item("a", 0), item("b")], is_archive=True)

    assert world.reconcile(A, B) == Reconciled(confirmed=[A], undecided=[B])

    assert world.replica.items == {A: item("a"), B: item("b")}


@pytest.mark.hazard(number=14)
def test_an_item_that_disappears_after_its_write_to_an_archive_is_undecided() -> None:
    def expire(_: Request) -> tuple[()]:
        world.source.items.pop(A, None)
        return ()

    world = World(item("a"), item("b"), on_write=expire, is_archive=True)

    assert world.reconcile(A, B) == Reconciled(confirmed=[B], undecided=[A])

    assert world.replica.items == {A: item("a"), B: item("b")}


def test_an_archive_gets_an_item_again_although_it_has_it() -> None:
    # Nothing else repairs what a late write has left there.
    world = World(item("a", 2), replica=[item("a", 1)], is_archive=True)

    assert world.reconcile(A) == Reconciled(confirmed=[A])

    assert world.replica.items == {A: item("a", 2)}


def test_an_undecided_key_stays_open_until_the_caller_closes_it() -> None:
    world = World(is_archive=True)

    assert world.reconcile(A) == Reconciled(undecided=[A])

    assert list(world.journal.opened) == [A]


def test_a_key_that_changes_in_the_source_of_an_archive_is_repeated() -> None:
    world = World(item("a"), is_archive=True)
    changing(world, 1)

    assert world.reconcile(A) == Reconciled(confirmed=[A])

    assert world.is_equal


@pytest.mark.hazard(number=11)
def test_a_page_is_confirmed_by_a_scan_that_begins_after_the_responses_to_all_writes() -> None:
    items = [item(f"key-{number}") for number in range(60)]
    world = World(*items)

    outcome = world.page(*items)

    assert outcome == Reconciled(confirmed=[*world.source.items])
    assert world.log == ["intend", "write", "write", "write", "scan", "confirm"]
    assert world.is_equal


@pytest.mark.hazard(number=11)
def test_a_key_that_the_scan_does_not_show_is_read_by_key() -> None:
    world = World(item("a"), item("b", 2), replica=[item("c", 2)])

    outcome = world.page(
        item("a"), item("b", 1), item("c", 1), shows=lambda items: [one for one in items if one == item("a")]
    )

    assert outcome == Reconciled(confirmed=[A, B, key("c")])
    assert world.source.requests == [(B, key("c"))] * 2
    assert world.is_equal


def test_an_item_that_the_scan_shows_changed_is_written_and_then_read_by_key() -> None:
    world = World(item("a"), item("b", 2))

    assert world.page(item("a"), item("b", 1)) == Reconciled(confirmed=[A, B])

    assert world.log == ["intend", "write", "scan", "confirm", "write", "read", "confirm"]
    assert world.source.requests == [(B,)]
    assert world.is_equal


@pytest.mark.hazard(number=11)
@pytest.mark.parametrize("values", [(1, 2), (2, 1)])
def test_a_key_that_the_scan_shows_with_two_images_is_read_by_key(values: tuple[int, int]) -> None:
    world = World(item("a", 2))

    outcome = world.page(item("a", 1), shows=lambda _: [item("a", value) for value in values], units=0)

    assert outcome == Reconciled(confirmed=[A])
    assert world.log == ["intend", "write", "scan", "read", "confirm", "write", "read", "confirm"]
    assert world.is_equal


def test_what_else_the_scan_shows_is_neither_written_nor_confirmed() -> None:
    world = World(item("a"), item("b"))

    assert world.page(item("a")) == Reconciled(confirmed=[A])
    assert world.replica.items == {A: item("a")}


def test_keys_are_read_at_once_where_the_scan_costs_no_less() -> None:
    world = World(item("a"), item("b"))

    assert world.page(item("a"), item("b"), units=2) == Reconciled(confirmed=[A, B])
    assert "scan" not in world.log


@pytest.mark.hazard(number=11)
def test_the_scan_confirms_no_key_whose_write_is_in_doubt_or_refused() -> None:
    in_doubt = World(item("a"), on_write=in_turn(TIMED_OUT))
    refused = World(item("a"), item("b"), poison=lambda image: image["PK"] == {"S": "b"})

    assert in_doubt.page(item("a")) == Reconciled(in_doubt=[A])
    assert refused.page(item("a"), item("b")) == Reconciled(confirmed=[A], refused=[(B, INVALID)])
    assert "scan" in refused.log


def test_only_the_keys_that_were_written_count_for_the_price() -> None:
    items = [item(f"key-{number}") for number in range(3)]
    world = World(*items, poison=lambda image: image["PK"] != {"S": "key-0"})

    world.page(*items, units=1)

    assert "scan" not in world.log


def test_an_item_of_an_archive_that_the_scan_does_not_show_needs_review_only_if_it_is_gone() -> None:
    world = World(item("a"), is_archive=True)

    outcome = world.page(item("a"), item("b"), shows=lambda _: [])

    assert outcome == Reconciled(confirmed=[A], undecided=[B])
    assert world.replica.items == {A: item("a"), B: item("b")}


def test_if_the_scan_cannot_be_made_the_written_keys_stay_open() -> None:
    world = World(item("a"))

    def refuse(_: Any) -> Any:
        raise TaskError("the table logfile cannot be read", hint="try later")

    with pytest.raises(TaskError, match="cannot be read"):
        world.page(item("a"), shows=refuse)

    assert list(world.journal.opened) == [A]


def unfit(name: str) -> Image:
    return seen_as_untransformable({"PK": {"S": name}}, "attribute 'v' has type BOOL")


UNFIT = Refusal(RefusalKind.REJECTED, "Untransformable", "attribute 'v' has type BOOL")


def test_an_item_that_cannot_be_transformed_is_refused_and_its_key_stays_open() -> None:
    world = World(unfit("a"), item("b"), replica=[item("a", 0)])  # type: ignore[arg-type]

    assert world.reconcile(A, B) == Reconciled(confirmed=[B], refused=[(A, UNFIT)])

    assert world.replica.items == {A: item("a", 0), B: item("b")}
    assert world.journal.opened.keys() == {A}


def test_such_an_item_in_seen_is_refused_without_a_request() -> None:
    world = World(item("a"))

    assert world.reconcile(A, seen={A: unfit("a")}) == Reconciled(refused=[(A, UNFIT)])

    assert world.log.count("write") == 0


def test_an_item_that_can_no_longer_be_transformed_after_its_write_is_not_confirmed() -> None:
    def change(_: Request) -> tuple[()]:
        world.source.items[A] = unfit("a")
        return ()

    world = World(item("a"), on_write=change)

    assert world.reconcile(A) == Reconciled(refused=[(A, UNFIT)])

    assert world.journal.opened.keys() == {A}
