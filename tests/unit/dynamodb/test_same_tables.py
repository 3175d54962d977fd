"""SameTables: a table that was recreated while a command works on it is noticed."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from ddbreplica.aws.clock import Clock
from ddbreplica.dynamodb.describe import DESCRIBE_SECONDS, SameTables
from ddbreplica.errors import TaskError

FIRST, SECOND = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)


class Tables:
    """Two tables, and a check of them on a clock that the test sets."""

    def __init__(self) -> None:
        self.created = {"source": FIRST, "replica": FIRST}
        self.time = 0.0
        self.described = 0
        self.same = SameTables(self.describe(), self.describe, Clock(lambda: self.time))

    def describe(self) -> Any:
        self.described += 1
        return tuple(
            SimpleNamespace(table=SimpleNamespace(arn=name), description={"CreationDateTime": created})
            for name, created in self.created.items()
        )


@pytest.mark.parametrize("name", ["source", "replica"])
def test_a_recreated_table_is_refused_by_name(name: str) -> None:
    tables = Tables()
    tables.created[name] = SECOND
    tables.time = DESCRIBE_SECONDS

    for _ in range(2):
        with pytest.raises(TaskError) as refused:
            tables.same.check()

        assert refused.value.fact == (
            f"the {name} was recreated meanwhile: it was {name}, created at 2026-01-01 00:00:00 UTC,"
            f" and is {name}, created at 2026-01-02 00:00:00 UTC."
        )
        assert refused.value.hint == "name another file with --state, and run the command again."


def test_the_tables_are_described_once_in_some_seconds() -> None:
    tables = Tables()
    for times in (0, 0.9, 1, 1.2, 1.9, 2):
        tables.time = times * DESCRIBE_SECONDS
        tables.same.check()

    assert tables.described == 1 + 3


def test_the_first_check_compares_with_what_the_command_began_with() -> None:
    """Minutes may pass between the description and the first key that is reconciled."""
    tables = Tables()
    tables.created["source"] = SECOND

    with pytest.raises(TaskError, match="the source was recreated"):
        tables.same.check()


def test_a_check_now_describes_the_tables_each_time() -> None:
    tables = Tables()
    tables.same.check()
    tables.same.check_now()
    tables.created["replica"] = SECOND

    with pytest.raises(TaskError, match="the replica was recreated"):
        tables.same.check_now()

    assert tables.described == 1 + 3
