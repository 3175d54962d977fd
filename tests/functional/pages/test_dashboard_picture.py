"""The picture of the dashboard shows what the template deploys."""

import re
import xml.etree.ElementTree as ET
from typing import Any

from tests.support.dashboard import PICTURE, picture, widgets


def words(svg: str) -> list[str]:
    """The texts of a picture, in their order. Only well-formed XML has any."""
    return ["".join(text.itertext()) for text in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314  our own


def metric_widget(*metrics: Any, **more: Any) -> dict[str, Any]:
    properties = {"title": "Flow", "metrics": list(metrics), **more}
    return {"type": "metric", "x": 0, "y": 0, "width": 6, "height": 6, "properties": properties}


def test_the_picture_in_the_documentation_is_the_templates_dashboard() -> None:
    assert PICTURE.read_text() == picture(widgets()), "run `make picture`"


def test_every_widget_has_its_title_in_the_picture_and_every_alarm_its_name() -> None:
    _, alarms, *metrics = widgets()
    shown = words(PICTURE.read_text())

    assert {widget["properties"]["title"] for widget in (alarms, *metrics)} <= set(shown)
    assert {re.sub(r"<|Alarm\.Arn>", "", arn) for arn in alarms["properties"]["alarms"]} <= set(shown)


def test_a_metric_is_named_as_the_dashboard_names_it() -> None:
    drawn = picture(
        [
            metric_widget(
                ["AWS/Lambda", "Errors", "FunctionName", "f"],
                ["AWS/Lambda", "Duration", "FunctionName", "f", {"label": "slow <& late"}],
                ["AWS/Lambda", "Invocations", "FunctionName", "f", {"id": "i", "visible": False}],
                [{"expression": "i / 2", "label": "half"}],
            )
        ]
    )

    assert words(drawn) == ["Flow", "Errors", "slow <& late", "half"]


def test_a_threshold_is_drawn_below_a_higher_one() -> None:
    marks = [{"label": "late", "value": 9}, {"label": "later", "value": 10}]
    drawn = picture([metric_widget(["AWS/Lambda", "IteratorAge"], annotations={"horizontal": marks[::-1]})])

    late, later = (re.search(rf' y="([\d.]+)"[^<]*>{mark["label"]}<', drawn) for mark in marks)
    assert late is not None
    assert later is not None
    assert float(late[1]) > float(later[1])
