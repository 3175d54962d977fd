"""Every request of a command to AWS goes through here, so that it ends with a result or with one line.

A response that cannot be read, or that does not come from AWS, is a refusal like any other.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from ddbreplica.aws.refusal import asked
from ddbreplica.model import Refusal
from ddbreplica_cli.terminal.errors import CommandError, explain

T = TypeVar("T")
P = TypeVar("P")


def ask(call: Callable[[], T], *, refused: Callable[[Refusal], CommandError] = explain) -> T:
    """Make a call of AWS and read its response; return what the call returns.

    Raises CommandError for anything that the call raises, so that it must not raise a CommandError of its own.
    """
    result = asked(call)
    if isinstance(result, Refusal):
        raise refused(result)
    return result


def ask_pages(
    pages: Iterable[P],
    read: Callable[[P], Sequence[T]],
    *,
    refused: Callable[[Refusal], CommandError] = explain,
) -> Iterator[T]:
    """Yield what `read` returns of each page, which is asked for and read likewise."""
    remaining = iter(pages)
    while (found := ask(lambda: _next(remaining, read), refused=refused)) is not None:
        yield from found


def _next(pages: Iterator[P], read: Callable[[P], Sequence[T]]) -> Sequence[T] | None:
    for page in pages:
        return tuple(read(page))
    return None
