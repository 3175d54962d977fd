"""Read the progress of all parts of a job, and name the parts that are not done."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Protocol, TypeVar

from ddbreplica.errors import JobEndedError
from ddbreplica.records.decode import MalformedError

_THREADS = 10  # as many connections as a client has
_CHUNK = 1_000
_MOST_NAMED = 10


class Progress(Protocol):
    """How far a part of a job has come. `failure` is why the last worker gave up; it is empty if none did."""

    is_done: bool
    failure: str


T = TypeVar("T")
P = TypeVar("P", bound=Progress)


def all_done(read: Callable[[int], P], count: int, check: Callable[[], None], undone: str) -> Sequence[P]:
    """Return the progress of all parts, in order. Raises TaskError that names those that are not done.

    `read` reads the progress of a part by its number. `check` is called now and then; it may raise. `undone` is the
    beginning of the message.
    """
    found: list[P] = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, count, _CHUNK):
            check()
            found += pool.map(read, range(start, min(start + _CHUNK, count)))
    left = {number: each.failure for number, each in enumerate(found) if not each.is_done}
    if left:
        raise _undone(undone, left)
    return found


def _undone(undone: str, left: Mapping[int, str]) -> JobEndedError:
    named = ", ".join(f"{number:,}" for number in islice(left, _MOST_NAMED))
    more = f" and {len(left) - _MOST_NAMED:,} more" if len(left) > _MOST_NAMED else ""
    why = next((f" ({failure.rstrip('.')})" for failure in left.values() if failure), "")
    return JobEndedError(f"{undone}: {named}{more}{why}.", hint="start the job again, which resumes it.")


def undamaged(read: Callable[[], T], what: str) -> T:
    """Return what is read from a stored progress. Raises TaskError if it is damaged."""
    try:
        return read()
    except (AttributeError, KeyError, TypeError, ValueError, MalformedError) as error:
        raise JobEndedError(
            f"the progress of {what} was not written by this version of ddbreplica, or is damaged.",
            hint="start a new job.",
        ) from error
