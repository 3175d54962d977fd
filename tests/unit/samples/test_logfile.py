"""logfile: rows of a web log as items of the source table."""

import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddbreplica_cli.samples.logfile import BadRow, Row, RowError, item, read, write

ROW = ("17", "66.249.67.3", "2017-07-20", "04", "GMT-0700", "GET", "/søk?q=a,b", "302", "05", 'Bot "x", 1.0')


def changed(column: int, text: str) -> Sequence[str]:
    return (*ROW[:column], text, *ROW[column + 1 :])


def test_a_row_becomes_an_item() -> None:
    assert item(ROW) == {
        "PK": {"S": "request#17"},
        "GSI_1_PK": {"S": "host#66.249.67.3"},
        "requestid": {"N": "17"},
        "host": {"S": "66.249.67.3"},
        "date": {"S": "2017-07-20"},
        "hourofday": {"N": "4"},
        "timezone": {"S": "GMT-0700"},
        "method": {"S": "GET"},
        "url": {"S": "/søk?q=a,b"},
        "responsecode": {"N": "302"},
        "bytessent": {"N": "5"},
        "useragent": {"S": 'Bot "x", 1.0'},
    }


@pytest.mark.parametrize(("code", "mark"), [("500", {"S": "5xx"}), ("503", None), ("200", None)])
def test_only_a_500_is_marked_as_a_server_error(code: str, mark: object) -> None:
    assert item(changed(7, code)).get("servererror") == mark


def test_spellings_of_one_request_id_are_one_key() -> None:
    assert item(changed(0, "0017"))["PK"] == {"S": "request#17"}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (ROW[:9], "expected 10 columns and found 9"),
        ((*ROW, "x"), "expected 10 columns and found 11"),
        (changed(0, "requestid"), "requestid is 'requestid', which is not a whole number"),
        (changed(3, ""), "hourofday is '', which is not a whole number"),
        (changed(7, "2e2"), "responsecode is '2e2', which is not a whole number"),
        (changed(8, "-"), "bytessent is '-', which is not a whole number"),
        (changed(8, "٣"), "bytessent is '٣', which is not a whole number"),
        (changed(8, "1" * 39), f"bytessent is '{'1' * 39}', which is not a whole number"),
        (changed(8, "x" * 41), f"bytessent is '{'x' * 40}…', which is not a whole number"),
        (changed(6, "/\udcff"), "url is not UTF-8"),
        (changed(9, "a\0b"), "useragent contains a NUL character"),
    ],
)
def test_an_invalid_log_entry_is_refused_with_the_reason(fields: Sequence[str], reason: str) -> None:
    with pytest.raises(RowError) as refused:
        item(fields)

    assert str(refused.value) == reason


def text(*rows: str) -> list[str]:
    return [f"{row}\n" for row in rows]


GOOD = '{},host,2017-07-20,20,GMT-0700,GET,"/a,b",200,5,agent'


def outline(*rows: str) -> list[tuple[str, str]]:
    """Return for each row its lines, and its key or the reason why it is bad."""
    return [
        (f"line {row.line}", row.item["PK"]["S"]) if isinstance(row, Row) else (row.lines, row.reason)
        for row in read(text(*rows))
    ]


def test_a_bad_row_is_reported_with_its_line_and_the_next_one_is_read() -> None:
    assert outline(GOOD.format(1), "2,host", GOOD.format(3)) == [
        ("line 1", "request#1"),
        ("line 2", "expected 10 columns and found 2"),
        ("line 3", "request#3"),
    ]


def test_empty_lines_are_no_rows() -> None:
    assert outline("", GOOD.format(1), "", "") == [("line 2", "request#1")]


def test_a_quoted_field_may_span_lines() -> None:
    assert outline('1,host,d,20,z,GET,"/a', 'b",200,5,agent', GOOD.format(2)) == [
        ("line 1", "request#1"),
        ("line 3", "request#2"),
    ]


def test_a_stray_quote_costs_no_more_than_the_lines_that_it_spoils() -> None:
    assert outline('1,"host,d,20,z,GET,/,200,5,agent', GOOD.format(2), GOOD.format(3)) == [
        ("lines 1-2", "',' expected after '\"'"),
        ("line 3", "request#3"),
    ]


def test_a_quote_without_an_end_is_reported() -> None:
    assert outline(GOOD.format(1), '2,host,d,20,z,GET,/,200,5,"agent') == [
        ("line 1", "request#1"),
        ("line 2", "unexpected end of data"),
    ]


def test_a_field_that_is_too_long_is_reported() -> None:
    assert outline("x" * 200_000, GOOD.format(2)) == [
        ("line 1", "field larger than field limit (131072)"),
        ("line 2", "request#2"),
    ]


def test_reading_takes_one_row_after_the_other() -> None:
    taken = iter(text(GOOD.format(1), GOOD.format(2)))

    assert isinstance(next(read(taken)), Row)
    assert list(taken) == text(GOOD.format(2))


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=20)
whole = st.integers(0, 10**38 - 1).map(str)


@given(st.lists(st.tuples(whole, words, words, whole, words, words, words, whole, whole, words), max_size=4))
def test_a_written_file_is_read_as_the_same_rows(rows: list[tuple[str, ...]]) -> None:
    file = io.StringIO(newline="")
    write(rows, file)
    file.seek(0)

    again = list(read(file))

    assert [row for row in again if isinstance(row, BadRow)] == []
    assert [row.item for row in again if isinstance(row, Row)] == [item(row) for row in rows]
