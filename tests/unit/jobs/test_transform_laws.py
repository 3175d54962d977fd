"""Jobs with a transform, which may be changed meanwhile: the replica ends with what the present one makes."""

import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import pytest

from ddbreplica.jobs import plan, planning
from ddbreplica.jobs.plan import BACKFILL, VERIFY
from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.model import Key
from ddbreplica.reconcile.reconciler import Reconciler
from ddbreplica.records.decode import key_of
from tests.support.scanned import key
from tests.support.state_machine import FailedError, StateMachine, Trouble
from tests.support.stopped import FILTER
from tests.support.taken_out import fails_without
from tests.support.transformed_pair import TransformedPair, a_transform, various
from tests.support.transforms import expected
from tests.support.written_pair import Weather, tables_of
from tests.unit.jobs.test_backfill_laws import small_cuts as small_backfills
from tests.unit.jobs.test_repair_job import REPAIR
from tests.unit.jobs.test_repair_laws import small_cuts as small_repairs

ITEMS = 30
SEEDS = 80
STORMY = Weather(changes=0.3, throttles=0.05, unanswered=0.05)
OPTIONS: Mapping[str, Mapping[str, Any]] = {BACKFILL: {}, VERIFY: REPAIR}

Patch = pytest.MonkeyPatch


def pair_of(random: Random, weather: Weather, *, changes: bool) -> TransformedPair:
    documents = (a_transform(random), a_transform(random))
    tables = tables_of(
        random, items=ITEMS, content=various, held=lambda image: expected(documents[0], image, ("PK",))
    )
    return TransformedPair(
        tables,
        key_filter=FILTER if random.random() < 0.3 else KeyFilter.of([]),
        is_archive=random.random() < 0.3,
        random=random,
        weather=weather,
        content=various,
        documents=documents,
        change_after=random.randrange(150) if changes else None,
    )


def ended(pair: TransformedPair, what: str, trouble: Trouble, job: str) -> tuple[bool, StateMachine]:
    """Start a job until it has ended. Return whether it was not refused for the changed transform."""
    machine = StateMachine(
        pair, pair.random, trouble, timeout=300.0, options=OPTIONS[what], what=what, job=job
    )
    while True:
        try:
            machine.execute()
        except FailedError as failed:
            if "the function's transform" in str(failed) or "the function was updated" in str(failed):
                return False, machine
            assert machine.attempts < 100, "it never ends"
        else:
            return True, machine


def lasting(seed: int, what: str, trouble: Trouble, weather: Weather, patch: Patch, *, changes: bool) -> Any:
    """Run a job, and another one if the transform was changed. Check the replica, and return the pair."""
    random = Random(seed)  # noqa: S311
    (small_backfills if what == BACKFILL else small_repairs)(patch, random)
    pair = pair_of(random, weather, changes=changes)
    is_done, machine = ended(pair, what, trouble, "job-1")
    if pair.changed_at is not None:
        # Its plan is of the earlier transform.
        assert not is_done or plan_digest(machine) == pair.function_view().digest
    else:
        assert is_done
    if not is_done:
        pair.store.objects.pop("jobs/stack/lease.json", None)  # as if it had ended by itself
        is_done, machine = ended(pair, BACKFILL, Trouble(), "job-2")
        assert is_done
    known = open_or_reported(pair)
    pair.settle()
    assert {key(number) for number in pair.unequal} <= known
    return pair


def plan_digest(machine: StateMachine) -> str | None:
    stored = machine.pair.store.objects[f"jobs/stack/{machine.job}/plan.json"]
    digest: str | None = json.loads(stored)["transform"]
    return digest


def open_or_reported(pair: TransformedPair) -> set[Key]:
    """Return the keys that a state has open, and those that a report names."""
    known: set[Key] = set()
    for name, body in pair.store.objects.items():
        if "/states/" in name and (content := json.loads(body)["content"]):
            lines = [content.get("open", ()), *(line["keys"] for line in content.get("predecessors", ()))]
            known |= {key_of(each) for line in lines for each in line}
        if name.endswith("report.json"):
            known |= {
                key_of(each["key"])
                for each in json.loads(body).get("differences", ())
                if each["finding"] == "inconclusive" or each.get("repair") not in {None, "repaired"}
            }
    return known


def stay(seed: int, what: str, patch: Patch) -> None:
    """Let others write, and kill workers, while the transform stays."""
    weather = Weather(changes=0.3, throttles=0.05, unanswered=0.05, kills=0.03)
    lasting(seed, what, Trouble(kills=0.005, lost=0.05), weather, patch, changes=False)


def change(seed: int, what: str, patch: Patch) -> None:
    """Change the transform at any moment."""
    lasting(seed, what, Trouble(), STORMY, patch, changes=True)


def change_and_kill(seed: int, what: str, patch: Patch) -> None:
    """Change the transform, kill workers, and repeat invocations."""
    weather = Weather(changes=0.3, throttles=0.05, unanswered=0.05, kills=0.03)
    trouble = Trouble(kills=0.005, doubles=0.01, lost=0.05)
    lasting(seed, what, trouble, weather, patch, changes=True)


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("what", [BACKFILL, VERIFY])
@pytest.mark.parametrize("law", [stay, change, change_and_kill])
def test_the_replica_ends_with_the_present_transform(
    law: Callable[[int, str, Patch], None], what: str, seed: int, monkeypatch: Patch
) -> None:
    law(seed, what, monkeypatch)


def test_much_happens(monkeypatch: Patch) -> None:
    """The laws say nothing about jobs during which the transform stays, or that transform nothing."""
    pairs = [
        lasting(seed, what, Trouble(), STORMY, monkeypatch, changes=True)
        for seed in range(40)
        for what in (BACKFILL, VERIFY)
    ]

    assert sum(pair.changed_at is not None for pair in pairs) > 30
    assert sum(pair.old_writes for pair in pairs) > 40
    for member in ("hash", "concat", "set", "keep", "drop", "rename"):
        assert sum(member in pair.documents[pair.present] for pair in pairs) > 10
    held = [pair.held(state) for pair in pairs for state in pair.tables[0].items.values()]
    assert sum(state is None for state in held) > 20


@pytest.mark.parametrize(
    ("law", "what", "where", "rule", "instead"),
    [
        (change, BACKFILL, planning._new, "if members['what'] == BACKFILL: ...", "if False: ..."),
        (change, BACKFILL, planning._wait_for_update, "job.ending.sleep(left)", "pass"),
        (
            change,
            BACKFILL,
            plan.Plan.refuse_changed,
            "if now.transform != self.transform: ...",
            "if False: ...",
        ),
        (stay, BACKFILL, Reconciler.__init__, "_PacedSource(..., view=transform.view)", "_PacedSource(...)"),
    ],
    ids=lambda each: getattr(each, "__qualname__", each),
)
def test_without_each_rule_an_item_of_the_earlier_transform_remains(
    law: Callable[[int, str, Patch], None], what: str, where: Any, rule: str, instead: str, monkeypatch: Patch
) -> None:
    def in_all_seeds() -> None:
        for seed in range(SEEDS):
            law(seed, what, monkeypatch)

    fails_without(monkeypatch, where, rule, instead, in_all_seeds)
