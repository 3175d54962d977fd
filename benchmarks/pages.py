"""`python -m benchmarks.pages`: results.json, operator.json → their tables in DESIGN.md and docs/costs.md, in place."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from benchmarks import cost

Results: TypeAlias = Mapping[str, Any]
Table: TypeAlias = Sequence[str]
"""Lines of Markdown; the first says which table it is."""

_HERE: Final = Path(__file__).parent
_ROOT: Final = _HERE.parent


def main() -> None:
    """Renew every page."""
    for path, tables in pages():
        path.write_text(renewed(path.read_text(), tables))


def pages() -> Iterator[tuple[Path, Sequence[Table]]]:
    """Each page, and the tables of the last run that stand in it."""
    function, operator = (
        json.loads((_HERE / name).read_text()) for name in ("results.json", "operator.json")
    )
    yield _ROOT / "DESIGN.md", (goals("the function", function), goals("the commands", operator))
    yield _ROOT / "docs" / "costs.md", (*cost.tables(cost.read(function)), commands(operator))


def renewed(page: str, tables: Iterable[Table]) -> str:
    """The page with each table in the place of the one of the same first line, which has to be there."""
    lines = page.split("\n")
    for table in tables:
        start = end = lines.index(table[0])
        while lines[end].startswith("|"):
            end += 1
        lines[start:end] = table
    return "\n".join(lines)


def goals(what: str, results: Results) -> Table:
    """What was to be reached, and what was."""
    rows = [
        f"| {goal['title']} | {goal['wanted']} {goal['limit']:g} | {_measured(goal)} |"
        for goal in results["goals"]
    ]
    return (f"| {what} | wanted | measured |", "|---|---|---|", *rows)


def commands(results: Results) -> Table:
    """What the commands take, and the loops beside them."""
    return (
        "| on | | items | items a second | µs of CPU an item | peak MB | the command's throughput ÷ its |",
        "|---|---|---|---|---|---|---|",
        *(_row(figure) for figure in results["figures"]),
    )


def _measured(goal: Mapping[str, Any]) -> str:
    return f"{goal['value']:.3g}" + ("" if goal["reached"] else ", not reached")


def _row(figure: Mapping[str, Any]) -> str:
    is_ours = figure["contestant"] == "ours"
    cells = (
        figure["service"],
        f"**{figure['title']}**" if is_ours else f"{figure['command']}: {figure['title']}",
        f"{figure['items']:,}",
        f"{figure['rate']['median']:,.0f} ({figure['rate']['low']:,.0f} to {figure['rate']['high']:,.0f})",
        f"{figure['cpu']['median']:,.0f}",
        f"{figure['peak'] / 2**20:.0f}",
        "" if is_ours else f"{figure['share']['median']:.2f}",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
