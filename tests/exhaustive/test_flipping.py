"""A thousand verifications of tables whose items change all the time: nothing that arrives is called a difference."""

from collections import Counter
from functools import cache

import pytest

from ddbreplica.model import State
from ddbreplica.records.compare import fingerprint
from ddbreplica.verify.confirm import look
from ddbreplica.verify.difference import DifferenceKind
from tests.support.flipping import FLIPPING, verification

VERIFICATIONS = 1_000
PARTS = 20


@cache
def fingerprint_of(state: str) -> bytes:
    return fingerprint({"v": {"N": state}})


@pytest.fixture(autouse=True)
def _each_state_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # Most of the time would otherwise go into hashes of the same items.
    def cached(item: State) -> bytes:
        return fingerprint(None) if item is None else fingerprint_of(item["v"]["N"])

    monkeypatch.setattr(look, "fingerprint", cached)


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("readable", [True, False], ids=["stream", "by looks"])
def test_no_item_that_is_followed_is_a_difference_and_every_real_one_is_found(
    readable: bool, part: int
) -> None:
    kinds: Counter[DifferenceKind] = Counter()
    for seed in range(part, VERIFICATIONS, PARTS):
        found = verification(seed, readable=readable)

        assert found.run.confirmed == found.real, f"seed {seed}"
        assert DifferenceKind.INCONCLUSIVE not in found.run.kinds.values(), (
            f"seed {seed}: {found.run.reasons}"
        )
        kinds.update(found.run.kinds.values())

    # Most of those that are left are never equal, and the others were seen equal.
    assert kinds[DifferenceKind.MOVING] > FLIPPING * VERIFICATIONS / PARTS / 5
