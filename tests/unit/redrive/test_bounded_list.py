"""bounded_list: the first of any number of values are kept, and the others counted."""

import pytest

from ddbreplica.redrive import bounded_list
from ddbreplica.redrive.bounded_list import BoundedList


def filled(*texts: str) -> BoundedList[int]:
    """Return a list with a value for each text."""
    values = BoundedList[int]()
    for value, text in enumerate(texts):
        values.add(value, text)
    return values


def test_a_new_list_is_empty() -> None:
    values = BoundedList[int]()

    assert (values.first, values.count, values.more) == ([], 0, 0)


def test_values_that_fit_are_listed_in_order() -> None:
    values = filled("a", "b")

    assert (values.first, values.count, values.more) == ([0, 1], 2, 0)


def test_values_beyond_the_number_are_only_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_list, "LISTED", 2)

    values = filled("a", "b", "c", "d")

    assert (values.first, values.count, values.more) == ([0, 1], 4, 2)


def test_texts_may_fill_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_list, "ROOM", 8)

    assert filled("ab", "cd").first == [0, 1]
    assert filled("ab", "cde").first == [0]


def test_all_texts_of_a_value_take_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_list, "ROOM", 8)
    values = BoundedList[int]()

    values.add(0, "ab", "cde")

    assert (values.first, values.count, values.more) == ([], 1, 1)


def test_a_text_takes_the_room_that_it_is_printed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_list, "ROOM", 7)

    assert filled("\x1b").first == []
    assert filled("b").first == [0]


def test_after_a_value_without_room_no_other_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_list, "ROOM", 8)

    values = filled("ab", "cde", "", "f")

    assert (values.first, values.count, values.more) == ([0], 4, 3)


def test_a_text_that_is_not_listed_is_not_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = list[str]()

    def printable(text: str) -> str:
        prepared.append(text)
        return text

    monkeypatch.setattr(bounded_list, "printable", printable)
    monkeypatch.setattr(bounded_list, "ROOM", 2)

    filled("ab", "c", "d", "e")

    assert prepared == ["ab", "c"]


def test_a_value_without_a_text_takes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_list, "ROOM", 0)
    values = BoundedList[str]()

    values.add("a")

    assert values.first == ["a"]
