"""Run work in several threads, and stop all of them if one fails."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TypeAlias

IsOver: TypeAlias = Callable[[], bool]
"""Return whether the work is to stop, since other work has failed."""


def run(works: Sequence[Callable[[IsOver], None]]) -> None:
    """Do all work at once, the first in this thread. None of it is in progress when this returns or raises.

    Raises the error of the work that failed.
    """
    over = Event()

    def stopping(work: Callable[[IsOver], None]) -> None:
        try:
            work(over.is_set)
        except BaseException:
            over.set()
            raise

    with ThreadPoolExecutor(len(works) or 1, thread_name_prefix="verify") as pool:
        others = [pool.submit(stopping, work) for work in works[1:]]
        for work in works[:1]:
            stopping(work)
    for other in others:
        other.result()
