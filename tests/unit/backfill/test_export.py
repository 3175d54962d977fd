"""export: a file of an export → its keys, or what is wrong with it, and never its end before that."""

import gzip
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddbreplica.backfill import export as exports
from ddbreplica.backfill.export import Export, Exported
from ddbreplica.backfill.listing import DamagedError, Page

packed = partial(gzip.compress, mtime=0)
FILE = "s3://bucket/data/a.json.gz"


class Bucket:
    """The one call of S3 that reads a file."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def download_fileobj(self, bucket: str, name: str, file: Any, **_: Any) -> None:
        assert f"s3://{bucket}/{name}" == FILE
        file.write(self._body)


def lines(*keys: str) -> bytes:
    return b"".join(b'{"Item": {"PK": {"S": "%s"}}}\n' % key.encode() for key in keys)


def read(body: bytes, *, of: int = 2, after: Any = None) -> tuple[Sequence[Page], str]:
    """The pages that come, and why no more do."""
    client: Any = Bucket(body)
    export = Export("s3://bucket/", "arn", datetime.now(UTC), {FILE: of})
    pages: list[Page] = []
    try:
        pages.extend(Exported(client, export, ["PK"]).pages(FILE, after))
    except DamagedError as error:
        return pages, str(error)
    return pages, ""


def is_ended(pages: Sequence[Page]) -> bool:
    return any(page.cursor is None for page in pages)


def names(pages: Sequence[Page]) -> list[str]:
    return [value for page in pages for ((_, _, value),) in page.keys]


def test_a_whole_file_ends_with_a_page_without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PAGE", 2)

    pages, why = read(packed(lines("a", "b", "c")), of=3)

    assert [(len(page.keys), page.cursor) for page in pages] == [(2, 2), (1, 3), (0, None)]
    assert (names(pages), why) == (["a", "b", "c"], "")


@pytest.mark.parametrize(("after", "left"), [(1, ["b", "c"]), (3, [])])
def test_it_is_read_from_where_an_earlier_run_ended(after: int, left: list[str]) -> None:
    pages, why = read(packed(lines("a", "b", "c")), of=3, after=after)

    assert (names(pages), why, is_ended(pages)) == (left, "", True)


@pytest.mark.parametrize("after", [None, 1, 2])
@pytest.mark.parametrize(
    ("body", "why"),
    [
        (packed(b""), "it holds 0 items, and its manifest says 2"),
        (packed(lines("a")), "it holds 1 items, and its manifest says 2"),
        (packed(lines("a", "b", "c")), "it holds 3 items or more, and its manifest says 2"),
        (
            packed(lines("a", "b")) + packed(lines("c")),
            "it holds 3 items or more, and its manifest says 2",
        ),
        (packed(lines("a", "b"))[:-9], "line "),
        (packed(lines("a", "b"))[:-8] + bytes(8), "line 3 cannot be read"),  # another checksum
        (packed(lines("a", "b")) + b"?", "line 3 cannot be read"),
    ],
)
def test_a_damaged_file_has_no_end(body: bytes, why: str, after: int | None) -> None:
    pages, error = read(body, after=after)

    assert error.startswith(f"is damaged: {why}")
    assert not is_ended(pages)


@pytest.mark.parametrize(
    "line",
    [
        b'{"PK": 1}\n',
        b'{"Item": {"PK": {"S": 5}}}\n',
        b'{"Item": {"PK": []}}\n',
        b'{"Item": []}\n',
        b'{"Item": {}}\n',
        b"[]\n",
        b"null\n",
        b"\n",
        b"{\n",
        b"\xff\n",
        b"[" * 100_000 + b"\n",
        b'{"Item": {"PK": {"S": "b"}}',
        b'{"Item": {"PK": {"S": "b"}, "v": {"S": "' + b"x" * 1000 + b'"}}}\n',
    ],
)
def test_a_line_that_is_no_item_is_named(line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PAGE", 1)
    monkeypatch.setattr(exports, "MAX_LINE", 1000)
    monkeypatch.setattr(exports, "MAX_SMALL", 500)

    pages, error = read(packed(lines("a") + line))

    assert (names(pages), error) == (["a"], "is damaged: line 2 cannot be read")
    assert not is_ended(pages)


WHOLE = packed(lines(*map(str, range(20))))


@settings(deadline=None)
@given(st.binary() | st.integers(0, len(WHOLE) - 1).map(lambda end: WHOLE[:end]))
def test_any_other_bytes_have_no_end_and_raise_nothing_else(body: bytes) -> None:
    pages, error = read(body, of=20)

    assert error.startswith("is damaged: ")
    assert not is_ended(pages)


@settings(deadline=None)
@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_one_byte_that_is_another_does_no_harm(place: int, change: int) -> None:
    """Of gzip's head some bytes say nothing; any other change is noticed."""
    body = bytearray(WHOLE)
    body[place] ^= change

    pages, error = read(bytes(body), of=20)

    assert error or names(pages) == [str(number) for number in range(20)]
