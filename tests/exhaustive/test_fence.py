"""The explorer checks the state of a segment with every order of the requests of two or three workers.

None of the workers learns that it was replaced, unless the state tells it.
"""

from collections.abc import Iterable
from typing import Any

import pytest

from ddbreplica.jobs.state import fenced_state
from tests.support.fence_explorer import Explored, Story, explore
from tests.support.taken_out import Source

WORKERS = ((1, 1), (1, 2), (2, 1), (2, 2))
"""The page sizes of two workers."""


def explored(stories: Iterable[Story]) -> int:
    """Explore stories without a wrong state, and return the number of their states."""
    total, ends = 0, set[str]()
    for story in stories:
        result = explore(story)
        assert not result.failure, "\n".join([str(story), *result.failure])
        total += result.states
        ends |= result.ends
    print(f"{total:,} states")  # noqa: T201
    assert {"done", "superseded"} <= ends
    return total


def test_the_result_does_not_depend_on_the_workers_or_on_writes_without_a_response() -> None:
    assert explored(Story(pages, faults=2) for pages in WORKERS) > 50_000


def test_the_result_does_not_depend_on_three_workers() -> None:
    assert explored([Story((1, 1, 1)), Story((1, 2, 1), faults=0), Story((2, 2, 2))]) > 20_000


def test_a_job_that_is_removed_has_no_worker_that_ends_as_if_it_was_done() -> None:
    assert explored(Story(pages, is_removed=True) for pages in WORKERS) > 5_000


def failing(story: Story) -> tuple[str, ...]:
    """Return the steps to the wrong state."""
    result: Explored = explore(story)
    print(f"{result.states:,} states", *result.failure, sep="\n  ")  # noqa: T201
    return result.failure


RULES: dict[str, tuple[Any, str, str]] = {
    "each save has a serial of its own": (fenced_state.FencedState.save, "self._serial += 1", "pass"),
    "each save has the content that was read as its condition": (
        fenced_state.FencedState.save,
        "self._store.replace(..., etag=self._etag)",
        "self._store.replace(..., etag=self._store.read(self._name).etag)",
    ),
    "a write without a response is read back": (
        fenced_state.FencedState.save,
        "self._document, self._etag = self._read_back()",
        "return",
    ),
    "what is read back has to have this serial": (
        fenced_state.FencedState.save,
        "if self._document.serial == document.serial: ...",
        "if True: ...",
    ),
    "what is read back has to be of this owner": (
        fenced_state.FencedState._read_back,
        "found[0].nonce != self._document.nonce",
        "False",
    ),
    "the latest deadline is kept": (
        fenced_state._Document.taken_by,
        "max(self.latest_deadline, owner.deadline)",
        "owner.deadline",
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_the_explorer_finds_the_error_of_leaving_out_a_rule(
    rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, line, without = RULES[rule]
    monkeypatch.setattr(where, "__code__", Source.of(where).without(line, without).code())

    assert failing(Story((1, 2)))


def test_the_explorer_finds_the_error_of_workers_that_are_the_same_owner() -> None:
    """For example, by the request id, which AWS Lambda uses again when it repeats an invocation."""
    assert failing(Story((1, 2), faults=0, shares_owner=True))[-1] == (
        "worker 1 is done, and the listed items are [0]"
    )


def test_the_explorer_finds_the_error_of_storing_the_same_content_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    where = fenced_state._Document.taken_by
    without = Source.of(where).without("replace(..., serial=self.serial + 1)", "replace(...)")
    monkeypatch.setattr(where, "__code__", without.code())

    assert failing(Story((1, 2), faults=0, shares_owner=True)) == (
        "worker 1 reads",
        "worker 1 sends a create",
        "worker 1 writes part 0 of worker 1",
        "worker 2 reads",
        "worker 2 sends a replace",
        "worker 1 sends a replace",
        "worker 1 writes the state of another worker",
    )


def test_the_explorer_finds_the_error_of_parts_that_share_their_names() -> None:
    """The second worker continues with pages of another size, and lists the part of the first one as its own."""
    assert failing(Story((2, 1), faults=0, shares_names=True)) == (
        "worker 1 reads",
        "worker 1 sends a create",
        "worker 1 writes part 0",
        "worker 2 reads",
        "worker 2 sends a replace",
        "worker 2 writes part 0",
        "worker 2 sends a replace",
        "worker 2 writes part 1",
        "worker 2 sends a replace",
        "worker 2 is done, and the listed items are [0, 1, 1]",
    )
