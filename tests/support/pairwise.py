"""Build a small number of combinations that contain every pair of choices."""

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import TypeAlias

_Choice: TypeAlias = tuple[str, str]


def pairwise(choices: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """Return combinations with one option of each choice, such that every pair of options is in at least one."""
    unmet = {
        frozenset(((one, a), (other, b)))
        for one, other in combinations(choices, 2)
        for a, b in product(choices[one], choices[other])
    }
    rows = []
    while unmet:
        row = _row(choices, unmet)
        unmet -= {frozenset(pair) for pair in combinations(row.items(), 2)}
        rows.append(row)
    return rows


def _row(choices: Mapping[str, Sequence[str]], unmet: set[frozenset[_Choice]]) -> dict[str, str]:
    """Return a combination that starts with a missing pair and adds the options that cover most other missing pairs."""
    row = dict(min(map(sorted, unmet)))
    for name in sorted(choices.keys() - row.keys()):
        row[name] = max(
            choices[name],
            key=lambda option: sum(frozenset(((name, option), chosen)) in unmet for chosen in row.items()),
        )
    return row
