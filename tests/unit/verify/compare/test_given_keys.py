"""given_keys: each key is read once in both tables, and a halted comparison goes on where it was."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from ddbreplica.dynamodb.read import MAX_KEYS
from ddbreplica.errors import TaskError
from ddbreplica.mapping.key_filter import KeyFilter
from ddbreplica.model import Key
from ddbreplica.verify.compare.comparison import Comparison, InStep
from ddbreplica.verify.compare.given_keys import KeyComparison
from ddbreplica.verify.difference import Swept
from ddbreplica.verify.keyset import KeySet
from tests.support.scanned import ScannedTable, item, key

FILTER = KeyFilter.of(['{"dynamodb": {"Keys": {"PK": {"S": [{"prefix": "000"}]}}}}'])


@pytest.fixture
def suspects() -> Iterator[KeySet]:
    with closing(KeySet()) as keys:
        yield keys


@pytest.fixture
def tables() -> tuple[ScannedTable, ScannedTable]:
    return ScannedTable({}, ()), ScannedTable({}, ())


@pytest.fixture
def compare(
    suspects: KeySet, tables: tuple[ScannedTable, ScannedTable]
) -> Iterator[Callable[..., KeyComparison]]:
    with closing(KeySet()) as keys:

        def make(*numbers: int, threads: int = 1, limit: int = 1000, **options: Any) -> KeyComparison:
            source, replica = tables
            keys.add(map(key, numbers))
            comparison = Comparison(
                (source.reader, replica.reader),
                suspects,
                lambda _: None,
                InStep(lambda *_: None),
                max_suspects=limit,
                **options,
            )
            return KeyComparison(comparison, keys, threads=threads)

        yield make


Compare = Callable[..., KeyComparison]
Tables = tuple[ScannedTable, ScannedTable]


def listed(keys: KeySet) -> list[Key]:
    return [each for chunk in keys.chunks(100) for each in chunk]


def fill(table: ScannedTable, *numbers: int, value: object = 0) -> None:
    table.items.update({number: item(number, value) for number in numbers})


def test_unequal_items_are_suspected(compare: Compare, tables: Tables, suspects: KeySet) -> None:
    source, replica = tables
    fill(source, 1, 2, 3)
    fill(replica, 1, 4)
    fill(replica, 3, value=5)
    compared = compare(1, 2, 3, 4, 5)
    assert (compared.about, compared.is_done, compared.counts) == (10, False, Swept())

    compared.run()

    assert listed(suspects) == [key(2), key(3), key(4)]
    assert (compared.is_done, compared.counts) == (True, Swept(source_items=3, replica_items=3))


def test_an_archive_may_have_what_the_source_lacks(
    compare: Compare, tables: Tables, suspects: KeySet
) -> None:
    source, replica = tables
    fill(source, 1)
    fill(replica, 2)
    archived: list[Key] = []
    compared = compare(1, 2, is_archive=True, archived=archived.extend)

    compared.run()

    assert (listed(suspects), archived) == ([key(1)], [key(2)])
    assert compared.counts == Swept(source_items=1, replica_items=1, archived=1)


def test_items_that_the_filter_excludes_are_not_compared(
    compare: Compare, tables: Tables, suspects: KeySet
) -> None:
    source, replica = tables
    fill(source, 1, 20, 21)
    fill(replica, 1, 20, value=5)
    compared = compare(1, 20, 21, key_filter=FILTER)

    compared.run()

    assert listed(suspects) == [key(1)]
    assert compared.counts == Swept(source_items=1, replica_items=1, source_outside=2, replica_outside=1)


def test_each_key_is_read_once_in_requests_of_the_greatest_size(compare: Compare, tables: Tables) -> None:
    compared = compare(*range(MAX_KEYS + 1), threads=2)

    compared.run()

    assert [(table.looked_up, table.reads) for table in tables] == [(MAX_KEYS + 1, ["get", "get"])] * 2


def test_a_halted_comparison_goes_on_where_it_was(compare: Compare, tables: Tables, suspects: KeySet) -> None:
    source, _ = tables
    fill(source, *range(2 * MAX_KEYS))
    compared = compare(*range(2 * MAX_KEYS), limit=MAX_KEYS)

    compared.run()
    assert (compared.is_done, len(suspects), compared.counts) == (False, MAX_KEYS, Swept(MAX_KEYS))

    suspects.clear()
    compared.run()
    suspects.clear()
    compared.run()
    assert (compared.is_done, compared.counts) == (True, Swept(2 * MAX_KEYS))


def test_what_was_compared_before_an_error_is_counted(compare: Compare, tables: Tables) -> None:
    source, replica = tables
    fill(source, 1)

    def fail() -> None:
        raise TaskError("throttled.", hint="wait.")

    replica.before = fail
    compared = compare(1)

    with pytest.raises(TaskError):
        compared.run()

    assert (compared.is_done, compared.counts) == (False, Swept(1))
