"""threads: work in several threads, which stops if one of them fails."""

import threading
from functools import partial

import pytest

from ddbreplica.verify.threads import IsOver, run


def test_all_work_is_done_at_once_and_the_first_in_this_thread() -> None:
    barrier = threading.Barrier(50, timeout=10)
    names: dict[int, str] = {}

    def work(number: int, is_over: IsOver) -> None:
        barrier.wait()
        names[number] = threading.current_thread().name
        assert not is_over()

    run([partial(work, number) for number in range(50)])

    assert names[0] == threading.current_thread().name
    assert sorted(names) == [*range(50)]
    assert names[1].startswith("verify")
    assert len(set(names.values())) == 50


@pytest.mark.parametrize("failing", [0, 1])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_if_one_fails_the_others_stop_and_its_error_is_raised(
    failing: int, error: type[BaseException]
) -> None:
    stopped: list[int] = []

    def work(number: int, is_over: IsOver) -> None:
        if number == failing:
            raise error
        for _ in range(10_000):
            if is_over():
                stopped.append(number)
                return
            threading.Event().wait(0.001)

    with pytest.raises(error):
        run([partial(work, number) for number in range(2)])

    assert stopped == [1 - failing]


def test_no_work_and_one_piece_of_work_need_no_other_thread() -> None:
    done: list[str] = []

    run([])
    run([lambda _: done.append(threading.current_thread().name)])

    assert done == [threading.current_thread().name]
