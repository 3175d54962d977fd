"""Every request of a command to AWS goes through here, so that it ends with a result or with one line.

A response that cannot be read, or that does not come from AWS, is a refusal like any other.
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
    """Make a call of AWS and read its response; return what the call returns.

    Raises TaskError for anything that the call raises, so that it must not raise a TaskError of its own.
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
    """Yield what `read` returns of each page, which is asked for and read likewise."""
    remaining = iter(pages)
    while (found := ask(lambda: _next(remaining, read), refused=refused)) is not None:
        yield from found


def _next(pages: Iterator[P], read: Callable[[P], Sequence[T]]) -> Sequence[T] | None:
    for page in pages:
        return tuple(read(page))
    return None


REFUSALS = (TaskError, BotoCoreError)
"""What a request of `ask` raises; botocore's where no client can be created."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """No figure, and why."""

    why: str


Known: TypeAlias = T | Unknown


def known(ask: Callable[[], T]) -> Known[T]:
    """What asking answers; where that is a refusal, why."""
    try:
        return ask()
    except REFUSALS as error:
        return Unknown(fact_of(error))


def fact_of(error: TaskError | BotoCoreError) -> str:
    """Return what happened."""
    return error.fact if isinstance(error, TaskError) else explain(refusal_of(error)).fact
