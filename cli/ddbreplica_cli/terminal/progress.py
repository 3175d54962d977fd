"""Show the progress of a long step on stderr: a bar on a terminal, otherwise one line per minute."""

import sys
from contextlib import AbstractContextManager, nullcontext

from ddbreplica.driver import Advance, Detail, no_detail
from ddbreplica_cli.terminal.minute_lines import minute_lines


def show_progress(
    what: str, *, about: int | None, earlier: int = 0, detail: Detail = no_detail
) -> AbstractContextManager[Advance]:
    """Show the progress while the block runs. `about` is the estimated number of items, or None if it is unknown.

    `earlier` items were done by earlier runs: they count as done, but not for the rate and the time left. `detail`
    returns a text that is shown beside them.
    """
    if sys.stderr is None:
        return nullcontext(_show_nothing)
    # rich may take a pipe for a terminal because of an environment variable, so check stderr itself.
    if not sys.stderr.isatty():
        return minute_lines(what, about=about, earlier=earlier, detail=detail)
    from ddbreplica_cli.terminal.bar import bar  # noqa: PLC0415  without a terminal nothing needs rich

    return bar(what, about=about, earlier=earlier, detail=detail)


def _show_nothing(_: int) -> None:
    """Show nothing: there is no stderr."""
