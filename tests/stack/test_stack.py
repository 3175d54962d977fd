"""Replication with the deployed template: load, changes, quarantine, verify, and an item of each type."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from demo import traffic
from demo.command import run
from demo.deploy import Stack, deploy
from demo.embedded import EmbeddedAws, embedded_aws
from demo.pair import Item, Pair, projected

ROWS = 300

EVERY_TYPE: Item = {
    "PK": {"S": "every#type"},
    "text": {"S": "Grüße, 世界 \U0001f30d \u0000 \u2028"},
    "empty": {"S": ""},
    "integer": {"N": "12345678901234567890123456789012345678"},
    "fraction": {"N": "-1.2345678901234567890123456789012345678"},
    "large": {"N": "9" * 38 + "0" * 88},
    "small": {"N": "0." + "0" * 129 + "1"},
    "bytes": {"B": bytes(range(256))},
    "true": {"BOOL": True},
    "null": {"NULL": True},
    "texts": {"SS": ["ä", "a", "Z"]},
    "numbers": {"NS": ["1", "-2.5", "98765432109876543210987654321098765432"]},
    "blobs": {"BS": [b"\xff\x00", b"\x00\xff", b"plain"]},
    "list": {
        "L": [{"B": b"\xde\xad"}, {"NULL": True}, {"L": []}, {"M": {"deep": {"BS": [b"\xbe\xef", b"\x01"]}}}]
    },
    "map": {
        "M": {"B": {"B": b"\x80"}, "N": {"N": "0.1"}, "none": {"M": {}}, "flags": {"L": [{"BOOL": False}]}}
    },
}


@dataclass(frozen=True, slots=True)
class Deployed:
    """The deployed template."""

    aws: EmbeddedAws
    stack: Stack
    pair: Pair

    def verify(self) -> int:
        """Return the exit code of `ddbreplica verify`."""
        names = ("--source", self.pair.source, "--replica", self.pair.replica)
        return run(self.aws, "verify", *names, "--grace", "1", "--read-rate", "1000").exit_code


@pytest.fixture(scope="module")
def deployed() -> Iterator[Deployed]:
    with embedded_aws() as aws:
        stack = deploy(aws)
        yield Deployed(aws, stack, Pair(aws.dynamodb, stack.source, stack.replica))


@pytest.fixture(scope="module")
def keys(deployed: Deployed) -> list[str]:
    """The keys of the rows loaded by `ddbreplica load`. Each test uses different ones."""
    finished = run(deployed.aws, "load", "--generate", str(ROWS), "--source", deployed.pair.source)
    assert finished.exit_code == 0
    assert re.fullmatch(rf"RowCount: {ROWS}, Total seconds: \d+\.\d+", finished.last_line)
    return sorted(deployed.pair.items(deployed.pair.source))


def test_loaded_rows_are_replicated(deployed: Deployed, keys: list[str]) -> None:
    deployed.pair.wait_until_equal()

    assert len(keys) == ROWS
    assert set(keys) <= deployed.pair.items(deployed.pair.replica).keys()


def test_updates_are_replicated(deployed: Deployed, keys: list[str]) -> None:
    pair, chosen = deployed.pair, keys[:60]
    before = pair.items(pair.source)

    traffic.update(pair, chosen)
    pair.wait_until_equal()

    after = pair.items(pair.replica)
    assert [after[key] for key in chosen] == [traffic.touched(before[key]) for key in chosen]


def test_deletes_are_replicated(deployed: Deployed, keys: list[str]) -> None:
    pair, chosen = deployed.pair, keys[60:120]

    traffic.delete(pair, chosen)
    pair.wait_until_equal()

    assert not pair.items(pair.replica).keys() & set(chosen)


def test_an_item_with_all_types_is_replicated_unchanged(deployed: Deployed) -> None:
    pair, key = deployed.pair, EVERY_TYPE["PK"]["S"]

    pair.dynamodb.put_item(TableName=pair.source, Item=EVERY_TYPE)
    pair.wait_until_equal()

    assert _without_order(pair.item(pair.source, key)) == _without_order(EVERY_TYPE)
    assert _without_order(pair.item(pair.replica, key)) == _without_order(EVERY_TYPE)


def test_a_rejected_item_is_quarantined_and_redriven_and_the_others_are_replicated(
    deployed: Deployed, keys: list[str]
) -> None:
    pair = deployed.pair
    template = pair.item(pair.source, keys[120])
    assert template is not None
    neighbours, poison, mended = traffic.neighbours_and_poison(template)
    key = poison["PK"]["S"]

    traffic.drop_source_index(pair)
    traffic.write_together(pair, neighbours, poison)
    refused = traffic.wait_for_quarantine(deployed.aws.s3, deployed.stack.quarantine_bucket)
    pair.wait_until_equal(but_for=frozenset({key}))

    assert [found.key for found in refused] == [key]
    assert "GSI_1_PK Expected: S Actual: N" in refused[0].reason
    assert pair.item(pair.replica, key) is None
    assert {item["PK"]["S"] for item in neighbours} <= pair.items(pair.replica).keys()
    assert deployed.verify() == 1

    pair.dynamodb.put_item(TableName=pair.source, Item=mended)
    pair.wait_until_equal()
    assert pair.item(pair.replica, key) == mended

    assert run(deployed.aws, "redrive", "--stack-name", deployed.stack.name).exit_code == 0
    s3, bucket = deployed.aws.s3, deployed.stack.quarantine_bucket
    assert traffic.quarantined(s3, bucket) == []
    assert [done.name for done in traffic.quarantined(s3, bucket, under="done/")] == [
        f"done/{refused[0].name}"
    ]


def test_verify_distinguishes_equal_and_different_tables(deployed: Deployed, keys: list[str]) -> None:
    pair, key = deployed.pair, keys[-1]
    pair.wait_until_equal()
    assert deployed.verify() == 0

    pair.dynamodb.delete_item(TableName=pair.replica, Key={"PK": {"S": key}})

    assert deployed.verify() == 1
    traffic.update(pair, [key])
    pair.wait_until_equal()
    assert deployed.verify() == 0


def test_the_replicas_index_can_be_queried(deployed: Deployed, keys: list[str]) -> None:
    pair = deployed.pair
    pair.wait_until_equal()
    rows = {key: item for key, item in pair.items(pair.source).items() if "host" in item}
    host = rows[keys[-1]]["host"]["S"]

    found = pair.query_index(f"host#{host}")

    assert found == {key: projected(item) for key, item in rows.items() if item["host"]["S"] == host}
    assert 1 < len(found) < len(rows)


def _without_order(value: object) -> object:
    """Return the attribute values with each set as a Python set."""
    if isinstance(value, list):
        return [_without_order(element) for element in value]
    if not isinstance(value, dict):
        return value
    return {
        name: frozenset(inner)
        if name in {"SS", "NS", "BS"} and isinstance(inner, list)
        else _without_order(inner)
        for name, inner in value.items()
    }
