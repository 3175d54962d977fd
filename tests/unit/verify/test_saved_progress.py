"""saved_progress: what is stored and when, which states are refused, and what a cut state is worth."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from ddbreplica.errors import TaskError
from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.model import Key
from ddbreplica.reconcile.journal import FileJournal
from ddbreplica.reconcile.journal_format import DAMAGED, VERIFY
from ddbreplica.records.compare import AttributeDifference
from ddbreplica.verify.compare.checkpoint import Position, SegmentState
from ddbreplica.verify.difference import Difference, DifferenceKind, Swept
from ddbreplica.verify.keyset import KeySet
from ddbreplica.verify.options import VerifyOptions
from ddbreplica.verify.result.findings import REPAIRED, UNDECIDED, Findings
from ddbreplica.verify.saved_progress import SAVE_SECONDS, SavedProgress
from tests.support.memory_state import ManualClock, MemoryLines
from tests.support.scanned import key
from tests.support.stopped import FILTER, OPTIONS

BEGAN = "2026-01-31T09:00:00.123456+00:00"
CURSOR = {"PK": {"S": "a"}}
PASSED = SegmentState(
    7, Position(CURSOR), Position(is_done=True), [key(1)], [key(2)], Swept(5, 4, 3, 2, archived=1)
)


@dataclass
class Here:
    """A segment in some state, as a comparison has it."""

    state: SegmentState
    has_begun: bool = True

    @property
    def number(self) -> int:
        return self.state.number


@dataclass
class State:
    """A state in memory, and the clock of its runs."""

    lines: MemoryLines = field(default_factory=MemoryLines)
    now: float = 1000.0

    def saved(self) -> SavedProgress:
        """Return the progress as another run has it."""
        clock = ManualClock()
        return SavedProgress(FileJournal(self.lines, command=VERIFY, clock=clock), clock=lambda: self.now)

    def begun(self, options: VerifyOptions = OPTIONS) -> SavedProgress:
        saved = self.saved()
        begin(saved, options)
        return saved

    @property
    def notes(self) -> dict[str, Any]:
        """The last value noted under each name."""
        return {line["note"]: line["value"] for line in map(json.loads, self.lines.read()) if "note" in line}

    def damage(self, name: str, value: Any) -> None:
        self.lines.append(json.dumps({"note": name, "value": value}).encode() + b"\n", durably=False)


def begin(
    saved: SavedProgress,
    options: VerifyOptions = OPTIONS,
    key_filter: KeyFilter = FILTER,
    *,
    is_archive: bool = False,
) -> Sequence[SegmentState]:
    identity = options.identity(key_filter, is_archive=is_archive, transform=None)
    return saved.begin(identity, began=BEGAN, chosen=[3, 7])


@pytest.fixture
def state() -> State:
    return State()


@pytest.fixture
def suspects() -> Iterator[KeySet]:
    with closing(KeySet()) as keys:
        yield keys


def listed(keys: KeySet) -> list[Key]:
    return [each for chunk in keys.chunks(100) for each in chunk]


def test_without_a_state_nothing_is_stored(suspects: KeySet) -> None:
    saved, findings = SavedProgress(None), Findings(0)
    assert (saved.began, saved.has_resumed, saved.is_begun, saved.name) == ("", False, False, None)

    assert begin(saved) == [SegmentState(3), SegmentState(7)]
    saved.restore(findings, suspects)
    saved.suspected([key(1)])
    saved.save(Here(PASSED))
    saved.save_all([Here(PASSED)])
    saved.decided(key(1), findings)
    saved.save_decided(findings)
    saved.settled(findings)
    saved.forget()

    assert (saved.began, saved.has_resumed, saved.is_begun, saved.name) == (BEGAN, False, False, None)
    assert not suspects


def test_a_run_that_compares_nothing_stores_nothing(state: State) -> None:
    saved = state.saved()

    assert begin(saved) == [SegmentState(3), SegmentState(7)]
    saved.save_all([Here(SegmentState(3), has_begun=False)])

    assert (saved.is_begun, saved.has_resumed, saved.name) == (False, False, "state")
    assert state.notes == {}


def test_another_run_goes_on_with_the_segments_that_were_chosen(state: State) -> None:
    state.begun().save_all([Here(PASSED), Here(SegmentState(3), has_begun=False)])

    saved = state.saved()
    assert saved.is_begun
    states = saved.begin(
        OPTIONS.identity(FILTER, is_archive=False, transform=None),
        began="2026-02-01T00:00:00+00:00",
        chosen=[1, 2],
    )

    assert states == [SegmentState(3), PASSED]
    assert (saved.began, saved.has_resumed) == (BEGAN, True)


def test_progress_of_another_transform_is_forgotten(state: State) -> None:
    state.begun().save_all([Here(PASSED)])
    saved = state.saved()

    assert not saved.forget_other(None)
    assert saved.is_begun

    assert saved.forget_other("digest")
    assert (state.saved().is_begun, state.notes) == (False, {})
    assert not saved.forget_other("digest")
    assert not SavedProgress(None).forget_other("digest")


def test_a_segment_is_stored_every_few_seconds(state: State) -> None:
    saved, later = state.begun(), replace(PASSED, waiting=[])

    saved.save(Here(PASSED))
    state.now += SAVE_SECONDS - 0.1
    saved.save(Here(PASSED))
    assert state.notes == {}

    state.now += 0.1
    saved.save(Here(PASSED))
    saved.save(Here(replace(PASSED, number=3)))
    assert state.notes.keys() == {"options", "chosen", "began", "segment 7"}

    state.now += SAVE_SECONDS - 0.1
    saved.save(Here(later))
    assert state.notes["segment 7"] == PASSED.document()

    state.now += 0.1
    saved.save(Here(later))
    assert state.notes["segment 7"] == later.document()
    assert "segment 3" not in state.notes


def test_suspected_differences_are_stored_before_the_position_behind_them(
    state: State, suspects: KeySet
) -> None:
    saved = state.begun()
    saved.suspected([key(1)])
    saved.suspected([key(2)])
    assert state.notes == {}

    saved.save_all([Here(PASSED)])
    saved.suspected([key(3)])
    saved.save_all([])

    assert [*state.notes] == ["options", "chosen", "began", "suspects 0 0", "segment 7", "suspects 0 1"]
    state.begun().restore(Findings(0), suspects)
    assert listed(suspects) == [key(1), key(2), key(3)]


def test_suspected_differences_that_were_restored_are_not_stored_again(
    state: State, suspects: KeySet
) -> None:
    saved = state.begun()
    saved.suspected([key(1)])
    saved.save_all([Here(PASSED)])
    saved = state.begun()
    saved.restore(Findings(0), suspects)

    before = state.notes
    saved.save_all([Here(PASSED)])

    assert state.notes == before


def test_suspected_differences_that_could_not_be_stored_are_stored_with_the_next_position(
    state: State, suspects: KeySet, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = state.begun()
    saved.suspected([key(1)])

    def fail(*_: Any, **__: Any) -> None:
        raise TaskError("full.", hint="free disk space.")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryLines, "append", fail)
        with pytest.raises(TaskError):
            saved.save_all([Here(PASSED)])
    saved.save_all([Here(PASSED)])

    state.begun().restore(Findings(0), suspects)
    assert listed(suspects) == [key(1)]


def found(*numbers: int) -> Findings:
    findings = Findings(10)
    for number in numbers:
        findings.add(Difference(DifferenceKind.MISSING, key(number)), REPAIRED)
    return findings


def with_suspects(state: State) -> SavedProgress:
    saved = state.begun()
    saved.suspected([key(1), key(2), key(3)])
    saved.save_all([Here(PASSED)])
    return saved


def test_what_was_decided_is_stored_every_few_seconds(state: State, suspects: KeySet) -> None:
    saved = with_suspects(state)

    state.now += SAVE_SECONDS - 0.1
    saved.decided(key(1), found(1))
    assert "decided 0 0" not in state.notes
    state.now += 0.1
    saved.decided(key(2), found(1, 2))

    restored = Findings(10)
    state.begun().restore(restored, suspects)
    assert listed(suspects) == [key(3)]
    assert restored.state_document() == found(1, 2).state_document()


def test_the_differences_that_are_shown_are_restored_without_their_values(
    state: State, suspects: KeySet
) -> None:
    saved, findings = with_suspects(state), Findings(2)
    attribute = AttributeDifference("n", {"N": "1"}, None)
    findings.add(Difference(DifferenceKind.DIFFERENT, key(1), (attribute,)), "refused: too large")
    findings.add(Difference(DifferenceKind.INCONCLUSIVE, key(2), reason="still changing"))
    for number in (1, 2):
        saved.decided(key(number), findings)
    saved.save_decided(findings)

    restored = Findings(2)
    state.begun().restore(restored, suspects)

    assert restored.first == [
        (Difference(DifferenceKind.DIFFERENT, key(1)), "refused: too large"),
        (Difference(DifferenceKind.INCONCLUSIVE, key(2), reason="still changing"), None),
    ]
    fewer = Findings(1)
    state.begun().restore(fewer, suspects)
    assert fewer.first == restored.first[:1]


def test_what_was_decided_is_stored_once(state: State, suspects: KeySet) -> None:
    saved = with_suspects(state)
    saved.save_decided(found())
    saved.decided(key(1), found(1))
    saved.save_decided(found(1))
    saved.save_decided(found(1))
    saved.decided(key(2), found(1, 2))
    state.now += SAVE_SECONDS - 0.1
    saved.decided(key(3), found(1, 2, 3))
    saved.save_decided(found(1, 2, 3))

    assert [name for name in state.notes if name.startswith("decided")] == ["decided 0 0", "decided 0 1"]
    assert [len(state.notes[f"decided 0 {number}"]["keys"]) for number in (0, 1)] == [1, 2]


def test_settled_differences_are_forgotten_together_with_what_was_found(
    state: State, suspects: KeySet
) -> None:
    saved = with_suspects(state)
    saved.decided(key(1), found(1))
    saved.save_decided(found(1))
    saved.decided(key(2), found(1))
    saved.settled(found(1))
    saved.suspected([key(4)])
    saved.save_all([])
    saved.save_decided(found(1, 4))

    assert (state.notes["suspects 0 0"], state.notes["decided 0 0"]) == ([], [])
    assert [name for name in state.notes if name.startswith("decided")] == ["decided 0 0"]
    restored = Findings(10)
    saved = state.begun()
    saved.restore(restored, suspects)
    assert listed(suspects) == [key(4)]
    assert restored.state_document() == found(1).state_document()

    saved.settled(found(1, 4))
    suspects.clear()
    state.begun().restore(restored, suspects)
    assert not suspects
    assert restored.state_document() == found(1, 4).state_document()


def test_each_settlement_begins_another_group_of_suspected_differences(state: State) -> None:
    saved = with_suspects(state)

    for group in (1, 2):
        saved.settled(found())
        saved.suspected([key(group)])
        saved.save_all([])
        saved.decided(key(group), found(group))
        saved.save_decided(found(group))

        assert state.notes["settled"]["group"] == group
        assert len(state.notes[f"suspects {group} 0"]) == len(state.notes[f"decided {group} 0"]["keys"]) == 1


def test_all_counts_are_restored(state: State, suspects: KeySet) -> None:
    findings = found(1)
    findings.add(Difference(DifferenceKind.INCONCLUSIVE, key(2)), UNDECIDED)
    findings.add(Difference(DifferenceKind.MOVING, key(3)))
    findings.confirmed(by_looks=True, lag=0.5)
    with_suspects(state).settled(findings)

    restored = Findings(10)
    state.begun().restore(restored, suspects)

    for name in ("counts", "unrepaired", "repaired", "undecided", "confirmed_by", "lag"):
        assert getattr(restored, name) == getattr(findings, name)


def test_a_complete_verification_leaves_only_the_identity_of_the_tables(state: State) -> None:
    journal = FileJournal(state.lines, command=VERIFY, clock=ManualClock())
    journal.resume({"source": "a"})
    saved = SavedProgress(journal)
    begin(saved)
    saved.save_all([Here(PASSED)])

    saved.forget()

    assert state.notes == {"identity": {"source": "a"}}
    assert not saved.is_begun


def test_a_state_that_a_kill_has_cut_after_any_line_is_worth_what_is_in_it(suspects: KeySet) -> None:
    whole = State()
    saved = with_suspects(whole)
    saved.decided(key(1), found(1))
    saved.save_decided(found(1))
    saved.settled(found(1))
    lines = [*whole.lines.read()]
    begun = []
    for count in range(1, len(lines) + 1):
        cut = State(MemoryLines(b"".join(lines[:count])))
        restored = Findings(10)
        saved = cut.saved()
        states = begin(saved)
        suspects.clear()
        saved.restore(restored, suspects)
        begun.append((saved.has_resumed, states[1] == PASSED, len(suspects), restored.repaired))

    assert sorted(set(begun), key=begun.index) == [
        (False, False, 0, 0),
        (True, False, 0, 0),
        (True, False, 3, 0),
        (True, True, 3, 0),
        (True, True, 2, 1),
        (True, True, 0, 1),
    ]


OTHER: dict[str, Callable[[SavedProgress], Any]] = {
    "its segments is 2, not 3": lambda saved: begin(saved, replace(OPTIONS, segments=3)),
    "its sample is 1, not 0.5": lambda saved: begin(saved, replace(OPTIONS, sample=0.5)),
    "its consistency is strong, not eventual": lambda saved: begin(
        saved, replace(OPTIONS, eventually_consistent=True)
    ),
    "its archive is false, not true": lambda saved: begin(saved, is_archive=True),
    "its repair is false, not true": lambda saved: begin(saved, replace(OPTIONS, repair=True)),
    "its repair is false, not dry run": lambda saved: begin(
        saved, replace(OPTIONS, repair=True, dry_run=True)
    ),
    "its report is none, not report.jsonl": lambda saved: begin(
        saved, replace(OPTIONS, report=Path("report.jsonl"))
    ),
    f"its filter is {', '.join(FILTER.patterns)}, not none": lambda saved: begin(
        saved, OPTIONS, KeyFilter.of([])
    ),
}


@pytest.mark.parametrize("named", OTHER)
def test_a_state_of_other_options_is_refused(state: State, named: str) -> None:
    state.begun().save_all([Here(PASSED)])
    before = state.notes

    with pytest.raises(TaskError) as refused:
        OTHER[named](state.saved())

    assert refused.value.fact == f"state is the state file of a verify with other tables or options: {named}."
    assert refused.value.hint == (
        "use the same tables and options to resume it, or name another file with --state."
    )
    assert state.notes == before


FIRST = found(1).state_document()["first"][0]

DAMAGE: list[tuple[str, Any]] = [
    ("options", 3),
    ("options", ["segments"]),
    ("chosen", None),
    ("chosen", []),
    ("chosen", [3]),
    ("chosen", [3, 3]),
    ("chosen", [3, "7"]),
    ("chosen", [3, True]),
    ("began", 5),
    ("began", "yesterday"),
    ("segment 7", []),
    ("segment 7", {**PASSED.document(), "source": {"after": None}}),
    ("segment 7", {**PASSED.document(), "waiting": 3}),
    ("segment 7", {**PASSED.document(), "waiting": [{"PK": {"M": {}}}]}),
    ("segment 7", {**PASSED.document(), "counts": {**PASSED.document()["counts"], "archived": -1}}),
    ("suspects 0 0", "a"),
    ("suspects 0 0", [{"PK": 3}]),
    ("decided 0 0", []),
    ("decided 0 0", {"keys": []}),
    ("decided 0 0", {"keys": [], "counts": {}}),
    ("settled", 3),
    ("settled", {"group": None, "counts": found(1).state_document()}),
    ("settled", {"group": 1, "counts": {**found(1).state_document(), "counts": {"lost": 1}}}),
    ("settled", {"group": 1, "counts": {**found(1).state_document(), "repaired": "many"}}),
    ("settled", {"group": 1, "counts": {**found(1).state_document(), "confirmed_by": "luck"}}),
    ("settled", {"group": 1, "counts": {**found(1).state_document(), "lag": "long"}}),
    ("settled", {"group": 1, "counts": {**found(1).state_document(), "first": [{"finding": "missing"}]}}),
    (
        "settled",
        {"group": 1, "counts": {**found(1).state_document(), "first": [{**FIRST, "finding": "lost"}]}},
    ),
    ("settled", {"group": 1, "counts": {**found(1).state_document(), "first": [{**FIRST, "key": 3}]}}),
    ("settled", {"group": 1, "counts": {**found(1).state_document(), "first": [{**FIRST, "repair": 3}]}}),
]


@pytest.mark.parametrize(("name", "value"), DAMAGE)
def test_a_damaged_state_is_refused_by_name(state: State, suspects: KeySet, name: str, value: Any) -> None:
    with_suspects(state)
    state.damage(name, value)

    def resume(saved: SavedProgress) -> None:
        begin(saved)
        saved.restore(Findings(0), suspects)

    with pytest.raises(TaskError) as refused:
        resume(state.saved())

    assert refused.value.fact == ("state: the progress in it was not written by ddbreplica, or is damaged.")
    assert refused.value.hint == DAMAGED
