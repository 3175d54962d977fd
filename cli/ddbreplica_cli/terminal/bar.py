"""A progress bar on a terminal: items, items per second and the time left."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from ddbreplica.driver import Advance, Detail, no_detail
from ddbreplica.records.text import one_line
from ddbreplica_cli.terminal.console import console_on


@contextmanager
def bar(what: str, *, about: int | None, earlier: int, detail: Detail = no_detail) -> Iterator[Advance]:
    """Show a progress bar while the block runs. Rate and time left are those of this run, without `earlier` items."""
    columns = (
        # rich would take brackets in the text for markup.
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        _Items(),
        _Rate(),
        TimeRemainingColumn(),
        _Detail(detail),
    )
    with Progress(*columns, console=console_on(sys.stderr), transient=True) as progress:
        total = max(about, earlier) if about else None
        task = progress.add_task(one_line(what), total=total, completed=earlier)
        yield lambda items: _advance(progress, task, items)


def _advance(progress: Progress, task: TaskID, items: int) -> None:
    progress.advance(task, items)
    total = progress.tasks[0].total
    # The estimate is DynamoDB's item count, which is some hours old, so there may be more items.
    if total is not None and progress.tasks[0].completed > total:
        progress.update(task, total=progress.tasks[0].completed)


class _Items(ProgressColumn):
    def render(self, task: Task) -> Text:
        done = f"{int(task.completed):,}"
        return Text(done if task.total is None else f"{done} of about {int(task.total):,}")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s")


class _Detail(ProgressColumn):
    def __init__(self, detail: Detail) -> None:
        super().__init__()
        self._detail = detail

    def render(self, task: Task) -> Text:  # noqa: ARG002
        return Text(one_line(self._detail()))
