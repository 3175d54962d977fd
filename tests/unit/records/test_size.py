"""size: the bytes and capacity units that DynamoDB counts for an item."""

from typing import Any

import pytest

from ddbreplica.records.size import size, write_units


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"S": ""}, 0),
        ({"S": "blåbær"}, 8),
        ({"N": "0"}, 2),
        ({"N": "1234"}, 4),
        ({"N": "12345678901234567890123456789012345678"}, 21),
        ({"B": "AA=="}, 1),
        ({"B": "AAA="}, 2),
        ({"B": "AAAA"}, 3),
        ({"BOOL": False}, 1),
        ({"NULL": True}, 1),
        ({"SS": ["a", "bcd"]}, 4),
        ({"NS": ["1", "22"]}, 5),
        ({"BS": ["AA==", "AAAA"]}, 4),
        ({"L": []}, 3),
        ({"L": [{"S": "ab"}, {"BOOL": True}]}, 8),
        ({"M": {}}, 3),
        ({"M": {"key": {"S": "ab"}}}, 9),
    ],
)
def test_a_value_counts_with_its_name(value: Any, expected: int) -> None:
    assert size({"née": value}) == 4 + expected


@pytest.mark.parametrize(("length", "units"), [(0, 1), (1022, 1), (1023, 2), (2046, 2), (2047, 3)])
def test_each_kilobyte_begun_takes_a_write_unit(length: int, units: int) -> None:
    assert write_units({"PK": {"S": "x" * length}}) == units


def test_a_delete_is_counted_as_one() -> None:
    assert write_units(None) == 1
