"""The benchmark of the operator commands on DynamoDB Local."""

from benchmarks.operator.figures import Case, goals
from benchmarks.operator.trials import Service, largest


def test_only_the_commands_copy_and_compare_a_larger_table(endpoint: str) -> None:
    service = Service("DynamoDB Local", endpoint)

    few = largest(service, items=50, say=str)
    more = largest(service, items=250, say=str)

    assert list(few) == [Case("DynamoDB Local", command, "ours", 50) for command in ("backfill", "verify")]
    assert [goal.title for goal in goals({**few, **more})] == [
        f"{command}, DynamoDB Local: peak memory at 250 items ÷ 50" for command in ("backfill", "verify")
    ]
