"""options: what follows from the options of a verification."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ddbreplica.mapping.key_filter import EVERY_KEY, KeyFilter
from ddbreplica.verify.keys_file import KeysFile
from ddbreplica.verify.options import VerifyOptions
from tests.support.stopped import FILTER, OPTIONS

KEYS = KeysFile("keys.jsonl", lambda: pytest.fail("it is not read"))
REPORT = Path("report.jsonl")


def options(**changes: Any) -> VerifyOptions:
    return replace(OPTIONS, **changes)


def test_a_repair_writes_unless_it_is_a_dry_run() -> None:
    assert options(repair=True).writes
    assert not options(repair=True, dry_run=True).writes
    assert not options().writes


@pytest.mark.parametrize(
    ("wanted", "wants_all", "max_suspects"),
    [
        (options(), False, 10_000),
        (options(report=REPORT), True, 100_000),
        (options(repair=True), True, 100_000),
    ],
)
def test_a_report_and_a_repair_need_all_differences(
    wanted: VerifyOptions, wants_all: bool, max_suspects: int
) -> None:
    assert (wanted.wants_all, wanted.max_suspects) == (wants_all, max_suspects)


def test_only_scans_are_eventually_consistent() -> None:
    assert options().scans_consistently
    assert not options(eventually_consistent=True).scans_consistently
    assert options(eventually_consistent=True, keys_from=KEYS).scans_consistently


def test_neither_a_sample_nor_given_keys_are_all_items() -> None:
    assert options().is_whole
    assert not options(sample=0.5).is_whole
    assert not options(keys_from=KEYS).is_whole


@pytest.mark.parametrize(
    ("asked", "key_filter", "is_archive", "looked_at"),
    [
        (options(), EVERY_KEY, False, "everything"),
        (options(sample=1 / 3), EVERY_KEY, False, "a sample of 0.3333"),
        (options(keys_from=KEYS), EVERY_KEY, False, "the keys of keys.jsonl"),
        (options(), FILTER, False, "everything within the filter"),
        (options(), EVERY_KEY, True, "everything, as an archive"),
        (
            options(eventually_consistent=True, sample=0.25),
            FILTER,
            True,
            "a sample of 0.25 within the filter, as an archive, with eventually consistent scans",
        ),
    ],
)
def test_it_says_what_the_verdict_is_about(
    asked: VerifyOptions, key_filter: KeyFilter, is_archive: bool, looked_at: str
) -> None:
    assert asked.looked_at(key_filter, is_archive=is_archive) == looked_at


def test_only_a_run_that_compares_and_reports_the_same_goes_on() -> None:
    assert options().identity(FILTER, is_archive=False, transform=None) == {
        "repair": False,
        "report": "none",
        "segments": 2,
        "sample": 1,
        "consistency": "strong",
        "filter": list(FILTER.patterns),
        "archive": False,
        "transform": None,
    }
    other = options(
        repair=True, dry_run=True, report=REPORT, segments=3, sample=0.5, eventually_consistent=True
    )
    assert other.identity(EVERY_KEY, is_archive=True, transform="digest") == {
        "repair": "dry run",
        "report": "report.jsonl",
        "segments": 3,
        "sample": 0.5,
        "consistency": "eventual",
        "filter": [],
        "archive": True,
        "transform": "digest",
    }


def test_a_repair_goes_on_with_a_repair_and_a_dry_run_with_a_dry_run() -> None:
    def repair(**changes: Any) -> Any:
        return options(**changes).identity(EVERY_KEY, is_archive=False, transform=None)["repair"]

    assert repair(repair=True) is True
    assert repair(repair=True, dry_run=True) == "dry run"
    assert repair(dry_run=True) is False
