"""template.yaml under combinations of its parameters: any two choices meet in one of them, and each is sound."""

import json
from collections.abc import Mapping
from itertools import combinations, product
from typing import Any, Final

import pytest
from cfnlint.api import lint, lint_file  # type: ignore[import-untyped]
from cfnlint.config import ManualArgs  # type: ignore[import-untyped]

from tests.support.pairwise import pairwise
from tests.support.placements import (
    BOUNDARY,
    EXISTING_SOURCE,
    IN_ACCOUNT,
    KEY,
    ON_DEMAND,
    REPLICA_KEY,
    REPLICAS,
    SOURCE_KEY,
    Parameters,
)
from tests.support.template import REGION, TEMPLATE, decide, deploy, expand, refusals

CHOICES: Final[Mapping[str, Mapping[str, Parameters]]] = {
    "source": {
        "made here": {},
        "existing": EXISTING_SOURCE,
        "existing with a key": {**EXISTING_SOURCE, "SourceKmsKeyArn": SOURCE_KEY},
    },
    "replica": {
        **{name: place for name, place in REPLICAS.items() if not name.startswith("in this")},
        "in another account with a key": {**IN_ACCOUNT, "ReplicaKmsKeyArn": REPLICA_KEY},
    },
    "key": {"one": {}, "two": {"PartitionKeyType": "B", "SortKeyName": "SK", "SortKeyType": "N"}},
    "index": {"with": {}, "without": {"CreateIndex": "false"}},
    "filter": {"none": {}, "on keys": {"KeyFilter": '{"PK": {"S": [{"prefix": "a#"}]}}'}},
    "expiry": {"replicated": {}, "archived": {"ReplicateTtlDeletes": "false"}},
    "encryption": {"AWS's": {}, "own": {"KmsKeyArn": KEY}},
    "boundary": {"none": {}, "bound": {"PermissionsBoundaryArn": BOUNDARY}},
    "billing": {"provisioned": {}, "on demand": ON_DEMAND},
    "function": {
        "plain": {},
        "tuned": {
            "Tracing": "Active",
            "ReservedConcurrency": "5",
            "EndpointUrl": "http://127.0.0.1:4566",
            "BatchSize": 10000,
        },
    },
    "alarms": {
        "told nobody": {},
        "mailed": {"AlarmEmail": "ops@example.com", "DeletionProtection": "true"},
        "published": {"AlarmTopicArn": "arn:aws:sns:eu-west-1:111122223333:ops"},
    },
}
ROWS: Final = pairwise({name: list(options) for name, options in CHOICES.items()})


def parameters_of(row: Mapping[str, str]) -> Parameters:
    return {name: value for choice, option in row.items() for name, value in CHOICES[choice][option].items()}


def complaints(matches: list[Any]) -> list[str]:
    return [f"{match.rule.id} line {match.linenumber}: {match.message}" for match in matches]


def test_any_two_choices_meet() -> None:
    met = {pair for row in ROWS for pair in combinations(sorted(row.items()), 2)}
    assert met == {
        ((one, a), (other, b))
        for one, other in combinations(sorted(CHOICES), 2)
        for a, b in product(CHOICES[one], CHOICES[other])
    }


def test_the_template_is_free_of_lint() -> None:
    assert complaints(lint_file(TEMPLATE)) == []


def test_the_expanded_template_is_free_of_lint() -> None:
    """Limits of what SAM generates, such as the mapping's, are checked only here."""
    assert complaints(lint(json.dumps(expand()), config=ManualArgs(regions=[REGION]))) == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['source']} to {row['replica']}")
def test_a_combination_is_accepted_and_free_of_lint(row: dict[str, str]) -> None:
    """With its conditions decided, nothing is referred to that is not there."""
    parameters = parameters_of(row)
    assert refusals(**parameters) == []
    assert complaints(lint(json.dumps(decide(**parameters)), config=ManualArgs(regions=[REGION]))) == []
    assert "<AWS::" not in json.dumps(deploy(**parameters))
