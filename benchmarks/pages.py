"""`python -m benchmarks.pages`: write the results of the last run into the tables of DESIGN.md and docs/costs.md."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, TypeAlias

from benchmarks import cost
from benchmarks.operator.units import SIZE

Results: TypeAlias = Mapping[str, Any]
Table: TypeAlias = Sequence[str]
"""Lines of Markdown; the first line identifies the table."""

_HERE: Final = Path(__file__).parent
_ROOT: Final = _HERE.parent


_COUNTED: Final = (
    "| verify: false alarms in 1,000 simulations | = 0 | counted in `tests/exhaustive/test_flipping.py` |"
)
_SIMULATED: Final = (
    "| redrive by schedule: minutes from an in-doubt write | ≤ 30 | simulated in `test_run_bound.py` |"
)
"""The goals that no run of the benchmark measures: a test fails unless they are reached."""


def main() -> None:
    """Update every page."""
    for path, tables in pages():
        path.write_text(renewed(path.read_text(), tables))


def pages() -> Iterator[tuple[Path, Sequence[Table]]]:
    """Yield each page with the tables of the last run that it contains."""
    function, operator, workers = (
        json.loads((_HERE / name).read_text()) for name in ("results.json", "operator.json", "workers.json")
    )
    yield (
        _ROOT / "DESIGN.md",
        (
            goals("function", function),
            (*goals("commands", operator), _COUNTED),
            (*goals("workers", workers), _SIMULATED),
        ),
    )
    yield (
        _ROOT / "docs" / "costs.md",
        (*cost.tables(cost.read(function)), *commands(operator), units(operator)),
    )


def renewed(page: str, tables: Iterable[Table]) -> str:
    """Return the page with each table in place of the table that has the same first line."""
    lines = page.split("\n")
    for table in tables:
        start = end = lines.index(table[0])
        while lines[end].startswith("|"):
            end += 1
        lines[start:end] = table
    return "\n".join(lines)


def goals(what: str, results: Results) -> Table:
    """Return the table of the goals: the target and the measured value of each."""
    rows = [
        f"| {goal['title']} | {goal['wanted']} {goal['limit']:g} | {_measured(goal)} |"
        for goal in results["goals"]
    ]
    return (f"| {what} | target | measured |", "|---|---|---|", *rows)


def commands(results: Results) -> Iterator[Table]:
    """Yield a table for each service: the commands, and the loops that they are compared with."""
    for service, figures in groupby(results["figures"], key=itemgetter("service")):
        yield (
            f"| {service} | items | items per second | CPU µs per item | peak MB | ratio |",
            "|---|---|---|---|---|---|",
            *(_row(figure) for figure in figures),
        )


def units(results: Results) -> Table:
    """Return the table of the read units that the commands take for an item."""
    rows = [f"| {each['command']}, {each['meanwhile']} | {each['each']:.2f} |" for each in results["units"]]
    return (f"| read units per item of {SIZE} bytes | measured |", "|---|---|", *rows)


def _measured(goal: Mapping[str, Any]) -> str:
    return f"{goal['value']:.3g}" + ("" if goal["reached"] else ", not reached")


def _row(figure: Mapping[str, Any]) -> str:
    is_ours = figure["contestant"] == "ours"
    cells = (
        f"**{figure['title']}**" if is_ours else f"{figure['command']}: {figure['title']}",
        f"{figure['items']:,}",
        f"{figure['rate']['median']:,.0f} ({figure['rate']['low']:,.0f}–{figure['rate']['high']:,.0f})",
        f"{figure['cpu']['median']:,.0f}",
        f"{figure['peak'] / 2**20:.0f}",
        "" if is_ours else f"{figure['share']['median']:.2f}",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
