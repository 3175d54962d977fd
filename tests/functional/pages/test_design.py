"""DESIGN.md states each decision in at most five lines."""

from tests.support.modules import ROOT

PARAGRAPHS = (ROOT / "DESIGN.md").read_text().split("\n\n")


def test_a_decision_takes_at_most_five_lines() -> None:
    decisions = [paragraph.strip() for paragraph in PARAGRAPHS if paragraph.startswith("**")]

    assert len(decisions) > 100
    assert [decision for decision in decisions if decision.count("\n") >= 5] == []
