"""Show the progress of a long step on stderr, if that is a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ddbreplica.driver import Advance


@contextmanager
def progress_bar(what: str, *, about: int | None) -> Iterator[Advance]:
    """Show a progress bar while the block runs. `about` is the estimated number of items, or None if it is unknown."""
    # rich may take a pipe for a terminal because of an environment variable, so check stderr itself.
    if sys.stderr is None or not sys.stderr.isatty():
        yield _show_nothing
        return
    from ddbreplica_cli.terminal.bar import bar  # noqa: PLC0415  without a terminal nothing needs rich

    with bar(what, about=about) as advance:
        yield advance


def _show_nothing(_: int) -> None:
    """Show nothing: stderr is not a terminal."""
