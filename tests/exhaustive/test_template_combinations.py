"""Combinations of the parameters of template.yaml are accepted, and the resulting template passes cfn-lint."""

import json
from itertools import combinations, product
from typing import Any

import pytest
from cfnlint.api import lint, lint_file  # type: ignore[import-untyped]
from cfnlint.config import ManualArgs  # type: ignore[import-untyped]

from tests.support.combinations import CHOICES, ROWS, parameters_of
from tests.support.template import REGION, TEMPLATE, decide, deploy, expand, refusals


def complaints(matches: list[Any]) -> list[str]:
    return [f"{match.rule.id} line {match.linenumber}: {match.message}" for match in matches]


def test_the_combinations_contain_every_pair_of_choices() -> None:
    met = {pair for row in ROWS for pair in combinations(sorted(row.items()), 2)}
    assert met == {
        ((one, a), (other, b))
        for one, other in combinations(sorted(CHOICES), 2)
        for a, b in product(CHOICES[one], CHOICES[other])
    }


def test_the_template_is_free_of_lint() -> None:
    assert complaints(lint_file(TEMPLATE)) == []


def test_the_expanded_template_is_free_of_lint() -> None:
    """Limits of generated resources, such as the event source mapping, are checked only here."""
    assert complaints(lint(json.dumps(expand()), config=ManualArgs(regions=[REGION]))) == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['source']} to {row['replica']}")
def test_a_combination_is_accepted_and_free_of_lint(row: dict[str, str]) -> None:
    """After its conditions are evaluated, the template contains no reference to a missing resource."""
    parameters = parameters_of(row)
    assert refusals(**parameters) == []
    assert complaints(lint(json.dumps(decide(**parameters)), config=ManualArgs(regions=[REGION]))) == []
    assert "<AWS::" not in json.dumps(deploy(**parameters))
