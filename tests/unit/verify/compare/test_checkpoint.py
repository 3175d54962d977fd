"""checkpoint: a segment is resumed from what is stored of it, and a damaged state is refused."""

import json
from typing import Any

import pytest

from ddbreplica.records.decode import MalformedError
from ddbreplica.verify.compare.checkpoint import Position, SegmentState
from ddbreplica.verify.difference import Swept
from tests.support.scanned import key

CURSOR = {"PK": {"S": "a"}}
PASSED = SegmentState(
    7, Position(CURSOR), Position(is_done=True), [key(1)], [key(2)], Swept(5, 4, 3, 2, archived=1)
)
COUNTS = PASSED.document()["counts"]


def test_a_position_is_before_the_page_that_follows_the_cursor_or_at_the_end() -> None:
    assert Position() == Position(None, is_done=False)
    assert Position.after(CURSOR) == Position(CURSOR, is_done=False)
    assert Position.after(None) == Position(None, is_done=True)


def test_a_segment_is_resumed_as_it_was_stored() -> None:
    assert SegmentState.read(7, json.loads(json.dumps(PASSED.document()))) == PASSED


def test_its_stored_form_does_not_change() -> None:
    assert PASSED.document() == {
        "source": {"after": CURSOR, "done": False},
        "replica": {"after": None, "done": True},
        "waiting": [{"PK": {"S": "0001"}}],
        "known": [{"PK": {"S": "0002"}}],
        "counts": {
            "source_items": 5,
            "replica_items": 4,
            "source_outside": 3,
            "replica_outside": 2,
            "archived": 1,
        },
    }


@pytest.mark.parametrize(
    "damage",
    [
        {"source": {"after": None}},
        {"source": {"done": False}},
        {"replica": {"after": None, "done": "yes"}},
        {"replica": {"after": "a", "done": False}},
        {"waiting": 3},
        {"waiting": [{"PK": {"M": {}}}]},
        {"known": ["a"]},
        {"counts": {}},
        {"counts": {**COUNTS, "archived": -1}},
        {"counts": {**COUNTS, "archived": "1"}},
    ],
)
def test_a_damaged_state_is_refused(damage: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, MalformedError)):
        SegmentState.read(7, {**PASSED.document(), **damage})


@pytest.mark.parametrize("name", PASSED.document())
def test_an_incomplete_state_is_refused(name: str) -> None:
    document = PASSED.document()
    del document[name]

    with pytest.raises(KeyError, match=name):
        SegmentState.read(7, document)
