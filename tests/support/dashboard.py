"""Draw the dashboard of template.yaml as docs/dashboard.svg, with invented values."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import cycle
from math import sin
from textwrap import wrap
from typing import Any, Final, NamedTuple
from zlib import crc32

from tests.support.template import TEMPLATE, resources

PICTURE: Final = TEMPLATE.parent / "docs" / "dashboard.svg"

_COLUMN, _ROW = 40, 30
_LETTER, _LINE = 6.2, 17
_ALARMS_A_ROW = 7
_INK, _FRAME, _PAGE, _GREEN, _RED = "#16191f", "#d5dbdb", "#f2f3f3", "#1d8102", "#d13212"
_COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#7f7f7f")
_LEVELS = {"p50": 0.12, "p99": 0.25}
_ZERO_WHEN_WELL = re.compile("Drop|Error|Fail|Quarantine|Retr|Skip|Suspect|Throttl")


class Box(NamedTuple):
    """A rectangle in the picture."""

    left: float
    top: float
    width: float
    height: float

    def inside(self, margin: float, *, above: float = 0, below: float = 0) -> "Box":
        return Box(
            self.left + margin,
            self.top + margin + above,
            self.width - 2 * margin,
            self.height - 2 * margin - above - below,
        )


def widgets() -> list[dict[str, Any]]:
    """Return the dashboard's widgets for default parameters. A name that only AWS knows is `<X>`, except for tables."""
    made = resources()
    body = str(made["Dashboard"]["Properties"]["DashboardBody"])
    for name, resource in made.items():
        body = body.replace(f"<{name}>", resource["Properties"].get("TableName", f"<{name}>"))
    # CloudWatch labels each line of a search with its index. Here there is one index.
    body = body.replace("${PROP('Dim.GlobalSecondaryIndexName')}", "GSI_1")
    found: list[dict[str, Any]] = json.loads(body)["widgets"]
    return found


def picture(widgets: Sequence[Mapping[str, Any]]) -> str:
    """Draw text, alarm and metric widgets as SVG."""
    width = _COLUMN * max(widget["x"] + widget["width"] for widget in widgets)
    height = _ROW * max(widget["y"] + widget["height"] for widget in widgets)
    size = f'viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" font-size="12"'
    lines = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size} fill="{_INK}">',
        "<title>Layout of the dashboard, with invented values</title>",
        f'<rect width="{width}" height="{height}" fill="{_PAGE}"/>',
        *(line for widget in widgets for line in _widget(widget)),
        "</svg>",
    )
    return "\n".join(lines) + "\n"


def _widget(widget: Mapping[str, Any]) -> Iterator[str]:
    place = Box(_COLUMN * widget["x"], _ROW * widget["y"], _COLUMN * widget["width"], _ROW * widget["height"])
    yield _rectangle(place.inside(4), fill="#fff", stroke=_FRAME)
    draw = {"text": _text, "alarm": _alarms, "metric": _metric}[widget["type"]]
    yield from draw(widget["properties"], place.inside(16))


def _text(properties: Mapping[str, Any], box: Box) -> Iterator[str]:
    bottom = box.top + 10
    for paragraph in properties["markdown"].split("\n"):
        words = re.sub("[*`]", "", re.sub("^- ", "• ", paragraph))
        is_heading = words.startswith("# ")
        for line in wrap(words.removeprefix("# "), int(box.width / _LETTER)):
            yield _words(
                box.left, bottom, line, size=15 if is_heading else 12, weight=600 if is_heading else 400
            )
            bottom += _LINE


def _alarms(properties: Mapping[str, Any], box: Box) -> Iterator[str]:
    yield _words(box.left, box.top + 6, properties["title"], weight=600)
    names = [re.sub(r"<(\w+?)(Alarm)?\.Arn>", r"\1", arn) for arn in properties["alarms"]]
    left, top, wide, high = box.inside(0, above=16)
    wide, high = wide / _ALARMS_A_ROW, high / -(-len(names) // _ALARMS_A_ROW)
    for number, name in enumerate(names):
        row, column = divmod(number, _ALARMS_A_ROW)
        tile = Box(left + wide * column, top + high * row, wide, high).inside(2)
        yield _rectangle(tile, fill="#eef6ea")
        yield _rectangle(tile._replace(width=4), fill=_GREEN)
        yield _words(tile.left + 9, tile.top + tile.height / 2 + 4, name, size=10.5)


def _metric(properties: Mapping[str, Any], box: Box) -> Iterator[str]:
    yield _words(box.left, box.top + 6, properties["title"], weight=600)
    shown = [metric for metric in properties["metrics"] if _options(metric).get("visible", True)]
    labels = [str(_options(metric).get("label") or metric[1]) for metric in shown]
    places = list(_flow(labels, box.width))
    legend = _LINE * (places[-1][1] + 1)
    plot = box.inside(0, above=20, below=legend + 6)
    yield from _grid(plot)
    yield from _thresholds(properties, plot)
    for metric, label, (x, row), colour in zip(shown, labels, places, cycle(_COLOURS), strict=False):
        yield _path(_points(metric, label, plot), colour, width=1.5)
        bottom = box.top + box.height - legend + _LINE * (row + 1)
        yield f'<circle cx="{box.left + x + 4:g}" cy="{bottom - 4:g}" r="4" fill="{colour}"/>'
        yield _words(box.left + x + 12, bottom, label, size=11)


def _options(metric: Sequence[Any]) -> Mapping[str, Any]:
    return metric[-1] if isinstance(metric[-1], dict) else {}


def _flow(labels: Sequence[str], width: float) -> Iterator[tuple[float, int]]:
    """Yield the position and the row of each label."""
    x, row = 0.0, 0
    for label in labels:
        needed = 24 + _LETTER * len(label)
        if x and x + needed > width:
            x, row = 0.0, row + 1
        yield x, row
        x += needed


def _grid(plot: Box) -> Iterator[str]:
    for fourth in range(5):
        y = plot.top + plot.height * fourth / 4
        yield _path([(plot.left, y), (plot.left + plot.width, y)], _FRAME, width=1)


def _thresholds(properties: Mapping[str, Any], plot: Box) -> Iterator[str]:
    marks = sorted(properties.get("annotations", {}).get("horizontal", ()), key=lambda mark: mark["value"])
    for number, mark in enumerate(marks):
        y = plot.top + plot.height * (0.3 - 0.2 * number)
        yield _path([(plot.left, y), (plot.left + plot.width, y)], _RED, width=1)
        yield _words(plot.left + 4, y - 3, mark["label"], size=10, colour=_RED)


def _points(metric: Sequence[Any], label: str, plot: Box) -> list[tuple[float, float]]:
    """Return the points of an invented line without problems; the same metric always gives the same line."""
    seed = crc32(label.encode()) % 1000
    level, swing = _LEVELS.get(str(_options(metric).get("stat")), 0.35 + seed % 5 / 20), 0.03
    if "Provisioned" in str(metric):
        level, swing = 0.8, 0
    if _ZERO_WHEN_WELL.search(str(metric)):
        level, swing = 0, 0
    steps = [step / 80 for step in range(81)]
    heights = [level + swing * sum(sin(seed * rate + x * rate) for rate in (7, 23, 61)) for x in steps]
    return [
        (plot.left + plot.width * x, plot.top + plot.height * (1 - y))
        for x, y in zip(steps, heights, strict=True)
    ]


def _path(points: Sequence[tuple[float, float]], colour: str, *, width: float) -> str:
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def _rectangle(box: Box, *, fill: str, stroke: str = "none") -> str:
    left, top, width, height = (f"{value:g}" for value in box)
    return f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="2" fill="{fill}" stroke="{stroke}"/>'


def _words(x: float, y: float, words: str, *, size: float = 12, weight: int = 400, colour: str = _INK) -> str:
    style = f'font-size="{size:g}" font-weight="{weight}" fill="{colour}"'
    return f'<text x="{x:g}" y="{y:g}" {style}>{escape(words)}</text>'


if __name__ == "__main__":
    PICTURE.write_text(picture(widgets()))
