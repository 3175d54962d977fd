"""replica.yaml under combinations of its parameters: any two choices meet in one of them, and each is free of lint."""

import json

import pytest
from cfnlint.api import lint, lint_file  # type: ignore[import-untyped]
from cfnlint.config import ManualArgs  # type: ignore[import-untyped]

from tests.support.far_combinations import CHOICES, ROWS
from tests.support.template import (
    FAR_SIDE,
    REGION,
    decide,
    refusals,
)


def test_the_template_is_free_of_lint() -> None:
    assert [str(match) for match in lint_file(FAR_SIDE)] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["writer"])
def test_a_combination_is_accepted_and_free_of_lint(row: dict[str, str]) -> None:
    chosen = [CHOICES[choice][option] for choice, option in row.items()]
    parameters = {name: value for each in chosen for name, value in each.items()}
    assert refusals(FAR_SIDE, **parameters) == []
    decided = json.dumps(decide(FAR_SIDE, **parameters))
    assert [str(match) for match in lint(decided, config=ManualArgs(regions=[REGION]))] == []
