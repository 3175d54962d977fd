"""Format the status of all replications as a JSON document or as text, the worst first. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, TypeVar

from ddbreplica.aws.request import Known, Unknown
from ddbreplica.inspect.facts import Depth, Figures, LastVerification
from ddbreplica.inspect.fleet import Fleet, Line
from ddbreplica.inspect.health import REPLICATING, Severity
from ddbreplica.inspect.pairs import display_name
from ddbreplica.records.text import bare, duration, lines, one_line
from ddbreplica_cli.runs.status_screen import document, lag_seconds, loud, verdict_text

T = TypeVar("T")

_HEADING = (
    "verdict",
    "source → replica",
    "mapping",
    "lag",
    "applied in 1 h",
    "quarantine",
    "on failure",
    "last verified",
    "written since",
)
_ALIGNED = "<<<>>>><>"
_NAMES = {"what Lambda gave up": "the on-failure bucket", "the quarantine": "the quarantine bucket"}
_GAP = "  "
_INDENT = "    "


def fleet_document(
    fleet: Fleet, with_jobs: Sequence[Callable[[dict[str, Any]], Mapping[str, Any]]] = ()
) -> dict[str, Any]:
    """Return the status of each pair as one JSON document, the worst first.

    `with_jobs` add the jobs of each pair to its document.
    """
    pairs = [_line_document(line) for line in fleet.lines]
    return {
        "verdict": fleet.verdict,
        "region": fleet.region,
        "pairs": [add(pair) for add, pair in zip(with_jobs, pairs, strict=True)] if with_jobs else pairs,
    }


def fleet_screen(fleet: Fleet, jobs: Sequence[Iterable[str]] = ()) -> str:
    """Return the status as text: a line for each pair with its problem below, then what to try, and the verdict.

    `jobs` are the lines for the jobs of each pair.
    """
    heading, *rows = _aligned([_HEADING, *(_row(line) for line in fleet.lines)])
    body = [
        text
        for row, line, of_jobs in zip(rows, fleet.lines, jobs or repeat(()), strict=False)
        for text in (row, *_remarks(line), *_indented(of_jobs))
    ]
    return lines([heading, *body, "", *_summary(fleet), "", loud(fleet.verdict)])


def _indented(texts: Iterable[str]) -> Iterator[str]:
    return (f"{_INDENT}{text}" for text in texts)


def _row(line: Line) -> Sequence[str]:
    facts = line.facts
    return (
        loud(line.verdict).partition(",")[0],
        _pair(line),
        _text(facts.mappings, lambda _: facts.mapping.state if facts.mapping else "none"),
        _text(facts.figures, _lag),
        _text(facts.figures, _applied),
        _text(facts.quarantine, _depth),
        _text(facts.on_failure, _depth),
        "another transform" if facts.transform_differs else _text(facts.verification, _verified),
        _text(facts.verification, _written),
    )


def _pair(line: Line) -> str:
    source, replica = (
        display_name(table or "?", beside=line.function) for table in (line.source, line.replica)
    )
    return bare(f"{source} → {replica}")


def _text(figure: Known[T], shown: Callable[[T], str]) -> str:
    return "?" if isinstance(figure, Unknown) else shown(figure)


def _lag(figures: Figures) -> str:
    lag = lag_seconds(figures)
    return "idle" if lag is None else duration(lag)


def _applied(figures: Figures) -> str:
    writes, deletes = figures.count("WritesApplied"), figures.count("DeletesApplied")
    return "?" if writes is None or deletes is None else f"{writes + deletes:,}"


def _depth(depth: Depth) -> str:
    return f"{depth.objects:,}{'+' if depth.or_more else ''}"


def _verified(last: LastVerification | None) -> str:
    if last is None:
        return "never"
    if last.recreated:
        return "an earlier table"
    return f"{verdict_text(last.record)} {duration(last.age)} ago, {last.record.source_items:,} items"


def _written(last: LastVerification | None) -> str:
    written = None if last is None else last.written
    return "" if written is None else _text(written, lambda units: f"{units:,} units")


def _aligned(rows: Sequence[Sequence[str]]) -> Sequence[str]:
    rows = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        _GAP.join(
            f"{cell:{to}{width}}" for cell, to, width in zip(row, _ALIGNED, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def _remarks(line: Line) -> Iterator[str]:
    """Yield the worst problem and the unknown values, each reason once. `status` on this pair shows all problems."""
    worse = [finding.fact for finding in line.findings if finding.severity is not Severity.NOTE]
    if worse:
        more = f" (and {len(worse) - 1} more)" if len(worse) > 1 else ""
        yield f"{_INDENT}{bare(worse[0])}{more}"
    unknowns = line.facts.unknowns.items()
    for why in dict.fromkeys(unknown.why for _, unknown in unknowns if unknown.why not in worse):
        what = ", ".join(_NAMES.get(name, name) for name, unknown in unknowns if unknown.why == why)
        yield f"{_INDENT}unknown: {what} ({bare(why)})"


def _summary(fleet: Fleet) -> Iterator[str]:
    counts = Counter(line.verdict for line in fleet.lines)
    yield f"{fleet.region}: {'; '.join(f'{count} {word}' for word, count in counts.items())}."
    if fleet.verdict != REPLICATING:
        yield f"  Try: {fleet.lines[0].hint}."


def _line_document(line: Line) -> dict[str, Any]:
    return {
        "pair": {"source": line.source, "replica": line.replica, "function": line.function},
        "try": line.hint,
        **document(line.facts, line.findings),
        "verdict": line.verdict,
    }
