"""skim: single members of a JSON text are read as `json.loads` reads them, whatever surrounds them."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddbreplica.files.skim import NAME_BYTES, Skim

TEXT = st.text(max_size=8) | st.text(alphabet='"\\[]{},:/ué🎉\ud800', max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)
SPELLINGS = st.sampled_from(
    [
        {},
        {"indent": 2},
        {"separators": (",", ":")},
        {"ensure_ascii": False},
        {"ensure_ascii": False, "separators": (" , ", "\t:\r\n")},
    ]
)


def spelt(value: Any, how: Any) -> bytes:
    return json.dumps(value, **how).encode("utf-8", "surrogatepass")


def members(text: bytes, *wanted: str, most: int = 10_000) -> dict[str, Any]:
    skim = Skim(text)
    found = {name: skim.value(most) for name in skim.members() if name in wanted}
    skim.end()
    return found


@given(st.dictionaries(TEXT, JSON, min_size=1, max_size=5), SPELLINGS, st.data())
def test_a_member_is_read_as_by_a_parser(document: Any, how: Any, data: st.DataObject) -> None:
    wanted = data.draw(st.sets(st.sampled_from(sorted(document))))

    assert members(spelt(document, how), *wanted) == {name: document[name] for name in wanted}


@given(st.lists(JSON, max_size=5), SPELLINGS)
def test_elements_are_read_as_by_a_parser(elements: Any, how: Any) -> None:
    skim = Skim(spelt(elements, how))
    found = [skim.value(10_000) for _ in skim.elements()]
    skim.end()

    assert found == elements


@given(JSON, SPELLINGS)
def test_anything_is_skipped_to_its_end(value: Any, how: Any) -> None:
    for more in (b"", b"]", b"}", b"]}]}", b",1", b" : 2"):
        skim = Skim(b" " + spelt(value, how) + more)
        skim.skip()

        assert skim.next == more.strip()[:1].decode()


@given(st.text(max_size=3000) | TEXT, SPELLINGS)
def test_the_content_of_a_string_is_the_same_text(text: str, how: Any) -> None:
    content = text.encode("utf-8", "surrogatepass")
    skim = Skim(spelt(text, how))

    found = skim.text(memoryview(bytearray(len(content))))

    skim.end()
    assert found is not None
    assert bytes(found).decode("utf-8", "surrogatepass") == json.loads(spelt(text, how))


@pytest.mark.parametrize("unit", ["a", "é", "🎉", '"', "\\", "\x01", "\ud83d", "a🎉", "é\n"])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_long_string_is_joined_from_its_parts(unit: str, *, ascii_only: bool) -> None:
    for lead in range(4):
        text = "x" * lead + unit * 70_000
        spelling = json.dumps(text, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
        skim = Skim(spelling)

        found = skim.text(memoryview(bytearray(1_000_000)))

        assert found is not None
        assert bytes(found).decode("utf-8", "surrogatepass") == json.loads(spelling)


def test_a_text_is_not_read_beyond_the_members_that_are_needed() -> None:
    room = memoryview(bytearray(3))
    text = Skim(b'"abc"').text(room)

    assert text is not None
    assert bytes(text) == b"abc"
    assert Skim(b'"abcd"').text(room) is None
    assert members(b'{"a": "bcd", "b": 1}', "a", "b", most=4) == {"a": None, "b": 1}


@given(st.binary(max_size=60) | st.text(alphabet='"\\[]{},:1a ', max_size=30).map(str.encode))
def test_invalid_json_raises_one_kind_of_error(text: bytes) -> None:
    try:
        members(text, "a", "")
    except (ValueError, RecursionError):
        return
    assert text.strip()[:1] == b"{"


@given(JSON, SPELLINGS, st.data())
def test_json_that_is_cut_off_is_invalid(value: Any, how: Any, data: st.DataObject) -> None:
    text = spelt([value], how)
    cut = data.draw(st.integers(0, len(text) - 1))

    with pytest.raises(ValueError, match="not JSON"):
        Skim(text[:cut]).skip()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[",
        b'{"a" 1}',
        b'{"a":}',
        b"{1:2}",
        b'{"a":1,}',
        b'{"a":1 "b":2}',
        b'{"a":1}}',
        b'{"a',
        b'{"a":"b',
        b"{,}",
    ],
)
def test_a_value_that_is_not_an_object(text: bytes) -> None:
    with pytest.raises(ValueError, match="not JSON at byte"):
        members(text)


def test_a_name_that_is_too_long_is_none() -> None:
    long = "x" * NAME_BYTES
    skim = Skim(json.dumps({long: 1, "a": 2}).encode())

    assert [(name, skim.value(9)) for name in skim.members()] == [(None, 1), ("a", 2)]


@pytest.mark.parametrize(
    "skipped",
    [
        b"[" * 500_000 + b"]" * 500_000,
        b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
        b"[" + b"[]," * 300_000 + b"1]",
        b"[" + b'{"a":1},' * 100_000 + b"1]",
        b'"' + b'\\"' * 500_000 + b'"',
        b"[" + b'"a",' * 250_000 + b"1]",
        b"1" * 1_000_000,
    ],
    ids=["deep", "deep objects", "elements", "objects", "escapes", "strings", "number"],
)
def test_memory_does_not_grow_with_the_parts_that_are_skipped(skipped: bytes) -> None:
    text = b'{"skipped": ' + skipped + b', "wanted": 1}'
    tracemalloc.start()
    found = members(text, "wanted")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert found == {"wanted": 1}
    assert peak < 100_000
