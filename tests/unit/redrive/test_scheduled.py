"""scheduled: what is noted of an object holds for this object only, and as long as its keys are the same."""

from datetime import timedelta
from typing import Any

import pytest

from ddbreplica.bucket.bucket import Listed
from ddbreplica.redrive import scheduled
from ddbreplica.redrive.scheduled import ObjectProgress
from tests.support.fake_s3 import NOW

PATTERNS = ("pattern",)


def listed(name: str, *, stored: float = 0.0) -> Listed:
    return Listed(name, 1, 1.0, NOW + timedelta(seconds=stored))


def resumed(progress: ObjectProgress, *patterns: str) -> ObjectProgress:
    return ObjectProgress(progress.document(), patterns=patterns or PATTERNS)


def test_an_object_goes_on_where_it_was() -> None:
    progress = ObjectProgress(None, patterns=PATTERNS)
    progress.note(listed("a"), 200)
    progress.note(listed("b"), None)

    again = resumed(progress)

    assert (again.done(listed("a")), again.stays(listed("a"))) == (200, False)
    assert (again.done(listed("b")), again.stays(listed("b"))) == (0, True)
    assert (again.done(listed("c")), again.stays(listed("c"))) == (0, False)


def test_an_object_that_was_stored_again_begins_again() -> None:
    progress = ObjectProgress(None, patterns=PATTERNS)
    progress.note(listed("a"), 200)

    assert progress.done(listed("a", stored=1)) == 0


def test_with_another_filter_all_objects_begin_again() -> None:
    progress = ObjectProgress(None, patterns=PATTERNS)
    progress.note(listed("a"), 200)

    assert resumed(progress, "other").done(listed("a")) == 0


@pytest.mark.parametrize("content", [None, [], {}, {"filter": ["pattern"]}])
def test_a_state_without_progress_is_empty(content: Any) -> None:
    assert ObjectProgress(content, patterns=PATTERNS).done(listed("a")) == 0


def test_objects_that_no_longer_exist_are_forgotten() -> None:
    progress = ObjectProgress(None, patterns=PATTERNS)
    progress.note(listed("a"), 200)
    progress.note(listed("b"), 200)

    progress.keep_only([listed("b")])

    assert (progress.done(listed("a")), progress.done(listed("b"))) == (0, 200)


def test_only_so_many_objects_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduled, "MAX_NOTED", 1)
    progress = ObjectProgress(None, patterns=PATTERNS)
    for name, done in (("a", 200), ("b", 200), ("a", 400)):
        progress.note(listed(name), done)

    assert (progress.done(listed("a")), progress.done(listed("b"))) == (400, 0)
