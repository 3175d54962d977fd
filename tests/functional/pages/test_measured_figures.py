"""The pages contain the figures of the last run; `python -m benchmarks.pages` updates them."""

import pytest

from benchmarks.pages import commands, goals, pages, renewed, units

GOAL = {"title": "speed", "wanted": "≥", "limit": 0.6, "value": 0.87654, "reached": True}


def test_the_pages_hold_the_tables_of_the_last_run() -> None:
    for path, tables in pages():
        page = path.read_text()

        assert renewed(page, tables) == page, f"{path.name} has other figures: run python -m benchmarks.pages"


def test_a_table_is_renewed_where_it_stands() -> None:
    page = "before\n\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n\nafter | all\n"

    assert renewed(page, [("| a | b |", "|---|---|", "| 5 | 6 |")]) == (
        "before\n\n| a | b |\n|---|---|\n| 5 | 6 |\n\nafter | all\n"
    )


def test_a_table_that_no_page_holds_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"\| b \| a \|"):
        renewed("| a | b |\n", [("| b | a |",)])


def test_a_goal_that_is_not_reached_is_called_so() -> None:
    slow = {**GOAL, "value": 0.5, "reached": False}

    assert goals("commands", {"goals": [GOAL, slow]}) == (
        "| commands | target | measured |",
        "|---|---|---|",
        "| speed | ≥ 0.6 | 0.877 |",
        "| speed | ≥ 0.6 | 0.5, not reached |",
    )


def test_a_table_of_a_service_has_the_commands_and_their_loops() -> None:
    taken = {
        "service": "S",
        "command": "verify",
        "items": 10_000,
        "rate": {"median": 2000.4, "low": 1900, "high": 2100},
        "cpu": {"median": 150.2},
        "peak": 70 * 2**20,
        "share": {"median": 0.754},
    }
    ours = {**taken, "contestant": "ours", "title": "ddbreplica verify"}
    loop = {**taken, "contestant": "boto3", "title": "the same calls, boto3"}

    other = {**ours, "service": "T"}
    assert list(commands({"figures": [ours, loop, other]})) == [
        (
            "| S | items | items per second | CPU µs per item | peak MB | ratio |",
            "|---|---|---|---|---|---|",
            "| **ddbreplica verify** | 10,000 | 2,000 (1,900–2,100) | 150 | 70 |  |",
            "| verify: the same calls, boto3 | 10,000 | 2,000 (1,900–2,100) | 150 | 70 | 0.75 |",
        ),
        (
            "| T | items | items per second | CPU µs per item | peak MB | ratio |",
            "|---|---|---|---|---|---|",
            "| **ddbreplica verify** | 10,000 | 2,000 (1,900–2,100) | 150 | 70 |  |",
        ),
    ]


def test_the_table_of_the_units_has_each_case() -> None:
    measured = [{"command": "backfill", "meanwhile": "quiet tables", "items": 10, "each": 0.2251}]

    assert units({"units": measured}) == (
        "| read units per item of 460 bytes | measured |",
        "|---|---|",
        "| backfill, quiet tables | 0.23 |",
    )
