"""The documents hold what was last measured; `python -m benchmarks.pages` brings them up to date."""

import pytest

from benchmarks.pages import commands, goals, pages, renewed

GOAL = {"title": "speed", "wanted": "≥", "limit": 0.6, "value": 0.87654, "reached": True}


def test_the_pages_hold_the_tables_of_the_last_run() -> None:
    for path, tables in pages():
        page = path.read_text()

        assert renewed(page, tables) == page, f"{path.name} is of another run"


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

    assert goals("the commands", {"goals": [GOAL, slow]}) == (
        "| the commands | wanted | measured |",
        "|---|---|---|",
        "| speed | ≥ 0.6 | 0.877 |",
        "| speed | ≥ 0.6 | 0.5, not reached |",
    )


def test_a_command_stands_among_the_loops_that_it_is_compared_with() -> None:
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

    assert commands({"figures": [ours, loop]})[2:] == (
        "| S | **ddbreplica verify** | 10,000 | 2,000 (1,900 to 2,100) | 150 | 70 |  |",
        "| S | verify: the same calls, boto3 | 10,000 | 2,000 (1,900 to 2,100) | 150 | 70 | 0.75 |",
    )
