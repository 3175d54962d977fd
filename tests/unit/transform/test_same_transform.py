"""same_transform: a command notices that the function has another transform than when it began."""

import pytest

from ddbreplica.errors import TaskError, TransformChangedError
from ddbreplica.transform.same_transform import (
    CHECK_SECONDS,
    NO_TRANSFORM,
    SameTransform,
    begin_again_once,
    fixed,
)
from ddbreplica.transform.view import AS_IT_IS, View


class Function:
    """A function whose transform can be changed, and a clock."""

    def __init__(self) -> None:
        self.digest: str | None = "one"
        self.now = 0.0
        self.reads = 0
        self.same = SameTransform(View("one"), self.read, lambda: self.now)

    def read(self) -> str | None:
        self.reads += 1
        return self.digest


def test_the_transform_that_it_began_with_is_accepted() -> None:
    function = Function()

    function.same.check()
    function.same.check_now()

    assert function.reads == 2


@pytest.mark.parametrize("digest", ["two", None])
def test_another_transform_is_refused(digest: str | None) -> None:
    function = Function()
    function.digest = digest

    for check in (function.same.check, function.same.check_now):
        with pytest.raises(TransformChangedError) as refused:
            check()
        assert refused.value.fact == "the function's transform was changed meanwhile."
        assert refused.value.hint == "run the same command again."


def test_while_it_writes_it_is_read_once_in_half_a_minute() -> None:
    function = Function()

    for second in range(61):
        function.now = float(second)
        function.same.check()

    assert function.reads == 61 // CHECK_SECONDS + 1


def test_a_change_is_found_by_each_thread_until_the_end() -> None:
    function = Function()
    function.same.check()
    function.digest, function.now = "two", CHECK_SECONDS

    for _ in range(3):
        with pytest.raises(TransformChangedError):
            function.same.check()


def test_what_an_option_gives_does_not_change() -> None:
    given = fixed(View("given"))
    given.check()
    given.check_now()
    NO_TRANSFORM.check()

    assert NO_TRANSFORM.view is AS_IT_IS


class Work:
    """Work during whose first runs the transform changes."""

    def __init__(self, changes: int) -> None:
        self.left = changes
        self.runs = 0

    def __call__(self) -> str:
        self.runs += 1
        if self.left:
            self.left -= 1
            raise TransformChangedError("the transform changed.", hint="run it again.")
        return "done"


def test_work_begins_again_once() -> None:
    work, notes = Work(1), list[str]()

    assert begin_again_once(work, notes.append) == "done"

    assert work.runs == 2
    assert notes == ["The transform changed. Beginning again."]


def test_work_that_is_overtaken_twice_fails() -> None:
    work = Work(2)

    with pytest.raises(TransformChangedError):
        begin_again_once(work, lambda _: None)

    assert work.runs == 2


def test_work_whose_transform_stays_runs_once() -> None:
    work, notes = Work(0), list[str]()

    assert begin_again_once(work, notes.append) == "done"

    assert (work.runs, notes) == (1, [])


def test_any_other_error_ends_the_work() -> None:
    def work() -> None:
        raise TaskError("broken", hint="fix it.")

    with pytest.raises(TaskError, match="broken"):
        begin_again_once(work, lambda _: pytest.fail("nothing changed"))
