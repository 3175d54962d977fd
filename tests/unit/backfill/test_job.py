"""job: what a backfill reports, how it ends early, and how it waits for writes that may still land."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from ddbreplica.backfill import job
from ddbreplica.backfill.job import Copying, Tables, Wanted
from ddbreplica.errors import StoppedError, TaskError
from ddbreplica.mapping.key_filter import EVERY_KEY, KeyFilter
from tests.support.recording import Recording
from tests.support.redriven import ARN, described, key

ONLY_B = '{"dynamodb": {"Keys": {"PK": {"S": ["b"]}}}}'
WANTED = Wanted(
    segments=4,
    from_export=None,
    rate=None,
    read_rate=None,
    no_wait=False,
    without_mapping=False,
    archive=False,
    dry_run=False,
)
NO_FACTS = {"items": 1000, "outside": 2, "left": 0, "left_items": [], "damaged": []}


def done(*, left: int = 0, damaged: Any = None) -> Any:
    """A backfill that has gone through 1,000 items and passed by two."""
    reasons = {key(str(number)): f"why {number}" for number in range(left)}
    return SimpleNamespace(items=1000, outside=2, left=reasons, damaged=damaged or {})


def test_the_first_ten_items_that_are_left_are_named() -> None:
    facts = job.facts(done(left=11, damaged={"b": "lacks one", "a": "lacks two"}))

    assert facts == {
        "items": 1000,
        "outside": 2,
        "left": 11,
        "left_items": [
            {"key": {"PK": {"S": str(number)}}, "reason": f"why {number}"} for number in range(10)
        ],
        "damaged": [{"file": "a", "reason": "lacks two"}, {"file": "b", "reason": "lacks one"}],
    }


@pytest.mark.parametrize(
    ("damaged", "text"),
    [
        ({"a": "lacks one"}, "a lacks one"),
        ({"c": "w", "b": "v", "a": "lacks one"}, "a lacks one (and 2 more files)"),
    ],
)
def test_the_first_damaged_file_is_named_and_the_others_are_counted(
    damaged: dict[str, str], text: str
) -> None:
    assert job.damage(done(damaged=damaged)) == text


@pytest.mark.parametrize(("state", "more"), [("state", ", and state says where to go on"), (None, "")])
def test_an_error_says_how_far_it_came(state: str | None, more: str) -> None:
    error = job._ended(done(), TaskError("broken.", hint="try"), state)

    assert (error.fact, error.hint) == (f"broken; 1,000 items were gone through{more}.", "try")
    assert error.facts == NO_FACTS


@pytest.mark.parametrize(("state", "more"), [("state", "; it goes on from state"), (None, "")])
def test_an_interruption_says_how_far_it_came(state: str | None, more: str) -> None:
    error = job._ended(done(damaged={"a": "lacks one"}), KeyboardInterrupt(), state)

    assert isinstance(error, StoppedError)
    assert error.fact == "interrupted; 1,000 items were gone through; a lacks one."
    assert error.hint == f"run the same command again{more}."


def test_the_same_work_has_the_same_tables_listing_and_filter() -> None:
    tables = Tables(described("logfile"), described("copy"))

    identity = tables.identity("a scan", KeyFilter.of([ONLY_B]))

    assert identity["source"] == f"{ARN}/logfile of 2026-11-01 11:59:59+00:00"
    assert identity["replica"] == f"{ARN}/copy of 2026-11-01 11:59:59+00:00"
    assert (identity["stream"], identity["listing"]) == (None, "a scan")
    assert identity["filter"] == [ONLY_B]
    assert tables.names == {"source": f"{ARN}/logfile", "replica": f"{ARN}/copy"}
    assert tables.identity("a scan", EVERY_KEY)["filter"] == []


def wait(*, no_wait: bool = False, held: tuple[int, float] = (0, 0.0)) -> tuple[Recording, list[float]]:
    """What is shown, and for how long it sleeps each time."""
    recording = Recording()
    sleeps: list[float] = []
    wanted = replace(WANTED, no_wait=no_wait)
    unused: Any = None
    journal: Any = SimpleNamespace(held=lambda: held)
    interrupt: Any = SimpleNamespace(sleep=sleeps.append, check=lambda: None)
    copying = Copying(unused, wanted, unused, None, unused, recording.driver)
    copying._wait(journal, interrupt)
    return recording, sleeps


def test_what_is_held_back_is_waited_for_second_by_second() -> None:
    recording, sleeps = wait(held=(1000, 62.5))

    assert recording.notes == [
        (
            "1,000 items may still get an old write, which was not answered, or was under way when a run was"
            " killed: they are copied in 2 minutes."
        )
    ]
    assert recording.steps == [("waiting (seconds)", 62, [1] * 63)]
    assert sleeps == [1] * 62 + [0.5]


@pytest.mark.parametrize(("no_wait", "held"), [(True, (1, 5.0)), (False, (0, 5.0))])
def test_nothing_is_waited_for_if_nothing_is_held_back_or_nobody_waits(
    no_wait: bool, held: tuple[int, float]
) -> None:
    recording, sleeps = wait(no_wait=no_wait, held=held)

    assert (recording.notes, recording.steps, sleeps) == ([], [], [])
