"""Make a request of a command to AWS, and return its result or raise a TaskError with one line of explanation.

A response that cannot be read, or that AWS did not send, is a refusal like any other.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from botocore.exceptions import BotoCoreError

from ddbreplica.aws.hints import explain
from ddbreplica.aws.refusal import asked, refusal_of
from ddbreplica.errors import TaskError
from ddbreplica.model import Refusal

T = TypeVar("T")
P = TypeVar("P")


def ask(call: Callable[[], T], *, refused: Callable[[Refusal], TaskError] = explain) -> T:
    """Make a call of AWS, and return its result.

    Raises TaskError for any exception of the call. Therefore the call must not raise a TaskError itself.
    """
    result = asked(call)
    if isinstance(result, Refusal):
        raise refused(result)
    return result


def ask_pages(
    pages: Iterable[P],
    read: Callable[[P], Sequence[T]],
    *,
    refused: Callable[[Refusal], TaskError] = explain,
) -> Iterator[T]:
    """Request pages one after the other, and yield the values that `read` returns for each. Raises as `ask` does."""
    remaining = iter(pages)
    # botocore sends the request for a page when the iterator is advanced, so `ask` has to advance it.
    while (found := ask(lambda: _next(remaining, read), refused=refused)) is not None:
        yield from found


def _next(pages: Iterator[P], read: Callable[[P], Sequence[T]]) -> Sequence[T] | None:
    for page in pages:
        # A tuple, since a generator would read the page, and raise, outside `ask`.
        return tuple(read(page))
    return None


REFUSALS = (TaskError, BotoCoreError)
"""The exceptions of a request by `ask`; BotoCoreError if no client can be created."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that cannot be read, and the reason."""

    why: str


Known: TypeAlias = T | Unknown


def known(ask: Callable[[], T]) -> Known[T]:
    """Return the result of a request, or an Unknown with the reason why it failed."""
    try:
        return ask()
    except REFUSALS as error:
        return Unknown(fact_of(error))


def fact_of(error: TaskError | BotoCoreError) -> str:
    """Return the message of an error, without its hint."""
    return error.fact if isinstance(error, TaskError) else explain(refusal_of(error)).fact
