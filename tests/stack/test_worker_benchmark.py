"""The benchmark of a job's overhead on the embedded AWS."""

import pytest

from benchmarks.workers.overhead import SEGMENTS, measure_overhead

pytestmark = pytest.mark.stack


def test_a_job_and_a_worker_in_process_compare_the_same_items() -> None:
    found = measure_overhead(items=80, rounds=1, say=str)

    assert (found.items, found.segments) == (80, SEGMENTS)
    assert [len(found.jobs), len(found.work)] == [1, 1]
    assert min(*found.jobs, *found.work) > 0
