"""The function's transform is changed while a command writes on moto, and the command is killed at some call."""

import json
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from tests.support.cli import REPLICA, SOURCE, Misbehaviour, Tables, run
from tests.support.kept_records import QUARANTINE, KeptRecords
from tests.support.kill_at import KilledError, kill_at
from tests.support.machine import Machine
from tests.support.records import put
from tests.support.transform_oracle import Oracle

NAMES: Final = ("a", "b", "c")
HALF_AN_HOUR: Final = 1800
"""The time for which a write of a killed run may land."""

EARLIER: Final = {"drop": ["hidden"]}
PRESENT: Final = {
    "concat": {"by": ["x#", {"attribute": "kept"}]},
    "drop": ["kept"],
    "rename": {"hidden": "shown"},
}
WRITERS: Final = {
    "backfill": ("backfill", "--segments", "1", "--no-wait"),
    "repair": ("verify", "--repair", "--grace", "0", "--segments", "1"),
    "redrive": ("redrive",),
}


class World:
    """A source and an empty replica, and a function. Each write to the replica changes its transform to the `next`."""

    def __init__(self, tables: Tables, kept_records: KeptRecords, aws: Misbehaviour) -> None:
        self.tables = tables
        self.kept_records = kept_records
        self.transform: Any = EARLIER
        self.next: list[Any] = []
        for name in NAMES:
            tables.put(SOURCE, name, kept={"S": name}, hidden={"S": f"hidden-{name}"})
        aws.on("before-send.dynamodb.BatchWriteItem", self.change)
        aws.on("before-call.lambda.GetFunctionConfiguration", self.function)

    def change(self, **_: Any) -> None:
        if self.next:
            self.transform = self.next.pop(0)

    def function(self, **_: Any) -> Any:
        variables = {
            "REPLICA_TABLE_NAME": REPLICA,
            "QUARANTINE_BUCKET": QUARANTINE,
            "TRANSFORM": json.dumps(self.transform),
        }
        function = {"FunctionName": "ddbreplica", "Environment": {"Variables": variables}, "Timeout": 60}
        return SimpleNamespace(status_code=200), function

    def begin(self) -> None:
        """Let the replica be empty, quarantine a record of each item, and take the change back."""
        self.transform, self.next = EARLIER, [PRESENT]
        for path in Path().glob("logfile-logfile_replica.*"):
            path.unlink()
        for name in NAMES:
            self.tables.delete(REPLICA, name)
            self.kept_records.quarantine(put(1, name), age=HALF_AN_HOUR)

    def make_older(self) -> None:
        """Let all objects of the quarantine bucket be so old that no write of their time can land."""
        for name in self.kept_records.names(QUARANTINE):
            self.kept_records.make_older(QUARANTINE, name, HALF_AN_HOUR)

    @property
    def wanted(self) -> Any:
        oracle = Oracle(PRESENT, key=["PK"], secret=b"")
        return {pk: oracle.expected(item) for pk, item in self.tables.items(SOURCE).items()}


@pytest.fixture
def world(tables: Tables, kept_records: KeptRecords, aws: Misbehaviour) -> World:
    return World(tables, kept_records, aws)


@pytest.mark.parametrize("writer", WRITERS)
def test_a_command_whose_transform_changes_begins_again(world: World, writer: str) -> None:
    world.begin()

    result = run(*WRITERS[writer])

    assert result.exit_code == 0
    assert "The function's transform was changed meanwhile" in result.stderr
    assert "Beginning again." in result.stderr
    assert world.tables.items(REPLICA) == world.wanted


@pytest.mark.parametrize("writer", WRITERS)
def test_a_command_whose_transform_changes_twice_fails(world: World, writer: str) -> None:
    world.begin()
    world.next.append({"drop": ["kept"]})

    result = run(*WRITERS[writer])

    assert result.exit_code == 2
    assert "transform was changed meanwhile" in result.stderr.splitlines()[-2]
    assert result.stderr.splitlines()[-1] == "Try: run the same command again."


@pytest.mark.parametrize(("writer", "every"), [("backfill", 1), ("redrive", 2), ("repair", 5)])
def test_wherever_a_command_is_killed_the_same_command_ends_with_the_present_transform(
    world: World, aws: Misbehaviour, machine: Machine, writer: str, every: int
) -> None:
    kills = 0
    while True:
        world.begin()
        was_killed = kill_at(aws, kills)
        with suppress(KilledError):
            run(*WRITERS[writer])
        is_killed = was_killed()
        world.change()
        run(*WRITERS[writer])  # which may find items held back
        machine.pass_by(HALF_AN_HOUR)
        world.make_older()

        again = run(*WRITERS[writer])

        assert again.exit_code == 0, again.stderr
        assert world.tables.items(REPLICA) == world.wanted
        if not is_killed:
            break
        kills += every
    assert kills > 5 * every
