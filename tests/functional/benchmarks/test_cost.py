"""The time per record of a function with a share of a vCPU."""

import pytest

from benchmarks.cost import Work


@pytest.mark.parametrize(("memory", "seconds"), [(1769, 0.003), (4000, 0.003), (884.5, 0.005)])
def test_a_share_of_a_processor_takes_longer_and_waiting_does_not(memory: int, seconds: float) -> None:
    assert Work(cpu=0.002, waiting=0.001).seconds(memory) == pytest.approx(seconds)
