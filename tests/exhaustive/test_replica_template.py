"""Combinations of the parameters of replica.yaml are accepted, and the resulting template passes cfn-lint."""

import json

import pytest
from cfnlint.api import lint, lint_file  # type: ignore[import-untyped]
from cfnlint.config import ManualArgs  # type: ignore[import-untyped]

from tests.support.replica_combinations import CHOICES, ROWS
from tests.support.template import (
    REGION,
    REPLICA_TEMPLATE,
    decide,
    refusals,
)


def test_the_template_is_free_of_lint() -> None:
    assert [str(match) for match in lint_file(REPLICA_TEMPLATE)] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["writer"])
def test_a_combination_is_accepted_and_free_of_lint(row: dict[str, str]) -> None:
    chosen = [CHOICES[choice][option] for choice, option in row.items()]
    parameters = {name: value for each in chosen for name, value in each.items()}
    assert refusals(REPLICA_TEMPLATE, **parameters) == []
    decided = json.dumps(decide(REPLICA_TEMPLATE, **parameters))
    assert [str(match) for match in lint(decided, config=ManualArgs(regions=[REGION]))] == []
