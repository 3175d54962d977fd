"""The read units that the commands take, summed from the capacity that DynamoDB Local reports."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from benchmarks.operator.loops import REPLICA, SOURCE, Item
from benchmarks.operator.programs import PROGRAMS, run
from benchmarks.operator.proxies.meter import metered
from benchmarks.operator.trials import Service
from benchmarks.operator.units import SIZE, goals, measure
from benchmarks.processes import calling
from benchmarks.workloads import KEY
from ddbreplica.backfill.estimate import Estimate

ITEMS = 4000


def test_the_commands_take_no_more_read_units_than_their_goals(
    endpoint: str, tell: Callable[[str], None]
) -> None:
    figures = list(measure(Service("DynamoDB Local", endpoint), items=ITEMS, say=str))

    for goal in goals(figures):
        tell(f"{goal.title}: {goal.value:.3f}")
        assert goal.is_reached

    quiet, *_ = figures
    assert Estimate(items=ITEMS, bytes=ITEMS * SIZE, indexes=0).read_units == pytest.approx(
        quiet.each * ITEMS, rel=0.05
    )


def test_a_verification_takes_as_many_read_units_with_a_transform_as_without_one(
    endpoint: str, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    rules = {"concat": {"cod": ["x", {"attribute": "kind"}]}, "rename": {"data": "copy"}, "drop": ["kind"]}
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(rules))
    data = {"S": "x" * SIZE}
    keys = [{KEY: {"S": f"{number:08}"}} for number in range(ITEMS)]
    source = [{**each, "data": data, "kind": {"S": "ab"}} for each in keys]
    # As large as those of the source, so that only the command can make a difference.
    replica = [{**each, "copy": data, "cod": {"S": "xab"}} for each in keys]

    without = _verified(endpoint, source, source)
    with_one = _verified(endpoint, source, replica, "--transform", str(file))

    tell(f"verify with a transform ÷ without, read units: {with_one / without:.3f}")
    assert with_one == without


def _verified(endpoint: str, source: Sequence[Item], replica: Sequence[Item], *options: str) -> float:
    """Verify two tables with these items, which are equal, and return the read units of all requests."""
    service = Service("DynamoDB Local", endpoint)
    with service.empty_tables():
        service.put(SOURCE, source)
        service.put(REPLICA, replica)
        with metered(endpoint, lambda *_: None) as meter:
            run(PROGRAMS["verify"]["ours"], {**service.environment, **calling(meter.url)}, *options)
        return meter.units
