"""Draw a chart of the time per record, on a logarithmic scale, as SVG. Pure.

The chart has no background and colours of medium brightness, so that it is readable on white and on black.
"""

from collections.abc import Iterator, Mapping
from html import escape
from math import log10
from typing import Any

from benchmarks.contestants import CONTESTANTS

_WORKLOAD, _SERVICE_TIME = "log-100", 4
_COSTS = {"cpu": "CPU time", "wall": "wall time"}
_COLOURS = {"cpu": "#3b82c4", "wall": "#9a9fa6"}
_OURS = {"cpu": "#d9730d", "wall": "#e0a872"}
_TEXT = "#727a83"
_WIDTH, _LEFT, _RIGHT, _TOP = 860, 220, 90, 84
_BAR, _GROUP = 15, 46
_DECADES = (10, 100, 1_000, 10_000)


def chart(figures: Mapping[str, Any]) -> str:
    """Return the chart: CPU and wall time of each contestant, for batches of 100 log items at 4 ms service time."""
    height = _TOP + _GROUP * len(CONTESTANTS) + 34
    size = f'viewBox="0 0 {_WIDTH} {height}" font-family="system-ui, sans-serif" font-size="14"'
    lines = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size} fill="{_TEXT}">',
        "<title>Microseconds per record, for each way to write it</title>",
        *_heading(),
        *_axis(height - 30),
        *_bars(figures),
        "</svg>",
    )
    return "\n".join(lines) + "\n"


def _heading() -> Iterator[str]:
    yield '<text x="0" y="18" font-size="17" font-weight="600">Microseconds per record (less is better)</text>'
    yield '<text x="0" y="40">100 web-log items per batch, 4 ms service time, logarithmic scale</text>'
    for place, (cost, title) in enumerate(_COSTS.items()):
        left = _LEFT + 110 * place
        yield f'<rect x="{left}" y="54" width="12" height="12" rx="2" fill="{_COLOURS[cost]}"/>'
        yield f'<text x="{left + 18}" y="65">{title}</text>'


def _axis(bottom: int) -> Iterator[str]:
    for value in _DECADES:
        x = _place(value)
        yield f'<path d="M{x} {_TOP - 8}V{bottom}" stroke="{_TEXT}" stroke-opacity=".2"/>'
        yield f'<text x="{x}" y="{bottom + 20}" text-anchor="middle">{value:,}</text>'


def _bars(figures: Mapping[str, Any]) -> Iterator[str]:
    found = {
        figure["contestant"]: figure
        for figure in figures["figures"]
        if (figure["workload"], figure["service_time"]) == (_WORKLOAD, _SERVICE_TIME)
    }
    for row, (name, contestant) in enumerate(CONTESTANTS.items()):
        top = _TOP + _GROUP * row
        weight, colours = (' font-weight="600"', _OURS) if name == "ours" else ("", _COLOURS)
        yield f'<text x="0" y="{top + 21}"{weight}>{escape(contestant.title)}</text>'
        for place, cost in enumerate(_COSTS):
            yield from _bar(top + place * (_BAR + 2), found[name][cost]["median"], colours[cost])


def _bar(top: int, value: float, colour: str) -> Iterator[str]:
    end = _place(value)
    yield f'<rect x="{_LEFT}" y="{top}" width="{end - _LEFT:g}" height="{_BAR}" rx="2" fill="{colour}"/>'
    yield f'<text x="{end + 6:g}" y="{top + 12}" font-size="13">{value:,.0f} µs</text>'


def _place(value: float) -> float:
    decades = log10(_DECADES[-1] / _DECADES[0])
    return round(
        _LEFT + (_WIDTH - _LEFT - _RIGHT) * log10(max(value, _DECADES[0]) / _DECADES[0]) / decades, 1
    )
