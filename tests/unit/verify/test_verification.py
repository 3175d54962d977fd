"""verification: its steps, what its result says, and what an operator is told, however it ends.

test_verification_laws.py checks that a run that is stopped anywhere and run again ends like an unbroken one.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ddbreplica.bucket.verification_record import BY_LOOKS, BY_STREAM
from ddbreplica.errors import StoppedError, TaskError, TransformChangedError
from ddbreplica.mapping.key_filter import EVERY_KEY, KeyFilter
from ddbreplica.model import Image, Key, ScanPage, Table
from ddbreplica.reconcile.algorithm import Reconciled
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.journal_format import VERIFY
from ddbreplica.transform.same_transform import NO_TRANSFORM, SameTransform
from ddbreplica.transform.view import View
from ddbreplica.verify import options, saved_progress, verification
from ddbreplica.verify.compare import comparison
from ddbreplica.verify.compare.comparison import Comparison
from ddbreplica.verify.compare.given_keys import KeyComparison
from ddbreplica.verify.confirm.plan import DEFAULT_GRACE
from ddbreplica.verify.difference import Difference, DifferenceKind, Swept
from ddbreplica.verify.keys_file import KeysFile
from ddbreplica.verify.keyset import KeySet
from ddbreplica.verify.options import VerifyOptions
from ddbreplica.verify.repair import Repair, leave
from ddbreplica.verify.result.findings import REPAIRED, Findings
from ddbreplica.verify.result.verdict import Verified
from ddbreplica.verify.saved_progress import SavedProgress
from ddbreplica.verify.verification import Parts, Verification
from tests.support.memory_state import ManualClock, MemoryLines
from tests.support.recording import Recording
from tests.support.scanned import item, key
from tests.support.stopped import OPTIONS, PacedTable

BEGAN = "2025-11-28T00:00:00.000000+00:00"
CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)
ONE = replace(OPTIONS, segments=1)
FILTER = KeyFilter.of(['{"dynamodb": {"Keys": {"PK": {"S": [{"prefix": "000"}]}}}}'])
THROTTLED = TaskError("the source is throttled.", hint="wait.")


class SegmentedTable(PacedTable):
    """A table that lists which segments were read, of how many."""

    def scan_page(self, segment: int, *, of: int, after: Image | None, consistent: bool) -> ScanPage:
        page = super().scan_page(segment, of=of, after=after, consistent=consistent)
        self.reads.append(f"{segment} of {of}")
        return page


@dataclass
class Confirmation:
    """Confirms that each suspected difference is one, in the order of the keys. `fails` raises after some of them."""

    pair: "Pair"
    suspects: KeySet
    by_looks: bool
    lag: float | None

    def differences(self) -> Iterator[Difference]:
        keys = [each for chunk in self.suspects.chunks(100) for each in chunk]
        self.pair.confirmed.append([number(each) for each in keys])
        self.pair.clock.pass_by(2)
        for count, each in enumerate(keys):
            if count == self.pair.fails_after:
                raise self.pair.fails_with
            kind = (
                DifferenceKind.DIFFERENT
                if number(each) in self.pair.replica.items
                else DifferenceKind.MISSING
            )
            yield Difference(kind, each)


@dataclass
class Pair:
    """Two tables in memory, and the verification of them. Each confirmation takes two seconds."""

    options: VerifyOptions = ONE
    key_filter: KeyFilter = EVERY_KEY
    is_archive: bool = False
    unseen: str | None = None
    witnessed: list[tuple[bool, float | None]] = field(default_factory=lambda: [(False, None)] * 9)
    """Of each confirmation, whether it was by looks, and the lag."""
    fails_after: int | None = None
    fails_with: BaseException = THROTTLED
    reconcile: Callable[[Sequence[Key]], Reconciled] | None = None
    confirmed: list[list[int]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    created_at: datetime = CREATED_AT

    def __post_init__(self) -> None:
        self.recording = Recording()
        self.clock = ManualClock()
        self.clock.respond()
        self.lines = MemoryLines()
        self.source, self.replica = (SegmentedTable({}, ()) for _ in range(2))
        self.transform: SameTransform = NO_TRANSFORM

    def fill(self, source: Sequence[int], replica: Sequence[int], *, page: int = 100) -> "Pair":
        """Fill the tables with items of these numbers, and let scans return so many items a page."""
        for table, numbers in ((self.source, source), (self.replica, replica)):
            table.items = {each: item(each) for each in numbers}
            table.page = lambda: page
            table.order = range(1 + max([*source, *replica]))
        return self

    def verification(self, *, with_state: bool = True) -> Verification:
        """Return another run of the verification, which began a second ago."""
        self.lines.is_open = True
        journal = FileJournal(self.lines, command=VERIFY, clock=self.clock) if with_state else None
        repair = (
            None
            if self.reconcile is None or journal is None
            else Repair(journal, self.reconcile, self.transform.check_now)
        )
        self.parts = Parts(
            connection=cast("Any", SimpleNamespace(clock=self.clock)),
            options=self.options,
            driver=self.recording.driver,
            sleep=self.slept.append,
            tables=self.described(),
            readers=(self.source.reader, self.replica.reader),
            key_filter=self.key_filter,
            is_archive=self.is_archive,
            unseen=self.unseen,
            confirm=lambda suspects: Confirmation(self, suspects, *self.witnessed[len(self.confirmed)]),
            unequal=lambda keys: [each for each in keys if self.differs(number(each))],
            transform=self.transform,
            repair=repair,
            saved=SavedProgress(journal),
            findings=Findings(5),
        )
        return Verification(self.parts, started=self.clock.ticks() - 1)

    def run(self) -> Verified:
        """Verify, forget the progress as the command does, and return the result."""
        run = self.verification()
        run.run()
        result = run.result
        self.parts.saved.forget()
        return result

    def differs(self, each: int) -> bool:
        return self.source.items.get(each) != self.replica.items.get(each)

    def described(self) -> Any:
        return tuple(
            SimpleNamespace(
                side=SimpleNamespace(name=name),
                table=Table(f"arn:{name}", status="ACTIVE", key_schema=frozenset({("PK", "S")})),
                description={"CreationDateTime": self.created_at},
                items=items,
            )
            for name, items in (("source", 6), ("replica", 5))
        )

    def fail(self, table: PacedTable, *, at: int, error: BaseException = THROTTLED) -> None:
        """Let the request number `at` to a table fail, once."""
        requests = iter(range(1, 1000))

        def before() -> None:
            if next(requests) == at:
                raise error

        table.before = before


def number(each: Key) -> int:
    return int(each[0][2])


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Pair:
    pair = Pair()
    monkeypatch.setattr(verification, "describe_pair", lambda connection: connection and pair.described())
    return pair


def found(
    *differences: tuple[DifferenceKind, int],
    repair: str | None = None,
    confirmed_by: str = BY_STREAM,
    lag: float | None = None,
) -> Findings:
    findings = Findings(5, confirmed_by=confirmed_by, lag=lag)
    for kind, each in differences:
        findings.add(Difference(kind, key(each)), repair)
    return findings


def test_equal_tables_need_no_confirmation(pair: Pair) -> None:
    result = pair.fill(range(4), range(4)).run()

    assert result == Verified(
        "source", "replica", "everything", Swept(4, 4), Findings(5), is_repair=False, seconds=1, began=BEGAN
    )
    assert result.verdict == "equal"
    assert pair.confirmed == []
    assert pair.recording.notes == []


def test_the_progress_is_that_of_both_tables(pair: Pair) -> None:
    pair.fill(range(4), range(3)).run()

    assert pair.recording.steps == [("comparing", 11, [4, 3])], (
        "as many as the descriptions of the tables say"
    )
    assert pair.recording.earlier == [0]


@pytest.mark.parametrize(
    ("rates", "shown"),
    [
        ((None, None), "comparing"),
        ((7.5, None), "comparing at 7.5 read capacity units per second"),
        ((300, 200), "comparing at 200 read capacity units per second"),
    ],
)
def test_the_progress_says_how_fast_the_slower_table_may_be_read(
    pair: Pair, rates: tuple[float | None, float | None], shown: str
) -> None:
    for table, rate in zip((pair.source, pair.replica), rates, strict=True):
        table.rate = SimpleNamespace(per_second=rate)

    pair.fill(range(4), range(4)).run()

    assert [what for what, *_ in pair.recording.steps] == [shown]


def test_suspected_differences_are_confirmed(pair: Pair) -> None:
    pair.witnessed = [(False, 0.5)]
    pair.fill(range(4), range(3)).replica.items[1] = item(1, 5)

    result = pair.run()

    assert pair.confirmed == [[1, 3]]
    assert result == Verified(
        "source",
        "replica",
        "everything",
        Swept(4, 3),
        found((DifferenceKind.DIFFERENT, 1), (DifferenceKind.MISSING, 3), lag=0.5),
        is_repair=False,
        seconds=3,
        began=BEGAN,
        confirmed_by=BY_STREAM,
        lag=0.5,
    )


def several_groups(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a verification of four differences decide two of them at a time."""
    monkeypatch.setattr(options, "MAX_SUSPECTS_AT_ONCE", 2)
    pair.fill(range(4), range(4), page=2)
    pair.replica.items = {each: item(each, 5) for each in range(4)}
    pair.options = replace(ONE, report=Path("report"))


@pytest.mark.parametrize(
    ("witnessed", "confirmed_by", "lag"),
    [
        ([(False, 0.5), (False, None)], BY_STREAM, 0.5),
        ([(False, 0.5), (False, 0.0)], BY_STREAM, 0.0),
        ([(True, 0.5), (False, 0.7)], BY_LOOKS, 0.7),
        ([(False, None), (True, None)], BY_LOOKS, None),
    ],
)
def test_groups_of_differences_are_confirmed_by_the_stream_only_if_all_are(
    pair: Pair,
    monkeypatch: pytest.MonkeyPatch,
    witnessed: list[tuple[bool, float | None]],
    confirmed_by: str,
    lag: float | None,
) -> None:
    several_groups(pair, monkeypatch)
    pair.witnessed = witnessed

    result = pair.run()

    assert pair.confirmed == [[0, 1], [2, 3]]
    assert (result.confirmed_by, result.lag, result.suspects) == (confirmed_by, lag, 0)
    assert result.findings == found(
        *((DifferenceKind.DIFFERENT, each) for each in range(4)), confirmed_by=confirmed_by, lag=lag
    )
    assert not result.stopped_early
    assert pair.recording.notes == []


def test_a_resumed_run_knows_how_earlier_differences_were_confirmed(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    several_groups(pair, monkeypatch)
    pair.witnessed = [(True, 0.7), (False, None), (False, None)]
    pair.fails_after = 1
    with pytest.raises(TaskError):
        pair.verification().run()
    pair.fails_after = None

    result = pair.run()

    assert (result.confirmed_by, result.lag) == (BY_LOOKS, 0.7)


def test_a_verdict_needs_no_more_than_many_suspected_differences(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    several_groups(pair, monkeypatch)
    monkeypatch.setattr(options, "MAX_SUSPECTS", 2)
    pair.options = ONE

    result = pair.run()

    assert pair.confirmed == [[0, 1]]
    assert (result.stopped_early, result.verdict) == (True, "not equal")
    assert pair.recording.notes == [
        (
            "Stopped early after 2 suspected differences; the remaining items were not compared. Try: add --report or"
            " --repair, which compare all items."
        )
    ]


def test_an_operator_is_told_that_the_mapping_cannot_be_read_only_if_something_differs(pair: Pair) -> None:
    pair.unseen = "denied"

    pair.fill(range(4), range(4)).run()
    assert pair.recording.notes == []

    pair.fill(range(4), range(3)).run()
    assert pair.recording.notes == [
        (
            "The event source mapping cannot be read (denied). Its filter is ignored, and items that only the replica"
            " has are reported as extra, unless --archive is given."
        )
    ]


def test_an_operator_is_told_that_the_scans_are_not_in_step(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "_LOOK_UPS", 4)
    pair.fill(range(6), range(6)).replica.order = range(5, -1, -1)

    pair.run()

    [note] = pair.recording.notes
    assert note.startswith("The two scans do not return the items in the same order.")


def test_items_that_the_filter_excludes_are_not_compared(pair: Pair) -> None:
    pair.key_filter = FILTER

    result = pair.fill(range(8, 12), range(8, 11)).run()

    assert result.swept == Swept(2, 2, source_outside=2, replica_outside=1)
    assert (result.verdict, result.looked_at) == ("equal", "everything within the filter")


def test_an_archive_may_have_more_items(pair: Pair) -> None:
    pair.is_archive = True

    result = pair.fill([0, 2], range(3)).run()

    assert result.swept == Swept(2, 3, archived=1)
    assert [found.key for found, _ in result.findings.archived] == [key(1)]
    assert (result.verdict, result.looked_at) == ("equal", "everything, as an archive")


def test_scans_are_eventually_consistent_only_if_asked_to(pair: Pair) -> None:
    pair.fill(range(4), range(4)).run()
    assert pair.source.reads[0] == "scan"

    pair.options = replace(ONE, eventually_consistent=True)
    pair.source.reads.clear()
    pair.run()
    assert pair.source.reads[0] == "eventual scan"


def test_a_sample_is_a_random_choice_of_segments(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def sample(numbers: Sequence[int], count: int) -> Sequence[int]:
        asked.append((numbers, count))
        return [6, 2]

    monkeypatch.setattr(verification, "random", SimpleNamespace(sample=sample))
    pair.options = replace(ONE, segments=2, sample=0.3)

    result = pair.fill(range(14), range(14)).run()

    assert asked == [(range(7), 2)], "a little less than the fraction that was asked for"
    assert sorted(pair.source.reads[:4]) == ["2 of 7", "6 of 7", "scan", "scan"]
    assert result.swept == Swept(4, 4)
    assert pair.recording.steps[0][1] == 3, "30 % of the items of both tables"
    assert result.looked_at == "a sample of 0.3"


def test_all_segments_are_compared_without_a_sample(pair: Pair) -> None:
    pair.options = replace(ONE, segments=3)

    assert pair.fill(range(7), range(7)).run().swept == Swept(7, 7)


def keys_file(content: bytes) -> KeysFile:
    return KeysFile("keys.jsonl", lambda: nullcontext(BytesIO(content)))


def test_given_keys_are_read_instead_of_the_tables(pair: Pair) -> None:
    pair.options = replace(ONE, keys_from=keys_file(b'{"PK": {"S": "0001"}}\n{"PK": {"S": "0003"}}\n'))

    result = pair.fill(range(4), range(3)).run()

    assert (pair.source.reads, pair.replica.reads) == (["get"], ["get"])
    assert pair.confirmed == [[3]]
    assert (result.swept, result.looked_at) == (Swept(2, 1), "the keys of keys.jsonl")
    assert pair.recording.steps[0][:2] == ("comparing", 4)


def test_given_keys_are_read_in_several_threads(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []

    class Counted(KeyComparison):
        def __init__(self, comparison: Comparison, keys: KeySet, *, threads: int) -> None:
            super().__init__(comparison, keys, threads=threads)
            used.append(threads)

    monkeypatch.setattr(verification, "KeyComparison", Counted)
    pair.options = replace(ONE, segments=3, keys_from=keys_file(b'{"PK": {"S": "0001"}}\n'))

    pair.fill(range(4), range(4)).run()

    assert used == [3]


def test_a_file_without_keys_is_refused(pair: Pair) -> None:
    pair.options = replace(ONE, keys_from=keys_file(b"\n"))

    with pytest.raises(TaskError) as refused:
        pair.fill(range(4), range(4)).run()

    assert refused.value.fact == "keys.jsonl contains no keys."
    assert refused.value.hint == "write one key per line, or omit --keys-from to compare all items."


def with_repair(pair: Pair, **changes: Any) -> list[list[int]]:
    """Let a verification repair differences. Return the keys of each repair."""
    repaired: list[list[int]] = []

    def reconcile(keys: Sequence[Key]) -> Reconciled:
        repaired.append([number(each) for each in keys])
        for each in repaired[-1]:
            pair.replica.items[each] = pair.source.items[each]
        return Reconciled(confirmed=list(keys))

    pair.reconcile = reconcile
    pair.options = replace(ONE, repair=True, **changes)
    return repaired


def test_confirmed_differences_are_repaired(pair: Pair) -> None:
    repaired = with_repair(pair)

    result = pair.fill(range(4), range(2)).run()

    assert repaired == [[2, 3]]
    assert (result.verdict, result.is_repair) == ("repaired", True)
    assert result.findings == found(*((DifferenceKind.MISSING, each) for each in (2, 3)), repair=REPAIRED)
    assert [step[:2] for step in pair.recording.steps] == [("comparing", 11), ("repairing", 2)]
    assert pair.slept == []


@pytest.mark.parametrize(("grace", "slept"), [(None, DEFAULT_GRACE), (0.0, 0.0), (7.0, 7.0)])
def test_what_a_repair_has_written_is_looked_at_again_after_the_grace_period(
    pair: Pair, grace: float | None, slept: float
) -> None:
    with_repair(pair, grace=grace)
    pair.reconcile = lambda keys: Reconciled(confirmed=list(keys))

    result = pair.fill(range(4), range(3)).run()

    assert pair.slept == [slept]
    assert [outcome for _, outcome in result.findings.first] == ["was written, and differs again"]


def test_repairs_run_in_several_threads(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def repairs(*_: Any, **options: Any) -> Any:
        threads.append(options["threads"])
        return lambda differences, **_: leave(differences)

    monkeypatch.setattr(verification, "Repairs", repairs)
    with_repair(pair, segments=3)

    pair.fill(range(4), range(3)).run()

    assert threads == [3]


def test_a_dry_run_says_what_a_repair_would_do(pair: Pair) -> None:
    pair.options = replace(ONE, repair=True, dry_run=True)

    result = pair.fill(range(4), range(3)).run()

    assert [outcome for _, outcome in result.findings.first] == ["would be put"]
    assert (result.is_repair, result.in_doubt) == (True, 0)
    assert 3 not in pair.replica.items


def test_keys_that_an_earlier_repair_left_open_are_repaired(pair: Pair) -> None:
    repaired = with_repair(pair)
    pair.key_filter = FILTER
    run = pair.fill(range(4), range(4)).verification()
    cast("Repair", pair.parts.repair).journal.intend([key(1), key(10)])

    run.run()

    assert repaired == [[1]]
    assert [
        (each.finding, number(each.key), "filter excludes" in str(outcome))
        for each, outcome in run.result.findings.first
    ] == [(DifferenceKind.INCONCLUSIVE, 10, True)]


def test_an_operator_is_told_until_when_the_replica_may_change(pair: Pair) -> None:
    with_repair(pair)
    run = pair.fill(range(4), range(4)).verification()
    cast("Repair", pair.parts.repair).journal.mark_in_doubt([key(1)])

    run.run()

    assert (run.result.in_doubt, run.result.verdict) == (1, "inconclusive")
    [note] = pair.recording.notes
    assert "in-doubt writes may still change 1 items of the replica" in note


def test_an_operator_is_told_so_after_an_error_too(pair: Pair) -> None:
    with_repair(pair)
    run = pair.fill(range(4), range(4)).verification()
    cast("Repair", pair.parts.repair).journal.mark_in_doubt([key(1)])
    pair.fail(pair.source, at=1)

    with pytest.raises(TaskError):
        run.run()

    [note] = pair.recording.notes
    assert "in-doubt writes may still change 1 items of the replica" in note


def test_a_table_that_was_recreated_meanwhile_is_refused(pair: Pair) -> None:
    run = pair.fill(range(4), range(4)).verification()
    pair.created_at = datetime(2026, 1, 2, tzinfo=UTC)

    with pytest.raises(TaskError) as refused:
        run.run()

    assert refused.value.fact == (
        "the source was recreated meanwhile: it was arn:source, created at 2026-01-01 00:00:00 UTC, and is"
        " arn:source, created at 2026-01-02 00:00:00 UTC; 4 items of the source and 4 of the replica were compared;"
        " suspected differences: 0; state keeps the progress."
    )
    assert refused.value.hint == "remove state, and run the command again."


def test_without_a_state_there_is_none_to_remove(pair: Pair) -> None:
    run = pair.fill(range(4), range(4)).verification(with_state=False)
    pair.created_at = datetime(2026, 1, 2, tzinfo=UTC)

    with pytest.raises(TaskError) as refused:
        run.run()

    assert refused.value.fact.endswith("suspected differences: 0.")
    assert refused.value.hint == "run the command again."


def test_an_error_before_the_first_item_is_told_as_it_is(pair: Pair) -> None:
    pair.fill(range(4), range(4))
    pair.fail(pair.source, at=1)

    with pytest.raises(TaskError) as ended:
        pair.run()

    assert (ended.value.fact, ended.value.hint) == (THROTTLED.fact, THROTTLED.hint)
    assert (ended.value.facts["source_items"], ended.value.facts["stopped_early"]) == (0, False)


def test_an_error_tells_what_is_known_so_far_and_where_the_progress_is(pair: Pair) -> None:
    pair.fill(range(4), range(4), page=2).replica.items[1] = item(1, 5)
    pair.fail(pair.source, at=2)

    with pytest.raises(TaskError) as ended:
        pair.run()

    assert ended.value.fact == (
        "the source is throttled; 2 items of the source and 2 of the replica were compared; suspected differences: 1;"
        " state keeps the progress."
    )
    assert (ended.value.facts["source_items"], ended.value.facts["suspects"]) == (2, 1)
    assert ended.value.hint == "wait."
    assert "verdict" not in ended.value.facts


def test_an_interrupted_run_tells_how_to_resume_it(pair: Pair) -> None:
    pair.fill(range(4), range(4), page=2)
    pair.fail(pair.source, at=2, error=KeyboardInterrupt())

    with pytest.raises(StoppedError) as ended:
        pair.run()

    assert ended.value.fact == (
        "interrupted; 2 items of the source and 2 of the replica were compared; suspected differences: 0."
    )
    assert ended.value.hint == "run the same command again; it resumes from state."
    assert ended.value.facts["source_items"] == 2


def test_an_interrupted_run_that_has_no_progress_begins_again(pair: Pair) -> None:
    pair.fill(range(4), range(4), page=2)
    pair.fail(pair.source, at=1, error=KeyboardInterrupt())

    with pytest.raises(StoppedError) as ended:
        pair.run()

    assert ended.value.hint == "run the same command again."


@pytest.mark.parametrize("error", [THROTTLED, KeyboardInterrupt()], ids=["error", "interrupt"])
def test_a_run_goes_on_where_another_one_ended(pair: Pair, error: BaseException) -> None:
    pair.fill(range(6), range(5), page=2).replica.items[1] = item(1, 5)
    pair.fail(pair.source, at=2, error=error)
    with pytest.raises(TaskError):
        pair.run()
    pair.recording.notes.clear()
    pair.source.reads.clear()
    pair.clock.pass_by(60)
    pair.clock.respond()

    result = pair.run()

    assert pair.recording.notes == ["Resuming from state, whose first scan began at 2025-11-28 00:00:00 UTC."]
    assert (result.began, result.swept) == (datetime.fromisoformat(BEGAN).isoformat(), Swept(6, 5))
    assert pair.confirmed == [[1, 5]]
    assert pair.source.reads.count("scan") == 2, "the first page is not read again"
    assert pair.recording.earlier == [0, 4]


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"options": replace(ONE, sample=0.5)}, "its sample is 1, not 0.5."),
        ({"is_archive": True}, "its archive is false, not true."),
        ({"key_filter": FILTER}, f"its filter is none, not {', '.join(FILTER.patterns)}."),
    ],
)
def test_a_run_that_compares_something_else_is_refused(
    pair: Pair, change: dict[str, Any], refused: str
) -> None:
    pair.fill(range(4), range(4), page=2)
    pair.fail(pair.source, at=2)
    with pytest.raises(TaskError):
        pair.run()
    for name, value in change.items():
        setattr(pair, name, value)

    with pytest.raises(TaskError) as ended:
        pair.run()

    assert ended.value.fact.endswith(refused)


def test_a_difference_for_which_there_was_no_room_is_decided_by_the_next_run(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise TaskError("the disk is full.", hint="free some space.")

    pair.is_archive = True
    pair.fill(range(2), range(2), page=1).replica.items[0] = item(0, 5)
    with monkeypatch.context() as patch, pytest.raises(TaskError):  # noqa: PT012
        patch.setattr(KeySet, "add", full)
        pair.run()

    result = pair.run()

    assert pair.confirmed == [[0]]
    assert result.verdict == "not equal"


def test_a_run_goes_on_where_the_progress_of_a_killed_one_was_last_stored(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved_progress, "SAVE_SECONDS", 0)
    pair.fill(range(6), range(6), page=2)
    pair.fail(pair.source, at=3, error=BaseException("killed"))
    with pytest.raises(BaseException, match="killed"):
        pair.run()
    pair.source.reads.clear()

    result = pair.run()

    assert result.swept == Swept(6, 6)
    assert pair.source.reads.count("scan") == 1


@pytest.mark.parametrize("error", [THROTTLED, KeyboardInterrupt()], ids=["error", "interrupt"])
def test_differences_that_were_confirmed_before_an_error_are_shown_and_not_confirmed_again(
    pair: Pair, error: BaseException
) -> None:
    pair.fill(range(4), [0])
    pair.fails_after, pair.fails_with = 2, error
    with pytest.raises(TaskError) as ended:
        pair.run()
    assert pair.recording.notes == [
        'missing      PK={"S": "0001"}  (in the source only)',
        'missing      PK={"S": "0002"}  (in the source only)',
        "",
    ]
    assert "confirmed differences: 2" in ended.value.fact
    assert ended.value.facts["missing"] == 2

    pair.fails_after = None
    result = pair.run()

    assert pair.confirmed == [[1, 2, 3], [3]]
    assert result.findings.counts[DifferenceKind.MISSING] == 3


@pytest.mark.parametrize("fails", ["save_all", "save_decided"])
def test_the_error_is_told_even_if_the_progress_cannot_be_stored(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    def full(*_: Any) -> None:
        raise TaskError("the disk is full.", hint="free some space.")

    pair.fill(range(4), [0], page=2)
    if fails == "save_all":
        pair.fail(pair.source, at=2)
    else:
        pair.fails_after = 1
    monkeypatch.setattr(SavedProgress, fails, full)

    with pytest.raises(TaskError, match="the source is throttled"):
        pair.run()


def test_a_group_that_was_decided_is_not_decided_again(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    several_groups(pair, monkeypatch)
    pair.fail(pair.source, at=2)
    with pytest.raises(TaskError):
        pair.run()

    result = pair.run()

    assert pair.confirmed == [[0, 1], [2, 3]]
    assert result.findings.counts[DifferenceKind.DIFFERENT] == 4


def test_what_was_found_is_stored_while_it_is_found(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    decided: list[Any] = []
    monkeypatch.setattr(
        SavedProgress,
        "decided",
        lambda _, each, findings: decided.append((number(each), findings.counts.total())),
    )

    pair.fill(range(3), [0]).run()

    assert decided == [(1, 1), (2, 2)]


def test_the_end_of_the_comparison_is_stored_before_differences_are_confirmed(pair: Pair) -> None:
    pair.fill(range(4), [0, 1, 2])
    pair.fails_after, pair.fails_with = 0, BaseException("killed")
    with pytest.raises(BaseException, match="killed"):
        pair.run()
    pair.fails_after = None
    pair.source.reads.clear()

    pair.run()

    assert (pair.source.reads, pair.confirmed) == ([], [[3], [3]])


class Changing:
    """A function whose transform is another one when it is read again."""

    def __init__(self, pair: Pair, digest: str | None = "other") -> None:
        pair.transform = SameTransform(View("begun with"), lambda: digest, pair.clock.ticks)


def test_a_comparison_during_which_the_transform_changed_is_inconclusive(pair: Pair) -> None:
    Changing(pair)

    result = pair.fill(range(4), range(3)).run()

    assert result.findings.counts == {DifferenceKind.MISSING: 1}
    assert result.verdict == "inconclusive"
    assert (result.transform, result.transform_changed) == ("begun with", True)


def test_a_transform_that_stays_changes_no_verdict(pair: Pair) -> None:
    Changing(pair, "begun with")

    assert pair.fill(range(4), range(4)).run().verdict == "equal"


def test_a_repair_during_which_the_transform_changed_is_not_done(pair: Pair) -> None:
    with_repair(pair)
    Changing(pair)

    with pytest.raises(TransformChangedError):
        pair.fill(range(4), range(3)).run()


def test_keys_of_an_earlier_repair_stay_open_if_the_transform_changed(pair: Pair) -> None:
    """Nothing but the state has them, and the reconciliation has closed them."""
    with_repair(pair)
    Changing(pair)
    reconcile = cast("Any", pair.reconcile)

    def closing_them(keys: Sequence[Key]) -> Reconciled:
        cast("Repair", pair.parts.repair).journal.confirm(keys)
        reconciled: Reconciled = reconcile(keys)
        return reconciled

    pair.reconcile = closing_them
    run = pair.fill(range(4), range(4)).verification()
    journal = cast("Repair", pair.parts.repair).journal
    journal.intend([key(1)])

    with pytest.raises(TransformChangedError):
        run.run()

    assert journal.open_keys() == (key(1),)
