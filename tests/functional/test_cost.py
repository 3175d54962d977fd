"""docs/cost.md says what was measured."""

import json
from pathlib import Path

import pytest

from benchmarks.cost import RESULTS, Work, lines, read

DOC = Path(__file__).parents[2] / "docs" / "cost.md"


def test_the_page_holds_the_tables_of_the_last_run() -> None:
    tables = "\n".join(lines(read(json.loads(RESULTS.read_text()))))

    assert tables in DOC.read_text().replace("\n\n\n", "\n\n")


@pytest.mark.parametrize(("memory", "seconds"), [(1769, 0.003), (4000, 0.003), (884.5, 0.005)])
def test_a_share_of_a_processor_takes_longer_and_waiting_does_not(memory: int, seconds: float) -> None:
    assert Work(cpu=0.002, waiting=0.001).seconds(memory) == pytest.approx(seconds)
